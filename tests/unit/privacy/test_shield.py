"""What the cloud sees of a growing text. Everybody here is invented."""

from __future__ import annotations

import pickle
import threading
from dataclasses import dataclass

import pytest

from cogenesis.errors import EgressError
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.released import Released, ShieldedText
from cogenesis.privacy.released_body import release_body
from cogenesis.privacy.shield import Shield, View
from cogenesis.wire import Text


@dataclass
class Item:
    label: str
    text: str


LEXICON = Lexicon(
    (
        Item("Name", "Odalys Fenwright"),
        Item("Age", "47"),
        Item("Location", "Corvallis, Oregon"),
        Item("calendar", "Dinner with Jo Quillfeather at the Golden Thread, 12 Maple Street"),
        Item("calendar", "Check-up at Saltmarsh Clinic; then see Theodora and Mark"),
        Item("mail", "Write to quillbakes@mail.example about the sourdough fermentation course"),
        Item("writing 1", "Every quiet winter morning begins with strong black coffee and a plan."),
    )
)
GENERAL = Guard(LEXICON).release("Friendly Letter on Spring Baking for Better Gardens")
SHIELD = Shield(LEXICON, GENERAL)


def shown(text: str) -> str:
    return SHIELD.view(text).released.text


@pytest.mark.parametrize(
    ("text", "released"),
    [
        ("", ""),
        ("We ate at six", "We ate at six"),
        ("I wrote to Odalys and", "I wrote to [person 1] and"),
        (
            "Odalys Fenwright, then Odalys, then Quillfeather.",
            "[person 1], then [person 1], then [name 1].",
        ),
        ("We met at the Golden Thread today", "We met at the [name 1] today"),
        ("the golden thread of it", "the [name 1] of it"),
        ("the golden thing of it", "the golden thing of it"),
        ("call 555-0123 now", "call [contact 1] now"),
        ("see 12 Maple Street now", "see [address 1] now"),
        ("on March 5 we went", "on [date 1] we went"),
        ("mail a@b.example for more", "mail [contact 1] for more"),
        ("my divorce was hard", "my [word 1] was hard"),  # never "[law 1]"
        ("sourdough and more sourdough", "[word 1] and more [word 1]"),
        ("a quiet winter morning begins", "a quiet winter [word 1] [word 2]"),
        ("so, turning 47 is fine", "so, turning [number 1] is fine"),
        ("the 47 people who came to us", "the 47 people who came to us"),
        ("o d a l y s wrote", "[word 1] wrote"),  # five letters of it are enough
        ("my 東京 trip", "my [name 1] trip"),
        # Words of the general instruction may leave, also where they look like a name.
        ("It is about Better Gardens and baking", "It is about Better Gardens and baking"),
    ],
)
def test_what_is_shown_of_a_text(text: str, released: str) -> None:
    view = SHIELD.view(text)
    assert view.released.text == released
    assert view.asks


@pytest.mark.parametrize(
    "text",
    [
        "I wrote to odal",  # of Odalys
        "I wrote to Tho",  # no word, could be anything
        "golden",  # of Golden Thread: held from the first word, whatever it is
        "golden ",
        "golden thr",
        "at saltmar",
        "call 555-01",
        "call 555 ",
        "see 12 ",
        "see 12 Maple ",
        "on March ",
        "we may ",  # "5"
        "Looking",  # "Looking Glass Inc."
        "the sourd",
        "the fermentat",
        "a quiet winter morn",
        "odal ys and odal ",  # pieces
        "sunny.d",
        "zorblat.",  # "com"
        "Mark",  # as it stands a name, but "Market" would be none
        "the mental ",  # "health"
        "the 47 ",  # "years old"
        "Tho\u200b",  # still inside the word
        "x@y.exa",
    ],
)
def test_where_the_cloud_is_not_asked(text: str) -> None:
    view = SHIELD.view(text)
    assert not view.asks
    assert view.real_chars < len(text)


@pytest.mark.parametrize(
    "text",
    [
        "the",  # of Theodora: but it stands in every text
        "I saw the",
        "we may go",
        "Looking forward",
        "the mental side",
        "a fermented",  # rarer, but nothing private begins so
        "spring baking",
        "I wrote to Odalys",  # no other word begins so: shown as a placeholder at once
        "Mark ",
        "wait (",
        "I don't",
    ],
)
def test_where_the_cloud_is_asked(text: str) -> None:
    assert SHIELD.view(text).asks


def test_a_last_word_is_no_placeholder_before_it_must_be_one() -> None:
    """ "[person 1]" that turns into "market" would tell that a beginning of it is private."""
    shield = Shield(LEXICON, GENERAL)
    asked = [shield.view(f"to {'Market'[:n]}") for n in range(1, 7)]
    assert not any(view.spans for view in asked if view.asks)


def test_view_describes_itself() -> None:
    text = "Dear Odalys, see the golden"
    view = SHIELD.view(text)
    assert isinstance(view.released, ShieldedText)
    assert view.released.text == "Dear [person 1], see the"
    assert [(s.start, s.end, s.placeholder, s.kind) for s in view.spans] == [
        (5, 11, "[person 1]", "identifier")
    ]
    assert (view.asks, view.real_chars) == (False, text.index(" golden"))
    assert view.released.text[: view.settled] == "Dear [person 1], see the"
    assert "Odalys" not in repr(view)


def test_positions_are_carried_over() -> None:
    text = "Dear Odalys, you"
    view = SHIELD.view(text)
    assert view.released.text == "Dear [person 1], you"
    assert [view.real_to_shielded(i) for i in (0, 4, 5, 11, 16)] == [0, 4, 5, 15, 20]
    assert [view.shielded_to_real(i) for i in (0, 4, 5, 15, 20)] == [0, 4, 5, 11, 16]
    for inside in (6, 10):
        with pytest.raises(ValueError, match="inside a private span"):
            view.real_to_shielded(inside)
    with pytest.raises(ValueError, match="inside a private span"):
        view.shielded_to_real(8)
    for outside in (-1, 17):
        with pytest.raises(ValueError, match="held back"):
            view.real_to_shielded(outside)


def test_what_cannot_be_seen_does_not_leave() -> None:
    tagged = "a plain day" + "".join(chr(0xE0000 + ord(c)) for c in "odalys") + " in spring"
    view = SHIELD.view(tagged)
    assert view.released.text == "a plain day in spring"
    assert view.shielded_to_real(len("a plain day in")) == tagged.index(" spring")


def test_an_allowed_word_passes() -> None:
    guard = Guard(LEXICON, allow=["Corvallis"])
    shield = Shield(LEXICON, guard.release("A letter to the people of Corvallis about spring"))
    assert shield.view("here in Corvallis we").released.text == "here in Corvallis we"
    assert shown("here in Corvallis we") == "here in [place 1] we"


def test_a_sensitive_word_of_the_general_instruction_passes() -> None:
    shield = Shield(LEXICON, Guard(LEXICON).release("A long letter about my divorce"))
    assert shield.view("my divorce was").released.text == "my divorce was"


def test_an_error_inside_is_a_refusal_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shield = Shield(LEXICON, GENERAL)

    def broken(self: Lexicon, text: str) -> tuple[()]:
        raise KeyError("Odalys")

    monkeypatch.setattr(Lexicon, "rare", broken)
    with pytest.raises(EgressError, match=r"the shield failed \(KeyError\)") as failure:
        shield.view("a letter to Odalys ")
    assert "Odalys" not in str(failure.value)
    assert failure.value.__cause__ is None
    assert failure.value.__suppress_context__ or failure.value.__context__ is None
    monkeypatch.undo()
    assert shield.view("a letter to Odalys ").released.text == "a letter to [person 1] "


def test_nobody_else_makes_shielded_text() -> None:
    with pytest.raises(EgressError):
        ShieldedText("anything", object())  # type: ignore[arg-type]


def test_shielded_text_is_a_release_like_any_other() -> None:
    view = SHIELD.view("I wrote to Odalys ")
    assert isinstance(view.released, Released)
    body = release_body({"prompt": Text((view.released,))})
    assert b'"I wrote to [person 1] "' in body.data
    with pytest.raises(EgressError):
        release_body({"prompt": Text(("I wrote to Odalys ",))})  # type: ignore[arg-type]


def test_a_shield_is_never_pickled_or_shown() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(SHIELD)
    assert repr(SHIELD) == "Shield(hidden)"


def test_several_threads_see_the_same() -> None:
    texts = [f"Dear Odalys, the golden {word} of Jo" for word in ("thread", "thing", "day")] * 20
    expected = {text: shown(text) for text in texts}
    shield, seen = Shield(LEXICON, GENERAL), dict[str, View]()

    def read(part: list[str]) -> None:
        for text in part:
            seen[text] = shield.view(text)

    threads = [threading.Thread(target=read, args=(texts[i::3],)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {text: view.released.text for text, view in seen.items()} == expected
