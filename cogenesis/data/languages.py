"""Which language a text is in: enough to find the one Spanish text among a thousand.

English by the word lists that the guard uses anyway; other writings by their letters; six more
languages by simplemma's dictionaries, which load only when a text is not English (5 s, 0.4 GB).

Not covered: texts of two languages (the larger part wins), languages that are not named here
("other"), texts of fewer than ten words ("short").
"""

from __future__ import annotations

import string
import unicodedata
from collections import Counter
from typing import Final

from cogenesis.privacy.words import english_share

ENGLISH: Final = 0.6
"""Share of known words from which a text is taken for English."""

MIN_WORDS: Final = 10
_READ: Final = 2_000
"""Characters of a text that are looked at."""

_ASCII_LETTERS: Final = string.ascii_letters
_LATIN_LANGUAGES: Final = ("en", "de", "fr", "es", "it", "pt", "nl")
_OF_SCRIPT: Final = {
    "Greek": "el",
    "Hebrew": "he",
    "Thai": "th",
    "Hangul": "ko",
    "Cjk": "zh",
    "Hiragana": "ja",
    "Katakana": "ja",
}


def language_of(text: str) -> str:
    """A code such as "en", a script such as "Cyrillic", "short" or "other"."""
    text = text[:_READ]
    # Most letters are ASCII: those are taken out at once.
    letters = Counter(_script(char) for char in text if not char.isascii() and char.isalpha())
    letters["Latin"] += sum(map(text.count, _ASCII_LETTERS))
    script = letters.most_common(1)[0][0]
    if letters["Hiragana"] + letters["Katakana"] > 0.1 * max(1, letters.total()):
        return "ja"
    if script != "Latin":
        return _OF_SCRIPT.get(script, script)
    if len(text.split()) < MIN_WORDS:
        return "short"
    if english_share(text) >= ENGLISH:
        return "en"
    import simplemma.language_detector

    found = simplemma.language_detector.langdetect(text, lang=_LATIN_LANGUAGES)
    name, share = found[0]
    return str(name) if name != "unk" and share >= 0.4 else "other"


def _script(letter: str) -> str:
    """The first word of a letter's name in Unicode: "Latin", "Cyrillic", "Cjk"."""
    return unicodedata.name(letter, "Unknown").partition(" ")[0].capitalize()
