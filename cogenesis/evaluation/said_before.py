"""What a person's earlier samples released, whoever wrote them, and when.

The guard refuses what would make something private whole that an earlier release began, so
what leaves for a sample depends on what left for the same person before. An assistant that
writes all samples one after the other remembers that by itself. Where several workers share
the samples, or a run goes on from a file, none of them has written all earlier ones: so it is
made again here, in the order of the data. That is never less than what one process remembers.

Not covered: releases of other modes than the derived general instruction; the same data in
another order.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

from cogenesis.context.reader import Sample
from cogenesis.events import Task
from cogenesis.protection import Protection, person_of
from cogenesis.writing import general_instruction


class SaidBefore:
    """The releases of all samples of a file, made when they are asked for. For one thread."""

    def __init__(self, samples: Mapping[int, Sample]) -> None:
        """`samples` by their numbers, in the order of the file."""
        self._samples = samples
        self._numbers: dict[Hashable, list[int]] = {}
        for number, sample in self._samples.items():
            self._numbers.setdefault(person_of(sample.context), []).append(number)
        # What a sample released; None where the guard refused it.
        self._released: dict[int, str | None] = {}

    def __repr__(self) -> str:
        return f"SaidBefore({len(self._samples)} samples)"

    def __call__(self, number: int) -> tuple[str, ...]:
        """What was released for the person of this sample before it, oldest first."""
        said: list[str] = []
        for each in self._numbers[person_of(self._samples[number].context)]:
            if each >= number:
                break
            if each not in self._released:
                self._released[each] = _release(self._samples[each], said)
            text = self._released[each]
            if text is not None:
                said.append(text)
        return tuple(said)


def _release(sample: Sample, said: Iterable[str]) -> str | None:
    protection = Protection()
    protection.recall(said)
    task = Task(sample.instruction, sample.context)
    try:
        return general_instruction(task, protection.guard(task)).text
    except Exception:  # noqa: BLE001  (as in writing: refused or broken, nothing leaves)
        return None
