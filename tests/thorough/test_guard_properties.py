"""Whatever is typed: a private name is never minted, and what is minted passes again.

The oracle here is written without the lexicon: it squashes a text to plain letters and
digits and looks for the name as a piece of it.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cogenesis.errors import CogenesisError, GuardRefusedError, InstructionError
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.released import GeneralInstruction


@dataclass
class Item:
    label: str
    text: str


CARRIERS = (
    "A short plan about {} for the summer party",
    "{} and the history of our little town",
    "Write a friendly note to {}",
    "Please write a long and friendly note to our neighbours about {} and the noise",
    "Speech for the opening of the new library with {}",
    "({}) ideas for a better garden in 5 steps",
    "Write a poem\nabout {}, the sea and the wind",
)
LOOK_ALIKES = dict(zip("aceiopxyABEHKMOPTX", "асеіорхуАВЕНКМОРТХ", strict=True))
PLAIN = {v: k.lower() for k, v in LOOK_ALIKES.items()}
DIGITS = {"o": "0", "i": "1", "e": "3", "a": "4", "s": "5", "t": "7", "b": "8"}


def squash(text: str) -> str:
    """Plain letters and digits of a text, look-alikes and digits for letters resolved."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text))
    plain = "".join(PLAIN.get(c, c) for c in folded).casefold()
    return "".join(c for c in plain if c.isascii() and c.isalnum())


def with_letters(squashed: str) -> str:
    return squashed.translate(str.maketrans("".join(DIGITS.values()), "".join(DIGITS)))


def names() -> st.SearchStrategy[str]:
    """Invented names: four to ten letters, consonants and vowels in turn, with one of q, x, z."""
    syllable = st.tuples(st.sampled_from("bdfglmnprstv"), st.sampled_from("aeiou")).map("".join)
    ending = st.sampled_from(["zin", "quor", "xel", "zeth", "qual", "vrix"])
    return st.tuples(st.lists(syllable, min_size=1, max_size=3).map("".join), ending).map(
        lambda parts: "".join(parts).capitalize()
    )


@st.composite
def insertions(draw: st.DrawFn, name: str, signs: str) -> str:
    sign = draw(st.sampled_from(signs))
    at = draw(st.integers(1, len(name) - 1))
    return name[:at] + sign + name[at:]


@st.composite
def mutated(draw: st.DrawFn, name: str) -> str:
    """One or two ways of writing a name otherwise."""
    for _ in range(draw(st.integers(1, 2))):
        name = draw(one_mutation(name))
    return name


def one_mutation(name: str) -> st.SearchStrategy[str]:
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in name)
    maths = "".join(
        chr(0x1D400 + ord(c) - ord("A"))
        if "A" <= c <= "Z"
        else chr(0x1D41A + ord(c) - ord("a"))
        if "a" <= c <= "z"
        else c
        for c in name
    )
    return st.one_of(
        st.sampled_from(
            [
                name,
                name.upper(),
                name.lower(),
                name.swapcase(),
                wide,
                maths,
                "".join(LOOK_ALIKES.get(c, c) for c in name),
                " ".join(name),
                ".".join(name),
                "-".join(name),
                "\u200b".join(name),
                "".join(c + "\u0301" if c.isalpha() else c for c in name),
                name + "'s",
                name + "’s",
                f"“{name}”",
                f"\u202e{name}\u202c",
                f"the_{name}_plan",
                f"#{name}",
                f"to/{name}/and",
            ]
        ),
        insertions(name, " -._'’/\n\u00ad\u200b\u200d\u2060\ufeff\u202e\u3164\u0336"),
    )


def joined_words(name: str) -> st.SearchStrategy[str]:
    """The name as a part of another word, or with digits for letters."""
    low = name.lower()
    return st.sampled_from(
        [
            name + "99",
            "the" + name,
            "our" + low + "plan",
            name + "Plan",
            "Plan" + name,
            "".join(DIGITS.get(c, c) for c in low),
            low + "s",
        ]
    )


def people(first: str, last: str) -> Lexicon:
    return Lexicon(
        [
            Item("Name", f"{first} {last}"),
            Item("calendar", "Walk along the river with old friends"),
            Item("writing 1", "The river is quiet in winter and the old mill turns slowly."),
        ]
    )


@settings(max_examples=250, deadline=None)
@given(st.data(), names(), names(), st.sampled_from(CARRIERS))
def test_no_spelling_of_a_name_is_minted(
    data: st.DataObject, first: str, last: str, carrier: str
) -> None:
    planted = data.draw(st.sampled_from([first, last, f"{first} {last}"]))
    shape = data.draw(st.sampled_from([mutated, joined_words]))
    typed = carrier.format(data.draw(shape(planted)))
    guard = Guard(people(first, last))
    with pytest.raises(GuardRefusedError) as refused:
        guard.release(typed)
    assert refused.value.spans
    for instruction in (typed, f"{typed}: and say more about {planted}"):
        try:
            minted = guard.derive(instruction).text
        except GuardRefusedError:
            continue
        for form in (squash(minted), with_letters(squash(minted))):
            assert squash(first) not in form
            assert squash(last) not in form


WORDS = (
    "write a card for our garden the long winter music and school about of with party "
    "sourdough fermentation ferment diabetes divorce church river old mill quiet turning 47 "
    "$250 12/3 2024 Odalys odalys's Fenwright Will Rose “Golden Thread” Inc. Dr. (2023) 1. 2. "
    "Corvallis golden thread 12 Maple Street my the The an ; : , . ! ? – élan Zürich ПривЕт 東京 "
    "o d a l y s something personal someone organisation amount contact details"
)
TYPED = st.lists(
    st.one_of(st.sampled_from(WORDS.split()), st.text(max_size=6)), min_size=1, max_size=30
).map(" ".join)
GUARD = Guard(
    Lexicon(
        [
            Item("Name", "Odalys Fenwright"),
            Item("Age", "47"),
            Item("Location", "Corvallis, Oregon"),
            Item("calendar", "Lunch at the Golden Thread, 12 Maple Street"),
            Item("mail", "The sourdough fermentation course of the contact organisation"),
            Item("writing 1", "The quiet old mill turns. A long winter garden party with music."),
        ]
    )
)


@settings(max_examples=300, deadline=None)
@given(TYPED)
@example("The plan for Odalys Fenwright: " * 3)
@example(("a plan for Odalys and " * 27)[:598] + ": more")
@example("quiet old mill quiet old mill quiet old mill in the garden with a school")
def test_what_is_minted_passes_again(typed: str) -> None:
    try:
        minted = GUARD.derive(typed)
    except CogenesisError:
        return
    assert isinstance(minted, GeneralInstruction)
    assert GUARD.audit(minted.text, None if minted.source == "derived" else minted) == ()
    assert GUARD.release(minted.text).text == minted.text
    plain = squash(minted.text)
    private = ["odalys", "fenwright", "corvallis", "diabetes", "divorce"]
    private += ["sourdough"] if minted.source == "derived" else []
    assert not [word for word in private if word in plain]


@settings(max_examples=150, deadline=None)
@given(TYPED)
def test_what_is_released_is_what_was_typed(typed: str) -> None:
    try:
        released = GUARD.release(typed)
    except CogenesisError:
        return
    assert squash(released.text) == squash(typed)
    assert not {unicodedata.category(c) for c in released.text} & {"Cf", "Cc", "Cs", "Mn", "Zl"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=80), max_size=6), st.lists(st.text(max_size=30), max_size=3))
def test_any_context_makes_a_lexicon_and_any_text_a_verdict(
    texts: list[str], typed: list[str]
) -> None:
    labels = ("Name", "Age", "Location", "mail", "writing 1", "\u0000 x")
    guard = Guard(Lexicon(Item(label, text) for label, text in zip(labels, texts, strict=False)))
    for text in [*texts, *typed]:
        guard.inspect(text)
        for method in (guard.release, guard.derive):
            try:
                method(text)
            except GuardRefusedError as error:
                assert "guard failed" not in str(error)
            except InstructionError:
                pass
