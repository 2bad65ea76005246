"""What the shield shows: placeholders put into a text, and the way back and forth.

Only arithmetic on positions; what is private is decided elsewhere, and only `privacy.shield`
mints what comes out of here.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cogenesis.privacy.normal import Word
from cogenesis.privacy.released import FindingKind, Role, ShieldedText
from cogenesis.privacy.words import base

# Role of a span -> what the cloud reads. Every word of it is frequent in English.
_NAMES: Final[dict[Role, str]] = {
    "person": "person",
    "organisation": "group",
    "place": "place",
    "name": "name",
    "contact": "contact",
    "date": "date",
    "amount": "amount",
    "number": "number",
    "address": "address",
}
_OTHER: Final = "word"

PLACEHOLDER_BEGINS: Final = b"["
PLACEHOLDER_ENDS: Final = "]"

_NOT_PLAIN: Final = re.compile(r"[^\t\n\r\x20-\x7e]")


class Span(NamedTuple):
    """A private span: characters [start, end) of the real text, and what stands for it."""

    start: int
    end: int
    placeholder: str
    kind: FindingKind


class Piece(NamedTuple):
    """A stretch of the real text and of the shielded one; of equal length if `plain`."""

    real: int
    real_end: int
    shown: int
    shown_end: int
    plain: bool


@dataclass(frozen=True, slots=True)
class View:
    """S(text) at one point of a text.

    Attributes:
        released: what may leave.
        asks: whether the cloud may be asked here; False means that text is held back.
        spans: the private spans that `released` covers, in order.
        settled: characters of `released` that no continuation changes.
        real_chars: characters of the real text that `released` stands for.
        pieces: which stretch of the one text stands for which of the other, in order.
    """

    released: ShieldedText
    asks: bool
    spans: tuple[Span, ...] = field(repr=False)
    settled: int
    real_chars: int
    pieces: tuple[Piece, ...] = field(repr=False)

    def real_to_shielded(self, offset: int) -> int:
        """Where a position of the real text is in the shielded one.

        Raises:
            ValueError: inside a span, or in what is held back.
        """
        return _carried(self.pieces, offset, [p.real for p in self.pieces], back=False)

    def shielded_to_real(self, offset: int) -> int:
        """Where a position of the shielded text is in the real one.

        Raises:
            ValueError: inside a placeholder, or outside the text.
        """
        return _carried(self.pieces, offset, [p.shown for p in self.pieces], back=True)


class Shown(NamedTuple):
    """What a word is shown as. None for the role: as itself.

    `joined` says that the span of the word before goes on.
    """

    role: Role | None
    joined: bool
    kind: FindingKind


PLAIN: Final = Shown(None, joined=False, kind="run")


class Writing:
    """A shielded text as it is put together, and which stretch of it stands for what.

    Attributes:
        words: how many words are written.
        size: characters written.
        spans: so far, in order.
        pieces: so far, in order.
    """

    def __init__(self) -> None:
        self.words = 0
        self.size = 0
        self.spans: list[Span] = []
        self.pieces: list[Piece] = []
        self._at = 0  # of the real text
        self._parts: list[str] = []
        self._labels = _Labels()

    def copy(self) -> Writing:
        """The same, to be written on independently."""
        other = Writing()
        other.words, other.size, other._at = self.words, self.size, self._at
        other.spans, other.pieces = self.spans.copy(), self.pieces.copy()
        other._parts, other._labels = self._parts.copy(), self._labels.copy()
        return other

    def text(self) -> str:
        """All of it."""
        return "".join(self._parts)

    def write(self, text: str, found: Sequence[Word], shown: Sequence[Shown], until: int) -> None:
        """Write the words up to `until`; a span that goes on there is written whole or not yet."""
        i = self.words
        while i < until:
            role, first = shown[i].role, i
            i += 1
            if role is None:
                continue
            while i < until and shown[i].joined:
                i += 1
            start, stop = found[first].start, found[i - 1].end
            label = self._labels.of(found[first].key, role)
            self.plain(text, start)
            self._add(stop, label, plain=False)
            self.spans.append(Span(start, stop, label, shown[first].kind))
        self.words = until

    def plain(self, text: str, until: int) -> None:
        """Real text, less its invisible characters: nobody can see what they say."""
        for start, end, kept in _visible_parts(text, self._at, until):
            self._add(end, text[start:end] if kept else "", plain=kept)

    def carried(self, real: int) -> int:
        """Where a position of the real text is; that of a span's end inside a span."""
        at = bisect_right(self.pieces, real, key=lambda piece: piece.real) - 1
        if at < 0:
            return 0
        piece = self.pieces[at]
        return piece.shown + real - piece.real if piece.plain else piece.shown_end

    def _add(self, until: int, shown: str, *, plain: bool) -> None:
        last = self.pieces[-1] if self.pieces else None
        piece = Piece(self._at, until, self.size, self.size + len(shown), plain)
        if last is not None and plain and last.plain:
            self.pieces[-1] = last._replace(real_end=until, shown_end=piece.shown_end)
        else:
            self.pieces.append(piece)
        self._parts.append(shown)
        self._at, self.size = until, piece.shown_end


class _Labels:
    """Placeholders by span, numbered for each role in order of first appearance."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def copy(self) -> _Labels:
        other = _Labels()
        other._known, other._counts = self._known.copy(), self._counts.copy()
        return other

    def of(self, key: str, role: Role) -> str:
        """The placeholder of the span that begins with this word, in any inflection."""
        stem = base(key)
        if stem not in self._known:
            name = _NAMES.get(role, _OTHER)
            self._counts[name] = self._counts.get(name, 0) + 1
            self._known[stem] = f"[{name} {self._counts[name]}]"
        return self._known[stem]


def _visible_parts(text: str, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """Stretches of text[start:end] in order, and whether each can be seen."""
    if start >= end:
        return
    if not _NOT_PLAIN.search(text, start, end):
        yield start, end, True
        return
    stretch = text[start:end]
    seen = [not hidden_character(char) for char in stretch]
    begun = 0
    for i in range(1, len(seen) + 1):
        if i == len(seen) or seen[i] != seen[begun]:
            yield start + begun, start + i, seen[begun]
            begun = i


def hidden_character(char: str) -> bool:
    """Whether it takes no room: format and control characters, combining marks."""
    return char not in "\n\t\r" and unicodedata.category(char) in {
        "Cf", "Cc", "Cs", "Co", "Cn", "Mn", "Me",
    }  # fmt: skip


def _carried(pieces: Sequence[Piece], offset: int, starts: Sequence[int], *, back: bool) -> int:
    """Carry an offset over; the end of a stretch belongs to it as much as its beginning."""
    at = bisect_right(starts, offset) - 1
    if offset == 0 and not pieces:
        return 0
    if at >= 0:
        piece = pieces[at]
        begin, end = (piece.shown, piece.shown_end) if back else (piece.real, piece.real_end)
        other, other_end = (piece.real, piece.real_end) if back else (piece.shown, piece.shown_end)
        if offset == begin:
            return other
        if offset == end:
            return other_end
        if piece.plain and offset < end:
            return other + offset - begin
    raise ValueError("this position is inside a private span or in what is held back")
