"""General instructions of what was typed or pasted, with no context at all. All invented."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from cogenesis.errors import GuardRefusedError
from cogenesis.privacy.guard import MAX_GENERAL, Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.normal import words
from cogenesis.privacy.words import base

GUARD = Guard(Lexicon([]))


@dataclass
class Item:
    label: str
    text: str


LETTER = (
    "Please rewrite this email so that it sounds friendly: Dear Mrs. Okwuosa, the garden club "
    "of Quellwood met on 12 March 2024 and the members of the club were unhappy with the paint "
    "that your company Brightvane delivered. The paint on the fence came off after one week of "
    "rain, and the members spent three weekends on the repair. Brightvane promised a reply and "
    "none came. We ask you to return the money, which was $1,480, or to send new paint by ship. "
    "The club would rather keep the old supplier, because the children love the colours, and "
    "the fence is beside the school. The treasurer, Tamsin Ferreira-Boyd, can be reached at "
    "tamsin@quellwood.example or 555-0142-889. With kind regards from all members of the club, "
    "and thank you for the many summers in which your paint kept our fence bright and clean."
)


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        (
            "Write a story about a student who moves from Norway to Peru",
            "Write a story about a student who moves from something to something",
        ),
        (
            "Explain to my team why the FRC rejected our plan",
            "Explain to my team why something rejected our plan",
        ),
        (
            "Write a review of the phone that Luminate sells in their shop",
            "Write a review of the phone that something sells in their shop",
        ),
        (
            "explain why get_owner_name returns nothing in this small program",
            "explain why something returns nothing in this small program",
        ),
        (
            "Write a plan for the garden of brightvane and its visitors",
            "Write a plan for the garden of something and its visitors",
        ),
    ],
)
def test_what_may_be_a_name_stays(instruction: str, expected: str) -> None:
    released = GUARD.derive(instruction)
    assert (released.text, released.source) == (expected, "derived")


def test_a_name_stays_wherever_it_stands() -> None:
    told = "Our dog is called Pebble Rose. Write a story in which Rose the dog learns to swim"
    assert "rose" not in GUARD.derive(told).text.casefold()


def test_a_long_text_becomes_its_task_and_its_topics() -> None:
    released = GUARD.derive(LETTER)
    assert released.text.startswith("Please rewrite this email so that it sounds friendly:")
    assert len(released.text) <= MAX_GENERAL
    left = {base(w.key) for w in words(released.text)}
    assert {"paint", "fence", "club", "garden", "school", "repair"} <= left
    for private in ("okwuosa", "quellwood", "brightvane", "tamsin", "ferreira", "1480", "march"):
        assert private not in "".join(w.key for w in words(released.text))


def test_topics_tell_nothing_of_the_order_of_the_text() -> None:
    topics = GUARD.derive(LETTER).text.partition("Topics: ")[2].split(", ")
    assert topics[:4] == ["club", "paint", "members", "fence"]  # most often first
    place = {key: at for at, key in reversed(list(enumerate(w.key for w in words(LETTER))))}
    once = [place[topic] for topic in topics[5:]]
    assert once != sorted(once)


def test_another_order_of_the_sentences_gives_the_same_topics() -> None:
    task, _, rest = LETTER.partition(": ")
    first, *middle = rest.split(". The ")
    turned = task + ": " + ". The ".join([first, *reversed(middle)])
    assert turned != LETTER
    assert GUARD.derive(turned).text == GUARD.derive(LETTER).text


def test_sentences_of_another_language_are_left_out() -> None:
    released = GUARD.derive(
        "Please translate this letter into plain English for our school. Lieber Herr Vogt, der "
        "Zaun ist wieder kaputt und wir warten seit drei Wochen auf die neue Farbe."
    )
    assert released.text == "Please translate this letter into plain English for our school."


def test_only_other_languages_are_refused() -> None:
    told = "Le jardin est fermé depuis trois semaines. La peinture tombe. "
    with pytest.raises(GuardRefusedError, match="English"):
        GUARD.derive(told * 20)


@pytest.mark.parametrize(
    "instruction",
    ["Improve this text for our school: the garden was green", "Fix the following: the old gate"],
)
def test_a_task_on_a_text_is_no_title(instruction: str) -> None:
    assert GUARD.derive(instruction).source == "derived"


def test_what_precedes_a_long_text_is_no_title() -> None:
    assert GUARD.derive("Garden Guide: " + LETTER).source == "derived"
    assert GUARD.derive("Garden Guide: " + LETTER[:200]).source == "title"


def test_an_allowed_word_may_stand_in_what_is_derived() -> None:
    guard = Guard(Lexicon([]), allow=["Norway"])
    released = guard.derive("Write a story about a student who moves from Norway to Peru")
    assert "Norway" in released.text
    assert "Peru" not in released.text
    assert released.allowed == ("Norway",)


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("Invite Wilhelmina to dinner", "Invite someone to dinner"),
        ("Write to Wilhelmina about the concert", "Write to someone about the concert"),
        ("Write to Wilhelmina about my divorce", None),
        ("Write to Wilhelmina", None),
        ("Tell my boss I am ill", None),
        ("Cancel Luminate and Brightvane", None),
    ],
)
def test_role_words_count_beside_two_words_of_the_user(
    instruction: str, expected: str | None
) -> None:
    if expected is not None:
        assert GUARD.derive(instruction).text == expected
    else:
        with pytest.raises(GuardRefusedError, match="--general"):
            GUARD.derive(instruction)


def test_a_refusal_shows_what_was_left() -> None:
    with pytest.raises(GuardRefusedError, match="“Write about something personal”"):
        GUARD.derive("Write about my divorce")


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("Write a poem about autumn rain", "Write a poem about rain"),
        ("Write a poem about an autumn day and a walk", "Write a poem about a day and a walk"),
        ("Write a poem about rain in autumn", "Write a poem about rain in something"),
        ("Write a poem about autumn harvest rain", "Write a poem about rain"),
    ],
)
def test_a_rare_word_said_of_another_is_left_out(instruction: str, expected: str) -> None:
    guard = Guard(Lexicon([Item("note", "in autumn the harvest")]))
    assert guard.derive(instruction).text == expected
