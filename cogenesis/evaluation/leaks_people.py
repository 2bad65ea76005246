"""The people who are to be told apart, and those of them whose texts are attacked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cogenesis.context.private_context import PrivateContext
from cogenesis.context.reader import Sample, read_samples
from cogenesis.errors import InputError
from cogenesis.evaluation.numbered_samples import numbered_samples

_TITLE_ENDS: Final = ": "


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who could have written, and who did. All of it is in memory: attackers compare all people.

    Attributes:
        contexts: all candidates, each context once.
        samples: the samples that are attacked, with their numbers in the file.
        train: samples on which attackers are tuned.
        skipped: numbers of samples that cannot be used, and why.
    """

    contexts: tuple[PrivateContext, ...]
    samples: tuple[tuple[int, Sample], ...]
    train: tuple[Sample, ...]
    skipped: tuple[tuple[int, str], ...]

    def __repr__(self) -> str:
        return f"Crowd({len(self.contexts)} people, {len(self.samples)} texts)"

    def place(self, sample: Sample) -> int:
        """The number of a sample's person among the candidates."""
        return self.contexts.index(sample.context)


def crowd_of(data: Path, limit: int | None, more: Sequence[Path], train: Path | None) -> Crowd:
    """Read all files. Whoever is in any of them is a candidate, also beyond the limit.

    Raises:
        ContextError: a file cannot be read.
        InputError: fewer than two people are left.
    """
    found = numbered_samples(data)
    numbered = dict(found)
    tuned = read_samples(train, on_bad=_ignore) if train is not None else []
    others = [each for path in more for each in read_samples(path, on_bad=_ignore)]
    good = list(numbered.values())
    contexts = tuple(dict.fromkeys(each.context for each in (*good, *tuned, *others)))
    if len(contexts) < 2:
        raise InputError("one person cannot be told from others: give --candidates or other --data")
    first = found.first(limit)
    samples = tuple((number, numbered[number]) for number in first)
    return Crowd(contexts, samples, tuple(tuned), tuple(first.bad.items()))


def title_of(instruction: str) -> str:
    """What stands before the first ": "; empty where there is none."""
    title, found, _ = instruction.partition(_TITLE_ENDS)
    return title if found else ""


def context_text(context: PrivateContext) -> str:
    """All of a context, names of its fields included: what the released code sends with it."""
    lines = [f"{each.name}: {each.value}" for each in context.fields]
    lines += [f"{each.source}: {each.text} {each.when or ''}" for each in context.activities]
    lines += [f"{each.title}\n{each.text}" for each in context.writings]
    return "\n".join(lines)


def _ignore(_number: int, _why: str) -> None:
    """A candidate that cannot be read is none."""
