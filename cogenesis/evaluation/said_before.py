"""What a person's earlier samples released, whoever wrote them, and when.

The guard refuses what would make something private whole that an earlier release began, so
what leaves for a sample depends on what left for the same person before. An assistant that
writes all samples one after the other remembers that by itself. Where several workers share
the samples, or a run goes on from a file, none of them has written all earlier ones: so it is
made again here, in the order of the data. That is never less than what one process remembers.

Memory holds 8 bytes for each sample, and the releases of those that have a later one.

Not covered: releases of other modes than the derived general instruction; the same data in
another order.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Mapping

from cogenesis.context.private_context import PrivateContext
from cogenesis.context.reader import Sample
from cogenesis.events import Task
from cogenesis.protection import Protection, person_of
from cogenesis.writing import general_instruction


class SaidBefore:
    """The releases of all samples of a file, made when they are asked for. For one thread."""

    def __init__(self, samples: Mapping[int, Sample]) -> None:
        """`samples` by their numbers, in the order of the file. They are read at the first call."""
        self._samples = samples
        # For each number the one of the same person's sample before it, 0 if there is none.
        self._before: array[int] | None = None
        # What a sample released; None where the guard refused it.
        self._released: dict[int, str | None] = {}

    def __repr__(self) -> str:
        return f"SaidBefore({len(self._samples)} samples)"

    def __call__(self, number: int) -> tuple[str, ...]:
        """What was released for the person of this sample before it, oldest first."""
        if self._before is None:
            self._before = _same_person_before(self._samples)
        earlier: list[int] = []
        while number := self._before[number]:
            earlier.append(number)
        said: list[str] = []
        for each in reversed(earlier):
            if each not in self._released:
                self._released[each] = _release(self._samples[each], said)
            text = self._released[each]
            if text is not None:
                said.append(text)
        return tuple(said)


def _same_person_before(samples: Mapping[int, Sample]) -> array[int]:
    found = array("q", bytes(8 * (max(samples, default=0) + 1)))
    last: dict[bytes, int] = {}
    for number, sample in samples.items():
        key = _person_key(sample.context)
        found[number] = last.get(key, 0)
        last[key] = number
    return found


def _person_key(context: PrivateContext) -> bytes:
    """The same 16 bytes for the same person only, see `person_of`."""
    whole = person_of(context) is context
    told: list[object] = [whole, [(each.name, each.value) for each in context.fields]]
    if whole:
        told += [(each.source, each.text, each.when) for each in context.activities]
        told.append(None)  # an activity is no writing
        told += [(each.title, each.text) for each in context.writings]
    return hashlib.blake2b(json.dumps(told).encode(), digest_size=16).digest()


def _release(sample: Sample, said: Iterable[str]) -> str | None:
    protection = Protection()
    protection.recall(said)
    task = Task(sample.instruction, sample.context)
    try:
        return general_instruction(task, protection.guard(task)).text
    except Exception:  # noqa: BLE001  (as in writing: refused or broken, nothing leaves)
        return None
