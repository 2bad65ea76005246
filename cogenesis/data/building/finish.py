"""From people to files: the last checks, splits by group, samples, their record, the report.

What was made is looked at once more as a reader of the files would: each sample must be one
(`row_of`), the guard must let its general part go with the whole context known, and its text
must not be nearly the same as another person's (MinHash). What fails is dropped and counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from cogenesis.data.building.folder import split_names, write_json
from cogenesis.data.building.pipeline import Made, Settings
from cogenesis.data.building.samples import PersonTexts, samples_of
from cogenesis.data.building.steps import Outcome
from cogenesis.data.coverage import Coverage
from cogenesis.data.leaks import released_as_it_is
from cogenesis.data.repeats import Near
from cogenesis.data.rows import Row, row_of
from cogenesis.data.writing_out import sample_file, whole_file


def finish(settings: Settings, made: Made, shares: Mapping[str, float]) -> dict[str, Any]:
    """Write all files of the folder but the replies. Returns the report.

    Raises:
        InputError: a file cannot be written.
        MissingExtraError: datasketch is not installed.
    """
    dropped: Counter[str] = Counter(made.dropped)
    samples = list(_good(settings, made, dropped))
    groups = sorted({sample["group"] for sample, _ in samples})
    splits = split_names(groups, shares, settings.wanted.seed)
    coverage, counts = Coverage(), Counter[str]()
    with ExitStack() as stack:
        record = stack.enter_context(whole_file(settings.folder / "provenance.jsonl"))
        lines = stack.enter_context(record.open("w", encoding="utf-8"))
        put = {
            name: stack.enter_context(sample_file(settings.folder / f"{name}.json"))
            for name in shares
        }
        for sample, outcome in samples:
            name = splits[sample["group"]]
            put[name](sample)
            counts[name] += 1
            row = row_of(1, sample)
            if isinstance(row, Row):
                coverage.add(row)
            lines.write(json.dumps(_provenance(settings, made, sample, outcome, name)) + "\n")
        lines.flush()
    report = {
        "people": len(made.people),
        "samples": {name: counts[name] for name in shares},
        "groups": {name: sum(1 for each in splits.values() if each == name) for name in shares},
        "dropped": dict(dropped.most_common()),
        "without_answer": dict(made.failed.most_common()),
        "replies": dict(made.events.most_common()),
        "facts": _facts([sample for sample, _ in samples]),
        "coverage": coverage.told(),
    }
    write_json(settings.folder / "report.json", report)
    return report


def _good(
    settings: Settings, made: Made, dropped: Counter[str]
) -> Iterator[tuple[dict[str, Any], Outcome]]:
    """The samples that pass, in the order of the people."""
    found: list[tuple[dict[str, Any], Outcome]] = []
    near = Near()
    for number in sorted(made.people):
        outcome = made.people[number]
        person = PersonTexts.of(outcome.made or {})
        if len(person.texts) <= settings.wanted.history:
            dropped["too few texts for a sample"] += 1
        for sample in samples_of(person, settings.wanted.history):
            row = row_of(len(found) + 1, sample)
            if not isinstance(row, Row):
                dropped["no sample"] += 1
            elif not released_as_it_is(row.context, row.general):
                dropped["private in the general part"] += 1
            else:
                near.add(row.text)
                found.append((sample, outcome))
    same = {pair.second for pair in near.pairs()}
    dropped["nearly the same text"] += len(same)
    if not dropped["nearly the same text"]:
        del dropped["nearly the same text"]
    return (each for at, each in enumerate(found) if at not in same)


def _provenance(
    settings: Settings, made: Made, sample: dict[str, Any], outcome: Outcome, split: str
) -> dict[str, Any]:
    group = int(sample["group"].rpartition("_")[2])
    portrait = made.portraits[group].record
    return {
        "tid": sample["tid"],
        "split": split,
        "model": settings.cloud.model,
        "seed": settings.wanted.seed,
        "templates": {step: each.version for step, each in settings.templates.items()},
        "replies": [*portrait, *outcome.record],
    }


def _facts(samples: list[dict[str, Any]]) -> dict[str, float]:
    """Private facts that a text uses, at the mean: as the model told, and as they are found."""
    told = [sample["facts"] for sample in samples]
    return {
        kind: round(sum(len(each[kind]) for each in told) / len(told), 2) if told else 0.0
        for kind in ("told", "found")
    }
