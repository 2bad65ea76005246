"""What a text says if its disguises are taken off: the plain reading of odd words.

A word is *odd* if no dictionary has it and the frequency list hardly does, or if letters stand
alone in a row. An odd piece of text is read in other ways: letters put together ("O k a f o
r"), neighbours put together ("Oka for"), a sensitive word inside a longer one ("mydivorceplan"),
signs and digits as letters ("M@rt1nez"), backwards, shifted in the alphabet (rot13 and others),
doubled letters once, one letter wrong. The first reading that says something private, or an
ordinary word, takes the piece's place. The rules for private words then judge the reading as
they judge any text.

Not covered: a disguise that is itself an ordinary word ("green" is "terra" in rot13, "Leon" is
"Noel" backwards); names under six letters with one letter wrong, and two wrong letters; under
five letters with another shift than rot13; letters with other letters or words between them
(acrostics, "Oxkxaxfxoxr"); ciphers with a key.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from cogenesis.privacy.encodings import Encoded, blocks, escapes, spoken_letters
from cogenesis.privacy.entries import Entries
from cogenesis.privacy.near import squeezed, without_one
from cogenesis.privacy.normal import LONGEST_KEY, Word, words
from cogenesis.privacy.words import (
    families,
    names,
    ordinary,
    sensitive,
    sensitive_if_personal,
    sensitive_sequences,
    zipf,
)

KNOWN_FROM: Final = 3.0
"""Zipf frequency from which a word that no dictionary has is no odd one: in common use."""

_READABLE_FROM: Final = 3.5
"""Zipf frequency from which a reading that is an ordinary word is believed."""

_SENSITIVE_INSIDE: Final = 6
_PIECES: Final = 5
_LONGEST: Final = 24
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_SHIFTS: Final = tuple(
    str.maketrans(_LETTERS, _LETTERS[shift:] + _LETTERS[:shift]) for shift in (13, *range(1, 26))
)
_ATBASH: Final = str.maketrans(_LETTERS, _LETTERS[::-1])
_SIGNED: Final = re.compile(
    r"[^\W_]{0,40}[@$!|€+0-9][\w@$!|€+]{0,40}|[@$€|][^\W\d_][\w@$!|€+]{0,40}"
)
_AS_LETTERS: Final = tuple(
    str.maketrans("@$!|€+013456789", f"as{i}{i}eto{i}easbtb{g}")
    for i, g in (("i", "g"), ("l", "q"), ("i", "q"), ("l", "g"))
)
_ALONE_GAP: Final = 3
_COMMON: Final = 5.5
"""Zipf frequency of words that stand beside anything: "as her" is no name in pieces."""
_NATO_GAP: Final = re.compile(r"[\s,.\-–—/]{1,3}")


class Piece(NamedTuple):
    """Characters [start, end) of the original read as `text`; `closed`: refused outright."""

    start: int
    end: int
    text: str
    closed: bool = False


class Reading(NamedTuple):
    """A text with its odd pieces read: where each character stood, and what was changed."""

    text: str
    places: Sequence[int]
    changed: Sequence[tuple[int, int]]
    """Spans of the reading that differ from the original, in order and apart."""
    closed: Sequence[tuple[int, int]]
    """Spans of the original that must not leave, whatever they say."""


class Reader:
    """Reads odd pieces for one context. Never shown, never pickled."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Entries) -> None:
        self._entries = entries

    def __repr__(self) -> str:
        return "Reader(hidden)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("private words are never pickled")

    def read(self, text: str) -> Reading | None:
        """The plain reading, None where nothing is odd."""
        first = [Piece(*e) for e in escapes(text)]
        places: Sequence[int] = range(len(text))
        changed: list[tuple[int, int]] = []
        closed = [(p.start, p.end) for p in first if p.closed]
        shown = text
        if first:
            shown, places, changed = _replaced(text, first)
        second = _apart(self._pieces(shown), len(shown))
        if not first and not second:
            return None
        closed += [(places[p.start], places[p.end - 1] + 1) for p in second if p.closed]
        out, within, later = _replaced(shown, second)
        for a, b in changed:
            start, end = bisect_left(within, a), bisect_left(within, b)
            # A decoded sign that is no character ("&shy;") still marks the place that it joins.
            later.append((start, end) if b > a else (max(0, start - 1), start + 1))
        return Reading(out, [places[i] for i in within], _joined(later), closed)

    # -- odd pieces ---------------------------------------------------------------------------

    def _pieces(self, text: str) -> Iterator[Piece]:
        found = words(text)
        yield from (Piece(*e) for e in blocks(text, _odd_chunk) if self._tells(e))
        for first, last, letters in spoken_letters([w.key for w in found]):
            if all(
                _NATO_GAP.fullmatch(text, a.end, b.start) for a, b in _pairs(found, first, last)
            ):
                yield Piece(
                    found[first].start, found[last - 1].end, letters, closed=last - first > 3
                )
        yield from self._letters_apart(text, found)
        yield from self._signs(text)
        yield from self._put_together(text, found)
        for word in found:
            if len(word.key) > LONGEST_KEY:  # no word is so long: anything may be in it
                yield Piece(word.start, word.end, "", closed=True)
            elif _odd(word.key) and (plain := self._plain(word.key)) is not None:
                yield Piece(word.start, word.end, _cased(plain, word.raw))

    def _tells(self, block: Encoded) -> bool:
        return block.closed or any(self._private(w.key) for w in words(block.text))

    def _letters_apart(self, text: str, found: Sequence[Word]) -> Iterator[Piece]:
        """Letters standing alone in a row; a wider gap parts words."""
        i = 0
        while i < len(found):
            last = i
            while (
                last < len(found)
                and len(found[last].key) == 1
                and (last == i or _alone(text, found[last - 1], found[last]))
            ):
                last += 1
            if last - i >= 3:
                yield from self._letter_words(found[i:last])
            i = max(last, i + 1)

    def _letter_words(self, letters: Sequence[Word]) -> Iterator[Piece]:
        gaps = [b.start - a.end for a, b in pairwise(letters)]
        usual, start = min(gaps), 0
        for i in range(1, len(letters) + 1):
            if i < len(letters) and gaps[i - 1] == usual:
                continue
            group = letters[start:i]
            start = i
            key, raw = "".join(w.key for w in group), "".join(w.raw for w in group)
            if len(group) < 3 or key.isdigit():
                continue
            if len(key) > LONGEST_KEY:
                yield Piece(group[0].start, group[-1].end, "", closed=True)
                continue
            plain = key if self._sensible(key) else self._plain(key)
            strange = plain is None and len(key) > 3 and zipf(key) < KNOWN_FROM
            if plain is not None or strange:
                told = raw if plain == key or plain is None else _cased(plain, raw)
                yield Piece(group[0].start, group[-1].end, told, closed=strange)

    def _signs(self, text: str) -> Iterator[Piece]:
        for m in _SIGNED.finditer(text):
            form = m.group().lower()
            if sum(c.isalpha() for c in form) < 2 or len(form) < 3 or _odd_free(form):
                continue
            forms = (form, form.rstrip("!")) if form[-1] == "!" else (form,)
            told = (f.translate(table) for f in forms for table in _AS_LETTERS)
            keys = ("".join(w.key for w in words(t)) for t in told)
            if (plain := next((k for k in keys if self._sensible(k)), None)) is not None:
                yield Piece(m.start(), m.end(), _cased(plain, m.group()))

    def _put_together(self, text: str, found: Sequence[Word]) -> Iterator[Piece]:
        """Neighbours of which at least one is odd, that are a word together."""
        odd = [piece_like(w) for w in found]
        for i, word in enumerate(found):
            key, joints = word.key, set[int]()
            for last in range(i + 2, min(len(found), i + _PIECES) + 1):
                joints.add(len(key))
                key += found[last - 1].key
                if len(key) > _LONGEST or not _alone(text, found[last - 2], found[last - 1]):
                    break
                if not any(odd[i:last]) or len(key) < 4:
                    continue
                told = key if self._sensible(key) else self._plain(key, joints)
                if told is not None:
                    raw = "".join(w.raw for w in found[i:last])
                    yield Piece(word.start, found[last - 1].end, _cased(told, raw))

    # -- what an odd word may say ---------------------------------------------------------------

    def _sensible(self, key: str) -> bool:
        return self._private(key) or (
            len(key) > 3 and ordinary(key) and zipf(key) >= _READABLE_FROM
        )

    def _private(self, key: str) -> bool:
        """Whether a word is private by itself, whatever its case."""
        if len(key) < 3:
            return False
        held = self._entries
        return (
            any(form in held.keys or form in held.capital_keys for form in families(key))
            or not held.rare.isdisjoint(families(key))
            or sensitive(key) is not None
            or (len(key) > 4 and key in names())
        )

    def _named(self, key: str) -> bool:
        held = self._entries
        return key in held.keys or key in held.capital_keys or sensitive(key) is not None

    def _plain(self, key: str, joints: Collection[int] | None = None) -> str | None:
        """Another reading of an odd word that says something, if there is one.

        `joints`: where words were put together to make it. What one of them says alone is
        then read without this, and no misspelling is looked for.
        """
        if len(key) < 3 or key.isdigit():
            return None
        for inside in _sensitive_pieces().finditer(key):
            if joints is None or any(inside.start() < at < inside.end() for at in joints):
                return inside.group()
        simple = (key[::-1], key.translate(_SHIFTS[0]), key.translate(_ATBASH))
        for plain in simple:
            if self._private(plain):
                return plain
        if len(key) > 4:
            for table in _SHIFTS[1:]:
                if self._named(plain := key.translate(table)):
                    return plain
            if joints is None and (near := self._misspelling(key)) is not None:
                return near
        return next((p for p in simple if len(p) > 3 and self._sensible(p)), None)

    def _misspelling(self, key: str) -> str | None:
        """The identifier of the context that an odd word is with one letter wrong."""
        near = self._entries.near
        if (told := near.squeezed.get(squeezed(key))) is not None and told != key:
            return told
        if len(key) < 5 or key in self._entries.keys:
            return None
        for form in (key, *without_one(key)):
            if (told := near.misspelt.get(form)) is not None and abs(len(told) - len(key)) <= 1:
                return told
        return None


@cache
def _sensitive_pieces() -> re.Pattern[str]:
    joined = {"".join(sequence) for sequence in sensitive_sequences()}
    long = (k for k in joined if len(k) >= _SENSITIVE_INSIDE and not sensitive_if_personal(k))
    return re.compile("|".join(sorted(long, key=lambda k: (-len(k), k))))


@lru_cache(maxsize=20_000)
def _odd(key: str) -> bool:
    """Whether a word is in no dictionary and hardly in use."""
    return not key.isdigit() and not ordinary(key) and zipf(key) < KNOWN_FROM


def piece_like(word: Word) -> bool:
    """Whether a word may be a piece of one: it is none by itself, or a letter that is none."""
    key = word.key
    if len(key) == 1:
        return key not in {"a", "i", "s", "t", "d", "m"} and not key.isdigit()
    if key.isdigit() or zipf(key) >= _COMMON:
        return False
    return not (ordinary(key) and (len(key) > 3 or zipf(key) >= 4.5))


def _odd_chunk(chunk: str) -> bool:
    """Whether a chunk between spaces looks like no words: for encodings of six bits a letter."""
    found = words(chunk)
    return chunk[-1] == "=" or any(
        _odd(w.key)
        or (w.number and not w.key.isdigit())
        or not (w.raw.islower() or w.raw.isupper() or w.raw.istitle())
        or (len(w.key) <= 3 and not ordinary(w.key))
        for w in found
    )


def _odd_free(form: str) -> bool:
    """ "4th", "10am", "mp3", "24h": digits beside letters that stand for themselves."""
    return bool(re.fullmatch(r"\d+[a-z]{1,4}|[a-z]{1,3}\d{1,2}", form))


def _alone(text: str, left: Word, right: Word) -> bool:
    gap = text[left.end : right.start]
    return len(gap) <= _ALONE_GAP and not any(c in '"“”' for c in gap)


def _pairs(found: Sequence[Word], first: int, last: int) -> Iterator[tuple[Word, Word]]:
    return pairwise(found[first:last])


def _cased(key: str, raw: str) -> str:
    """A reading with a capital if the piece has one anywhere."""
    return key.capitalize() if any(c.isupper() for c in raw) else key


def _apart(pieces: Iterator[Piece], size: int) -> list[Piece]:
    """Pieces of a text of that size that do not overlap: the first one found wins."""
    out: list[Piece] = []
    taken = bytearray(size)
    for piece in pieces:
        if not any(taken[piece.start : piece.end]):
            taken[piece.start : piece.end] = b"\1" * (piece.end - piece.start)
            out.append(piece)
    return sorted(out)


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that overlap as one."""
    out: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if out and start < out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def _replaced(text: str, pieces: Sequence[Piece]) -> tuple[str, list[int], list[tuple[int, int]]]:
    """The text with its pieces read, where each character stood, and the new spans."""
    shown: list[str] = []
    places: list[int] = []
    changed: list[tuple[int, int]] = []
    at = 0
    for piece in pieces:
        shown += [text[at : piece.start], piece.text]
        places += range(at, piece.start)
        begun = len(places)
        if piece.text:
            places += [*[piece.start] * (len(piece.text) - 1), piece.end - 1]
        changed.append((begun, len(places)))
        at = piece.end
    shown.append(text[at:])
    places += range(at, len(text))
    return "".join(shown), places, changed
