"""The contract of engines: work is written once, engines only schedule it.

    class Opening:                              # small, and can be pickled
        def open(self, place):                  # in each worker, once: connections, models
            with Ledger.open(...) as ledger, ...:
                yield work                      # Callable[[Item], Result], called by threads

    with open_engine("local", at_a_time=8) as engine:
        for outcome in engine.map(opening, items):   # items: (key, item)
            ...

Items, results and the opening go through the engine and must be small and can be pickled for
the Ray engine: addresses, numbers, names of files, generated text. What must not be pickled
(released text, keys, published data) refuses it, and so stays within one process: a worker
opens its own egress and ledger, and has its own guard clear what it sends.

Results come in any order; sort them by their keys where the order matters. No more items are
begun than are taken, beyond those that are worked on at a time.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, Literal, Protocol, TypeVar
from weakref import WeakSet

from cogenesis.engines.pace import Limits, Pace
from cogenesis.errors import InputError

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)

EngineName = Literal["local", "ray"]


@dataclass(frozen=True, slots=True)
class Machine:
    """A running system: processes with the same one share locks and memory-mapped files."""

    name: str
    boot: str

    @classmethod
    def here(cls) -> Machine:
        """The one that this process runs on."""
        name = platform.node() or "machine"
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        except OSError:  # not Linux: the name has to do
            boot = name
        return cls(name, boot)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker works: given to an `Opening` by the engine.

    Attributes:
        name: of the worker, no other one's in this run.
        pace: its share of the limits; `pace.wait()` comes before each request.
        driver: the machine of the program that started the run.
        machine: of this worker.
    """

    name: str
    pace: Pace
    driver: Machine
    machine: Machine

    @classmethod
    def here(cls, limits: Limits | None = None) -> Place:
        """In this process."""
        machine = Machine.here()
        return cls(f"{machine.name}-{os.getpid()}", Pace(limits), machine, machine)

    def own(self, path: Path) -> Path:
        """A file of this name that only this machine writes.

        On the machine where the run was started it is `path`. On another it has the machine's
        name in it, because a ledger must not be opened by two machines: its write-ahead log
        needs memory that they share, and on a network folder it would be damaged.
        """
        if self.machine == self.driver:
            return path
        told = "".join(c if c.isalnum() or c in "-_" else "-" for c in self.machine.name)[:60]
        mark = hashlib.sha256(self.machine.boot.encode()).hexdigest()[:8]
        return path.with_name(f"{path.stem}-{told}-{mark}{path.suffix}")


class Opening(Protocol[Item_contra, Result_co]):
    """How a worker gets ready, and what it does."""

    def open(self, place: Place) -> AbstractContextManager[Callable[[Item_contra], Result_co]]:
        """Open what the work needs; within the block several threads call the work.

        Leaving the block hangs up whatever is still on its way. An error that the work raises
        ends the whole run; what costs only one item is a result.
        """
        ...


@dataclass(frozen=True, slots=True)
class Done(Generic[ResultT]):
    """An item that was worked on; `seconds` is how long."""

    key: str
    result: ResultT = field(repr=False)
    seconds: float


@dataclass(frozen=True, slots=True)
class Lost:
    """An item on which a worker process died `deaths` times, at last with nothing beside it."""

    key: str
    deaths: int


class Engine(Protocol):
    """Schedules work; use it with `with`."""

    @property
    def at_a_time(self) -> int:
        """Items that are worked on at once, all workers together."""
        ...

    def map(
        self, opening: Opening[ItemT, ResultT], items: Iterable[tuple[str, ItemT]]
    ) -> Iterator[Done[ResultT] | Lost]:
        """Work on all items; close the iterator to stop. Leaving the engine closes it, too.

        Raises:
            CogenesisError: what `open` or the work raised, in whichever worker.
            EngineError: workers cannot be started, or the cluster is gone.
        """
        ...


class ClosesMaps(ABC):
    """The part of an engine that keeps its open maps: leaving it closes them, also where whoever
    took the results stopped and did not say so."""

    def __init__(self) -> None:
        self._maps: WeakSet[Generator[Any, None, None]] = WeakSet()

    def map(
        self, opening: Opening[ItemT, ResultT], items: Iterable[tuple[str, ItemT]]
    ) -> Iterator[Done[ResultT] | Lost]:
        """Work on all items, in the order in which they are done."""
        found = self._map(opening, items)
        self._maps.add(found)
        return found

    def close_maps(self) -> None:
        """Nothing is left open."""
        for each in list(self._maps):
            each.close()

    @abstractmethod
    def _map(
        self, opening: Opening[ItemT, ResultT], items: Iterable[tuple[str, ItemT]]
    ) -> Generator[Done[ResultT] | Lost, None, None]: ...


@dataclass(frozen=True, slots=True)
class Plain(Generic[ItemT, ResultT]):
    """An opening for a function that needs nothing opened."""

    work: Callable[[ItemT], ResultT]

    def open(self, place: Place) -> AbstractContextManager[Callable[[ItemT], ResultT]]:
        """Nothing to open."""
        from contextlib import nullcontext

        return nullcontext(self.work)


_NAMES: Final = ("local", "ray")


def open_engine(
    name: EngineName = "local",
    *,
    at_a_time: int | None = 4,
    limits: Limits | None = None,
    workers: int | None = None,
    ray_address: str | None = None,
) -> AbstractContextManager[Engine]:
    """The engine of this name, ready to work.

    Args:
        name: "local" (threads of this process) or "ray".
        at_a_time: items that are worked on at once, all workers together. None: one in each
            worker, for work whose models are in the process.
        limits: of the server, for all workers together.
        workers: processes of Ray; one for each of its processors where it is not given.
        ray_address: `HOST:PORT` of a Ray cluster that is there; without, one is started on this
            machine and ends with the engine.

    Raises:
        InputError: the options do not go together.
        MissingExtraError: Ray is not installed.
        EngineError: the cluster cannot be started or reached.
    """
    if name not in _NAMES:
        raise InputError("an engine is local or ray")
    if any(count is not None and count < 1 for count in (at_a_time, workers)):
        raise InputError("there is at least one worker, and one item at a time")
    if name == "local":
        from cogenesis.engines.local import LocalEngine

        if ray_address is not None or workers is not None:
            raise InputError("--ray-address and --workers are for --engine ray")
        return LocalEngine(at_a_time=at_a_time or 1, limits=limits)
    if sys.platform == "win32":
        raise InputError("--engine ray needs Linux or macOS: use --engine local")
    from cogenesis.engines.on_ray import RayEngine

    return RayEngine(at_a_time=at_a_time, limits=limits, workers=workers, address=ray_address)
