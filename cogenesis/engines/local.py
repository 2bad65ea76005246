"""The engine without a cluster: threads of this process. Most work waits for a server."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack

from cogenesis.engines.engine import ClosesMaps, Done, ItemT, Lost, Opening, Place, ResultT
from cogenesis.engines.pace import Limits


class LocalEngine(ClosesMaps):
    """Implements `Engine` with threads."""

    def __init__(self, *, at_a_time: int = 4, limits: Limits | None = None) -> None:
        super().__init__()
        self._at_a_time, self._limits = at_a_time, limits

    @property
    def at_a_time(self) -> int:
        """Items that are worked on at once."""
        return self._at_a_time

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_maps()

    def _map(
        self, opening: Opening[ItemT, ResultT], items: Iterable[tuple[str, ItemT]]
    ) -> Generator[Done[ResultT] | Lost, None, None]:
        place = Place.here(self._limits)
        waiting = iter(items)
        running: dict[Future[Done[ResultT]], None] = {}
        with ExitStack() as stack:
            # Left in the other order: what is on its way is hung up, then the threads end.
            pool = ThreadPoolExecutor(self._at_a_time, thread_name_prefix="work")
            stack.callback(pool.shutdown, wait=True, cancel_futures=True)
            work = stack.enter_context(opening.open(place))
            stack.callback(place.pace.stop)
            while True:
                while len(running) < self._at_a_time:
                    one = next(waiting, None)
                    if one is None:
                        break
                    key, item = one
                    running[pool.submit(timed, work, key, item)] = None
                if not running:
                    return
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                # In the order of beginning where several ended; those that failed come last,
                # or what else is done would be lost.
                ready = [each for each in running if each in ended]
                for future in sorted(ready, key=lambda each: each.exception() is not None):
                    del running[future]
                    yield future.result()


def timed(work: Callable[[ItemT], ResultT], key: str, item: ItemT) -> Done[ResultT]:
    """Work on one item."""
    begun = time.monotonic()
    result = work(item)
    return Done(key, result, time.monotonic() - begun)
