"""Asking a cloud model for the outlines of many samples: in workers, scheduled by an engine.

    outlines = Outlines(engine, Outlining(data, cloud, seed=0, deadline_s=120.0))
    for outcome in outlines.ask(tasks): ...
    outlines.taken

A worker reads the data file itself and has its own guard release what it sends, through an
egress of its own. What comes back is the outline, and what it took. Whether going on makes any
sense is decided here, where all outcomes come together.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from cogenesis.context.reader import Sample
from cogenesis.engines.cloud import CloudAddress
from cogenesis.engines.cost import BYTES_A_TOKEN, Tokens
from cogenesis.engines.engine import Engine, Lost, Opening, Place
from cogenesis.engines.known_file import KnownFile
from cogenesis.engines.pace import Pace
from cogenesis.errors import CloudError, CloudReason, EngineError
from cogenesis.evaluation.numbered_samples import known_samples
from cogenesis.models.protocol import CloudModel
from cogenesis.privacy.egress import Traffic
from cogenesis.privacy.released import GeneralInstruction
from cogenesis.sketch.prompt import OUTLINE_SAMPLING, outline_prompt
from cogenesis.sketch.request import SketchRequest
from cogenesis.training.sketches import LeftOut, SketchTask, released_of
from cogenesis.training.sketches_file import SketchLine
from cogenesis.training.sketches_meter import Metered
from cogenesis.wire import Deadline

_HOPELESS: Final = frozenset({"unauthorised", "not-found", "bad-request", "redirect"})
"""Whatever is asked next, the answer will be the same."""

_FAILURES_IN_A_ROW: Final = 5
"""So many samples without an answer: the server has gone, or wants to be left alone."""

_END_S: Final = 2.0
"""For what was hung up to note its end in the ledger."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A sample that there is no outline for. `reason` is one word, as in `CloudError`."""

    id: str
    number: int
    reason: CloudReason | Literal["worker-died"]
    message: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Taken:
    """What outlines took.

    Attributes:
        asks: how often was asked.
        seconds: of all samples added up.
        tokens: about, by `Metered`.
        traffic: of the egress, with probes and retries.
    """

    asks: int = 0
    seconds: float = 0.0
    tokens: Tokens = field(default_factory=Tokens)
    traffic: Traffic = field(default_factory=Traffic)

    def plus(self, other: Taken) -> Taken:
        """Both together."""
        return Taken(
            self.asks + other.asks,
            self.seconds + other.seconds,
            self.tokens.plus(other.tokens),
            Traffic(
                self.traffic.requests + other.traffic.requests,
                self.traffic.bytes + other.traffic.bytes,
                self.traffic.round_trips + other.traffic.round_trips,
            ),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What a worker gives back: the outcome, and what it took since it last gave one back.

    Samples that are asked about at the same time share an egress, so what one of them took may
    be told with another one: the sum is right.
    """

    outcome: SketchLine | Failed
    taken: Taken


@dataclass(frozen=True, slots=True)
class Outlining:
    """How a worker gets ready: the data file, and a guard and an egress of its own.

    Attributes:
        data: the file that the tasks are of.
        cloud: who is asked.
        seed: of the first ask of each sample.
        deadline_s: seconds for each sample, second ask included.
    """

    data: KnownFile
    cloud: CloudAddress
    seed: int
    deadline_s: float

    @contextmanager
    def open(self, place: Place) -> Iterator[Callable[[SketchTask], Asked]]:
        """Read the file and open the egress. Sends nothing yet."""
        samples = known_samples(self.data, place)
        with self.cloud.open(place) as (connection, egress):
            asker = Asker(
                connection,
                lambda task: _released(samples, task, place),
                traffic=lambda: egress.traffic,
                pace=place.pace,
                seed=self.seed,
                deadline_s=self.deadline_s,
            )
            try:
                yield asker.ask
            finally:
                asker.stop()


def _released(samples: Mapping[int, Sample], task: SketchTask, place: Place) -> GeneralInstruction:
    """What this process's guard releases of a sample, if it is what the run was started with."""
    found = released_of(samples[task.number], task.number)
    if isinstance(found, LeftOut) or found.text != task.general:
        raise EngineError(
            f"on {place.machine.name} the guard decides otherwise about sample {task.number} than "
            "where the run was started: install the same packages on all machines. Nothing of it "
            "was sent from there"
        )
    return found


class Asker:
    """Asks one cloud model. Safe to use from several threads if the model is."""

    def __init__(
        self,
        cloud: CloudModel,
        released: Callable[[SketchTask], GeneralInstruction],
        *,
        traffic: Callable[[], Traffic],
        pace: Pace,
        seed: int,
        deadline_s: float,
    ) -> None:
        """Nothing is sent yet.

        Args:
            cloud: behind the egress.
            released: has the guard release what may be told of a sample.
            traffic: of the egress, so far.
            pace: of this worker.
            seed: of the first ask of each sample.
            deadline_s: seconds for each sample, second ask included.
        """
        self._cloud, self._released, self._traffic = Metered(cloud), released, traffic
        self._pace, self._seed, self._deadline_s = pace, seed, deadline_s
        self._told = Taken()
        self._changed = threading.Condition()
        self._asking: set[SketchRequest] = set()
        self._stopped = False

    def ask(self, task: SketchTask) -> Asked:
        """One outline.

        Raises:
            PrivacyError: nothing may be sent, because the ledger cannot be written, say.
            EngineError: the guard decides otherwise here.
        """
        general = self._released(task)
        about = _tokens(general)
        self._pace.wait(about)
        request = self._begun(general)
        if request is None:
            return self._asked(Failed(task.id, task.number, "timeout", "stopped"), 0)
        outcome: SketchLine | Failed
        try:
            sketch = request.result()
        except CloudError as error:
            outcome = Failed(task.id, task.number, error.reason, str(error))
        else:
            outcome = SketchLine(
                task.id,
                task.number,
                general.text,
                sketch.points,
                self._cloud.name,
                self._seed,
                request.asks,
                round(request.seconds, 3),
            )
        finally:
            with self._changed:
                self._asking.discard(request)
                self._changed.notify_all()
        more = max(0, request.asks - 1)
        self._pace.also(more, more * about)
        return self._asked(outcome, request.asks)

    def stop(self) -> None:
        """Hang up whatever is on its way, and send nothing more. Safe to call twice."""
        with self._changed:
            self._stopped = True
            asking = list(self._asking)
        for request in asking:
            request.cancel()
        with self._changed:
            self._changed.wait_for(lambda: not self._asking, _END_S)

    def _begun(self, general: GeneralInstruction) -> SketchRequest | None:
        with self._changed:
            if self._stopped or self._pace.stopped:
                return None
            sampling = replace(OUTLINE_SAMPLING, seed=self._seed)
            request = SketchRequest(self._cloud, general, sampling, Deadline(self._deadline_s))
            self._asking.add(request)
            return request

    def _asked(self, outcome: SketchLine | Failed, asks: int) -> Asked:
        """With what was taken since the last time."""
        with self._changed:
            tokens, traffic, told = self._cloud.counted, self._traffic(), self._told
            self._told = Taken(tokens=tokens, traffic=traffic)
        return Asked(
            outcome,
            Taken(asks, 0.0, tokens.minus(told.tokens), traffic.since(told.traffic)),
        )


def _tokens(general: GeneralInstruction) -> int:
    """Of an ask and its reply, about and at most."""
    parts = (part for message in outline_prompt(general).messages for part in message.parts)
    sent = math.ceil(sum(len(part.text.encode()) for part in parts) / BYTES_A_TOKEN)
    return sent + OUTLINE_SAMPLING.max_tokens


class Outlines:
    """The outlines of a run, as an engine has them made.

    Attributes:
        taken: what all outlines so far took.
    """

    def __init__(self, engine: Engine, opening: Opening[SketchTask, Asked]) -> None:
        """Nothing is asked yet."""
        self._engine, self._opening = engine, opening
        self.taken = Taken()
        self._failures = 0

    def ask(self, tasks: Iterable[SketchTask]) -> Iterator[SketchLine | Failed]:
        """One outcome a sample, in the order in which they come.

        No more samples are begun than are taken, beyond those that are asked for at a time: the
        caller's own failure (a full disk) costs few outlines.

        Raises:
            CloudError: no further sample has any hope: a wrong key, say, or no answer for
                several samples in a row.
            PrivacyError: nothing may be sent, because the ledger cannot be written, say.
            EngineError: as the engine, or a worker's guard decides otherwise.
        """
        ids: dict[str, str] = {}
        outcomes: Any = self._engine.map(self._opening, _keyed(tasks, ids))
        with closing(outcomes):
            for each in outcomes:
                name = ids.pop(each.key)
                if isinstance(each, Lost):
                    what = f"{each.deaths} workers died on it"
                    yield Failed(name, int(each.key), "worker-died", what)
                    continue
                asked: Asked = each.result
                self.taken = self.taken.plus(replace(asked.taken, seconds=each.seconds))
                yield asked.outcome
                self._look_at(asked.outcome)

    def _look_at(self, outcome: SketchLine | Failed) -> None:
        """Raise where going on makes no sense. A model that writes no outlines still answers."""
        if (
            not isinstance(outcome, Failed)
            or outcome.reason == "worker-died"
            or outcome.reason == "no-sketch"
        ):
            self._failures = 0
            return
        self._failures += 1
        if outcome.reason in _HOPELESS:
            raise CloudError(outcome.reason, f"the cloud model refuses: {outcome.message}")
        if self._failures >= _FAILURES_IN_A_ROW:
            raise CloudError(
                outcome.reason,
                f"{self._failures} samples in a row had no answer ({outcome.message}): look after "
                "the server, then go on with the same command and --resume",
            )


def _keyed(tasks: Iterable[SketchTask], ids: dict[str, str]) -> Iterator[tuple[str, SketchTask]]:
    """Tasks with their numbers as keys; `ids` learns who is on the way."""
    for task in tasks:
        key = f"{task.number:09d}"
        ids[key] = task.id
        yield key, task
