"""Work with models that are in this process: one item at a time, and nothing half done.

alone = OneByOne(work)          # work(item, stop)
with models, clouds:
    try:
        yield alone             # the engine's threads call it
    finally:
        alone.stop()            # before the connections are closed
alone.wait()                    # before the models are
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic

from cogenesis.engines.engine import ItemT, ResultT
from cogenesis.errors import EngineError


class OneByOne(Generic[ItemT, ResultT]):
    """Calls the work, never twice at a time; a model that is being used is not closed."""

    def __init__(self, work: Callable[[ItemT, threading.Event], ResultT]) -> None:
        """`work` ends soon after the event is set; what it gives then is thrown away."""
        self._work = work
        self._stop, self._busy = threading.Event(), threading.Lock()

    def __call__(self, item: ItemT) -> ResultT:
        """Work on an item.

        Raises:
            EngineError: it was stopped, so the result would not be whole.
        """
        with self._busy:
            if not self._stop.is_set():
                result = self._work(item, self._stop)
                if not self._stop.is_set():
                    return result
        raise EngineError("the work was stopped")

    def stop(self) -> None:
        """Let what is worked on end soon, and begin nothing more."""
        self._stop.set()

    def wait(self) -> None:
        """Until nothing is worked on."""
        with self._busy:
            return
