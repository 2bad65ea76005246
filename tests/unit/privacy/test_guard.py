"""The guard's verdicts, rule by rule. Everybody here is invented."""

from __future__ import annotations

import copy
import pickle
import unicodedata
from dataclasses import dataclass

import pytest

from cogenesis.errors import EgressError, GuardRefusedError, InstructionError
from cogenesis.privacy.guard import MAX_GENERAL, MAX_INSTRUCTION, Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.released import GeneralInstruction, public


@dataclass
class Item:
    label: str
    text: str


PERSON = (
    Item("Name", "Odalys Fenwright"),
    Item("Age", "47"),
    Item("Location", "Corvallis, Oregon"),
    Item("calendar", "Lunch with Grace Quillfeather at Golden Thread"),
    Item("mail", "The sourdough fermentation course costs $180 and starts on 12 March 2024"),
    Item(
        "writing 1",
        "Every quiet winter morning begins with strong black coffee, fresh bread from the oven, "
        "a slow walk along the river and twenty pages of an old travel book.",
    ),
)
GUARD = Guard(Lexicon(PERSON))


def spans(error: pytest.ExceptionInfo[GuardRefusedError]) -> list[str]:
    return [f.text for f in error.value.spans]


# -- release --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "general",
    [
        "A toast for a friend who is leaving",
        "How to make sourdough bread",  # a rare word of the context, but typed as the topic
        "Every quiet winter morning begins",  # a run of it, typed as the topic
        "Plan a 5-day course for 20 people: 1. start 2. end",
        "Café culture – a “short” guide 🎉",
    ],
)
def test_a_general_topic_is_released_as_it_is(general: str) -> None:
    released = GUARD.release(general)
    assert released.text == general
    assert (released.source, released.sensitive, released.allowed) == ("given", (), ())


@pytest.mark.parametrize(
    ("general", "named"),
    [
        ("A letter to Odalys about work", ["Odalys"]),
        ("A letter to o-d-a-l-y-s about work", ["o-d-a-l-y-s"]),
        ("A plan for the winter in corvallis", ["corvallis"]),
        ("Lunch at the golden thread with friends", ["golden thread"]),
        ("How I spent 180 dollars on a course", ["180 dollars"]),
        ("A poem on turning 47 in winter", ["47"]),
        ("A letter to Barnaby about work", ["Barnaby"]),  # nobody that the context knows
        (
            "Write to anna@mail.example and www.anna.example",
            ["anna@mail.example", "www.anna.example"],
        ),
        ("A letter to Одалис about work", ["Одалис"]),
        ("A letter to ᎢᎻᎾ about work", ["ᎢᎻᎾ"]),
    ],
)
def test_an_identifier_is_refused_and_named(general: str, named: list[str]) -> None:
    with pytest.raises(GuardRefusedError) as error:
        GUARD.release(general)
    assert spans(error) == named
    assert all(span in str(error.value) for span in named)
    assert "--allow" in str(error.value)


def test_a_pasted_passage_is_refused() -> None:
    passage = PERSON[-1].text.split(", a slow")[0]
    with pytest.raises(GuardRefusedError) as error:
        GUARD.release(f"Write on about this: {passage}")
    assert "quiet winter morning" in spans(error)[0]


def test_a_pasted_passage_with_other_little_words_is_refused() -> None:
    with pytest.raises(GuardRefusedError):
        GUARD.release(
            "quiet WINTER mornings that begin: strong, black coffees; fresh breads of an oven"
        )


@pytest.mark.parametrize("empty", ["", "  \n", "…!", "\u200b\u2060", "\u3164"])
def test_empty_text_is_no_instruction(empty: str) -> None:
    for method in (GUARD.release, GUARD.derive):
        with pytest.raises(InstructionError, match="say what"):
            method(empty)
    with pytest.raises(InstructionError, match="say what"):
        GUARD.check_instruction(empty)


def test_lengths_are_bounded() -> None:
    with pytest.raises(InstructionError, match="name the topic only"):
        GUARD.release("plan " * (MAX_GENERAL // 5 + 1))
    with pytest.raises(InstructionError, match="--context"):
        GUARD.derive("plan " * (MAX_INSTRUCTION // 5 + 1))
    with pytest.raises(GuardRefusedError, match="--general"):
        GUARD.derive("for all our teams " * 80)


@pytest.mark.parametrize(
    "foreign",
    [
        "Schreibe bitte einen langen Brief an meine Nachbarn wegen der Heizung",
        "Écrivez une lettre de motivation pour un poste de boulanger à mi-temps",
        "Escribe una carta larga para mis vecinos sobre el ruido de la calle",
        "Scrivi una lettera al mio vicino per il rumore in strada",
        "Schrijf een brief aan mijn buren over het lawaai op straat",
        "Напиши письмо соседям о шуме",
        "写一封关于天气的信",
    ],
)
def test_other_languages_are_written_on_the_device(foreign: str) -> None:
    for method in (GUARD.release, GUARD.derive):
        with pytest.raises(GuardRefusedError):
            method(foreign)


def test_sensitive_words_leave_only_where_they_were_typed_and_are_listed() -> None:
    given = GUARD.release("A talk about living with diabetes after a divorce")
    assert given.sensitive == ("diabetes", "divorce")
    titled = GUARD.derive("A talk about diabetes: mention my divorce and my insulin")
    assert (titled.text, titled.sensitive) == ("A talk about something personal", ())
    derived = GUARD.derive("Please write a short speech about my diabetes for our summer party")
    assert (
        derived.text == "Please write a short speech about something personal for our summer party"
    )
    assert derived.sensitive == ()


def test_what_is_released_has_no_invisible_characters() -> None:
    typed = "A pl\u00adan\u200b for \u202ea\u202c cafe\u0301\ufe0f d\u0336ay\n\nin\tspring"
    released = GUARD.release(typed)
    assert released.text == "A plan for a caf\u00e9 day in spring"
    assert not any(unicodedata.category(c) in {"Cf", "Cc", "Mn"} for c in released.text)


# -- derive ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("Garden Guide: write about my house in Corvallis", "Garden Guide"),
        ("Thesis Abstract: Noise: and more of it", "Thesis Abstract"),
        ("A speech for Odalys Fenwright: be warm", "A speech for someone"),
        ("A year at Quellwood Partners Inc.: tell all", "A year at an organisation."),
        ("The 2023 Plan (2024): tell all", "Plan"),
        ("A letter from Corvallis: tell all", "A letter from some place"),
        ("Odalys and the art of bread: tell all", "Someone and the art of bread"),
    ],
)
def test_the_title_is_the_general_part(instruction: str, expected: str) -> None:
    released = GUARD.derive(instruction)
    assert (released.text, released.source) == (expected, "title")


@pytest.mark.parametrize(
    "title",
    [
        "A letter about my house",
        "News from Retro Ltd. on the move",
        "A candid review of a book by C. and D. Brown",
        "Ideas for the year: more",  # only the first colon counts
        " A guide to a better garden ",
        "word " * 24 + "word",
    ],
)
def test_one_short_clause_is_a_title(title: str) -> None:
    assert GUARD.derive(f"{title}: and a secret").source == "title"


@pytest.mark.parametrize(
    "statement",
    [
        "I was raped last year and my husband does not know. Please help me write",
        "i lost my house and need help with a letter",
        "A letter that I’ve promised to our school",
        "A letter that Ｉ'd like to send to our school",
        "A letter on what im doing at our school",
        "How we came to our new garden and our school",
        "My husband does not know about the house! A letter to the school",
        "My husband does not know about the house。 A letter to the school",
        "“My husband does not know about the house.” A letter to the school",
        "My husband does not know about the house\nA letter to the school",
        "My husband works at Retro Inc.\nA letter to the school",
        "My husband does not know about the house\u2028A letter to the school",
        "word " * 25 + "word",
        "responsibilities " * 12,
    ],
)
def test_a_statement_before_a_colon_is_no_title(statement: str) -> None:
    released = GUARD.derive(f"{statement}: a letter to the school about the garden")
    assert released.source == "derived"
    assert "raped" not in released.text


def test_a_whole_private_sentence_is_never_minted_unchanged() -> None:
    told = "I was raped last year and my husband does not know. Please help me write: a letter"
    released = GUARD.derive(told)
    assert (released.source, released.sensitive) == ("derived", ())
    assert "raped" not in released.text


def test_a_sensitive_word_of_a_title_leaves_if_it_is_allowed() -> None:
    guard = Guard(Lexicon(PERSON), allow=["divorce"])
    released = guard.derive("A letter on divorce and diabetes: to Grace")
    assert released.text == "A letter on divorce and something personal"
    assert (released.source, released.sensitive) == ("title", ("divorce",))
    assert released.allowed == ("divorce",)
    with pytest.raises(GuardRefusedError, match="--general"):
        GUARD.derive("Divorce: a letter to Grace")


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        (
            "Write a thank-you card for Odalys who fixed our kitchen roof",
            "Write a thank-you card for someone who fixed our kitchen roof",
        ),
        (
            "Write to the shop about the $250 that I paid on March 3rd for a broken lamp",
            "Write to the shop about an amount that I paid on some day for a broken lamp",
        ),
        (
            "Tell the story of a quiet winter morning with friends",
            "Tell the story of a quiet winter something with friends",
        ),
        (
            "Explain the fermentation of bread to young children in small steps",
            "Explain something of bread to young children in small steps",
        ),
        (
            "write a card to srivatsan for the new baby and the house",
            "write a card to something for the new baby and the house",
        ),
        (
            "Dear Grace: write a warm letter about the music evening",
            "Dear someone: write a warm letter about the music evening",
        ),
    ],
)
def test_without_a_title_role_words_stand_in(instruction: str, expected: str) -> None:
    released = GUARD.derive(instruction)
    assert (released.text, released.source) == (expected, "derived")


@pytest.mark.parametrize(
    "instruction",
    [
        "Odalys Fenwright in Corvallis on March 3rd",
        "write to Odalys",
        "sourdough fermentation",
        "Elena",
        "Elena Voss: Odalys",
    ],
)
def test_too_little_left_is_refused(instruction: str) -> None:
    with pytest.raises(GuardRefusedError, match="--general"):
        GUARD.derive(instruction)


# -- allow ----------------------------------------------------------------------------------


def test_an_allowed_word_leaves_and_is_recorded() -> None:
    guard = Guard(Lexicon(PERSON), allow=["Odalys", "Corvallis"])
    released = guard.release("A letter to ODALYS about work")
    assert (released.text, released.allowed) == ("A letter to ODALYS about work", ("Odalys",))
    for other in ("A letter to Odalys Fenwright about work", "A letter to Grace Quillfeather"):
        with pytest.raises(GuardRefusedError):
            guard.release(other)


def test_an_allowed_phrase_needs_all_of_it() -> None:
    guard = Guard(Lexicon(PERSON), allow=["golden thread"])
    assert guard.release("Lunch at the Golden Thread with friends").allowed == ("golden thread",)
    assert guard.release("The golden age of a thread").allowed == ()


@pytest.mark.parametrize("allow", [[""], ["  "], ["!"], ["\u200b"], ["a"], ["the", "of"]])
def test_an_empty_allowance_allows_nothing(allow: list[str]) -> None:
    guard = Guard(Lexicon(PERSON), allow=allow)
    for private in ("A letter to Odalys about work", "A letter to ⠑⠇⠑ about work"):
        with pytest.raises(GuardRefusedError):
            guard.release(private)


# -- what the guard never does ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instruction", "named"),
    [
        ("A letter about divorce: to the school", "divorce"),
        ("A letter to Odalys: about the school", "Odalys"),
        ("Write a letter about sourdough bread to the school", "sourdough"),
    ],
)
def test_the_verdict_comes_last_and_trusts_no_replacement(
    instruction: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("guard", "derivation"):
        monkeypatch.setattr(f"cogenesis.privacy.{module}.with_roles", lambda text, find: text)
    with pytest.raises(GuardRefusedError) as error:
        Guard(Lexicon(PERSON)).derive(instruction)
    assert spans(error) == [named]


def test_an_error_inside_never_mints_and_shows_nothing() -> None:
    class Broken(Lexicon):
        def identifiers(self, text: str) -> tuple[()]:
            raise ValueError(f"broken on {text}")

    guard = Guard(Broken(PERSON))
    for method in (guard.release, guard.derive):
        with pytest.raises(GuardRefusedError, match="--mode device") as error:
            method("A plan about CANARY for the summer")
        assert "CANARY" not in str(error.value)
        assert error.value.__context__ is None


def test_a_text_that_cannot_be_read_makes_no_lexicon() -> None:
    class Raising:
        label = "mail"

        @property
        def text(self) -> str:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        Lexicon([*PERSON, Raising()])


def test_only_the_guard_mints() -> None:
    with pytest.raises(EgressError):
        GeneralInstruction("A letter to Odalys", object(), source="given")  # type: ignore[arg-type]


def test_nothing_shows() -> None:
    guard = Guard(Lexicon(PERSON), allow=["Odalys"])
    released = guard.release("A letter to Odalys about work")
    for shown in (repr(guard), str(guard), f"{guard}", repr(released), f"{released}"):
        assert "dalys" not in shown
    assert not hasattr(guard, "__dict__")
    for value in (guard, released):
        for action in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="pickled"):
                action(value)


# -- inspect and audit -----------------------------------------------------------------------


def test_inspect_shows_every_class() -> None:
    found = GUARD.inspect(
        "Tell Odalys that my diabetes and the fermentation ruined a quiet winter morning"
    )
    assert [(f.kind, f.text) for f in found] == [
        ("identifier", "Odalys"),
        ("sensitive", "diabetes"),
        ("rare", "fermentation"),
        ("run", "morning"),
    ]


def test_audit_excepts_the_topic_only() -> None:
    general = GUARD.release("How sourdough and diabetes go together")
    assert GUARD.audit("Plan: sourdoughs; Diabetes, a quiet winter", general) == ()
    sent = "Odalys, fermentation, my insulin; quiet winter morning"
    assert [f.kind for f in GUARD.audit(sent, general)] == [
        "identifier",
        "rare",
        "sensitive",
        "run",
    ]
    assert [f.kind for f in GUARD.audit("sourdough for diabetics", None)] == ["rare", "sensitive"]


def test_audit_leaves_out_the_text_that_is_the_same_for_everybody() -> None:
    fixed = public("Write a fermentation plan")
    assert GUARD.audit("Write a fermentation plan\nA winter party", None, [fixed]) == ()
    assert GUARD.audit("A fermentation plan", None, [fixed]) != ()
