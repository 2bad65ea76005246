"""How many threads a model gets.

llama.cpp's threads wait for one another several times in every layer. Beside another busy
process, a thread without a core of its own makes all others wait for the scheduler: one
cached token took 2,050 ms with two threads on two busy cores and 21 ms with one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

ONE_CORE_BYTES_PER_S: Final = 2e9
"""A slow core reads quantised weights at least this fast; one token reads them all once."""

CALL_OVERHEAD_S: Final = 0.05


class Running(Protocol):
    """A loaded model."""

    def close(self) -> None:
        """Free it."""
        ...


R = TypeVar("R", bound=Running)


def default_threads() -> int:
    """One less than the cores that this process may use, at least one."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        cores = os.cpu_count() or 1
    return max(1, cores - 1)


def is_suspicious(token_s: float, model_bytes: int) -> bool:
    """Whether one cached token took longer than a single slow core would need."""
    return token_s > CALL_OVERHEAD_S + model_bytes / ONE_CORE_BYTES_PER_S


def start_with_threads(
    start: Callable[[int], R],
    time_token: Callable[[R], float],
    *,
    model_bytes: int,
    threads: int | None = None,
) -> R:
    """Load a model with as many threads as help it.

    Threads are fixed when llama.cpp loads a model, so a second opinion costs a second load
    (from the page cache, well under a second for small models). It is asked for only where
    the default is slower than one slow core would be, and what is measured decides.

    Args:
        start: loads the model with that many threads.
        time_token: seconds for one token on a cached prefix.
        model_bytes: size of the weights.
        threads: a number somebody chose; it is used as it is.
    """
    wanted = default_threads() if threads is None else threads
    running = start(wanted)
    if threads is not None or wanted == 1:
        return running
    many_s = _timed(running, time_token)
    if not is_suspicious(many_s, model_bytes):
        return running
    running.close()
    running = start(1)
    if _timed(running, time_token) <= many_s:
        return running
    running.close()  # the machine is slow, but not because of the threads
    return start(wanted)


def _timed(running: R, time_token: Callable[[R], float]) -> float:
    try:
        return time_token(running)
    except BaseException:
        running.close()
        raise
