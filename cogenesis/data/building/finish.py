"""From people to files: texts that are nearly the same, splits, samples, their record, the report.

Each sample was looked at where it was made (`screening.wrong_sample`); here its text is held
against those of all other people (MinHash). What fails is dropped and counted.

What was made is read twice, person by person: once for what is nearly the same, once to write.
Memory grows by the signatures, about 300 bytes a sample, and while these are compared by as much
again: 0.6 GB for a million.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from cogenesis.data.building.folder import Splits, remove_former, write_json
from cogenesis.data.building.pipeline import Made, Settings
from cogenesis.data.building.samples import PersonTexts, samples_of
from cogenesis.data.building.steps import Outcome
from cogenesis.data.coverage import Coverage
from cogenesis.data.repeats import Near
from cogenesis.data.rows import Row, row_of
from cogenesis.data.writing_out import sample_file, whole_file


@dataclass(frozen=True, slots=True)
class _Good:
    """A sample that passed, with the number of its group and what became of its person."""

    sample: dict[str, Any] = field(repr=False)
    group: int
    outcome: Outcome = field(repr=False)


class _Told:
    """What the report says of the samples, counted one by one."""

    def __init__(self) -> None:
        self.samples: Counter[str] = Counter()
        self.groups: Counter[str] = Counter()
        self._coverage = Coverage()
        self._facts: Counter[str] = Counter()
        self._group = -1

    def add(self, sample: dict[str, Any], group: int, split: str) -> None:
        """One more; those of a group come one after another."""
        self.samples[split] += 1
        self.groups[split] += group != self._group
        self._group = group
        self._facts.update({kind: len(sample["facts"][kind]) for kind in ("told", "found")})
        row = row_of(1, sample)
        if isinstance(row, Row):
            self._coverage.add(row)

    def coverage(self) -> dict[str, Any]:
        return self._coverage.told()

    def facts(self) -> dict[str, float]:
        """Private facts that a text uses, at the mean: as told, and as they are found."""
        count = self.samples.total()
        return {
            kind: round(self._facts[kind] / count, 2) if count else 0.0
            for kind in ("told", "found")
        }


def finish(settings: Settings, made: Made, shares: Mapping[str, float]) -> dict[str, Any]:
    """Write all files of the folder but the replies. Returns the report.

    Raises:
        InputError: a file cannot be written.
        MissingExtraError: datasketch is not installed.
    """
    dropped: Counter[str] = Counter(made.dropped)
    near = Near()
    for good in _good(settings, made, dropped):
        near.add(good.sample["conversations"][1]["value"])
    same = {pair.second for pair in near.pairs()}
    if same:
        dropped["nearly the same text"] = len(same)
    splits, told = Splits(shares, settings.wanted.seed), _Told()
    with _files(settings, made, shares) as put:
        for at, good in enumerate(_good(settings, made, Counter())):
            if at not in same:
                split = splits.of(good.group)
                put(good, split)
                told.add(good.sample, good.group, split)
    remove_former(settings.folder, shares)
    report = {
        "people": len(made.people),
        "screening": settings.wanted.screening,
        "samples": {name: told.samples[name] for name in shares},
        "groups": {name: told.groups[name] for name in shares},
        "dropped": dict(dropped.most_common()),
        "without_answer": dict(made.failed.most_common()),
        "replies": dict(made.events.most_common()),
        "facts": told.facts(),
        "coverage": told.coverage(),
    }
    write_json(settings.folder / "report.json", report)
    return report


def _good(settings: Settings, made: Made, dropped: Counter[str]) -> Iterator[_Good]:
    """The samples with nothing wrong, in the order of the people; the others are counted."""
    wanted = settings.wanted
    for _, outcome in made.people.all():
        person = PersonTexts.of(outcome.made or {})
        if len(person.texts) <= wanted.history:
            dropped["too few texts for a sample"] += 1
        samples = samples_of(person, wanted.history, wanted.seed)
        for sample, wrong in zip(samples, outcome.verdicts, strict=True):
            if wrong:
                dropped[wrong] += 1
            else:
                yield _Good(sample, person.person.group, outcome)


@contextmanager
def _files(
    settings: Settings, made: Made, shares: Mapping[str, float]
) -> Iterator[Callable[[_Good, str], None]]:
    """The files of the splits and the record: they appear whole, at the end of the block."""
    with ExitStack() as stack:
        record = stack.enter_context(whole_file(settings.folder / "provenance.jsonl"))
        lines = stack.enter_context(record.open("w", encoding="utf-8"))
        into = {
            name: stack.enter_context(sample_file(settings.folder / f"{name}.json"))
            for name in shares
        }

        def put(good: _Good, split: str) -> None:
            into[split](good.sample)
            lines.write(json.dumps(_provenance(settings, made, good, split)) + "\n")

        yield put
        lines.flush()


def _provenance(settings: Settings, made: Made, good: _Good, split: str) -> dict[str, Any]:
    portrait = made.portraits.get(good.group)
    return {
        "tid": good.sample["tid"],
        "split": split,
        "model": settings.cloud.model,
        "seed": settings.wanted.seed,
        "templates": {step: each.version for step, each in settings.templates.items()},
        "replies": [*(portrait.record if portrait is not None else []), *good.outcome.record],
    }
