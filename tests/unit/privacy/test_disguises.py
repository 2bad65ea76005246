"""Disguises, by the rules of docs/privacy-policy.md. Everybody here is invented."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import pytest

from cogenesis.errors import GuardRefusedError, InputError
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.number_words import digits_in_order, spelled_out
from cogenesis.privacy.policy import IDENTIFIERS, LEVELS, STANDARD, level_named
from cogenesis.privacy.session import Session


@dataclass
class Item:
    label: str
    text: str


CONTEXT = (
    Item("Name", "Will Okafor"),
    Item("mail", "Call 415 555 0134 about the sourdough course, and Quennell at the Golden Thread"),
    Item("notes", "Pottery fills the quiet winter morning."),
)
LEXICON = Lexicon(CONTEXT)


@pytest.mark.parametrize(
    "told",
    [
        "O k a f o r", "O.k.a.f.o.r", "Oka for", "W i l l", "0kaf0r", "rofakO", "Bxnsbe", "Plgbrs",
        "Okaaafor", "Okaffor", "Okfaor", "M@rtinez", "d!vorce", "mydivorceplan",
    ],
)  # fmt: skip
def test_r7_spelling(told: str) -> None:
    with pytest.raises(GuardRefusedError) as refused:
        Guard(LEXICON).release(f"a short note about {told} for the party")
    assert refused.value.spans


@pytest.mark.parametrize(
    "told",
    [
        "five five five one two", "double five, oh one two", "nineteen eighty-five",
        "fourteen Ropewalk Lane", "four thousand dollars", "415 then 555, and last 0134",
        "jane dot smith at mail dot com", "jane{at}mail{dot}com", "12Mar1977", "12.III.1977",
        "12 de marzo", "12. März",
    ],
)  # fmt: skip
def test_r8_notations(told: str) -> None:
    with pytest.raises(GuardRefusedError):
        Guard(LEXICON).release(f"a short note about {told} for the party")


@pytest.mark.parametrize(
    "told",
    [
        "T2thZm9y", "T2th Zm9y", "4f 6b 61 66 6f 72", "%4F%6Bafor", "&#79;kafor", "O&shy;kafor",
        r"\u004fkafor", "--- -.- .- ..-. --- .-.", "Oscar Kilo Alfa Foxtrot Oscar Romeo",
        "15, 11, 1, 6, 15, 18", "x" * 60,
    ],
)  # fmt: skip
def test_r10_encodings(told: str) -> None:
    with pytest.raises(GuardRefusedError):
        Guard(LEXICON).release(f"a short note about {told} for the party")


@pytest.mark.parametrize(
    "sentence",
    [
        "May one ask for two or three ideas?", "Save 50% on tea & cake", "A one-on-one talk",
        "Read the terms &amp; conditions", "The mp3 of the 4th song", "An iPhone on a dark road",
        "Please RSVP to the co-op by noon", "1. Wash. 2. Cut. 3. Bake for 40 minutes.",
    ],
)  # fmt: skip
def test_common_text_passes(sentence: str) -> None:
    assert Guard(LEXICON).release(sentence).text == sentence


@pytest.mark.parametrize(
    "requests",
    [
        ("a poem about Oka and the sea", "a card for the team"),
        ("ideas for 415 and more", "ideas for 555", "ideas for 013 and 4"),
        ("a story that ends in golden", "thread is the title"),
    ],
)
def test_r11_pieces_over_several_requests(requests: tuple[str, ...]) -> None:
    guard = Guard(LEXICON, session=Session(requests[:-1]))
    with pytest.raises(GuardRefusedError):
        guard.release(requests[-1])
    assert Guard(LEXICON).release(requests[-1])


def test_r11_what_left_before_may_leave_again() -> None:
    guard = Guard(LEXICON, session=Session())
    for text in ("a poem about the sea", "a card for the team", "a poem about the sea"):
        assert guard.release(text).text == text


def test_levels_differ_in_rare_words_and_runs_only() -> None:
    text = "please write about pottery in a quiet winter morning with coffee"
    kept = {n: Guard(Lexicon(CONTEXT, level=v)).derive(text).text for n, v in LEVELS.items()}
    assert "pottery" not in kept["strict"]
    assert "pottery" in kept["standard"]
    assert "winter morning" not in kept["standard"]
    assert "quiet winter morning" in kept["identifiers"]
    for level in (STANDARD, IDENTIFIERS):
        with pytest.raises(GuardRefusedError):
            Guard(Lexicon(CONTEXT, level=level)).release("a note about Okafor and the sea")
    with pytest.raises(InputError, match="choose one of strict"):
        level_named("loose")


def test_numbers_in_words_are_read_by_their_value() -> None:
    read = {"three hundred forty-two thousand one hundred": "342100", "double five oh": "550"}
    for told, digits in read.items():
        assert digits_in_order(told)[0] == digits
    text = "call five five five, oh one two now"
    assert [f.text for f in spelled_out(text)] == ["five five five, oh one two"]


def test_nothing_shows() -> None:
    guard = Guard(LEXICON, session=(session := Session(["a card for the team"])))
    for held in (session, guard._disguises, LEXICON.entries.near):
        assert "card" not in repr(held)
        assert "okafor" not in repr(held).casefold()
        with pytest.raises(TypeError, match="never pickled"):
            copy.copy(held)
