"""Outlines of a cloud model for a training file, as `write` would get them.

The device model is tuned to write from an outline, so the outlines must be those that it will
see: the same guard makes the general instruction, the same prompt asks, the same parser reads,
a second ask follows where the first reply is no outline. Nothing of the reference text goes in.

What leaves is the general instruction of each sample, through the egress and its ledger, and
nothing else: no profile, no writing, no reference. A sample whose instruction the guard refuses
is told to the caller and never sent.

Not covered: samples of one person are guarded one by one. What several general instructions of
the same person tell together is not looked at; the published files have one sample a person.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from cogenesis.context.reader import Sample, read_samples
from cogenesis.errors import (
    CloudError,
    CloudReason,
    GuardRefusedError,
    InputError,
    InstructionError,
)
from cogenesis.events import Task
from cogenesis.models.protocol import CloudModel
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.released import GeneralInstruction
from cogenesis.sketch.prompt import OUTLINE_SAMPLING
from cogenesis.sketch.request import SketchRequest
from cogenesis.training.sketches_file import SketchLine
from cogenesis.wire import Deadline
from cogenesis.writing import general_instruction, lexicon_of

_HOPELESS: Final = frozenset({"unauthorised", "not-found", "bad-request", "redirect"})
"""Whatever is asked next, the answer will be the same."""

_FAILURES_IN_A_ROW: Final = 5
"""So many samples without an answer: the server has gone, or wants to be left alone."""

Why = Literal["unusable", "refused"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A sample that is not sent.

    Attributes:
        id: of the sample; its number where the file has none.
        number: in the file, from 1.
        why: "unusable" (it is no sample, or its instruction is no instruction) or "refused" (by
            the guard).
        what: what is wrong, without anything private.
    """

    id: str
    number: int
    why: Why
    what: str


@dataclass(frozen=True, slots=True)
class SketchTask:
    """A sample whose general instruction may leave."""

    id: str
    number: int
    general: GeneralInstruction


@dataclass(frozen=True, slots=True)
class Failed:
    """A sample that the cloud gave no outline for. `reason` is one word, as in `CloudError`."""

    task: SketchTask
    reason: CloudReason
    message: str = field(repr=False)


def sketch_tasks(
    path: Path, *, limit: int | None = None, tick: Callable[[], None] = lambda: None
) -> tuple[list[SketchTask], list[LeftOut]]:
    """Guard the first `limit` samples of a file: who may be asked about, and who may not.

    Nothing is sent. About a tenth of a second a sample; `tick` is called after each.

    Raises:
        ContextError: the file cannot be read.
        InputError: two samples have the same id.
    """
    bad: dict[int, str] = {}
    good = iter(read_samples(path, on_bad=lambda number, why: bad.update({number: why})))
    tasks: list[SketchTask] = []
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    number = 0
    while limit is None or number < limit:
        number += 1
        if number in bad:
            left_out.append(LeftOut(str(number), number, "unusable", bad[number]))
            continue
        sample = next(good, None)
        if sample is None:
            break
        if sample.id in seen:
            raise InputError(f"{path}: sample {number} has the id of an earlier one: give each one")
        seen.add(sample.id)
        found = _task(sample, number)
        if isinstance(found, SketchTask):
            tasks.append(found)
        else:
            left_out.append(found)
        tick()
    return tasks, left_out


def _task(sample: Sample, number: int) -> SketchTask | LeftOut:
    guard = Guard(lexicon_of(sample.context))
    try:
        general = general_instruction(Task(sample.instruction, sample.context), guard)
    except GuardRefusedError:
        # Its own words may name private spans.
        what = "the guard releases no general instruction of it"
        return LeftOut(sample.id, number, "refused", what)
    except InstructionError:
        return LeftOut(sample.id, number, "unusable", "its instruction is empty or too long")
    return SketchTask(sample.id, number, general)


def to_ask(
    tasks: Sequence[SketchTask], done: dict[str, SketchLine], *, model: str, seed: int
) -> list[SketchTask]:
    """What is left to ask, if the earlier outlines are of the same kind.

    Raises:
        InputError: they are of another file, model or seed, or the guard decided otherwise.
    """
    generals = {task.id: task.general.text for task in tasks}
    for line in done.values():
        if line.id not in generals or line.general != generals[line.id]:
            raise InputError(
                f"the outline of sample {line.id} was made from another file or by another "
                "version of the guard: name another file with --out"
            )
        if (line.model, line.seed) != (model, seed):
            raise InputError(
                f"the outlines so far are of {line.model}, seed {line.seed}: "
                "use these again, or name another file with --out"
            )
    return [task for task in tasks if task.id not in done]


class Outlining:
    """Asks one cloud model for many outlines, some at a time; use it with `with`."""

    def __init__(
        self, cloud: CloudModel, *, model: str, seed: int, at_a_time: int, deadline_s: float
    ) -> None:
        """Nothing is sent yet.

        Args:
            cloud: behind the egress; several threads use it.
            model: its name, as the lines tell it.
            seed: of the first ask of each sample.
            at_a_time: asks that are on their way at once.
            deadline_s: seconds for each sample, second ask included.
        """
        self._cloud, self._model, self._seed = cloud, model, seed
        self._at_a_time, self._deadline_s = at_a_time, deadline_s
        self._pool = ThreadPoolExecutor(at_a_time, thread_name_prefix="outline")
        self._lock = threading.Lock()
        self._asking: set[SketchRequest] = set()
        self._stopped = False

    def __enter__(self) -> Outlining:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Hang up whatever is on its way, and send nothing more. Safe to call twice."""
        with self._lock:
            self._stopped = True
            asking = list(self._asking)
        for request in asking:
            request.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def ask(self, tasks: Sequence[SketchTask]) -> Iterator[SketchLine | Failed]:
        """One outcome a sample, in the order in which they come.

        No more samples are begun than are taken, beyond those that are asked for at a time: the
        caller's own failure (a full disk) costs few outlines. `stop` ends it.

        Raises:
            CloudError: no further sample has any hope: a wrong key, say, or no answer for
                several samples in a row.
            PrivacyError: nothing may be sent, because the ledger cannot be written, say.
        """
        waiting = iter(tasks)
        running: dict[Future[SketchLine | Failed], None] = {}
        failures = 0
        while not self._stopped:
            while len(running) < self._at_a_time:
                task = next(waiting, None)
                if task is None:
                    break
                try:
                    running[self._pool.submit(self._one, task)] = None
                except RuntimeError:  # stopped since
                    return
            if not running:
                return
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            # In the order of asking where several ended: the same run tells the same things.
            for future in [each for each in running if each in ended]:
                del running[future]
                outcome = future.result()
                failures = failures + 1 if isinstance(outcome, Failed) else 0
                yield outcome
                if isinstance(outcome, Failed):
                    self._give_up(outcome, failures)

    def _give_up(self, outcome: Failed, failures: int) -> None:
        """Raise where going on makes no sense. A model that writes no outlines still answers."""
        if outcome.reason in _HOPELESS:
            raise CloudError(outcome.reason, f"the cloud model refuses: {outcome.message}")
        if failures >= _FAILURES_IN_A_ROW and outcome.reason != "no-sketch":
            raise CloudError(
                outcome.reason,
                f"{failures} samples in a row had no answer ({outcome.message}): look after the "
                "server, then go on with the same command and --resume",
            )

    def _one(self, task: SketchTask) -> SketchLine | Failed:
        sampling = replace(OUTLINE_SAMPLING, seed=self._seed)
        with self._lock:
            if self._stopped:
                return Failed(task, "timeout", "stopped")
            deadline = Deadline(self._deadline_s)
            request = SketchRequest(self._cloud, task.general, sampling, deadline)
            self._asking.add(request)
        try:
            sketch = request.result()
        except CloudError as error:
            return Failed(task, error.reason, str(error))
        finally:
            with self._lock:
                self._asking.discard(request)
        return SketchLine(
            task.id,
            task.number,
            task.general.text,
            sketch.points,
            self._model,
            self._seed,
            request.asks,
            round(request.seconds, 3),
        )
