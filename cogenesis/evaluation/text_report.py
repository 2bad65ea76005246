"""From single texts to the figures of `evaluate text`: means, ranges, paired differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cogenesis.context.reader import Sample
from cogenesis.errors import InputError
from cogenesis.evaluation.generation import WrittenText
from cogenesis.evaluation.text_intervals import FEW, Interval, differences, means
from cogenesis.evaluation.text_measures import FORM, NEARNESS, form, nearness
from cogenesis.evaluation.text_profile import PROFILE, Profiles
from cogenesis.evaluation.text_style import STYLE, Histories, Style, history_of

MEASURES: Final = (*NEARNESS, *FORM, *PROFILE, *STYLE)
REFERENCE: Final = "reference"
"""Stands among the systems: what the measures give for the texts that the authors wrote."""

_OTHERS: Final = 10
"""Other people with whose history a reference is compared, to see what style measures tell."""

Values = dict[str, float | None]
_Place = tuple[str, str, str]
"""System, measure, and whether it is the system's own or over the baseline."""


def measured(
    samples: Mapping[int, Sample],
    people: Mapping[int, Sample],
    texts: Mapping[str, Mapping[int, WrittenText]],
    tick: Callable[[], None] = lambda: None,
) -> dict[str, dict[int, Values]]:
    """Every measure of every text, by system and sample.

    Args:
        samples: those that are measured, by their numbers.
        people: all samples of the file likewise: from them it is learnt what style and names tell.
        texts: by system and sample; those without a text are left out.
        tick: called after each sample.

    Raises:
        MissingExtraError: a library is not installed.
    """
    profiles = Profiles(people.values())
    style = Style(Histories(people))
    found: dict[str, dict[int, Values]] = {name: {} for name in (REFERENCE, *texts)}
    for number, sample in samples.items():
        profile = profiles.of(sample)
        history = history_of(sample.context)
        said = {name: by.get(number) for name, by in texts.items()}
        written = {name: each.text for name, each in said.items() if each and each.text is not None}
        for name, text in {REFERENCE: sample.reference, **written}.items():
            values = form(text, sample.reference) | profile.measure(text).values()
            values |= style.distances(text, history)
            # The reference is near itself: that is no figure.
            values |= dict.fromkeys(NEARNESS) if name == REFERENCE else {}
            if name != REFERENCE:
                values |= nearness(text, sample.reference)
            found[name][number] = values
        tick()
    return found


def text_report(
    numbers: Sequence[int],
    values: Mapping[str, Mapping[int, Values]],
    texts: Mapping[str, Mapping[int, WrittenText]],
    baseline: str,
    seed: int = 0,
) -> dict[str, Any]:
    """The figures of `evaluate text --json`, without settings.

    Raises:
        InputError: there is no sample, or the baseline has no text.
    """
    if not numbers:
        raise InputError("no sample could be measured: give other --data")
    if not values.get(baseline):
        raise InputError(f"there is no text of the baseline {baseline!r}: name it with --baseline")
    found = means(_columns(numbers, values, baseline), seed)
    rows = [
        _row(name, len(values[name]), found)
        | {"is_baseline": name == baseline}
        | _how_written(texts.get(name, {}), numbers)
        for name in values
    ]
    return {"samples": len(numbers), "baseline": baseline, "systems": rows}


def _columns(
    numbers: Sequence[int], values: Mapping[str, Mapping[int, Values]], baseline: str
) -> dict[_Place, list[float | None]]:
    """Each measure of each system over the samples, and over the baseline's."""
    found: dict[_Place, list[float | None]] = {}
    for name, by in values.items():
        for measure in MEASURES:
            own, other = (
                [each.get(number, {}).get(measure) for number in numbers]
                for each in (by, values[baseline])
            )
            found[name, measure, "own"] = own
            if name != baseline:
                found[name, measure, "over"] = differences(own, other)
    return found


def _row(name: str, texts: int, found: Mapping[_Place, Interval]) -> dict[str, Any]:
    told, over = (
        {
            measure: found[name, measure, kind].to_json()
            for measure in MEASURES
            if (name, measure, kind) in found
        }
        for kind in ("own", "over")
    )
    return {"name": name, "texts": texts, "measures": told, "over_baseline": over}


def _how_written(texts: Mapping[int, WrittenText], numbers: Iterable[int]) -> dict[str, Any]:
    """What happened while they were written."""
    found = [texts[number] for number in numbers if number in texts]
    degraded = Counter(each.degraded for each in found if each.degraded is not None)
    return {
        "without_text": sum(each.text is None for each in found),
        "degraded": dict(degraded.most_common()),
        "at_most_tokens": sorted({each.max_tokens for each in found}),
        "bytes_sent": sum(each.bytes for each in found),
        "round_trips": sum(each.round_trips for each in found),
    }


def style_control(
    samples: Mapping[int, Sample], people: Mapping[int, Sample], seed: int = 0
) -> dict[str, Any]:
    """How much nearer the references are to their own authors' history than to others'.

    For each style measure the mean distance to own history, to those of up to 10 other people,
    and the paired difference. If that range holds 0, the measure tells nobody apart here.
    """
    style = Style(Histories(people))
    numbers = list(people)
    whose = np.fromiter((hash(each.context) for each in people.values()), np.int64, len(numbers))
    own: dict[str, list[float | None]] = {name: [] for name in STYLE}
    others: dict[str, list[float | None]] = {name: [] for name in STYLE}
    for number, sample in samples.items():
        for name, value in style.distances(sample.reference, history_of(sample.context)).items():
            own[name].append(value)
        chosen = _others(whose, hash(sample.context), number)
        far = [
            style.distances(sample.reference, history_of(people[numbers[place]].context))
            for place in chosen
        ]
        for name in STYLE:
            known = [value for each in far if (value := each[name]) is not None]
            others[name].append(sum(known) / len(known) if known else None)
    columns: dict[tuple[str, str], list[float | None]] = {}
    for name in STYLE:
        columns[name, "own"], columns[name, "others"] = own[name], others[name]
        columns[name, "own_minus_others"] = differences(own[name], others[name])
    told: dict[str, Any] = {name: {} for name in STYLE}
    for (name, what), found in means(columns, seed).items():
        told[name][what] = found.to_json()
    return told


def _others(whose: npt.NDArray[np.int64], own: int, number: int) -> list[int]:
    """Places of up to 10 people who are not `own`: another first one for each number."""
    left_out = np.flatnonzero(whose == own).tolist()
    first = number % max(1, len(whose) - len(left_out))
    for place in left_out:
        first += place <= first
    found: list[int] = []
    for step in range(len(whose)):
        place = (first + step) % len(whose)
        if whose[place] != own:
            found.append(place)
        if len(found) == _OTHERS:
            break
    return found


def notes(told: Mapping[str, Any]) -> list[str]:
    """What one needs to know to read the figures."""
    found = [
        (
            "ROUGE and chrF in percent, nearness to the author's own text. Range: 95 in 100 "
            "bootstrap draws over the samples; differences are of pairs, over the baseline "
            f"{told['baseline']}."
        ),
        (
            "Coverage: share of the profile's facts in the author's text that the instruction does "
            "not state and the system's text uses. Contradictions: per text, in a few fixed "
            "wordings only. The row “reference” holds the authors' own texts: contradictions "
            "there are the error of the measure."
        ),
    ]
    if told["samples"] < FEW:
        found.append(
            f"Only {told['samples']} samples: the ranges are too narrow, and nothing follows from "
            f"them. Take {FEW} or more."
        )
    for name, control in told.get("style_control", {}).items():
        apart = control["own_minus_others"]
        if apart["high"] is None or apart["high"] >= 0.0:
            found.append(
                f"{name} cannot tell the authors' own texts from those of others here: it says "
                "nothing about the systems."
            )
    return found
