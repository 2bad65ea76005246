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


@dataclass(frozen=True, slots=True)
class Plan:
    """`size` positions a request (1 is lockstep), `flying` requests at a time."""

    size: int
    flying: int = 1


class Pacer:
    """Always the same plan: for tests and measurements."""

    def __init__(self, size: int, flying: int = 1) -> None:
        self._plan = Plan(size, flying)

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

    With acceptance a, a block of m positions gives (1 - a^m) / (1 - a) tokens. If it is right
    to its end, the device has drafted on meanwhile: it takes max(m·t, R(m) / f) with f
    requests at a time. Otherwise the drafts after it are lost: (m - 1)·t + R(m) pass from the
    first new draft to the next answer. In lockstep both models work at once: max(t, R(1)).

    R(m) = fixed + slope·m is fitted to what was measured, because some servers score a draft
    one position after the other.
    """

    def __init__(
        self, longest: int = LONGEST, flying: int = 2, requests_a_token: float = REQUESTS_A_TOKEN
    ) -> None:
        """`longest` and `flying` are limits; `requests_a_token` one that lockstep may break."""
        super().__init__(min(4, longest))
        self._longest, self._flying, self._budget = longest, flying, requests_a_token
        # Ten imagined drafts, so that the first real ones do not decide alone.
        self._right, self._compared = 8.0, 10.0
        self._token_s: float | None = None
        self._fit = _Line()

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
        self._plan = self._best()

    def _best(self) -> Plan:
        plans = [
            Plan(size, flying)
            for flying in range(1, self._flying + 1)
            for size in range(1 if flying == 1 else 2, self._longest + 1)
        ]
        plans.sort(key=self.requests)
        best = plans[0]
        # Where drafts are too often wrong for the budget, any plan beats lockstep's requests.
        limit = self._budget if self.requests(best) <= self._budget else 1.0
        for plan in plans[1:]:
            allowed = plan.size == 1 or self.requests(plan) <= limit
            if allowed and self.speed(plan) > _BOTHER * self.speed(best):
                best = plan
        return best

    def _tokens(self, size: int) -> float:
        a = self.acceptance
        return float((1.0 - a**size) / (1.0 - a))

    def speed(self, plan: Plan) -> float:
        """Expected tokens a second."""
        token_s, answer_s = self._token_s or 1e-4, self._fit.at(plan.size)
        if plan.size == 1:
            return 1.0 / max(token_s, answer_s, 1e-6)
        whole = self.acceptance**plan.size
        flowing = max(plan.size * token_s, answer_s / plan.flying)
        refilled = max((plan.size - 1) * token_s + answer_s, plan.size * token_s)
        return self._tokens(plan.size) / (whole * flowing + (1.0 - whole) * refilled)

    def requests(self, plan: Plan) -> float:
        """Expected requests a token: after a wrong draft those behind it are for nothing."""
        if plan.size == 1:
            return 1.0
        wrong = 1.0 - self.acceptance**plan.size
        drafting_s = max(plan.size * (self._token_s or 1e-4), 1e-6)
        behind = min(plan.flying - 1.0, self._fit.at(plan.size) / drafting_s)
        return (1.0 + wrong * behind) / self._tokens(plan.size)


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
