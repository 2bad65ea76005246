"""How many positions one request covers, and how many requests fly at once.

A plan is chosen from what was measured: how often a draft is right, how long the device takes
for a token, and how long a request takes for so many positions. It looks at earlier tokens and
at clocks, never at a token that is drafted now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LONGEST: Final = 24
"""Positions in one request: beyond this hardly any draft is right to the end."""

REQUESTS_A_TOKEN: Final = 0.3
"""Drafting may cost this many requests a token, discarded ones included."""

_FADE: Final = 0.98
"""What one observation weighs after the next: about the last 50 count."""

_BOTHER: Final = 1.02
"""A plan must promise this much more speed to replace one with fewer requests."""


_SIZES: Final = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, LONGEST)
_OFTEN: Final = 8
"""After its first answers a pace plans anew with every eighth: planning takes time itself."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to cut the text into requests.

    Attributes:
        size: positions in a request at most; 1 is lockstep.
        flying: requests at a time.
        first: positions that are enough while no request flies. The device drafts on during
            the flight, so a short first block after a wrong draft wins time.
    """

    size: int
    flying: int = 1
    first: int = 1


class Pacer:
    """Always the same plan: for tests and measurements."""

    def __init__(self, size: int, flying: int = 1, first: int | None = None) -> None:
        self._plan = Plan(size, flying, size if first is None else first)

    def plan(self) -> Plan:
        """What to do now."""
        return self._plan

    def drafted(self, seconds: float) -> None:
        """The device took this long for one token."""

    def judged(self, accepted: bool) -> None:
        """A draft was compared with the target."""

    def answered(self, size: int, seconds: float) -> None:
        """A request for `size` positions took this long."""


class Pace(Pacer):
    """Chooses the plan with the most expected tokens a second.

    With acceptance a, a block of m positions gives E(m) = (1 - a^m) / (1 - a) tokens. After a
    wrong draft nothing flies: the first block takes (m - 1)·t + R(m) seconds, t for a token of
    the device, R for a request. If it is right to its end, blocks flow until the next wrong
    draft, each in max(m·t, R(m) / f) with f requests at a time, because the device drafts on
    meanwhile. In lockstep both models work at once: max(t, R(1)).

    R(m) = fixed + slope·m is fitted to what was measured, because some servers score a draft
    one position after the other.
    """

    def __init__(
        self, longest: int = LONGEST, flying: int = 2, requests_a_token: float = REQUESTS_A_TOKEN
    ) -> None:
        """`longest` and `flying` are limits; `requests_a_token` one that lockstep may break."""
        super().__init__(min(4, longest))
        sizes = [size for size in _SIZES if 1 < size <= longest]
        self._plans = [Plan(1)] + [
            Plan(size, flights, first)
            for size in sizes
            for flights in range(1, flying + 1)
            for first in _SIZES
            if first <= size
        ]
        self._budget = requests_a_token
        # Ten imagined drafts, so that the first real ones do not decide alone.
        self._right, self._compared = 8.0, 10.0
        self._token_s: float | None = None
        self._fit = _Line()
        self._answers = 0

    @property
    def acceptance(self) -> float:
        """Share of drafts expected to be right."""
        return min(self._right / self._compared, 0.999)

    def drafted(self, seconds: float) -> None:
        old = self._token_s
        self._token_s = seconds if old is None else old + 0.1 * (seconds - old)

    def judged(self, accepted: bool) -> None:
        self._right = _FADE * self._right + accepted
        self._compared = _FADE * self._compared + 1.0

    def answered(self, size: int, seconds: float) -> None:
        self._fit.add(size, seconds)
        self._answers += 1
        if self._answers < _OFTEN or self._answers % _OFTEN == 0:
            self._plan = self._best()

    def _best(self) -> Plan:
        cost = {plan: self.requests(plan) for plan in self._plans}
        plans = sorted(self._plans, key=cost.__getitem__)
        # Where drafts are too often wrong for the budget, any plan beats lockstep's requests.
        limit = self._budget if cost[plans[0]] <= self._budget else 1.0
        best, fastest = plans[0], self.speed(plans[0])
        for plan in plans[1:]:
            if plan.size > 1 and cost[plan] > limit:
                continue
            speed = self.speed(plan)
            if speed > _BOTHER * fastest:
                best, fastest = plan, speed
        return best

    def _tokens(self, size: float) -> float:
        a = self.acceptance
        return float((1.0 - a**size) / (1.0 - a))

    def _flowing(self, plan: Plan) -> tuple[float, float]:
        """Size of a block while others fly, and how many of them follow a first block."""
        size = float(plan.size)
        if plan.flying == 1:  # it is what was drafted during the flight before it
            drafted = self._fit.at(plan.size) / self._seconds()
            size = min(size, max(float(plan.first), drafted))
        a = self.acceptance
        return size, a**plan.first / (1.0 - a**size)

    def _seconds(self) -> float:
        return max(self._token_s or 1e-4, 1e-6)

    def speed(self, plan: Plan) -> float:
        """Expected tokens a second."""
        token_s = self._seconds()
        if plan.size == 1:
            return 1.0 / max(token_s, self._fit.at(1))
        size, blocks = self._flowing(plan)
        start = max((plan.first - 1) * token_s + self._fit.at(plan.first), token_s)
        flow = max(size * token_s, self._fit.at(size) / plan.flying)
        tokens = self._tokens(plan.first) + blocks * self._tokens(size)
        return tokens / (start + blocks * flow)

    def requests(self, plan: Plan) -> float:
        """Expected requests a token: after a wrong draft those behind it are for nothing."""
        if plan.size == 1:
            return 1.0
        size, blocks = self._flowing(plan)
        behind = min(plan.flying - 1.0, self._fit.at(size) / (size * self._seconds()))
        tokens = self._tokens(plan.first) + blocks * self._tokens(size)
        return (1.0 + blocks + behind) / tokens


class _Line:
    """Least squares with fading memory: seconds = fixed + slope·size, both at least 0."""

    def __init__(self) -> None:
        self._n = self._x = self._y = self._xx = self._xy = 0.0

    def add(self, x: float, y: float) -> None:
        for name, value in (("_n", 1.0), ("_x", x), ("_y", y), ("_xx", x * x), ("_xy", x * y)):
            setattr(self, name, _FADE * getattr(self, name) + value)

    def at(self, x: float) -> float:
        if self._n == 0.0:
            return 0.0
        mean_x, mean_y = self._x / self._n, self._y / self._n
        spread = self._xx / self._n - mean_x**2
        slope = 0.0 if spread < 1e-9 else (self._xy / self._n - mean_x * mean_y) / spread
        # No slope below 0, none that makes the fixed part negative.
        slope = min(max(slope, 0.0), mean_y / mean_x)
        return max(0.0, mean_y + slope * (x - mean_x))
