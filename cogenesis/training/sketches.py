"""Outlines of a cloud model for a training file: which samples may be asked about.

The device model is tuned to write from an outline, so the outlines must be those that it will
see: the same guard makes the general instruction, the same prompt asks, the same parser reads,
a second ask follows where the first reply is no outline. Nothing of the reference text goes in.

What leaves is the general instruction of each sample, and nothing else: no profile, no writing,
no reference. A sample whose instruction the guard refuses is told to the caller and never sent.
Here the guard looks at all samples and nothing is sent; `sketches_asking` asks.

Not covered: samples of one person are guarded one by one. What several general instructions of
the same person tell together is not looked at; the published files have one sample a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cogenesis.context.reader import Sample
from cogenesis.engines.engine import Engine, Lost, Place
from cogenesis.engines.known_file import KnownFile
from cogenesis.errors import GuardRefusedError, InputError, InstructionError
from cogenesis.evaluation.numbered_samples import known_samples, numbered_samples
from cogenesis.events import Task
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.released import GeneralInstruction
from cogenesis.training.sketches_file import SketchLine
from cogenesis.writing import general_instruction, lexicon_of

Why = Literal["unusable", "refused", "lost"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A sample that is not sent.

    Attributes:
        id: of the sample; its number where the file has none.
        number: in the file, from 1.
        why: "unusable" (it is no sample, or its instruction is no instruction), "refused" (by
            the guard) or "lost" (worker processes died on it).
        what: what is wrong, without anything private.
    """

    id: str
    number: int
    why: Why
    what: str


@dataclass(frozen=True, slots=True)
class SketchTask:
    """A sample that may be asked about. It can be pickled: it releases nothing.

    Attributes:
        id, number: of the sample.
        general: the words that the guard released; whoever sends them has a guard release them.
    """

    id: str
    number: int
    general: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Guarding:
    """How a worker gets ready to guard samples, which it reads from the file itself."""

    data: KnownFile

    @contextmanager
    def open(self, place: Place) -> Iterator[Callable[[int], SketchTask | LeftOut]]:
        """Read the file. The work takes the number of a sample. Nothing is sent."""
        samples = known_samples(self.data, place)

        def work(number: int) -> SketchTask | LeftOut:
            sample = samples[number]
            found = released_of(sample, number)
            if isinstance(found, LeftOut):
                return found
            return SketchTask(sample.id, number, found.text)

        yield work


def sketch_tasks(
    engine: Engine,
    path: Path,
    *,
    limit: int | None = None,
    tick: Callable[[int], None] = lambda _: None,
) -> tuple[KnownFile, list[SketchTask], list[LeftOut]]:
    """Guard the first `limit` samples of a file: who may be asked about, and who may not.

    Nothing is sent. About a tenth of a second of a processor for each sample; `tick` is told
    after each how many there are.

    Raises:
        ContextError: the file cannot be read.
        InputError: two samples have the same id.
    """
    samples = numbered_samples(path).first(limit)
    data = KnownFile.of(path)
    ids = {number: sample.id for number, sample in samples.items()}
    _no_twins(path, ids)
    left_out = [LeftOut(str(n), n, "unusable", why) for n, why in samples.bad.items()]
    tasks: list[SketchTask] = []
    items = ((f"{number:09d}", number) for number in ids)
    outcomes: Any = engine.map(Guarding(data), items)
    with closing(outcomes):
        for each in outcomes:
            if isinstance(each, Lost):
                number = int(each.key)
                what = f"{each.deaths} workers died while the guard looked at it"
                left_out.append(LeftOut(ids[number], number, "lost", what))
            elif isinstance(each.result, SketchTask):
                tasks.append(each.result)
            else:
                left_out.append(each.result)
            tick(len(ids))
    tasks.sort(key=lambda task: task.number)
    return data, tasks, sorted(left_out, key=lambda each: each.number)


def _no_twins(path: Path, ids: Mapping[int, str]) -> None:
    seen: set[str] = set()
    for number, each in ids.items():
        if each in seen:
            raise InputError(f"{path}: sample {number} has the id of an earlier one: give each one")
        seen.add(each)


def released_of(sample: Sample, number: int) -> GeneralInstruction | LeftOut:
    """What may leave of a sample, by the guard of this process."""
    guard = Guard(lexicon_of(sample.context))
    try:
        return general_instruction(Task(sample.instruction, sample.context), guard)
    except GuardRefusedError:
        # Its own words may name private spans.
        what = "the guard releases no general instruction of it"
        return LeftOut(sample.id, number, "refused", what)
    except InstructionError:
        return LeftOut(sample.id, number, "unusable", "its instruction is empty or too long")


def to_ask(
    tasks: Sequence[SketchTask], done: Mapping[str, SketchLine], *, model: str, seed: int
) -> list[SketchTask]:
    """What is left to ask, if the earlier outlines are of the same kind.

    Raises:
        InputError: they are of another file, model or seed, or the guard decided otherwise.
    """
    generals = {task.id: task.general for task in tasks}
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
