"""Noise that depends on seed, position and token only, and the choice it makes.

With the same noise for drafting and for the target (Daliri, Musco and Suresh 2025,
"Coupling without communication and drafter-invariant speculative decoding"), the text is a
function of the seed: it does not depend on draft lengths, timing or what was rejected.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from cogenesis.fusion.pool import Array

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)


def _scrambled(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's output function (Steele, Lea and Flood 2014): a bijection of 64 bits."""
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


def uniforms(seed: int, position: int, ids: npt.NDArray[np.int64]) -> Array:
    """One number in (0, 1) for each token id, the same on every call and machine."""
    with np.errstate(over="ignore"):
        key = _scrambled(np.array([seed % 2**64], np.uint64) + _GOLDEN)
        key = _scrambled(key + np.uint64(position % 2**64) * _GOLDEN)
        bits = _scrambled(key + (ids.astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    # 53 bits, shifted by half a step: neither 0 nor 1 can come out.
    return ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def gumbels(seed: int, position: int, ids: npt.NDArray[np.int64]) -> Array:
    """Standard Gumbel noise for each token id."""
    return -np.log(-np.log(uniforms(seed, position, ids)))


def choose(logprobs: Array, ids: npt.NDArray[np.int64], seed: int, position: int) -> int:
    """Index of the chosen candidate: a sample of exp(logprobs), by the Gumbel-max trick.

    Entries of -inf are never chosen. With exactly one finite entry, that one is.
    """
    return int(np.argmax(logprobs + gumbels(seed, position, ids)))
