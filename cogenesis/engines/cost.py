"""What a run costs, from what was measured: tokens, money and hours, and what bounds it.

Measure some calls, then forecast the rest. Where the server tells its tokens they are counted;
where it does not, four bytes of English are taken for one.

Not covered: prices that change with the hour, the length or a cached prompt; reasoning that is
paid for and not shown; a server that gets slower as more is asked of it at a time: measure with
as many at a time as the run will have.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Final, Literal

from cogenesis.engines.pace import Limits

BYTES_A_TOKEN: Final = 4.0
"""Of English text, in the vocabularies of today's large models."""

Bound = Literal["calls at a time", "requests per minute", "tokens per minute"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """What went through a model.

    Attributes:
        sent, received: tokens, about.
    """

    sent: int = 0
    received: int = 0

    def plus(self, other: Tokens) -> Tokens:
        """Both together."""
        return Tokens(self.sent + other.sent, self.received + other.received)

    def minus(self, before: Tokens) -> Tokens:
        """What was added to an earlier count."""
        return Tokens(self.sent - before.sent, self.received - before.received)


@dataclass(frozen=True, slots=True)
class Prices:
    """What a million tokens cost, in any currency; None where that is not known."""

    sent: float | None = None
    received: float | None = None

    def of(self, tokens: Tokens) -> float | None:
        """What these tokens cost."""
        if self.sent is None or self.received is None:
            return None
        return (tokens.sent * self.sent + tokens.received * self.received) / 1e6


@dataclass(frozen=True, slots=True)
class Measured:
    """Calls that were made.

    Attributes:
        calls: how many.
        tokens: that went through.
        seconds: of all added up.
        reserved: tokens that `Pace.wait` counted: sent, and the longest reply that was allowed.
    """

    calls: int = 0
    tokens: Tokens = Tokens()
    seconds: float = 0.0
    reserved: int = 0

    def plus(self, other: Measured) -> Measured:
        """Both together."""
        return Measured(
            self.calls + other.calls,
            self.tokens.plus(other.tokens),
            self.seconds + other.seconds,
            self.reserved + other.reserved,
        )


class Meter:
    """Adds up calls. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._measured = Measured()

    @property
    def measured(self) -> Measured:
        """All calls so far."""
        return self._measured

    def add(self, sent: int, received: int, seconds: float, *, reserved: int) -> None:
        """One call."""
        one = Measured(1, Tokens(sent, received), seconds, reserved)
        with self._lock:
            self._measured = self._measured.plus(one)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What more calls will take.

    Attributes:
        calls: so many.
        tokens: if they are like the measured ones.
        cost: of these; None without prices.
        seconds: from the first to the last, with so many at a time and these limits.
        bound: what makes it take so long.
    """

    calls: int
    tokens: Tokens
    cost: float | None
    seconds: float
    bound: Bound


def forecast(
    measured: Measured,
    calls: float,
    *,
    at_a_time: int,
    prices: Prices | None = None,
    limits: Limits | None = None,
) -> Forecast:
    """What `calls` more calls will take, if they are like the measured ones.

    The server is taken to answer as quickly as it did when it was measured, with `at_a_time`
    calls at a time: that is the least time, and what to check first. Of a limit of tokens a call
    takes what is reserved for it, the longest reply included: servers count so, and so do we.
    """
    known, limits = max(measured.calls, 1), limits or Limits()
    each = calls / known
    tokens = Tokens(
        math.ceil(measured.tokens.sent * each), math.ceil(measured.tokens.received * each)
    )
    took: list[tuple[float, Bound]] = [
        (measured.seconds / known * math.ceil(calls / at_a_time), "calls at a time")
    ]
    if limits.requests_per_minute is not None:
        took.append((calls / limits.requests_per_minute * 60, "requests per minute"))
    if limits.tokens_per_minute is not None:
        minutes = measured.reserved * each / limits.tokens_per_minute
        took.append((minutes * 60, "tokens per minute"))
    seconds, bound = max(took)
    cost = None if prices is None else prices.of(tokens)
    return Forecast(math.ceil(calls), tokens, cost, seconds, bound)
