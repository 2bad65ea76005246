"""What a context's identifiers look like with one letter wrong, or their digits alone.

Built once for a context, on first use: it costs about as much as a tenth of its lexicon.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

DIGITS: Final = 6
"""Digits from which on a number is looked for in pieces."""

LONGEST_NUMBER: Final = 24
_SHORTEST: Final = 6
_LONGEST: Final = 24
_REPEATED: Final = re.compile(r"(.)\1+")


class Near:
    """Tables of the identifiers of one context. Never shown, never pickled.

    Attributes:
        misspelt: identifiers of six letters or more, by themselves without any one letter.
        squeezed: identifiers of five letters or more, by themselves without doubled letters.
        numbers: digits of every identifier that has six of them or more.
    """

    __slots__ = ("misspelt", "numbers", "squeezed")

    def __init__(self, keys: Iterable[str]) -> None:
        self.misspelt: dict[str, str] = {}
        self.squeezed: dict[str, str] = {}
        numbers: set[str] = set()
        for key in keys:
            if key.isalpha():
                self._add(key)
            digits = "".join(c for c in key if c.isdigit())
            if DIGITS <= len(digits) <= LONGEST_NUMBER:
                numbers.add(digits)
        self.numbers = frozenset(numbers)

    def __repr__(self) -> str:
        return "Near(hidden)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("private words are never pickled")

    def _add(self, key: str) -> None:
        if len(key) >= _SHORTEST - 1:
            self.squeezed.setdefault(squeezed(key), key)
        if _SHORTEST <= len(key) <= _LONGEST:
            self.misspelt.setdefault(key, key)
            for form in without_one(key):
                self.misspelt.setdefault(form, key)


def without_one(key: str) -> Iterator[str]:
    """A word without each of its letters in turn."""
    return (key[:i] + key[i + 1 :] for i in range(len(key)))


def squeezed(key: str) -> str:
    """A word with every letter once where it stands several times in a row."""
    return _REPEATED.sub(r"\1", key)
