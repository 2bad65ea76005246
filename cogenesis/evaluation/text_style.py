"""How far a text is from the way its author wrote before.

* `style_delta`: Burrows' Delta (Burrows 2002): the share that each of the most frequent words
  has of a text, as a z-score over the people of the data; the mean of |z(text) - z(history)|.
  The words and the z-scores come from the histories of all people in the file.
* `style_js`: Jensen-Shannon divergence (Lin 1991; base 2, from 0 to 1) between the function
  words of text and history: how often "the", "which", "upon" stand among all function words.

Both are rough for a text of 150 words. The report therefore tells how the reference texts,
which the author did write, compare with other people's histories: a measure that cannot tell
those apart says nothing about a system either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from cogenesis.context.private_context import PrivateContext
from cogenesis.context.reader import Sample
from cogenesis.evaluation.text_measures import words_of
from cogenesis.privacy.words import function_words

STYLE: Final = ("style_delta", "style_js")
FREQUENT_WORDS: Final = 150
"""Words that Delta looks at. Burrows took 150."""


def history_of(context: PrivateContext) -> str:
    """All that somebody wrote before."""
    return "\n".join(writing.text for writing in context.writings)


class Histories:
    """What all people of a file wrote before, read anew each time that it is gone through."""

    def __init__(self, people: Mapping[int, Sample]) -> None:
        self._people = people

    def __iter__(self) -> Iterator[str]:
        return (history_of(each.context) for each in self._people.values())


class Style:
    """Measures of style, for the people of one file."""

    def __init__(self, histories: Iterable[str], words: int = FREQUENT_WORDS) -> None:
        """Learn how frequent words are, and how much that differs from person to person.

        `histories` are gone through twice, so no iterator; memory holds `words` numbers of each.
        """
        total: Counter[str] = Counter()
        for history in histories:
            total.update(words_of(history))
        ranked = sorted(total, key=lambda word: (-total[word], word))
        self._words = ranked[:words]
        known = (Counter(words_of(history)) for history in histories if history.strip())
        shares = np.array([self._shares(each) for each in known])
        # A word that all use alike tells nobody from anybody; of one person nothing is known.
        spread = shares.std(axis=0) if len(shares) > 1 else np.zeros(len(self._words))
        self._telling = spread > 0
        self._spread = spread[self._telling]

    def distances(self, text: str, history: str) -> dict[str, float | None]:
        """Both measures; None where there is too little to compare."""
        return {
            "style_delta": self.delta(text, history),
            "style_js": function_word_divergence(text, history),
        }

    def delta(self, text: str, history: str) -> float | None:
        """Burrows' Delta. The means of the z-scores cancel, so they are left out."""
        one, other = Counter(words_of(text)), Counter(words_of(history))
        if not one or not other or not self._spread.size:
            return None
        apart = np.abs(self._shares(one) - self._shares(other))[self._telling]
        return float((apart / self._spread).mean())

    def _shares(self, counts: Counter[str]) -> npt.NDArray[np.float64]:
        size = max(1, counts.total())
        return np.array([counts[word] / size for word in self._words], dtype=np.float64)


def function_word_divergence(text: str, history: str) -> float | None:
    """Jensen-Shannon divergence in bits between two texts' function words."""
    known = function_words()
    one, other = (
        Counter(word for word in words_of(each) if word in known) for each in (text, history)
    )
    if not one or not other:
        return None
    keys = sorted(one.keys() | other.keys())
    p, q = (np.array([c[key] for key in keys]) / c.total() for c in (one, other))
    middle = (p + q) / 2.0
    return (_kl(p, middle) + _kl(q, middle)) / 2.0


def _kl(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> float:
    there = p > 0
    return float((p[there] * np.log2(p[there] / q[there])).sum())
