"""Draws with replacement, for the range that chance leaves (Efron 1979), a few at a time.

All draws of many things do not fit in memory (10,000 draws of 10,000 texts are 800 MB), and
nobody needs them: only what each draw adds up to is kept. The same seed gives the same draws,
however many are made at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

DRAWS: Final = 10_000
PERCENT: Final = 95.0
"""Share of the draws between low and high."""

CELLS: Final = 1 << 19
"""Numbers that are drawn at a time, one whole draw at least: 4 MB, with copies 12."""


def taken(things: int, seed: int, draws: int = DRAWS) -> Iterator[Array]:
    """How often each thing is taken, in blocks of draws of shape (draws, things)."""
    random = np.random.default_rng(seed)
    share = np.full(things, 1.0 / things)
    rows = max(1, CELLS // things)
    for first in range(0, draws, rows):
        size = min(rows, draws - first)
        yield random.multinomial(things, share, size=size).astype(np.float64)


def totals(columns: Array, seed: int) -> Array:
    """What the things that are taken add up to.

    Args:
        columns: a figure of each thing in each column: shape (things, columns).
        seed: of the draws, which are the same ones for all columns.

    Returns:
        Shape (1 + DRAWS, columns): every thing once, then each draw.
    """
    found = [columns.sum(axis=0, keepdims=True)]
    found += [block @ columns for block in taken(len(columns), seed)]
    return np.concatenate(found)


def bounds(values: Array) -> tuple[float, float]:
    """Between which PERCENT of the draws' values are."""
    tail = (100.0 - PERCENT) / 2.0
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return float(low), float(high)
