"""Measures of one text: how near it is to the reference, how long, how repetitive.

* `rouge1`, `rouge2`, `rougeL`: F-measure in percent, with Porter's stemmer (Lin 2004), by
  Google's `rouge-score`.
* `chrf`: chrF2 in percent, characters up to 6-grams (Popovic 2015), by `sacrebleu`.
* `words`, and `length_ratio`: words of the text over words of the reference.
* `distinct_2`: different bigrams over all bigrams (Li et al. 2016). Longer texts have less.
* `repeated_4`: 1 minus different 4-grams over all 4-grams (Welleck et al. 2020, seq-rep-4).
* `longest_repeat`: words of the longest passage that stands twice without overlap, over words.

Not covered: all compare words. A text may be good and share few of them with the reference.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from cogenesis.errors import MissingExtraError

NEARNESS: Final = ("rouge1", "rouge2", "rougeL", "chrf")
FORM: Final = ("words", "length_ratio", "distinct_2", "repeated_4", "longest_repeat")

EXTRA: Final = "evaluate"

_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def words_of(text: str) -> list[str]:
    """Words and numbers in lower case; a word with an apostrophe is one."""
    return [word.replace("’", "'") for word in _WORD.findall(text.casefold())]


def nearness(text: str, reference: str) -> dict[str, float | None]:
    """ROUGE and chrF in percent; None without a reference.

    Raises:
        MissingExtraError: a library is not installed.
    """
    if not reference.strip():
        return dict.fromkeys(NEARNESS)
    found: dict[str, float | None] = {
        name: 100.0 * score.fmeasure for name, score in _rouge().score(reference, text).items()
    }
    return {**found, "chrf": float(_chrf().sentence_score(text, [reference]).score)}


def form(text: str, reference: str) -> dict[str, float | None]:
    """Length and repetition; None where there are too few words to tell."""
    found, wanted = words_of(text), len(words_of(reference))
    return {
        "words": float(len(found)),
        "length_ratio": len(found) / wanted if wanted else None,
        "distinct_2": distinct(found, 2),
        "repeated_4": None if (share := distinct(found, 4)) is None else 1.0 - share,
        "longest_repeat": longest_repeat(found) / len(found) if found else None,
    }


def distinct(words: Sequence[str], size: int) -> float | None:
    """Different n-grams over all n-grams; None where there is none."""
    grams = [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]
    return len(set(grams)) / len(grams) if grams else None


def longest_repeat(words: Sequence[str]) -> int:
    """Words of the longest passage that stands at two places which do not overlap."""
    # A passage that repeats has beginnings that repeat, so the lengths can be halved.
    low, high = 0, len(words) // 2
    while low < high:
        middle = (low + high + 1) // 2
        if _repeats(words, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _repeats(words: Sequence[str], size: int) -> bool:
    first: dict[tuple[str, ...], int] = {}
    for at in range(len(words) - size + 1):
        if at - first.setdefault(tuple(words[at : at + size]), at) >= size:
            return True
    return False


@cache
def _rouge() -> Any:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise MissingExtraError("rouge-score", EXTRA) from None
    return RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)


@cache
def _chrf() -> Any:
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise MissingExtraError("sacrebleu", EXTRA) from None
    return CHRF()
