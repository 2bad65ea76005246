"""Means over samples with the range that chance leaves, and paired differences.

A percentile bootstrap over samples (Efron 1979): samples are drawn with replacement, the same
ones for all systems, so that differences are ranges of pairs. A sample without a value (nothing
to measure in it) counts for nothing.

Not covered: samples of one person, or of people alike, are taken as independent; with fewer
than about 20 samples a percentile range is too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Values = Sequence[float | None]

DRAWS: Final = 10_000
REDRAWS: Final = 1_000
PERCENT: Final = 95.0
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


class Draws:
    """How often each sample is taken in each draw; the same for all measures."""

    def __init__(self, samples: int, seed: int = 0) -> None:
        """For so many samples, at least one. The same seed gives the same draws."""
        drawn = np.random.default_rng(seed).multinomial(
            samples, np.full(samples, 1.0 / samples), size=DRAWS
        )
        self._taken: Array = np.vstack([np.ones(samples), drawn]).astype(np.float64)

    def mean(self, values: Values) -> Interval:
        """The mean of the values that are there."""
        there = np.array([value is not None for value in values], dtype=np.float64)
        filled = np.array([0.0 if value is None else value for value in values])
        count = int(there.sum())
        if count == 0:
            return Interval(None, None, None, 0)
        taken = self._taken @ there
        # A draw may hold only samples without a value: it tells nothing.
        sums = (self._taken @ filled)[taken > 0]
        return _interval(sums / taken[taken > 0], count)

    def difference(self, values: Values, base: Values) -> Interval:
        """The mean of value minus base, over the samples that have both."""
        pairs = zip(values, base, strict=True)
        return self.mean([None if a is None or b is None else a - b for a, b in pairs])

    def statistic(self, compute: Callable[[Array], float | None]) -> Interval:
        """Any figure of the samples, given how often each is taken; None where undefined.

        It is computed once for each of REDRAWS draws, because it cannot be done for all at once.
        """
        whole = compute(self._taken[0])
        if whole is None:
            return Interval(None, None, None, 0)
        drawn = [compute(row) for row in self._taken[1 : REDRAWS + 1]]
        values = np.array([whole, *(each for each in drawn if each is not None)])
        return _interval(values, self._taken.shape[1])


def _interval(values: Array, count: int) -> Interval:
    tail = (100.0 - PERCENT) / 2.0
    low, high = np.percentile(values[1:], [tail, 100.0 - tail])
    whole, low, high = (round(float(each), _DIGITS) for each in (values[0], low, high))
    return Interval(whole, low, high, count)
