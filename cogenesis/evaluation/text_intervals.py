"""Means over samples with the range that chance leaves, and paired differences.

A percentile bootstrap over samples (Efron 1979): samples are drawn with replacement, the same
ones for all systems, so that differences are ranges of pairs. A sample without a value (nothing
to measure in it) counts for nothing.

Not covered: samples of one person, or of people alike, are taken as independent; with fewer
than about 20 samples a percentile range is too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar

import numpy as np

from cogenesis.evaluation.bootstrap import Array, bounds, taken, totals

Values = Sequence[float | None]
KeyT = TypeVar("KeyT", bound=Hashable)

REDRAWS: Final = 1_000
FEW: Final = 20
"""Under so many samples a range says little."""

_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, its range, and of how many samples it is. None where there is nothing to tell."""

    value: float | None
    low: float | None
    high: float | None
    samples: int

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)


def means(columns: Mapping[KeyT, Values], seed: int = 0) -> dict[KeyT, Interval]:
    """For each column the mean of the values that are there.

    Args:
        columns: a value or None for each sample, the same samples in all columns.
        seed: the same one gives the same draws.
    """
    there = {key: [value is not None for value in values] for key, values in columns.items()}
    counts = {key: sum(known) for key, known in there.items()}
    asked = [key for key, count in counts.items() if count]
    found = {key: Interval(None, None, None, 0) for key in columns}
    if not asked:
        return found
    filled = [[0.0 if each is None else each for each in columns[key]] for key in asked]
    both = np.array([*filled, *(there[key] for key in asked)], dtype=np.float64)
    sums = totals(both.T, seed).T
    for key, total, number in zip(asked, sums[: len(asked)], sums[len(asked) :], strict=True):
        # A draw may hold only samples without a value: it tells nothing.
        found[key] = _interval(total[number > 0] / number[number > 0], counts[key])
    return found


def differences(values: Values, base: Values) -> list[float | None]:
    """Value minus base of the samples that have both: a column for `means`."""
    pairs = zip(values, base, strict=True)
    return [None if a is None or b is None else a - b for a, b in pairs]


def statistic(samples: int, compute: Callable[[Array], float | None], seed: int = 0) -> Interval:
    """Any figure of so many samples, given how often each is taken; None where undefined.

    It is computed once for each of REDRAWS draws, because it cannot be done for all at once.
    """
    whole = compute(np.ones(samples))
    if whole is None:
        return Interval(None, None, None, 0)
    drawn = [compute(row) for block in taken(samples, seed, REDRAWS) for row in block]
    return _interval(np.array([whole, *(each for each in drawn if each is not None)]), samples)


def _interval(values: Array, count: int) -> Interval:
    whole, low, high = (round(float(x), _DIGITS) for x in (values[0], *bounds(values[1:])))
    return Interval(whole, low, high, count)
