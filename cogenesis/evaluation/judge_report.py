"""From a judge's answers to the figures of `evaluate judge`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cogenesis.errors import InputError
from cogenesis.evaluation.bootstrap import Array
from cogenesis.evaluation.judge import MEANINGFUL_BILLIONS, PAIR, Answer
from cogenesis.evaluation.judge_prompts import SCORES
from cogenesis.evaluation.text_intervals import FEW, Interval, differences, means, statistic

_Place = tuple[str, str, str]
"""System, score, and whether it is the system's own or over the baseline; or its votes in pairs."""


def judge_report(
    numbers: Sequence[int],
    systems: Sequence[str],
    answers: Sequence[Answer],
    baseline: str,
    seed: int = 0,
) -> dict[str, Any]:
    """The figures of `evaluate judge --json`, without settings.

    A text's score is the mean of its runs; means and ranges are over samples.

    Raises:
        InputError: there is nothing to report on.
    """
    if not numbers or not answers:
        raise InputError("there is no text to judge: give other --data or --system")
    compared = [
        system
        for system in systems
        if system != baseline and any(_is_pair(each, system) for each in answers)
    ]
    pairs = {system: _pairs(system, answers) for system in compared}
    columns = _columns(numbers, systems, _scores(answers), baseline)
    for system, (_, net) in pairs.items():
        columns[system, PAIR, "net"] = [net.get(number) for number in numbers]
    found = means(columns, seed)
    return {
        "evaluation": "judge",
        "samples": len(numbers),
        "baseline": baseline,
        "systems": [_row(system, found) for system in systems],
        "pairs": [
            row | {"net": found[system, PAIR, "net"].to_json()}
            for system, (row, _) in pairs.items()
        ],
        "runs_agreement": _agreement(numbers, systems, answers, seed),
        "answers": len(answers),
        "unread": dict(Counter(each.reason for each in answers if each.reason).most_common()),
    }


def quadratic_kappa(first: Sequence[int], second: Sequence[int], taken: Array) -> float | None:
    """Cohen's kappa with quadratic weights (Cohen 1968) of two runs' ratings.

    1 minus the mean squared difference of the pairs over that of all combinations. `taken` says
    how often each pair counts. None where all ratings are equal: nothing could disagree.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    total = float(taken.sum())
    if total <= 0:
        return None
    observed = float((taken * (one - other) ** 2).sum()) / total
    # The mean of (x - y)^2 over all combinations, from the moments of both.
    mean = [float((taken * each).sum()) / total for each in (one, other)]
    square = [float((taken * each**2).sum()) / total for each in (one, other)]
    expected = square[0] + square[1] - 2 * mean[0] * mean[1]
    return None if expected <= 1e-12 else 1.0 - observed / expected


def notes(told: Mapping[str, Any], billions: float | None) -> list[str]:
    """What one needs to know to read the figures; the most important first."""
    found = []
    line = f"{MEANINGFUL_BILLIONS:g} billion parameters"
    if billions is None:
        found.append(
            f"The judge's size is not known. Scores of a judge with fewer than {line} mean "
            "nothing: tell its size with --judge-billions."
        )
    elif billions < MEANINGFUL_BILLIONS:
        found.append(
            f"This judge has {billions:g} billion parameters, fewer than {line}: its scores mean "
            "nothing. They show that everything works, not which text is better."
        )
    found.append(
        "Scores from 1 to 10; range: 95 in 100 bootstrap draws over the samples. In pairs a text "
        "wins only if it is chosen in both orders. The paper's scores are of another judge "
        "(GPT-4) on other samples: they cannot be set beside these."
    )
    if told["samples"] < FEW:
        found.append(f"Only {told['samples']} samples: nothing follows from them. Take {FEW}.")
    if told["unread"]:
        count = sum(told["unread"].values())
        found.append(f"{count} of {told['answers']} answers could not be read and are left out.")
    return found


def _scores(answers: Sequence[Answer]) -> dict[tuple[str, str, int], float]:
    """The mean of the runs, by system, score and sample."""
    found: defaultdict[tuple[str, str, int], list[int]] = defaultdict(list)
    for each in answers:
        if each.kind != PAIR and each.rating is not None:
            found[each.system, each.kind, each.sample].append(each.rating)
    return {key: sum(ratings) / len(ratings) for key, ratings in found.items()}


def _is_pair(answer: Answer, system: str) -> bool:
    return answer.kind == PAIR and answer.system == system


def _columns(
    numbers: Sequence[int],
    systems: Sequence[str],
    scored: Mapping[tuple[str, str, int], float],
    baseline: str,
) -> dict[_Place, list[float | None]]:
    """Each score of each system over the samples, and over the baseline's."""
    found: dict[_Place, list[float | None]] = {}
    for system in systems:
        for score in SCORES:
            own, base = (
                [scored.get((name, score, number)) for number in numbers]
                for name in (system, baseline)
            )
            found[system, score, "own"] = own
            if system != baseline:
                found[system, score, "over"] = differences(own, base)
    return found


def _row(system: str, found: Mapping[_Place, Interval]) -> dict[str, Any]:
    told, over = (
        {
            score: found[system, score, kind].to_json()
            for score in SCORES
            if (system, score, kind) in found
        }
        for kind in ("own", "over")
    )
    return {"name": system, "measures": told, "over_baseline": over}


def _pairs(system: str, answers: Sequence[Answer]) -> tuple[dict[str, Any], dict[int, float]]:
    """How often a system's text was chosen over the baseline's, and how fair the judge was; and
    the mean of its votes for each sample."""
    orders: defaultdict[tuple[int, int], dict[bool, Answer]] = defaultdict(dict)
    for each in answers:
        if _is_pair(each, system) and each.choice is not None:
            orders[each.sample, each.run][each.swapped] = each
    net: defaultdict[int, list[int]] = defaultdict(list)
    places: Counter[str] = Counter()
    consistent = 0
    for (sample, _), both in orders.items():
        places.update(each.choice or "" for each in both.values())
        if len(both) < 2:
            continue
        votes = [_vote(each) for each in both.values()]
        consistent += votes[0] == votes[1]
        net[sample].append(votes[0] if votes[0] == votes[1] else 0)
    compared = [value for votes in net.values() for value in votes]
    named = places["first"] + places["second"]
    row = {
        "systems": [system, next(each.other for each in answers if _is_pair(each, system))],
        "compared": len(compared),
        "wins": compared.count(1),
        "ties": compared.count(0),
        "losses": compared.count(-1),
        "net": None,
        "same_in_both_orders": consistent / len(compared) if compared else None,
        "first_place": places["first"] / named if named else None,
    }
    return row, {sample: sum(votes) / len(votes) for sample, votes in net.items()}


def _vote(answer: Answer) -> int:
    """1 for the system, -1 for the baseline."""
    if answer.choice == "tie":
        return 0
    return 1 if (answer.choice == "first") != answer.swapped else -1


def _agreement(
    numbers: Sequence[int], systems: Sequence[str], answers: Sequence[Answer], seed: int
) -> list[dict[str, Any]]:
    """How far the first two runs agree, score by score; the range is over texts."""
    rated = {
        (each.system, each.kind, each.sample, each.run): each.rating
        for each in answers
        if each.rating is not None
    }
    rows = []
    for score in SCORES:
        pairs = [
            (one, other)
            for system in systems
            for number in numbers
            if (one := rated.get((system, score, number, 0))) is not None
            and (other := rated.get((system, score, number, 1))) is not None
        ]
        if not pairs:
            continue
        first, second = [one for one, _ in pairs], [other for _, other in pairs]
        kappa = statistic(
            len(pairs),
            lambda taken, a=first, b=second: quadratic_kappa(a, b, taken),  # type: ignore[misc]
            seed,
        )
        rows.append(
            {
                "score": score,
                "texts": len(pairs),
                "weighted_kappa": kappa.value,
                "low": kappa.low,
                "high": kappa.high,
                "same": sum(one == other for one, other in pairs) / len(pairs),
            }
        )
    return rows
