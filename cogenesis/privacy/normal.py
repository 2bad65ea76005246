"""The normal form in which private matter is looked for.

Case, accents, look-alike letters of other alphabets, invisible characters, spacing and
punctuation must not hide a private word. Text is reduced to words of plain lower-case
letters and digits, each remembering where it stood, and neighbouring words are also tried
joined, so that "T h o m p s o n", "Thomp-son" and "ＴＨΟＭＰＳＯΝ" are all "thompson".

Not covered here: letters swapped for digits (l33t), words written backwards, encodings
such as base64, and numbers written out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

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
            "øo đd łl ħh ŧt",
            # Armenian
            "օo ոn սu հh ցg զq",
        )
        for pair in group.split()
        if len(pair) == 2
    }
)

# Capitals look alike where their small letters do not: Greek Ν is an N, but ν a v.
_LOOK_ALIKE_CAPITALS: Final = str.maketrans(
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϺАВЕКМНОРСТУХЅІЈԌԜՕՍ", "ABEZHIKMNOPTYXCMABEKMHOPCTYXSIJGWOU"
)
_ASCII_WORD: Final = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text: characters [start, end) of the original, and its normal form."""

    start: int
    end: int
    key: str
    raw: str

    @property
    def capital(self) -> bool:
        """Whether it begins with an upper-case letter."""
        return self.raw[:1].isupper()

    @property
    def number(self) -> bool:
        """Whether it holds a digit."""
        return any(c.isdigit() for c in self.key)


@lru_cache(maxsize=4096)
def _plain(char: str) -> str:
    """A character in normal form: plain lower-case letters and digits, or nothing."""
    folded = unicodedata.normalize(
        "NFKD", unicodedata.normalize("NFKC", char).translate(_LOOK_ALIKE_CAPITALS).casefold()
    )
    kept = "".join(c for c in folded if unicodedata.category(c)[0] in "LN")
    return kept.translate(_LOOK_ALIKES)


@lru_cache(maxsize=4096)
def _invisible(char: str) -> bool:
    """Whether it takes no room: format and control characters, combining marks, fillers."""
    if char in "\u115f\u1160\u3164\uffa0":  # Hangul fillers: letters without a shape
        return True
    return unicodedata.category(char) in {"Cf", "Cc", "Mn", "Me"} and char not in "\n\t\r"


def words(text: str) -> tuple[Word, ...]:
    """The words of a text in order.

    A word is a run of letters and digits; an apostrophe ends it ("Elaine's" is "elaine" and
    "s"), a hyphen too. Invisible characters inside a word are passed over.
    """
    out: list[Word] = []
    offset = 0
    for line in text.splitlines(keepends=True):
        if line.isascii() and line.rstrip("\r\n").isprintable():
            for m in _ASCII_WORD.finditer(line):
                raw = m.group()
                out.append(Word(offset + m.start(), offset + m.end(), raw.lower(), raw))
        else:
            out.extend(_words_of_line(line, offset))
        offset += len(line)
    return tuple(out)


def _words_of_line(line: str, offset: int) -> Iterator[Word]:
    start, last, key = -1, -1, ""
    for at, char in enumerate(line):
        if _invisible(char):
            continue
        plain = _plain(char)
        if plain:
            if start < 0:
                start = at
            key += plain
            last = at
        elif start >= 0:
            yield Word(offset + start, offset + last + 1, key, line[start : last + 1])
            start, key = -1, ""
    if start >= 0:
        yield Word(offset + start, offset + last + 1, key, line[start : last + 1])


def joined(found: tuple[Word, ...], longest: int = LONGEST_KEY) -> Iterator[tuple[int, int, str]]:
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

    What cannot be seen cannot be checked by a person either, so it does not leave.
    """
    kept = "".join(c for c in text if not _hidden(c))
    return unicodedata.normalize("NFC", " ".join(kept.split()))


def _hidden(char: str) -> bool:
    return unicodedata.category(char) in {"Cf", "Cc", "Cs", "Co", "Cn"} and char not in "\n\t\r"
