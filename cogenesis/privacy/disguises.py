"""Private matter in disguise: what `privacy.readings` reads and `privacy.number_words` counts.

The guard asks here beside its own rules. What is found is never let through as a topic word:
nobody can see in a preview what a disguise says.

* Identifiers and sensitive words in the plain reading of odd pieces; rare words and runs of
  the context as well, where the guard looks for those.
* Text that is encoded, or spelled letter by letter and no known word: whatever it says.
* Numbers written out in words, and a number of the context whose digits stand anywhere in the
  text, in order ("415 then 555, and last 0134").

Not covered: what `readings`, `encodings` and `number_words` list; a number of the context of
fewer than six digits told in pieces; the shield, which does not look for disguises: it reads
what the device model writes, not what somebody types.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.near import DIGITS, LONGEST_NUMBER
from cogenesis.privacy.number_words import digits_in_order, overlapping, spelled_out
from cogenesis.privacy.readings import Reader, Reading
from cogenesis.privacy.released import Finding

_KEPT: Final = 8
"""Texts whose findings are kept: one instruction is judged several times."""


class Disguises:
    """Finds disguised private matter for one context. Never shown, never pickled."""

    __slots__ = ("_lexicon", "_memory", "_reader")

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._reader = Reader(lexicon.entries)
        self._memory: dict[tuple[str, bool], tuple[Finding, ...]] = {}

    def __repr__(self) -> str:
        return "Disguises(hidden)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("private words are never pickled")

    def find(self, text: str, *, particulars: bool = False) -> tuple[Finding, ...]:
        """Disguised identifiers and sensitive words; with `particulars` class 4 as well."""
        key = (text, particulars)
        if key not in self._memory:
            found = tuple(self._found(text, particulars=particulars))
            if len(self._memory) >= _KEPT:
                self._memory.clear()
            self._memory[key] = found
        return self._memory[key]

    def _found(self, text: str, *, particulars: bool) -> Iterator[Finding]:
        yield from spelled_out(text)
        yield from self._number_in_pieces(text)
        reading = self._reader.read(text)
        if reading is None:
            return
        for start, end in reading.closed:
            yield Finding(start, end, "identifier", "name", text[start:end])
        yield from spelled_out_in(reading, text)
        yield from self._in_reading(reading, text, particulars=particulars)

    def _in_reading(self, reading: Reading, text: str, *, particulars: bool) -> Iterator[Finding]:
        lexicon = self._lexicon
        # "h.i.v." is seen without a reading, so that a preview can name it.
        seen = lexicon.sensitive(text)
        classes = [lexicon.identifiers, lexicon.sensitive]
        if particulars:
            classes += [lexicon.rare, *([lexicon.runs] if lexicon.level.runs else [])]
        for find in classes:
            for finding in find(reading.text):
                placed = _placed(reading, text, finding)
                if placed is None:
                    continue
                if finding.kind != "sensitive" or not any(
                    f.start < placed.end and placed.start < f.end for f in seen
                ):
                    yield placed

    def _number_in_pieces(self, text: str) -> Iterator[Finding]:
        digits, places = digits_in_order(text)
        if len(digits) < DIGITS:
            return
        span = piece_of(digits, self._lexicon.entries.near.numbers)
        if span is not None:
            start, end = places[span[0]][0], places[span[1] - 1][1]
            yield Finding(start, end, "identifier", "number", text[start:end], "context")


def piece_of(digits: str, numbers: frozenset[str]) -> tuple[int, int] | None:
    """The stretch of a row of digits that holds all of these numbers, also backwards."""
    size = len(digits)
    hits: list[tuple[int, int]] = []
    for start in range(size - DIGITS + 1):
        for end in range(start + DIGITS, min(size, start + LONGEST_NUMBER) + 1):
            piece = digits[start:end]
            if piece in numbers or piece[::-1] in numbers:
                hits.append((start, end))
    return (min(hits)[0], max(end for _, end in hits)) if hits else None


def spelled_out_in(reading: Reading, text: str) -> Iterator[Finding]:
    """Numbers in words that only the plain reading shows."""
    for finding in spelled_out(reading.text):
        if (placed := _placed(reading, text, finding)) is not None:
            yield placed


def _placed(reading: Reading, text: str, finding: Finding) -> Finding | None:
    """A finding of the reading as one of the text, if it touches what was read otherwise."""
    touched = overlapping(reading.changed, finding.start, finding.end)
    if not touched:
        return None
    first = min(finding.start, touched[0][0])
    last = max(finding.end, touched[-1][1])
    start, end = reading.places[first], reading.places[min(last, len(reading.places)) - 1] + 1
    return replace(finding, start=start, end=end, text=text[start:end])
