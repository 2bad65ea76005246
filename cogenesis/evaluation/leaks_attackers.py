"""Attackers: given what was received, how well does each person fit?

Three of different kinds, and one that asks all three. Each reads the whole context of every
candidate: profile, activities, earlier titles and texts (not the task that is attacked).

* `bm25`: rare words in common (Robertson's BM25).
* `lsa`: nearness in an embedding that is learnt from the candidates themselves: TF-IDF
  reduced to its main directions, cosine.
* `lm`: likelihood of the received words under a language model of each person, words and
  pairs of words, smoothed by that of all people (Dirichlet).
* `all`: the sum of the three, each brought to one scale.

Each is a sum over the words received, so a grid of settings is quickly gone through.

Not covered: attackers that know the writer beyond the candidates' contexts, that infer
attributes with a large model, or that look at timing and lengths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Final

import numpy as np
import numpy.typing as npt

from cogenesis.evaluation.leaks_received import Received
from cogenesis.evaluation.leaks_words import BLANK, content_stems, words_of

Array = npt.NDArray[np.float64]
AttackSetting = dict[str, float]

TEXT_WEIGHTS: Final = (0.05, 0.1, 0.2, 0.35, 0.5, 1.0)
"""How much a word of the growing text counts beside one of the opening.

Never nothing: on the training split that is best for most attackers, and they would be blind to
a leak of other texts.
"""

GRIDS: Final[dict[str, dict[str, tuple[float, ...]]]] = {
    "bm25": {"k1": (0.6, 1.2, 2.0), "b": (0.0, 0.25, 0.5, 0.75)},
    "lsa": {"directions": (60.0, 120.0, 200.0, 260.0)},
    "lm": {"mu": (200.0, 800.0, 3200.0, 12800.0), "pairs": (0.0, 0.25, 0.5, 1.0, 2.0)},
}

NAMES: Final = (*GRIDS, "all")

_FOR_TOPICS: Final[dict[str, AttackSetting]] = {
    "bm25": {"k1": 0.6, "b": 0.0, "text": 1.0},
    "lsa": {"directions": 200.0, "text": 1.0},
    "lm": {"mu": 800.0, "pairs": 1.0, "text": 1.0},
}
SETTLED: Final[dict[str, dict[str, AttackSetting]]] = {
    "floor": _FOR_TOPICS,
    "sketch": _FOR_TOPICS,
    "fusion": {
        "bm25": {"k1": 0.6, "b": 0.75, "text": 0.05},
        "lsa": {"directions": 260.0, "text": 0.1},
        "lm": {"mu": 200.0, "pairs": 1.0, "text": 0.05},
    },
}
"""Found on the published training split, for each thing that is attacked."""


@dataclass(frozen=True, slots=True)
class Query:
    """What an attacker was given of one text: stems and pairs of stems.

    The opening counts each word as often as it comes. A growing text comes again and again,
    so a word of it counts once.
    """

    opening: Counter[str] = field(repr=False)
    grown: Counter[str] = field(repr=False)


def query_of(received: Received) -> Query:
    """Everything that was received."""
    grown: dict[str, None] = {}
    for text in (*received.grown, *received.rest, *received.ends):
        grown.update(dict.fromkeys(terms(text)))
    return Query(Counter(terms(received.opening)), Counter(list(grown)))


def terms(text: str) -> list[str]:
    """Stems, and pairs of neighbours with a space between."""
    stems = content_stems(words_of(text))
    pairs = [f"{a} {b}" for a, b in pairwise(stems) if BLANK not in (a, b)]
    return [each for each in stems if each != BLANK] + pairs


class Attackers:
    """All attackers, ready for one crowd of candidates."""

    def __init__(self, documents: Sequence[str]) -> None:
        """Read the candidates' documents."""
        counted = [Counter(terms(each)) for each in documents]
        known = dict.fromkeys(term for each in counted for term in each)
        self._columns = {term: number for number, term in enumerate(known)}
        single = np.array([" " not in term for term in known])
        # Pairs are many and mostly come once: few numbers of a small kind.
        counts = np.zeros((len(counted), len(known)), dtype=np.float32)
        for row, each in enumerate(counted):
            for term, count in each.items():
                counts[row, self._columns[term]] = count
        self._counts, self._single = counts, single
        words = counts[:, single].astype(np.float64)
        self._lengths = {True: words.sum(axis=1), False: counts[:, ~single].sum(axis=1)}
        self._idf = np.zeros(len(known))
        self._idf[single] = np.log(len(words) / (words > 0).sum(axis=0))
        left, strength, self._axes = np.linalg.svd(
            _unit(np.log1p(words) * self._idf[single]), full_matrices=False
        )
        self._placed = left * strength
        self._axis_of = np.cumsum(single) - 1

    def scores(self, name: str, queries: Sequence[Query], setting: AttackSetting) -> Array:
        """How well each candidate fits each query: shape (queries, candidates)."""
        if name == "all":
            each = [self.scores(one, queries, _part(setting, one)) for one in GRIDS]
            return np.asarray(sum(map(_one_scale, each)))
        opening = self._heard(name, [query.opening for query in queries], setting)
        grown = self._heard(name, [query.grown for query in queries], setting)
        return self._fits(name, opening + setting["text"] * grown, setting)

    def tuned(self, queries: Sequence[Query], truth: Sequence[int]) -> dict[str, AttackSetting]:
        """The setting of each attacker with the best mean reciprocal rank."""
        weights = TEXT_WEIGHTS if any(query.grown for query in queries) else (1.0,)
        found: dict[str, AttackSetting] = {}
        for name, grid in GRIDS.items():
            best = -1.0
            for values in product(*grid.values()):
                setting = dict(zip(grid, values, strict=True))
                opening = self._heard(name, [query.opening for query in queries], setting)
                grown = self._heard(name, [query.grown for query in queries], setting)
                for weight in weights:
                    fits = self._fits(name, opening + weight * grown, setting)
                    reached = float(reciprocal(fits, truth).mean())
                    if reached > best:
                        best, found[name] = reached, {**setting, "text": weight}
        return found | {"all": together(found)}

    def _heard(self, name: str, counted: Sequence[Counter[str]], setting: AttackSetting) -> Array:
        """What the words say, to be weighed and added: a row for each counter."""
        columns, asked = self._asked(counted)
        if name == "lm":
            return self._likelihood(columns, asked, setting["mu"], setting["pairs"])
        columns, asked = columns[self._single[columns]], asked[:, self._single[columns]]
        if name == "lsa":
            axes = self._axes[: int(setting["directions"])][:, self._axis_of[columns]]
            return np.asarray((asked * self._idf[columns]) @ axes.T)
        return np.asarray(asked @ self._bm25(columns, setting["k1"], setting["b"]).T)

    def _fits(self, name: str, heard: Array, setting: AttackSetting) -> Array:
        if name != "lsa":
            return heard
        placed = self._placed[:, : int(setting["directions"])]
        return np.asarray(_unit(heard) @ _unit(placed).T)

    def _asked(self, counted: Sequence[Counter[str]]) -> tuple[npt.NDArray[np.int64], Array]:
        """Columns that are asked for, and how often. What no candidate has speaks for nobody."""
        rows = [
            {self._columns[term]: n for term, n in each.items() if term in self._columns}
            for each in counted
        ]
        columns = sorted({column for row in rows for column in row})
        place = {column: number for number, column in enumerate(columns)}
        asked = np.zeros((len(rows), len(columns)))
        for number, row in enumerate(rows):
            for column, count in row.items():
                asked[number, place[column]] = count
        return np.array(columns, dtype=np.int64), asked

    def _bm25(self, columns: npt.NDArray[np.int64], k1: float, b: float) -> Array:
        counts = self._counts[:, columns].astype(np.float64)
        length = self._lengths[True][:, None]
        having = (counts > 0).sum(axis=0)
        idf = np.log1p((len(counts) - having + 0.5) / (having + 0.5))
        damped = counts + k1 * (1.0 - b + b * length / length.mean())
        return np.asarray(idf * counts * (k1 + 1.0) / damped)

    def _likelihood(
        self, columns: npt.NDArray[np.int64], asked: Array, mu: float, pairs: float
    ) -> Array:
        found = np.zeros((len(asked), len(self._counts)))
        for single, share in ((True, 1.0), (False, pairs)):
            chosen = self._single[columns] == single
            if share == 0.0 or not chosen.any():
                continue
            counts = self._counts[:, columns[chosen]].astype(np.float64)
            length = self._lengths[single][:, None]
            everybody = counts.sum(axis=0) / length.sum()
            log_p = np.log((counts + mu * everybody) / (length + mu))
            found += share * (asked[:, chosen] @ log_p.T)
        return found


def together(settings: dict[str, AttackSetting]) -> AttackSetting:
    """The setting of the attacker that asks all others, from theirs."""
    return {f"{name}.{key}": value for name in GRIDS for key, value in settings[name].items()}


def _part(setting: AttackSetting, name: str) -> AttackSetting:
    return {key.removeprefix(f"{name}."): v for key, v in setting.items() if key.startswith(name)}


def ranks(scores: Array, truth: Sequence[int]) -> tuple[Array, Array]:
    """Candidates that fit better than the true one, and those that fit as well, it included."""
    own = scores[np.arange(len(truth)), list(truth)][:, None]
    same = np.isclose(scores, own, rtol=1e-9, atol=1e-12)
    better = ((scores > own) & ~same).sum(axis=1)
    return better.astype(float), same.sum(axis=1).astype(float)


def reciprocal(scores: Array, truth: Sequence[int]) -> Array:
    """Reciprocal rank of the true candidate, its mean over the orders of those that tie."""
    better, same = ranks(scores, truth)
    return np.array(
        [
            np.mean(1.0 / np.arange(above + 1, above + ties + 1))
            for above, ties in zip(better, same, strict=True)
        ]
    )


def among(scores: Array, truth: Sequence[int], first: int) -> Array:
    """Chance that the true candidate is among the first, those that tie in any order."""
    better, same = ranks(scores, truth)
    return np.asarray(np.clip((first - better) / same, 0.0, 1.0))


def _one_scale(scores: Array) -> Array:
    spread = scores.std(axis=1, keepdims=True)
    return np.asarray((scores - scores.mean(axis=1, keepdims=True)) / np.where(spread, spread, 1.0))


def _unit(rows: Array) -> Array:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length, length, 1.0))
