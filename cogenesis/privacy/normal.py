"""The normal form in which private matter is looked for.

Case, accents, look-alike letters of other alphabets, invisible characters, spacing and
punctuation must not hide a private word. Text is reduced to words of plain lower-case
letters and digits, each remembering where it stood, and neighbouring words are also tried
joined, so that "T h o m p s o n", "Thomp-son" and "ＴＨΟＭＰＳＯΝ" are all "thompson".
Letters of other alphabets that no table knows are found by `foreign`, so that nothing leaves
that the rules cannot read.

Not covered here: letters swapped for signs ("M@rtinez"), misspellings, words written
backwards, and encodings such as base64.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

LONGEST_KEY: Final = 48
"""Joined neighbours longer than this are not tried: no private word is longer."""

# Letters of other alphabets that look like Latin ones, after NFKC, case folding and removal
# of accents: "look-alikes Latin" in pairs. Facts from the Unicode confusables data (UTS #39).
_LOOK_ALIKES: Final[dict[int, str]] = str.maketrans(
    {
        pair[0]: pair[1]
        for group in (
            # Cyrillic
            "аa вb еe ёe зe кk мm нh оo рp сc тt уy хx іi їi јj ѕs һh ԁd ԛq ԝw гr пn ӏl ɡg ь\u0062",
            # Greek
            "αa βb γy εe ζz ηn ιi κk νv οo ρp σo τt υu χx ωw",
            # Latin relatives: dotless, small capitals, script forms
            "ıi ȷj ɑa ɩi ɪi ʏy ʀr ʙb ᴀa ᴄc ᴅd ᴇe ᴊj ᴋk ʟl ᴍm ɴn ᴏo ᴘp ꜱs ᴛt ᴜu ᴠv ᴡw ᴢz",
            "øo đd łl ħh ŧt ðd",
            # Armenian
            "օo ոn սu հh ցg զq",
        )
        for pair in group.split()
        if len(pair) == 2
    }
)

_TWO_LETTERS: Final = str.maketrans({"æ": "ae", "œ": "oe", "þ": "th"})

# Letters drawn as signs that NFKC leaves alone: flags, and white letters on black.
_SIGNS: Final = {
    chr(first + i): chr(ord("a") + i) for first in (0x1F1E6, 0x1F150, 0x1F170) for i in range(26)
}

# Capitals look alike where their small letters do not: Greek Ν is an N, but ν a v.
_LOOK_ALIKE_CAPITALS: Final = str.maketrans(
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϺАВЕКМНОРСТУХЅІЈԌԜՕՍ", "ABEZHIKMNOPTYXCMABEKMHOPCTYXSIJGWOU"
)
_ASCII_WORD: Final = re.compile(r"[A-Za-z0-9]+")
_NOT_PLAIN: Final = re.compile(r"[^\t\n\r\x20-\x7e\xa0‘’“”–—…•€£¥·]")
"""Finds characters that may belong to a word, or hide in one, without being ASCII."""
_ONE_TO_ONE: Final = re.compile(r"[^\t\n\r\x20-\x7e\xa0À-ɏ‘’“”–—…•€£¥·]")
"""Finds characters that `visible` must change; the others are written in one way only."""

_SHORT: Final = 1_000
"""Characters of a text whose words are remembered for a moment."""

_FILLERS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""Letters and signs without a shape."""


class Word(NamedTuple):
    """A word of a text: characters [start, end) of the original, and its normal form."""

    start: int
    end: int
    key: str
    raw: str

    @property
    def capital(self) -> bool:
        """Whether it begins with an upper-case letter."""
        return self.raw[0].isupper()

    @property
    def number(self) -> bool:
        """Whether it holds a digit."""
        return not self.key.isalpha()


@lru_cache(maxsize=4096)
def _plain(char: str) -> str:
    """A character in normal form: plain lower-case letters and digits, or nothing."""
    if char in _SIGNS:
        return _SIGNS[char]
    if char in _FILLERS:
        return ""
    folded = unicodedata.normalize(
        "NFKD", unicodedata.normalize("NFKC", char).translate(_LOOK_ALIKE_CAPITALS).casefold()
    )
    kept = "".join(_digit(c) for c in folded if unicodedata.category(c)[0] in "LN")
    kept = kept.translate(_LOOK_ALIKES).translate(_TWO_LETTERS)
    # A modifier letter that is no Latin letter raised is an apostrophe or a tone mark.
    return "".join(c for c in kept if c.isascii() or unicodedata.category(c) != "Lm")


def _digit(char: str) -> str:
    value = unicodedata.decimal(char, None)
    return char if value is None else str(value)


@lru_cache(maxsize=4096)
def _invisible(char: str) -> bool:
    """Whether it takes no room: format and control characters, combining marks, fillers."""
    if char in _FILLERS:
        return True
    return unicodedata.category(char) in {"Cf", "Cc", "Mn", "Me"} and char not in "\n\t\r"


@lru_cache(maxsize=4096)
def _foreign(char: str) -> bool:
    """Whether it is a letter or digit that is not Latin, or only looks it."""
    if "\u2800" < char <= "\u28ff":  # Braille
        return True
    plain = _plain(char)
    if not plain:
        return False
    letters = (c for c in unicodedata.normalize("NFKC", char) if unicodedata.category(c)[0] == "L")
    return not plain.isascii() or any(
        not c.isascii() and unicodedata.category(c) != "Lm" and "LATIN" not in unicodedata.name(c)
        for c in letters
        if c not in "ªº"
    )


def foreign(text: str) -> Iterator[tuple[int, int]]:
    """Stretches [start, end) of letters that are not Latin, with the word around them."""
    if text.isascii():
        return
    for m in re.finditer(r"[\w\u2800-\u28ff]+", text):
        if any(not c.isascii() and _foreign(c) for c in m.group()):
            yield m.span()


def words(text: str) -> tuple[Word, ...]:
    """The words of a text in order.

    A word is a run of letters and digits; an apostrophe ends it ("Elaine's" is "elaine" and
    "s"), a hyphen too. Invisible characters inside a word are passed over.
    """
    # One instruction is read by a dozen rules; a context is read once and not kept.
    return _short_words(text) if len(text) <= _SHORT else _words(text)


def _words(text: str) -> tuple[Word, ...]:
    out: list[Word] = []
    offset = 0
    for line in text.splitlines(keepends=True):
        if not _NOT_PLAIN.search(line):
            for m in _ASCII_WORD.finditer(line):
                raw = m.group()
                out.append(Word(offset + m.start(), offset + m.end(), raw.lower(), raw))
        else:
            out.extend(_words_of_line(line, offset))
        offset += len(line)
    return tuple(out)


_short_words = lru_cache(maxsize=32)(_words)


def _words_of_line(line: str, offset: int) -> Iterator[Word]:
    start, last, key = -1, -1, ""
    for at, char in enumerate(line):
        plain = char.lower() if char.isascii() and char.isalnum() else _plain(char)
        if plain:
            if start < 0:
                start = at
            key += plain
            last = at
        elif start >= 0 and not _invisible(char):
            yield Word(offset + start, offset + last + 1, key, line[start : last + 1])
            start, key = -1, ""
    if start >= 0:
        yield Word(offset + start, offset + last + 1, key, line[start : last + 1])


def visible(text: str) -> tuple[str, Sequence[int] | None]:
    """Text as a person sees it, and where each character stood in the original.

    Compatibility forms, digits of other scripts and invisible characters are resolved, for
    rules that look at notations. None for the places if nothing changed.
    """
    if not _ONE_TO_ONE.search(text):
        return text, None
    shown: list[str] = []
    places: list[int] = []
    for at, char in enumerate(text):
        form = _form(char)
        shown.append(form)
        places.extend([at] * len(form))
    return "".join(shown), places


@lru_cache(maxsize=16_384)
def _form(char: str) -> str:
    """One character as a person sees it; nothing for an invisible one."""
    if _invisible(char):
        return ""
    return "".join(_digit(c) for c in unicodedata.normalize("NFKC", char))


def joined(found: Sequence[Word], longest: int = LONGEST_KEY) -> Iterator[tuple[int, int, str]]:
    """Every run of two or more neighbouring words joined, as (first, last + 1, key).

    Runs are bounded by `longest` characters, so the cost is linear in the text.
    """
    for i, word in enumerate(found):
        key = word.key
        for j in range(i + 1, len(found)):
            key += found[j].key
            if len(key) > longest:
                break
            yield i, j + 1, key


def tidy(text: str) -> str:
    """Text fit to be released: one line, no invisible characters, single spaces, NFC.

    What cannot be seen cannot be checked by a person either, so it does not leave. Accents
    stay only on letters that have them in Unicode.
    """
    composed = unicodedata.normalize("NFC", text)
    return " ".join("".join(c for c in composed if not _hidden(c)).split())


def _hidden(char: str) -> bool:
    if char in "\n\t\r" or (char.isascii() and char.isprintable()):
        return False
    kind = unicodedata.category(char)
    return kind in {"Cf", "Cc", "Cs", "Co", "Cn", "Mn", "Me"} or char in _FILLERS
