"""How fast a server may be asked: requests and tokens a minute.

Asks are spread evenly instead of being let through in bursts: with 60 requests a minute there
is one second between two of them. So a limit holds in any window, and several workers that
each keep their share of it keep the whole limit without talking to each other.

Not covered: other programs with the same key; a server that counts tokens otherwise than we
guess (correct it with `also`); retries inside the egress, which wait as the server says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cogenesis.errors import InputError


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server allows in a minute; None where it does not say."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None

    def __post_init__(self) -> None:
        for value in (self.requests_per_minute, self.tokens_per_minute):
            if value is not None and not value > 0:
                raise InputError("a limit of requests or tokens a minute is more than 0")

    def share(self, of: int) -> Limits:
        """What each of so many workers may use."""
        requests, tokens = self.requests_per_minute, self.tokens_per_minute
        return Limits(
            None if requests is None else requests / of, None if tokens is None else tokens / of
        )


class Pace:
    """Lets threads through one by one, as the limits allow. Safe to use from several threads."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """The first ask goes at once.

        Args:
            limits: of this worker; None for no limits.
            clock, sleep: seconds; others for tests.
        """
        self.limits = limits or Limits()
        self._clock = clock
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._lock = threading.Lock()
        self._next_request = self._next_token = clock()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called: whoever waited until then sends nothing any more."""
        return self._stopped.is_set()

    def wait(self, tokens: int = 0) -> float:
        """Wait until one more request of about so many tokens may go. Returns the seconds waited.

        `tokens` counts both what is sent and what may come back at most.
        """
        with self._lock:
            now = self._clock()
            turn = max(now, self._next_request, self._next_token)
            self._take(turn, 1, tokens)
        if turn > now:
            self._sleep(turn - now)
        return turn - now

    def also(self, requests: int = 0, tokens: int = 0) -> None:
        """Count what was more, or (negative) less, than was waited for."""
        with self._lock:
            self._take(None, requests, tokens)

    def stop(self) -> None:
        """Wake up whoever waits, and make nobody wait from now on."""
        self._stopped.set()

    def _take(self, turn: float | None, requests: int, tokens: int) -> None:
        """Move the next turns on; from `turn` where a request takes it now."""
        a_request = _gap(self.limits.requests_per_minute)
        a_token = _gap(self.limits.tokens_per_minute)
        start_r = self._next_request if turn is None else turn
        start_t = self._next_token if turn is None else turn
        self._next_request = start_r + requests * a_request
        self._next_token = start_t + tokens * a_token


def _gap(per_minute: float | None) -> float:
    return 0.0 if per_minute is None else 60.0 / per_minute
