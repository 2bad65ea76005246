"""How the attackers read: words in a plain form. Shares no code with the guard or the shield.

Two readings that go wrong in the same way would hide a leak from each other, so this one is
built anew, from Unicode's tables and a stemmer of eight lines. From the product it takes the
shape of its placeholders only, which any observer learns from the first text.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Final

_PLACEHOLDER: Final = re.compile(
    r"\[(?:person|group|place|name|contact|date|amount|number|address|word) \d+\]"
)
_HIDDEN: Final = frozenset({"Mn", "Me", "Cf"})
_SHORT: Final = re.compile(r"(?:n['’ʼ`´]t|['’ʼ`´](?:s|re|ve|ll|m|d))\b")
"""Ends of words that were drawn together, and the possessive."""
_APOSTROPHE: Final = re.compile(r"['’ʼ`´]")
_THOUSANDS: Final = re.compile(r"(?<=\d)[,.](?=\d{3}\b)")
_WORD: Final = re.compile(r"[^\W\d_]+|\d+")
_ENDINGS: Final = ("ing", "ies", "ied", "ed", "es", "s")

BLANK: Final = "\x00"
"""Stands for a placeholder, so that words on its two sides are no neighbours."""

FREQUENT: Final = 4.5
"""Zipf frequency from which the policy takes a word of the context for common."""

_LITTLE: Final = 6.0
"""Zipf frequency from which a word carries no content: "with", "about", "time"."""


def plain(text: str) -> str:
    """One form for what looks alike: compatibility forms, case, accents, hidden signs."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return "".join(char for char in folded if unicodedata.category(char) not in _HIDDEN)


def words_of(text: str) -> list[str]:
    """Words and numbers in order, in plain form; BLANK for each placeholder."""
    found: list[str] = []
    for number, part in enumerate(_PLACEHOLDER.split(text)):
        if number:
            found.append(BLANK)
        shown = _APOSTROPHE.sub("", _SHORT.sub("", plain(part)))
        found += _WORD.findall(_THOUSANDS.sub("", shown))
    return found


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """A word without the ending of its inflection: "organised" and "organising" meet."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)] + ("y" if ending in {"ies", "ied"} else "")
            break
    if len(word) > 3 and word[-1] == word[-2]:
        return word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] == "e" else word


@lru_cache(maxsize=200_000)
def zipf(word: str) -> float:
    """Zipf frequency in English, 0 for a word that the list does not know.

    The list tells "world's" from "worlds"; read without the sign, they are one word.
    """
    import wordfreq

    share = wordfreq.word_frequency(word, "en")
    if word.endswith("s"):
        share += wordfreq.word_frequency(f"{word[:-1]}'s", "en")
    return round(9.0 + math.log10(share), 2) if share > 0 else 0.0


@cache
def is_content(word: str) -> bool:
    """Whether a word says what a text is about."""
    return word != BLANK and len(word) > 1 and (word.isdigit() or zipf(word) < _LITTLE)


def content_stems(words: Sequence[str]) -> list[str]:
    """Stems of the words that carry content, BLANK where a placeholder is."""
    return [
        BLANK if word == BLANK else stem(word)
        for word in words
        if word == BLANK or is_content(word)
    ]
