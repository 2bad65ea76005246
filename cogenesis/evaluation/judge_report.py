"""From a judge's answers to the figures of `evaluate judge`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cogenesis.errors import InputError
from cogenesis.evaluation.judge import MEANINGFUL_BILLIONS, PAIR, Answer
from cogenesis.evaluation.judge_prompts import SCORES
from cogenesis.evaluation.text_intervals import FEW, Array, Draws


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
    draws = Draws(len(numbers), seed)
    scored = _scores(answers)
    rows = []
    for system in systems:
        told, over = {}, {}
        for score in SCORES:
            own = [scored.get((system, score, number)) for number in numbers]
            base = [scored.get((baseline, score, number)) for number in numbers]
            told[score] = draws.mean(own).to_json()
            if system != baseline:
                over[score] = draws.difference(own, base).to_json()
        rows.append({"name": system, "measures": told, "over_baseline": over})
    return {
        "evaluation": "judge",
        "samples": len(numbers),
        "baseline": baseline,
        "systems": rows,
        "pairs": [
            _pairs(system, numbers, answers, draws)
            for system in systems
            if system != baseline and any(_is_pair(each, system) for each in answers)
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


def _pairs(
    system: str, numbers: Sequence[int], answers: Sequence[Answer], draws: Draws
) -> dict[str, Any]:
    """How often a system's text was chosen over the baseline's, and how fair the judge was."""
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
    by = {
        number: sum(found) / len(found) if (found := net.get(number)) else None
        for number in numbers
    }
    compared = [value for votes in net.values() for value in votes]
    named = places["first"] + places["second"]
    return {
        "systems": [system, next(each.other for each in answers if _is_pair(each, system))],
        "compared": len(compared),
        "wins": compared.count(1),
        "ties": compared.count(0),
        "losses": compared.count(-1),
        "net": draws.mean([by[number] for number in numbers]).to_json(),
        "same_in_both_orders": consistent / len(compared) if compared else None,
        "first_place": places["first"] / named if named else None,
    }


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
        kappa = Draws(len(pairs), seed).statistic(
            lambda taken, a=first, b=second: quadratic_kappa(a, b, taken)  # type: ignore[misc]
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
