"""The alignment of a real text and its shielded one, checked once more before it is used.

The writer (`shield_view.Writing`) puts both texts together piece by piece. This reads what came
out, with other code, and knows only the real text, its words and what was decided about each:
so a mistake in the writer, in its memo of earlier texts or in a position that was carried over
refuses the text instead of showing a private word or asking about the wrong place.

Not covered: what was decided about a word. That is the shield's part, and it is looked at by
tests that share no code with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from cogenesis.errors import EgressError
from cogenesis.privacy.normal import Word
from cogenesis.privacy.shield_view import Piece, Shown, Span, View, hidden_character

_PLACEHOLDER: Final = re.compile(
    r"\[(?:person|group|place|name|contact|date|amount|number|address|word) [1-9][0-9]*\]"
)
_WRITTEN: Final = re.compile(r"[A-Za-z0-9]")
_PLAIN: Final = re.compile(r"[\t\n\r\x20-\x7e]*")


def check_view(view: View, text: str, words: Sequence[Word], decided: Sequence[Shown]) -> None:
    """Refuse a view that does not fit the text it stands for.

    What has to hold: the pieces tile both texts without a gap; a plain piece is the same in
    both; every other piece is a placeholder, or nothing where the real text has characters that
    cannot be seen; the placeholders are the spans, one by one; the words are those of the text,
    all of them; every private word is inside a span, no other word touches one, and no span
    reaches over its words.

    Args:
        view: what the shield made.
        text: the real text.
        words: of the real text, in order.
        decided: for the first of them what each is shown as; the view ends before the others.

    Raises:
        EgressError: it does not fit; nothing may be sent. The message holds no text.
    """
    fine = (
        _fits(view, text)
        and _pieces_fit(view.pieces, text, view.released.text)
        and _spans_are_pieces(view)
        and _words_fit(words[: len(decided)], text, view.real_chars)
        and _spans_are_private(view.spans, words, decided)
    )
    if not fine:
        raise EgressError(
            "the shielded text does not fit the real one, so nothing is sent: "
            "use --mode device, and report this"
        )


def _fits(view: View, text: str) -> bool:
    """Whether both texts are covered, from their beginning to where the view ends."""
    shown, real = len(view.released.text), view.real_chars
    last = view.pieces[-1] if view.pieces else Piece(0, 0, 0, 0, plain=True)
    whole = real == len(text) if view.asks else 0 <= real <= len(text)
    return whole and (last.real_end, last.shown_end) == (real, shown) and 0 <= view.settled <= shown


def _pieces_fit(pieces: Sequence[Piece], text: str, shown: str) -> bool:
    """Whether the pieces follow each other, and those that are plain are equal in both texts."""
    at = at_shown = 0
    for real, real_end, begin, end, plain in pieces:
        if real != at or begin != at_shown or real_end <= real or end < begin:
            return False
        at, at_shown = real_end, end
        if plain:
            same = shown[begin:end]
            if text[real:real_end] != same or not _can_be_seen(same):
                return False
        elif begin == end and not all(map(hidden_character, text[real:real_end])):
            return False
    return True


def _can_be_seen(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None or not any(map(hidden_character, text))


def _spans_are_pieces(view: View) -> bool:
    """Whether what is neither plain nor invisible is the spans, in order, and looks like it."""
    shown = view.released.text
    masked = [piece for piece in view.pieces if not piece.plain and piece.shown != piece.shown_end]
    return len(masked) == len(view.spans) and all(
        (piece.real, piece.real_end) == (span.start, span.end)
        and shown[piece.shown : piece.shown_end] == span.placeholder
        and _PLACEHOLDER.fullmatch(span.placeholder) is not None
        and not piece.shown < view.settled < piece.shown_end
        for piece, span in zip(masked, view.spans, strict=True)
    )


def _words_fit(words: Sequence[Word], text: str, until: int) -> bool:
    """Whether these are the words of the text, and no letter up to there is in none of them."""
    at = 0
    for start, end, _, raw in words:
        there = text[start:end]
        if start < at or (there != raw and there.isascii()):
            return False
        if text[at:start] != " " and _WRITTEN.search(text, at, start):
            return False
        at = end
    return at <= until and _WRITTEN.search(text, at, until) is None


def _spans_are_private(
    spans: Sequence[Span], words: Sequence[Word], decided: Sequence[Shown]
) -> bool:
    """Whether spans and private words cover each other, to the character."""
    at, reached = 0, -1  # the span that comes next, and how far its words go so far
    for word, how in zip(words, decided, strict=False):
        while at < len(spans) and spans[at].end <= word.start:
            if reached != spans[at].end:
                return False
            at, reached = at + 1, -1
        inside = at < len(spans) and spans[at].start < word.end
        if inside != (how.role is not None):
            return False
        if inside:
            span = spans[at]
            if word.end > span.end or (reached < 0 and word.start != span.start):
                return False
            reached = word.end
    return at == len(spans) or (at == len(spans) - 1 and reached == spans[at].end)
