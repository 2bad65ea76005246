"""When to ask about what was drafted, and how far to draft on without an answer.

A request that waits for one more token saves a request. It costs time only if a draft in it
is wrong: then that is known one token later, and one more token was drafted for nothing. So
what counts is not how many positions wait, but how much *doubt*: how many wrong drafts are
expected among them. The shared noise tells much about it (see `sureness`). Doubts are learnt
from what was judged; a pace also knows how many requests it has made.

The round trip plays its part without a clock: while answers are on their way, their own
positions may be wrong, and what comes after them is less worth asking about. So a far cloud
gets fewer requests for each drafted token and longer drafts, a near one the contrary. Clocks
tell one case apart: a near cloud that answers while the device computes, or that scores one
position after the other. Blocks win nothing there: each position is asked about when its turn
comes, as in lockstep.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Sequence
from typing import Final

import numpy as np

from cogenesis.fusion.coupling import gumbels
from cogenesis.fusion.target import Shaped

LONGEST: Final = 24
"""Drafted positions without an answer: beyond this hardly any draft is right to the end."""

BLOCK: Final = 12
"""Positions in one request, however sure the device is: a reader waits for them."""

FLYING: Final = 4
"""Requests at a time."""

REQUESTS_A_TOKEN: Final = 0.27
"""Asking becomes dearer beyond so many requests a token, discarded ones included."""

_PRICE: Final = 0.25
"""A request is worth so many wrong drafts that are found one token earlier.

Simulated with recorded texts: half of it takes 0.4 requests a token for 2 % more speed.
"""

_DEAREST: Final = 3.0
"""The price rises to so many times itself at most: the text must go on."""

_NEAR_PRICE: Final = 1e-6
"""Where a block wins nothing: every position that is asked about at all is doubtful enough."""

_BESIDE: Final = 1.2
_NEAR: Final = 2.0
_ONE_BY_ONE: Final = 0.3
"""Of the device's time for a token. One position is answered within the first: to wait for it
costs less than a wrong draft, and decoding becomes lockstep. Or within the second, and each
further position adds at least the third: then a block keeps the device waiting."""

_BOUND: Final = 1.4
_SHARE: Final = 0.4
"""Or each further position takes so many device tokens, and that is at least such a share of
what the first one takes. Then the cloud is the slower one, and each wrong draft costs its time."""

_ANSWERS: Final = 6
"""Answers that are needed to tell."""

_EDGES: Final = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
_WRONG: Final = (0.45, 0.35, 0.16, 0.08, 0.04, 0.02, 0.015)
"""Share of wrong drafts between these edges of sureness, to begin with.

Measured on a model with and without its context, at an even mixture and temperature 0.7.
"""

_IMAGINED: Final = 8.0
"""So many imagined drafts in each class, so that the first real ones do not decide alone."""

_FADE: Final = 0.99
"""What one observation weighs after the next: about the last 100 count."""


def sureness(proposal: Shaped, at: int, seed: int, position: int) -> float:
    """By how much the drafted candidate won over the second, noise included.

    The target adds the same noise to its own log-probabilities. So a narrow win is often
    lost there, and a clear one hardly ever: a far better sign than the probabilities alone.
    Infinite where there was one candidate only.
    """
    values = proposal.logprobs + gumbels(seed, position, proposal.ids)
    won, values[at] = values[at], -np.inf
    return float(won - values.max())


class Pacer:
    """A fixed plan, for tests and measurements, and what every pace can do.

    Attributes:
        size: positions in one request at most; 1 is lockstep.
        flying: requests at a time at most.
    """

    def __init__(self, size: int, flying: int = 1, first: int | None = None) -> None:
        """`first`: positions that are enough while no request flies; `size` by default."""
        self.size, self.flying = size, flying
        self._first = size if first is None else first

    def doubt(self, sure: float | None = None) -> float:
        """How probably a draft is wrong, by its `sureness`; before it is drafted, by nothing."""
        return 0.0

    def asks_now(self, unanswered: Sequence[float], waiting: Sequence[float], busy: int) -> bool:
        """Whether it is time to ask about the positions that wait.

        Args:
            unanswered: the doubt of each position that was asked about before.
            waiting: the doubt of each one that nobody has asked about; the last of them is
                not drafted yet. 0 where nothing needs to be asked.
            busy: requests without an answer.
        """
        return busy < self.flying and len(waiting) >= (self.size if busy else self._first)

    def drafts_on(self, undecided: int, unasked: int) -> bool:
        """Whether to draft one more position, with so many drafted ones there already."""
        # In lockstep the device only draws what is being asked about.
        return undecided == 0 or unasked < (self.size if self.size > 1 else 0)

    def asked(self) -> None:
        """A request was made."""

    def decided(self) -> None:
        """A token of the text was decided."""

    def judged(self, sure: float, accepted: bool) -> None:
        """A draft of this sureness was compared with the target."""

    def drafted(self, seconds: float) -> None:
        """The device took this long for one token."""

    def answered(self, positions: int, seconds: float) -> None:
        """A request about so many positions took this long."""


class Pace(Pacer):
    """Asks when the doubt that waits is worth a request. It learns while it is used."""

    def __init__(self, requests_a_token: float = REQUESTS_A_TOKEN) -> None:
        super().__init__(BLOCK, FLYING)
        self._budget = requests_a_token
        self._all = [_IMAGINED] * len(_WRONG)
        self._wrong = [share * _IMAGINED for share in _WRONG]
        # As if 50 tokens had been written within the budget.
        self._tokens, self._requests = 50.0, 50.0 * requests_a_token
        self._compared, self._rejected = 10.0, 1.2
        self._token_s: float | None = None
        self._line = _Line()

    @property
    def acceptance(self) -> float:
        """Share of drafts expected to be right."""
        return 1.0 - self._rejected / self._compared

    def doubt(self, sure: float | None = None) -> float:
        if sure is None:
            return self._rejected / self._compared
        kind = bisect(_EDGES, sure)
        return self._wrong[kind] / self._all[kind]

    def asks_now(self, unanswered: Sequence[float], waiting: Sequence[float], busy: int) -> bool:
        if busy >= self.flying:
            return False
        return len(waiting) > self.size or self._found(unanswered, waiting) >= self.price

    def drafts_on(self, undecided: int, unasked: int) -> bool:
        if self._beside:
            return undecided == 0
        return undecided < LONGEST and unasked < self.size

    def asked(self) -> None:
        self._requests += not self.keeps_step

    def decided(self) -> None:
        self._tokens = _FADE * self._tokens + 1.0
        self._requests *= _FADE

    def judged(self, sure: float, accepted: bool) -> None:
        kind = bisect(_EDGES, sure)
        self._all[kind] = _FADE * self._all[kind] + 1.0
        self._wrong[kind] = _FADE * self._wrong[kind] + (not accepted)
        self._compared = _FADE * self._compared + 1.0
        self._rejected = _FADE * self._rejected + (not accepted)

    def drafted(self, seconds: float) -> None:
        old = self._token_s
        self._token_s = seconds if old is None else old + 0.1 * (seconds - old)

    def answered(self, positions: int, seconds: float) -> None:
        self._line.add(positions, seconds)

    @property
    def keeps_step(self) -> bool:
        """Whether the cloud is so near that blocks win nothing."""
        first, further = self._times()
        near = first <= _NEAR and further >= _ONE_BY_ONE
        return first <= _BESIDE or near or further >= max(_BOUND, _SHARE * first)

    @property
    def _beside(self) -> bool:
        """Whether an answer comes about when the device has its next token, or before."""
        return self._times()[0] <= _BESIDE

    def _times(self) -> tuple[float, float]:
        """As `_Line.first_and_further`, in device tokens; far until that is known."""
        if not self._token_s or self._line.points < _ANSWERS:
            return math.inf, 0.0
        first, further = self._line.first_and_further()
        return first / self._token_s, further / self._token_s

    @property
    def price(self) -> float:
        """The doubt that a request is worth; more where requests were made too often."""
        if self.keeps_step:
            return _NEAR_PRICE
        over = self._requests / self._tokens / self._budget
        return _PRICE * min(max(1.0, over) ** 2, _DEAREST)

    @staticmethod
    def _found(unanswered: Sequence[float], waiting: Sequence[float]) -> float:
        """How probably the first wrong draft is among those that wait."""
        right = 1.0
        for doubt in unanswered:
            right *= 1.0 - doubt
        before = right
        for doubt in waiting:
            right *= 1.0 - doubt
        return before - right


class _Line:
    """Least squares with fading memory: seconds = first + further·(positions - 1)."""

    def __init__(self) -> None:
        self.points = 0
        self._n = self._x = self._y = self._xx = self._xy = 0.0

    def add(self, positions: int, seconds: float) -> None:
        x = positions - 1.0
        self.points += 1
        self._n = _FADE * self._n + 1.0
        self._x = _FADE * self._x + x
        self._y = _FADE * self._y + seconds
        self._xx = _FADE * self._xx + x * x
        self._xy = _FADE * self._xy + x * seconds

    def first_and_further(self) -> tuple[float, float]:
        """Seconds for one position, and for each further one; neither is negative."""
        mean_x, mean_y = self._x / self._n, self._y / self._n
        spread = self._xx / self._n - mean_x**2
        slope = 0.0 if spread < 1e-3 else (self._xy / self._n - mean_x * mean_y) / spread
        slope = max(slope, 0.0)
        return max(0.0, mean_y - slope * mean_x), slope
