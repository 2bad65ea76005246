"""The engine that works in the processes of a Ray cluster.

Each worker is one process (an actor) with some threads; what it opens is its own: its egress,
its ledger, its share of the limits. Where a worker dies, a new one takes its place and the
items that it had come back; what it had paid for is in the cache.

An item on which workers die again and again is the culprit or only stood beside one. After two
deaths it is worked on with nothing beside it, and if a worker dies of it even so, it is lost
and told as lost.

Not covered: machines that join a running cluster get no worker until one is replaced; the
program that started the run is one process, and with it the run ends (go on with the same
command).
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Final, Generic

from cogenesis import __version__
from cogenesis.engines.engine import ClosesMaps, Done, ItemT, Lost, Machine, Opening, ResultT
from cogenesis.engines.pace import Limits
from cogenesis.engines.ray_cluster import joined, started
from cogenesis.engines.ray_worker import Raised, Worker
from cogenesis.errors import EngineError

_SUSPECT: Final = 2
"""Deaths after which an item is worked on alone."""

_BAD_STARTS: Final = 3
"""Workers that die in a row before they have done anything: the cluster cannot run them."""

_START_S: Final = 120.0
"""A worker that is not there by then is not coming: no memory, no process, no package. What it
opens may take longer: a model may have to be fetched first."""

_ANSWER_S: Final = 60.0
"""For a worker that is there to say so, also where loading a model keeps it busy."""

_CLOSE_S: Final = 5.0


@dataclass(eq=False, slots=True)
class _Task(Generic[ItemT]):
    key: str
    item: ItemT
    deaths: int = 0


@dataclass(eq=False, slots=True)
class _Hand:
    """A worker as the engine sees it: what it works on, and how much it may."""

    actor: Any
    slot: int
    room: int
    begun: float
    opened: bool = False
    done: int = 0
    busy: set[Any] = field(default_factory=set)
    alone: bool = False

    def takes(self) -> bool:
        return self.opened and not self.alone and len(self.busy) < self.room


class RayEngine(ClosesMaps):
    """Implements `Engine` with processes of a Ray cluster."""

    def __init__(
        self,
        *,
        at_a_time: int | None = 4,
        limits: Limits | None = None,
        workers: int | None = None,
        address: str | None = None,
    ) -> None:
        """Nothing is started yet. Arguments are those of `open_engine`."""
        super().__init__()
        self._at_a_time, self._limits = at_a_time, limits or Limits()
        self._workers, self._address = workers, address
        self._cluster: AbstractContextManager[Any] | None = None
        self._ray: Any = None

    @property
    def at_a_time(self) -> int:
        """Items that are worked on at once, all workers together."""
        return self._at_a_time or self._most()

    def __enter__(self) -> RayEngine:
        """Start or join the cluster.

        Raises: as `open_engine`.
        """
        processors = self._workers or os.cpu_count() or 1
        self._cluster = started(processors) if self._address is None else joined(self._address)
        self._ray = self._cluster.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.close_maps()
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.__exit__(*error)

    def _map(
        self, opening: Opening[ItemT, ResultT], items: Iterable[tuple[str, ItemT]]
    ) -> Generator[Done[ResultT] | Lost, None, None]:
        waiting = iter(items)
        # Fewer items than workers: nobody opens models for nothing.
        first = list(islice(waiting, min(self._most(), self.at_a_time)))
        if not first:
            return
        count = len(first)
        at_a_time = self._at_a_time or count
        crew = _Crew(self._ray, opening, chain(first, waiting), self._limits.share(count))
        try:
            for number in range(count):
                room = at_a_time // count + (number < at_a_time % count)
                crew.hire(number, room)
            yield from crew.outcomes()
        finally:
            crew.dismiss()

    def _most(self) -> int:
        """Workers at most: as many as were asked for, or one for each processor."""
        if self._cluster is None:
            raise EngineError("the engine is used with “with”")
        return self._workers or len(_slots(self._ray))


class _Crew(Generic[ItemT, ResultT]):
    """The workers of one run."""

    def __init__(
        self,
        ray: Any,
        opening: Opening[ItemT, ResultT],
        items: Iterator[tuple[str, ItemT]],
        share: Limits,
    ) -> None:
        self._ray, self._opening, self._items, self._share = ray, opening, items, share
        self._again: deque[_Task[ItemT]] = deque()
        self._hands: list[_Hand] = []
        # A call on its way -> whose it is, and what it works on (None: it opens).
        self._calls: dict[Any, tuple[_Hand, _Task[ItemT] | None]] = {}
        self._bad_starts = self._hired = 0

    def hire(self, slot: int, room: int) -> None:
        """Start a worker on the machine of this slot, or another one if that has gone."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        slots = _slots(self._ray)
        node = slots[slot % len(slots)]
        self._hired += 1
        name = f"worker-{self._hired}"
        actor = (
            self._ray.remote(Worker)
            .options(
                num_cpus=0,  # what it does is mostly waiting; the slots share out the processors
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=room + 1,  # one to close
                scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=True),
            )
            .remote(self._opening, self._share, Machine.here(), name, __version__)
        )
        hand = _Hand(actor, slot, room, time.monotonic())
        self._hands.append(hand)
        self._calls[actor.open.remote()] = (hand, None)

    def outcomes(self) -> Iterator[Done[ResultT] | Lost]:
        """Everything that is done, until nothing is left."""
        while True:
            self._fill()
            if not any(task for _, task in self._calls.values()) and not self._left():
                return
            ready, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=_START_S)
            if not ready:
                self._check_starts()
            for call in ready:
                outcome = self._taken(call)
                if outcome is not None:
                    yield outcome

    def dismiss(self) -> None:
        """Have all workers hang up, close what they opened, and end."""
        with suppress(Exception):
            ends = [hand.actor.close.remote() for hand in self._hands]
            self._ray.wait(ends, num_returns=len(ends), timeout=_CLOSE_S)
        for hand in self._hands:
            with suppress(Exception):
                self._ray.kill(hand.actor)
        self._hands.clear()
        self._calls.clear()

    def _fill(self) -> None:
        """Give work to whoever has room: what comes back first, then the next items."""
        for task in [each for each in self._again if each.deaths >= _SUSPECT]:
            free = next((h for h in self._hands if h.opened and not h.busy), None)
            if free is None:
                break
            self._again.remove(task)
            self._give(free, task)
            free.alone = True
        # As long as one has to be alone, a worker is kept free for it.
        kept = 1 if any(each.deaths >= _SUSPECT for each in self._again) else 0
        for hand in self._hands[: len(self._hands) - kept]:
            while hand.takes() and (found := self._next()) is not None:
                self._give(hand, found)

    def _next(self) -> _Task[ItemT] | None:
        for task in self._again:
            if task.deaths < _SUSPECT:
                self._again.remove(task)
                return task
        found = next(self._items, None)
        return None if found is None else _Task(*found)

    def _left(self) -> bool:
        """Whether anything waits; looks at the next item, and keeps it."""
        if not self._again and (found := next(self._items, None)) is not None:
            self._again.append(_Task(*found))
        return bool(self._again)

    def _give(self, hand: _Hand, task: _Task[ItemT]) -> None:
        call = hand.actor.do.remote(task.key, task.item)
        hand.busy.add(call)
        self._calls[call] = (hand, task)

    def _taken(self, call: Any) -> Done[ResultT] | Lost | None:
        """What came of a call; None if that is nothing for the caller."""
        hand, task = self._calls.pop(call)
        hand.busy.discard(call)
        try:
            told = self._ray.get(call)
        except self._ray.exceptions.RayActorError:
            self._replace(hand)
            return None if task is None else self._died(task, alone=hand.alone)
        except self._ray.exceptions.RayError as error:
            raise EngineError(f"Ray failed: {type(error).__name__}") from None
        if isinstance(told, Raised):
            raise told.error()
        if task is None:
            hand.opened = True
            return None
        hand.done, hand.alone, self._bad_starts = hand.done + 1, False, 0
        done: Done[ResultT] = told
        return done

    def _died(self, task: _Task[ItemT], *, alone: bool) -> Lost | None:
        task.deaths += 1
        if alone:
            return Lost(task.key, task.deaths)
        self._again.appendleft(task)
        return None

    def _replace(self, hand: _Hand) -> None:
        """Put a new worker in the place of one that is gone; once, whoever tells of it first."""
        if hand not in self._hands:
            return
        self._hands.remove(hand)
        self._bad_starts += not hand.opened
        if self._bad_starts >= _BAD_STARTS:
            raise EngineError(
                "workers die before they are ready: look whether the cluster's machines have "
                "memory left, and CoGenesis installed in the same Python"
            )
        self.hire(hand.slot, hand.room)

    def _check_starts(self) -> None:
        now = time.monotonic()
        late = [each for each in self._hands if not each.opened and now - each.begun > _START_S]
        if not late:
            return
        asked = [hand.actor.there.remote() for hand in late]
        answered, _ = self._ray.wait(asked, num_returns=len(asked), timeout=_ANSWER_S)
        if len(answered) < len(asked):
            raise EngineError(
                f"a worker did not start within {_START_S:.0f} s: look after the Ray cluster"
            )


def _slots(ray: Any) -> list[str]:
    """The machines that work, each as often as it has processors, one after the other."""
    nodes = {n["NodeID"]: int(n["Resources"].get("CPU", 0)) for n in ray.nodes() if n["Alive"]}
    if not any(nodes.values()):
        nodes = dict.fromkeys(nodes, 1)
    turns = [(turn, node) for node, count in nodes.items() for turn in range(count)]
    if not turns:
        raise EngineError("the Ray cluster has no machine left")
    return [node for _, node in sorted(turns)]
