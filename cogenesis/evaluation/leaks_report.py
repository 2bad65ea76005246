"""From what was received to figures: units that were sent, and who was recognised.

Ranges are percentile bootstraps over texts; the difference between what was sent and the floor
is one of pairs. An attacker gets the best setting for each thing it attacks: the title alone,
the sketch's requests, those of fusion. Where nothing was sent all people fit alike, so its
chance is that of a guess.

Not covered: texts of people who write alike are taken as independent; the attackers' settings
are taken as given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cogenesis.context.reader import Sample
from cogenesis.errors import InputError
from cogenesis.evaluation.bootstrap import bounds, totals
from cogenesis.evaluation.leaks import LeaksSample
from cogenesis.evaluation.leaks_attackers import (
    NAMES,
    SETTLED,
    Array,
    Attackers,
    AttackSetting,
    Query,
    among,
    query_of,
    reciprocal,
    together,
)
from cogenesis.evaluation.leaks_people import Crowd, context_text, title_of
from cogenesis.evaluation.leaks_received import Received, SentMode
from cogenesis.evaluation.leaks_reference import Shielded, shielded_reference
from cogenesis.evaluation.leaks_units import KINDS, Listened, People
from cogenesis.privacy.lexicon import RARE_BELOW

_FIXED_SEED: Final = 0
"""Of the bootstrap: the same results give the same ranges."""

_DIGITS: Final = 4
_REACHED: Final = ("top1", "top5", "mrr")

_Ranges = dict[tuple[str, str, str], dict[str, float]]
"""By attacker, setting and figure."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What was received of one text.

    Attributes:
        number: the sample's, in the file.
        mode: that was attacked.
        received: all of it.
        missing: one word, where the cloud's part is missing; None otherwise.
        rare_below: the lexicon's threshold.
        words, masked: of a reference; nothing is known of texts that were written.
    """

    number: int
    mode: SentMode
    received: Received
    missing: str | None
    rare_below: float = RARE_BELOW
    words: int = 0
    masked: int = 0

    @classmethod
    def of(cls, sample: LeaksSample) -> Heard:
        """Of a text that the assistant wrote."""
        return cls(sample.sample, sample.mode, sample.received, sample.degraded)

    @classmethod
    def of_reference(cls, number: int, mode: SentMode, told: Shielded, rare_below: float) -> Heard:
        """Of a reference that went through the shield."""
        return cls(number, mode, told.received, told.missing, rare_below, told.words, told.masked)


def leaks_report(crowd: Crowd, heard: Sequence[Heard]) -> dict[str, Any]:
    """The figures of `evaluate leaks --json` (DESIGN section 7), without settings.

    Raises:
        InputError: there is no text.
        PrivacyError: the shield failed on a text of the training split.
    """
    if not heard:
        raise InputError("no text could be attacked: give other --data")
    attack, people = _Attack(crowd), People(crowd.contexts)
    groups: dict[tuple[SentMode, float], list[Heard]] = {}
    for each in heard:
        groups.setdefault((each.mode, each.rare_below), []).append(each)
    units, attacks, modes = [], [], []
    for (mode, rare_below), found in groups.items():
        place = {"mode": mode, "zipf": rare_below}
        units += [{**row, **place} for row in _units(crowd, people, found)]
        attacks += attack.rows(mode, rare_below, found)
        modes.append({**place, **_counts(found)})
    return {
        "units_total": sum(row["total"] for row in units),
        "units_sent": sum(row["literal"] + row["fuzzy"] for row in units),
        "attacks": attacks,
        "units": units,
        "modes": modes,
        "samples": len(crowd.samples),
        "candidates": len(crowd.contexts),
        "chance_top1": round(1.0 / len(crowd.contexts), _DIGITS),
        "tuned_on": len(crowd.train) or None,
        "skipped": [{"sample": number, "reason": why} for number, why in crowd.skipped],
    }


def _counts(found: Sequence[Heard]) -> dict[str, Any]:
    words = sum(each.words for each in found)
    missing = Counter(each.missing for each in found if each.missing is not None)
    told: dict[str, Any] = {"texts": len(found), "without_cloud": dict(missing)}
    told["nothing_sent"] = sum(not any(each.received.texts()) for each in found)
    if words:
        told["masked_words"] = round(sum(each.masked for each in found) / words, _DIGITS)
    return told


def _units(crowd: Crowd, people: People, found: Sequence[Heard]) -> list[dict[str, Any]]:
    """For each kind: how many there are, how many were sent, and whether the search works.

    `control` is the share that the same search finds in the person's own context, literally
    or fuzzily; the age alone has its word in the field's name.
    """
    samples = dict(crowd.samples)
    counted: Counter[tuple[str, str]] = Counter()
    for each in found:
        sample = samples[each.number]
        units = people.units(sample.context, title_of(sample.instruction))
        sent = Listened(each.received.texts())
        everything = Listened([context_text(sample.context)])
        counted.update({(kind, "excepted"): count for kind, count in units.excepted.items()})
        for unit in units.units:
            counted[unit.kind, "total"] += 1
            counted[unit.kind, sent.finds(unit) or "safe"] += 1
            counted[unit.kind, "control"] += everything.finds(unit) in {"literal", "fuzzy"}
    rows = []
    for kind in KINDS:
        names = ("total", "literal", "fuzzy", "related", "excepted")
        row: dict[str, Any] = {"kind": kind, **{name: counted[kind, name] for name in names}}
        total = counted[kind, "total"]
        row["control"] = round(counted[kind, "control"] / total, _DIGITS) if total else None
        rows.append(row)
    return rows


class _Attack:
    """The attackers on one crowd, tuned once for each thing they attack."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._attackers = Attackers([context_text(each) for each in crowd.contexts])
        self._samples = dict(crowd.samples)
        titles = [query_of(Received(title_of(each.instruction))) for each in crowd.train]
        self._floor = self._tuned(titles, "floor")

    def rows(
        self, mode: SentMode, rare_below: float, found: Sequence[Heard]
    ) -> list[dict[str, Any]]:
        """Floor, sent and ceiling for each attacker."""
        samples = [self._samples[each.number] for each in found]
        truth = [self._crowd.place(each) for each in samples]
        train = [
            query_of(shielded_reference(each, mode, rare_below=rare_below).received)
            for each in self._crowd.train
        ]
        asked: dict[str, tuple[list[Query], dict[str, AttackSetting]]] = {
            "floor": ([_bare(*each) for each in zip(samples, found, strict=True)], self._floor),
            "sent": ([query_of(each.received) for each in found], self._tuned(train, mode)),
            "ceiling": ([query_of(everything(each)) for each in samples], self._floor),
        }
        reached: dict[tuple[str, str, str], Array] = {}
        for name in NAMES:
            for setting, (queries, chosen) in asked.items():
                scores = self._attackers.scores(name, queries, chosen[name])
                reached |= {(name, setting, w): r for w, r in _reached(scores, truth).items()}
            for what in _REACHED:
                over = reached[name, "sent", what] - reached[name, "floor", what]
                reached[name, "over_floor", what] = over
        ranges = _ranges(reached)
        rows = []
        for name in NAMES:
            for setting, (_, chosen) in asked.items():
                row: dict[str, Any] = {"attacker": name, "setting": setting, "mode": mode}
                row |= {"zipf": rare_below, **_figures(ranges, name, setting)}
                row["tuned"] = chosen[name]
                if setting == "sent":
                    over_floor = {what: ranges[name, "over_floor", what] for what in _REACHED}
                    row["over_floor"] = over_floor
                rows.append(row)
        return rows

    def _tuned(self, queries: Sequence[Query], what: str) -> dict[str, AttackSetting]:
        if not self._crowd.train:
            found = SETTLED[what]
            return {**found, "all": together(found)}
        truth = [self._crowd.place(each) for each in self._crowd.train]
        return self._attackers.tuned(queries, truth)


def everything(sample: Sample) -> Received:
    """What the released code of the paper's authors sends: the whole context and the task."""
    return Received(f"{context_text(sample.context)}\n{sample.instruction}")


def _bare(sample: Sample, heard: Heard) -> Query:
    """The general topic alone; an instruction without a title has what was released of it."""
    return query_of(Received(title_of(sample.instruction) or heard.received.opening))


def _reached(scores: Array, truth: Sequence[int]) -> dict[str, Array]:
    return {
        "top1": among(scores, truth, 1),
        "top5": among(scores, truth, 5),
        "mrr": reciprocal(scores, truth),
    }


def _figures(ranges: _Ranges, name: str, setting: str) -> dict[str, Any]:
    """Each figure; `low` and `high` are those of top1."""
    found = {what: ranges[name, setting, what] for what in _REACHED}
    told: dict[str, Any] = {what: each["value"] for what, each in found.items()}
    told |= {end: found["top1"][end] for end in ("low", "high")}
    for what in ("top5", "mrr"):
        told |= {f"{what}_{end}": found[what][end] for end in ("low", "high")}
    return told


def _ranges(columns: Mapping[tuple[str, str, str], Array]) -> _Ranges:
    """Of each column the mean over the texts, and the range of the draws."""
    found: _Ranges = {}
    sums = totals(np.array(list(columns.values()), dtype=np.float64).T, _FIXED_SEED).T
    for (key, values), drawn in zip(columns.items(), sums, strict=True):
        low, high = bounds(drawn[1:] / len(values))
        named = {"value": values.mean(), "low": low, "high": high}
        found[key] = {name: round(float(each), _DIGITS) for name, each in named.items()}
    return found
