"""A view that does not fit its text is refused: the checked invariant of the shield.

Views are made by the real shield and then broken in every way that a mistake in the writer, in
its memo or in carrying positions over could break them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cogenesis.errors import EgressError
from cogenesis.privacy import shield as shield_module
from cogenesis.privacy.normal import Word, words
from cogenesis.privacy.released import _MINT, ShieldedText
from cogenesis.privacy.shield import Shield, View
from cogenesis.privacy.shield_check import check_view
from cogenesis.privacy.shield_view import PLAIN, Piece, Shown, Span, Writing
from tests.thorough.test_shield_properties import GENERAL, LEXICON, SHIELD, texts

TEXT = "We and Odalys Fenwright ate sourdough at the Golden Thread in the garden"
MASKED = Shown("name", joined=False, kind="identifier")


def decisions(view: View, text: str) -> tuple[tuple[Word, ...], list[Shown]]:
    """The words of a text, and what the shield decided, told from an unbroken view."""
    found = words(text)
    inside = [any(s.start <= w.start < s.end for s in view.spans) for w in found]
    until = sum(word.end <= view.real_chars for word in found)
    return found, [MASKED if hidden else PLAIN for hidden in inside[:until]]


def refused(broken: View, whole: View, text: str) -> bool:
    found, decided = decisions(whole, text)
    check_view(whole, text, found, decided)
    try:
        check_view(broken, text, found, decided)
    except EgressError as error:
        assert not any(word in str(error) for word in ("Odalys", "sourdough", "Golden"))
        return True
    return False


def released(view: View, text: str, pieces: Sequence[Piece] | None = None) -> View:
    return replace(
        view,
        released=ShieldedText(text, _MINT),
        pieces=view.pieces if pieces is None else tuple(pieces),
    )


def unmask(view: View, text: str, at: int) -> View:
    """What a writer that forgot a span would make: the real words, all positions in step."""
    shown, size = "", 0
    pieces: list[Piece] = []
    for number, piece in enumerate(view.pieces):
        open_ = number == at
        part = view.released.text[piece.shown : piece.shown_end]
        part = text[piece.real : piece.real_end] if open_ else part
        plain = piece.plain or open_
        pieces.append(Piece(piece.real, piece.real_end, size, size + len(part), plain))
        size, shown = size + len(part), shown + part
    masked = view.pieces[at]
    spans = [span for span in view.spans if span.start != masked.real]
    return replace(released(view, shown, pieces), spans=tuple(spans), settled=0)


@settings(max_examples=80, deadline=None)
@given(texts(), st.integers(0, 9))
def test_a_span_that_is_shown_is_refused(text: str, pick: int) -> None:
    view = SHIELD.view(text)
    masked = [i for i, piece in enumerate(view.pieces) if not piece.plain]
    assume(masked)
    assert refused(unmask(view, text, masked[pick % len(masked)]), view, text)


@settings(max_examples=80, deadline=None)
@given(texts(), st.integers(0, 99), st.integers(0, 3), st.sampled_from((-2, -1, 1, 2)))
def test_a_position_that_is_off_is_refused(text: str, pick: int, which: int, by: int) -> None:
    view = SHIELD.view(text)
    assume(view.pieces)
    at = pick % len(view.pieces)
    pieces = list(view.pieces)
    name = Piece._fields[which]
    pieces[at] = pieces[at]._replace(**{name: getattr(pieces[at], name) + by})
    assert refused(replace(view, pieces=tuple(pieces)), view, text)


@settings(max_examples=80, deadline=None)
@given(texts(), st.integers(0, 99), st.sampled_from("xQ7[ "))
def test_a_character_that_is_not_the_texts_is_refused(text: str, pick: int, char: str) -> None:
    view = SHIELD.view(text)
    shown = view.released.text
    assume(shown)
    at = pick % len(shown)
    assume(shown[at] != char)
    assert refused(released(view, shown[:at] + char + shown[at + 1 :]), view, text)
    assert refused(released(view, shown + char), view, text)
    assert refused(released(view, shown[:-1]), view, text)


@settings(max_examples=60, deadline=None)
@given(texts(), st.integers(0, 99))
def test_a_piece_or_a_span_that_is_missing_or_twice_is_refused(text: str, pick: int) -> None:
    view = SHIELD.view(text)
    assume(view.pieces and view.spans)
    at, which = pick % len(view.pieces), pick % len(view.spans)
    pieces, spans = view.pieces, view.spans
    assert refused(replace(view, pieces=pieces[:at] + pieces[at + 1 :]), view, text)
    assert refused(replace(view, pieces=pieces[: at + 1] + pieces[at:]), view, text)
    assert refused(replace(view, spans=spans[:which] + spans[which + 1 :]), view, text)
    assert refused(replace(view, spans=spans[: which + 1] + spans[which:]), view, text)


@settings(max_examples=60, deadline=None)
@given(texts(), st.sampled_from((-1, 1)))
def test_an_end_that_is_off_is_refused(text: str, by: int) -> None:
    view = SHIELD.view(text)
    assume(text)
    assert refused(replace(view, real_chars=view.real_chars + by), view, text)
    assert refused(replace(view, settled=len(view.released.text) + 1), view, text)
    if not view.asks:
        assert refused(replace(view, asks=True), view, text)


Change = Callable[[Span], Span]


@pytest.mark.parametrize(
    "change",
    [
        lambda span: span._replace(placeholder="[person 0]"),
        lambda span: span._replace(placeholder="[Odalys 1]"),
        lambda span: span._replace(placeholder="Odalys"),
        lambda span: span._replace(placeholder=""),
        lambda span: span._replace(start=span.start - 4),
        lambda span: span._replace(end=span.end + 4),
        lambda span: span._replace(end=span.end - 1),
    ],
)
def test_a_placeholder_is_one_and_covers_its_words(change: Change) -> None:
    """Also where the pieces, the spans and what is shown agree with each other."""
    view = SHIELD.view(TEXT + "\n")
    at = next(i for i, piece in enumerate(view.pieces) if not piece.plain)
    span = change(view.spans[0])
    shown, size = "", 0
    pieces: list[Piece] = []
    for number, piece in enumerate(view.pieces):
        real, real_end = piece.real, piece.real_end
        if number == at:
            real, real_end, part = span.start, span.end, span.placeholder
        else:
            real_end = span.start if number == at - 1 else real_end
            real = span.end if number == at + 1 else real
            part = view.released.text[piece.shown : piece.shown_end]
            part = TEXT[real:real_end] if piece.plain else part
            part += "\n" if number == len(view.pieces) - 1 else ""
        pieces.append(Piece(real, real_end, size, size + len(part), piece.plain))
        size, shown = size + len(part), shown + part
    broken = replace(released(view, shown, pieces), spans=(span, *view.spans[1:]), settled=0)
    assert refused(broken, view, TEXT + "\n")


def test_words_that_are_not_those_of_the_text_are_refused() -> None:
    """A memo of an earlier text that went wrong, or a word that the shield never looked at."""
    text = "We ate in the garden in spring "
    view = SHIELD.view(text)
    found, decided = decisions(view, text)
    check_view(view, text, found, decided)
    moved = [word._replace(start=word.start + 1, end=word.end + 1) for word in found]
    for wrong in (found[1:], found[:2] + found[3:], found[:-1], moved, (found[1], found[0])):
        with pytest.raises(EgressError, match="does not fit"):
            check_view(view, text, wrong, decided[: len(wrong)])


def test_a_plain_word_inside_a_span_is_refused_and_a_private_one_outside() -> None:
    view = SHIELD.view(TEXT + "\n")
    found, decided = decisions(view, TEXT + "\n")
    for at, how in enumerate(decided):
        other = MASKED if how is PLAIN else PLAIN
        with pytest.raises(EgressError, match="does not fit"):
            check_view(view, TEXT + "\n", found, [*decided[:at], other, *decided[at + 1 :]])


def test_characters_that_cannot_be_seen_are_never_shown() -> None:
    text = "we \u200bate "
    view = SHIELD.view(text)
    assert view.released.text == "we ate "
    shown = released(view, text, [Piece(0, len(text), 0, len(text), plain=True)])
    assert refused(replace(shown, settled=0), view, text)


def test_a_writer_that_forgets_to_mask_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole shield, with its writer broken: nothing comes out that could be sent."""

    def forgetful(
        self: Writing, text: str, found: Sequence[Word], shown: Sequence[Shown], until: int
    ) -> None:
        self.words = until

    monkeypatch.setattr(Writing, "write", forgetful)
    shield = Shield(LEXICON, GENERAL)
    assert shield.view("We ate in the garden ").released.text == "We ate in the garden "
    with pytest.raises(EgressError, match="so nothing is sent"):
        shield.view(TEXT + "\n")


def test_a_memo_of_another_text_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the fold take two texts for one, positions are off by what differs."""
    shield = Shield(LEXICON, GENERAL)
    shield.view("We ate in the garden and spring began ")
    monkeypatch.setattr(shield_module, "_common", lambda a, b: len(a))
    with pytest.raises(EgressError, match="so nothing is sent"):
        shield.view("They said that Odalys is in the garden and spring began today, with us ")
