"""From what people rated to figures: win, tie and loss of systems, and how far raters agree.

The unit is a pair of texts. Where several people rated it, it counts as their mean, once; so
raters who agree do not pretend to be more texts. Ranges of shares are Wilson's with one trial a
pair; of the net preference (win minus loss) a percentile bootstrap over samples.

Agreement is Krippendorff's alpha for categories: 1 is perfect, 0 what chance gives.

Not covered: texts of people who write alike, taken as independent; raters who talked.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from statistics import mean, median
from typing import Any, Final, Literal

import numpy as np

from cogenesis.errors import InputError
from cogenesis.evaluation.bootstrap import bounds, totals
from cogenesis.evaluation.human import FORM, KEY_KIND, RATINGS_KIND

Verdict = Literal["win", "tie", "loss"]
"""From the side of the first of two systems, in the order of the key."""

_Z: Final = 1.959964
"""Standard deviations of a normal distribution around 95%."""

_FIXED_SEED: Final = 0
_DIGITS: Final = 4
_MAX_BYTES: Final = 64_000_000

Place = tuple[str, str, str]
"""A question and two systems."""


@dataclass(frozen=True, slots=True)
class Rated:
    """One person's answers.

    Attributes:
        rater: their sign, or the file's name.
        answers: item -> question -> side ("left", "tie", "right").
        seconds: that they looked at each pair.
    """

    rater: str
    answers: dict[str, dict[str, str]] = field(repr=False)
    seconds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """Whose texts stood where; as `Pairs.key` gives it."""

    page: str
    systems: tuple[str, ...]
    items: dict[str, tuple[int, str, str]]
    told: dict[str, Any] = field(repr=False)

    def verdict(self, item: str, side: str) -> tuple[str, str, Verdict]:
        """Two systems in the key's order, and what it means for the first."""
        _, left, right = self.items[item]
        first, second = sorted((left, right), key=self.systems.index)
        if side == "tie":
            return first, second, "tie"
        return first, second, "win" if (side == "left") == (left == first) else "loss"


def read_key(path: Path) -> Key:
    """Read the key that was written beside a page.

    Raises:
        InputError: it cannot be read, or is none.
    """
    value = _read(path)
    try:
        if value["kind"] != KEY_KIND or value["form"] != FORM:
            raise ValueError("another kind of file")
        systems = tuple(str(each) for each in value["systems"])
        items = {
            str(each["item"]): (int(each["sample"]), str(each["left"]), str(each["right"]))
            for each in value["items"]
        }
        if any(name not in systems for _, *names in items.values() for name in names):
            raise ValueError("a system that is not listed")
        return Key(str(value["page"]), systems, items, value)
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{path} is no key: name the file that was written with the page"
        ) from None


def read_ratings(paths: Iterable[Path], key: Key) -> tuple[list[Rated], list[str]]:
    """Read what raters saved, and what is to be said about it.

    Of two files of the same rater the later one counts.

    Raises:
        InputError: a file cannot be read, is none of ratings, or is of another page.
    """
    found: dict[str, Rated] = {}
    notes = []
    for path in paths:
        rated = _rated(path, key)
        if rated.rater in found:
            notes.append(f"{rated.rater} has several files: {path.name} counts")
        found[rated.rater] = rated
    return list(found.values()), notes


def _rated(path: Path, key: Key) -> Rated:
    value = _read(path)
    try:
        if value["kind"] != RATINGS_KIND or value["form"] != FORM:
            raise ValueError("another kind of file")
        page, ratings = str(value["page"]), list(value["ratings"])
        answers = {str(each["item"]): dict(each["answers"]) for each in ratings}
        seconds = tuple(float(each.get("seconds", 0.0)) for each in ratings)
        sides = {side for given in answers.values() for side in given.values()}
        if not sides <= {"left", "tie", "right"}:
            raise ValueError("another answer")
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(f"{path} holds no ratings: name a file that the page saved") from None
    if page != key.page or not set(answers) <= set(key.items):
        raise InputError(f"{path} was rated on another page: give the key of that page")
    return Rated(str(value.get("rater") or path.stem), answers, seconds)


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES)
        return json.loads(data)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is no JSON file") from None


def human_report(key: Key, raters: Sequence[Rated], notes: Sequence[str] = ()) -> dict[str, Any]:
    """The figures of `evaluate human --json`.

    Raises:
        InputError: nobody answered anything.
    """
    verdicts = _verdicts(key, raters)
    if not verdicts:
        raise InputError("nobody has answered anything yet: rate some pairs first")
    comparisons = [
        {"question": question, "systems": [first, second], **_comparison(key, items)}
        for (question, first, second), items in sorted(verdicts.items(), key=_order(key))
    ]
    seconds = [each for rater in raters for each in rater.seconds]
    return {
        "page": key.page,
        "systems": list(key.systems),
        "pairs": len(key.items),
        "raters": [{"rater": each.rater, "pairs": len(each.answers)} for each in raters],
        "comparisons": comparisons,
        "agreement": _agreement(verdicts),
        "left_chosen": _left_chosen(raters),
        "seconds_median": round(median(seconds), 1) if seconds else None,
        "missing": key.told.get("missing", []),
        "equal": key.told.get("equal", []),
        "notes": list(notes),
    }


def _order(key: Key) -> Any:
    def place(entry: tuple[Place, object]) -> tuple[str, int, int]:
        question, first, second = entry[0]
        return question, key.systems.index(first), key.systems.index(second)

    return place


def _verdicts(key: Key, raters: Sequence[Rated]) -> dict[Place, dict[str, list[Verdict]]]:
    """For each question and two systems, the verdicts on each pair of texts."""
    found: dict[Place, dict[str, list[Verdict]]] = defaultdict(lambda: defaultdict(list))
    for rater in raters:
        for item, answers in rater.answers.items():
            for question, side in answers.items():
                first, second, verdict = key.verdict(item, side)
                found[question, first, second][item].append(verdict)
    return found


def _comparison(key: Key, items: Mapping[str, Sequence[Verdict]]) -> dict[str, Any]:
    count = len(items)
    told: dict[str, Any] = {"pairs": count, "verdicts": sum(map(len, items.values()))}
    shares = {
        verdict: [given.count(verdict) / len(given) for given in items.values()]
        for verdict in ("win", "tie", "loss")
    }
    for verdict, each in shares.items():
        low, high = wilson(mean(each), count)
        told[verdict] = _figure(mean(each), low, high)
    net = [win - loss for win, loss in zip(shares["win"], shares["loss"], strict=True)]
    samples = [key.items[item][0] for item in items]
    told["net"] = _figure(mean(net), *_bootstrap(net, samples))
    return told


def wilson(share: float, trials: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share. `share * trials` need not be a whole number."""
    square = _Z * _Z
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    spread = sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    half = _Z * spread / (1 + square / trials)
    return max(0.0, middle - half), min(1.0, middle + half)


def _bootstrap(values: Sequence[float], samples: Sequence[int]) -> tuple[float, float]:
    """Percentile bootstrap of the mean, drawn over samples."""
    groups: dict[int, list[float]] = defaultdict(list)
    for value, sample in zip(values, samples, strict=True):
        groups[sample].append(value)
    columns = np.array([[sum(each), len(each)] for each in groups.values()], dtype=np.float64)
    drawn = totals(columns, _FIXED_SEED)[1:]
    return bounds(drawn[:, 0] / drawn[:, 1])


def _figure(value: float, low: float, high: float) -> dict[str, float]:
    return {
        name: round(each, _DIGITS) for name, each in zip(_NAMES, (value, low, high), strict=True)
    }


_NAMES: Final = ("value", "low", "high")


def _agreement(verdicts: Mapping[Place, Mapping[str, Sequence[Verdict]]]) -> list[dict[str, Any]]:
    """For each question: how often two raters said the same of a pair, and alpha."""
    by_question: dict[str, list[Sequence[Verdict]]] = defaultdict(list)
    for (question, _, _), items in verdicts.items():
        by_question[question] += [given for given in items.values() if len(given) > 1]
    told = []
    for question, units in by_question.items():
        alpha = krippendorff(units)
        same = [_same(given) for given in units]
        told.append(
            {
                "question": question,
                "pairs": len(units),
                "same": round(mean(same), _DIGITS) if same else None,
                "alpha": None if alpha is None else round(alpha, _DIGITS),
            }
        )
    return told


def _same(given: Sequence[Verdict]) -> float:
    """The share of pairs of raters who said the same."""
    count = len(given)
    return sum(n * (n - 1) for n in Counter(given).values()) / (count * (count - 1))


def krippendorff(units: Iterable[Sequence[str]]) -> float | None:
    """Krippendorff's alpha of categories; None where nothing can be said.

    Args:
        units: for each thing, the categories that its raters gave it; any number of raters.
    """
    observed, totals = 0.0, Counter[str]()
    for unit in units:
        if len(unit) < 2:
            continue
        counted = Counter(unit)
        totals.update(counted)
        differ = len(unit) ** 2 - sum(n * n for n in counted.values())
        observed += differ / (len(unit) - 1)
    count = sum(totals.values())
    expected = count * count - sum(n * n for n in totals.values())
    if not expected:
        return None  # all said the same of everything: there is nothing to agree about
    return 1.0 - (count - 1) * observed / expected


def _left_chosen(raters: Sequence[Rated]) -> dict[str, Any]:
    """How often the left text was preferred: about half, unless raters have a side."""
    sides = Counter(
        side for rater in raters for given in rater.answers.values() for side in given.values()
    )
    decided = sides["left"] + sides["right"]
    if not decided:
        return {"decided": 0, "value": None, "low": None, "high": None}
    share = sides["left"] / decided
    return {"decided": decided, **_figure(share, *wilson(share, decided))}
