"""docs/privacy-policy.md, rule by rule: each test names the rule that it holds to its word.

Everybody here is invented. Rules that are about endless ways of writing (R7, R8, R10) have
properties too, in tests/thorough/test_disguise_properties.py.
"""

from __future__ import annotations

import base64
import codecs
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from cogenesis.errors import GuardRefusedError
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.policy import LEVELS
from cogenesis.privacy.session import Session
from cogenesis.privacy.shield import Shield

ROOT = Path(__file__).resolve().parents[3]
POLICY = (ROOT / "docs" / "privacy-policy.md").read_text("utf-8")
NAMED = re.compile(r"def test_r(\d+)(?:_to_r(\d+))?_")


@dataclass
class Item:
    label: str
    text: str


PASSAGE = (
    "Every quiet winter morning begins with strong black coffee, fresh bread from the oven, "
    "a slow walk along the river"
)
CONTEXT = [
    Item("Name", "Thandeka Okafor"),
    Item("Age", "47"),
    Item("Location", "Corvallis, Oregon"),
    Item("calendar", "Lunch with Rose Brimble and Will Tarrant at Golden Thread"),
    Item("mail", "Call 415-555-0134 about the pottery kiln, or okafor@mail.example"),
    Item("writing 1", PASSAGE),
]
LEXICON = Lexicon(CONTEXT)
GUARD = Guard(LEXICON)
LEAVES = "A note about the weather"


def refused(text: str, guard: Guard = GUARD) -> list[str]:
    with pytest.raises(GuardRefusedError) as error:
        guard.release(text)
    return [f.text for f in error.value.spans]


# -- what is private ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "identifier",
    [
        "Thandeka",  # a person of the context
        "Barnaby",  # nobody that it knows
        "Golden Thread",
        "Quellwood Partners Inc.",
        "Corvallis",
        "joan@mail.example",
        "415-555-0199",
        "www.joan.example",
        "12 Mill Road",
        "March 3rd",
        "$250",
        "88214",
    ],
)
def test_r1_identifiers_never_leave_unless_that_very_word_is_allowed(identifier: str) -> None:
    text = f"{LEAVES} and {identifier} in spring"
    named = refused(text)
    allowing = Guard(LEXICON, allow=named)
    assert allowing.release(text).text == text
    assert refused(f"{LEAVES} and Okafor", allowing) == ["Okafor"]


@pytest.mark.parametrize("told", ["Rose and the garden", "how rose made the garden"])
def test_r2_a_name_that_is_a_less_common_word_counts_in_any_case(told: str) -> None:
    assert [name.casefold() for name in refused(f"A note on {told}")] == ["rose"]


def test_r2_a_very_common_word_counts_as_a_name_with_a_capital_only() -> None:
    assert refused("A note to Will on the garden") == ["Will"]
    assert GUARD.release("A note on what will come").text
    assert refused("Will you come to the garden") == ["Will"]  # the known false alarm


def test_r2_a_public_name_counts_where_a_name_field_holds_it() -> None:
    told = "A talk on Africa for the school"
    assert GUARD.release(told).text == told
    assert refused(told, Guard(Lexicon([Item("Name", "Africa Brimble")]))) == ["Africa"]


def test_r2_a_given_name_counts_whatever_else_it_names() -> None:
    assert refused("A guide to Paris in spring") == ["Paris"]
    assert Guard(LEXICON, allow=["Paris"]).release("A guide to Paris in spring").text


@pytest.mark.parametrize(
    "told", ["1. plan 2. build", "help at 24/7", "1/2 cup of sugar", "a 5k run", "7 ideas"]
)
def test_r3_small_numbers_are_none(told: str) -> None:
    assert GUARD.release(f"{LEAVES} and {told}").text


def test_r3_a_small_number_counts_beside_the_word_of_its_field() -> None:
    assert refused("A poem on turning 47 in winter") == ["47"]
    assert GUARD.release("A poem on 47 ways to winter").text


@pytest.mark.parametrize("word", ["diabetes", "divorced", "prayers", "salary", "lawsuit"])
def test_r4_sensitive_words_stay_unless_they_are_given(word: str) -> None:
    assert word not in GUARD.derive(f"A talk on {word} and the garden: for the club").text
    told = f"please write a talk on {word} for our garden club in summer"
    assert word not in GUARD.derive(told).text
    assert GUARD.release(f"A talk on {word}").sensitive == (word,)


def test_r4_a_word_with_a_harmless_sense_counts_beside_a_personal_word() -> None:
    assert "operation" not in GUARD.derive("A talk on my operation: for the club").text
    assert "operations" in GUARD.derive("A talk on business operations: for the club").text


@pytest.mark.parametrize("word", ["pottery", "kiln", "kilns"])
def test_r5_rare_words_of_the_context_stay_unless_they_are_the_topic(word: str) -> None:
    told = f"please write about a {word} and the garden to our school"
    assert word not in GUARD.derive(told).text
    assert word in Guard(Lexicon(())).derive(told).text
    assert GUARD.release(f"A talk on the {word}").text == f"A talk on the {word}"
    assert word in GUARD.derive(f"A talk on the {word}: for the club").text


def test_r6_runs_of_the_context_stay_unless_they_are_the_topic() -> None:
    told = "please tell our school about a quiet winter morning at home"
    assert "quiet winter morning" not in GUARD.derive(told).text
    assert "quiet winter morning" in Guard(Lexicon(())).derive(told).text
    assert GUARD.release("A quiet winter morning").text == "A quiet winter morning"


# -- what does not get around it ------------------------------------------------------------


@pytest.mark.parametrize(
    "hidden",
    [
        "OKAFOR",
        "ókafor",
        "ok\u0430for",  # a Cyrillic letter
        "oka\u200bfor",
        "\u202eokafor\u202c",
        "o k a f o r",
        "o.k.a-f.o.r",
        "Okafor's",
        "Okafors",
        "0kaf0r",
        "rofako",
        codecs.encode("okafor", "rot13"),
        "ookkaaffoorr",
        "Okefor",
    ],
)
def test_r7_no_spelling_gets_around(hidden: str) -> None:
    assert refused(f"A short note about {hidden} for the party")


@pytest.mark.parametrize(
    "told",
    [
        "okafor at mail dot example",
        "okafor (at) mail [dot] example",
        "+1 (415) 555.0134",
        "four one five five five five oh one three four",
        "on the 3rd of march",
        "am 3. März",
        "III.III.MMXXIV",
    ],
)
def test_r8_no_notation_gets_around(told: str) -> None:
    assert refused(f"A short note about {told} for the party")


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_r9_a_passage_never_leaves_at_any_level(level: object) -> None:
    guard = Guard(Lexicon(CONTEXT, level=level))  # type: ignore[arg-type]
    assert refused(f"Go on from here: {PASSAGE}", guard)
    with pytest.raises(GuardRefusedError):
        guard.release(PASSAGE.upper().replace(",", " and"))


@pytest.mark.parametrize(
    "encoded",
    [
        base64.b64encode(b"the secret is told").decode(),
        base64.b32encode(b"the secret is told").decode(),
        b"the secret is told".hex(),
        "".join(f"%{c:02x}" for c in b"secret"),
        "".join(f"&#{c};" for c in b"secret"),
        "".join(f"\\x{c:02x}" for c in b"secret"),
        "... . -.-. .-. . -",
        "oscar kilo alfa foxtrot oscar romeo",
    ],
)
def test_r10_what_tells_letters_by_a_code_is_refused(encoded: str) -> None:
    assert refused(f"A short note about {encoded} for the party")


def test_r11_pieces_are_found_and_neither_a_refusal_nor_a_copy_is_remembered() -> None:
    session = Session()
    guard = Guard(LEXICON, session=session)
    begins, ends = "A story that ends in golden", "Thread is the title"
    Guard(LEXICON, session=session.copy()).release(begins)
    refused(f"{begins} okafor", guard)
    assert guard.release(ends).text == ends
    guard.release(begins)
    assert refused("Thread and nothing more", Guard(LEXICON, session=session.copy()))
    assert refused("Thread and nothing more", guard)
    assert guard.release(ends).text == ends  # it left before: it tells nothing new


@pytest.mark.parametrize("letters", ["Одалис", "ᎢᎻᎾ", "小明", "حسن"])
def test_r12_letters_that_are_not_latin_are_refused(letters: str) -> None:
    assert refused(f"A letter to {letters} about work") == [letters]


# -- the document itself --------------------------------------------------------------------


def test_every_rule_is_named_by_a_test_and_every_named_rule_is_written() -> None:
    written = [int(n) for n in re.findall(r"^\* \*\*R(\d+) ", POLICY, re.MULTILINE)]
    assert written == list(range(1, len(written) + 1))
    assert len(written) >= 12
    named: set[int] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for first, last in NAMED.findall(path.read_text("utf-8")):
            named.update(range(int(first), int(last or first) + 1))
    assert named == set(written)


def test_the_levels_are_those_of_the_document() -> None:
    rows = [line for line in POLICY.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == list(LEVELS)
    for row, level in zip(rows, LEVELS.values(), strict=True):
        assert "none" in row if not level.rare_below else f"{level.rare_below}" in row


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_the_shield_masks_runs_at_every_level(level: object) -> None:
    lexicon = Lexicon(CONTEXT, level=level)  # type: ignore[arg-type]
    shield = Shield(lexicon, Guard(lexicon).release(LEAVES))
    assert "morning" not in shield.view("It was a quiet winter morning then.").released.text
