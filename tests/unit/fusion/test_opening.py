"""The fixed text of the fusion prompt cannot coincide with anything private."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from cogenesis.fusion.opening import fusion_prompt
from cogenesis.models.protocol import Prompt
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import RARE_BELOW, Lexicon
from cogenesis.privacy.released import _MINT, GeneralInstruction, PublicText, Released
from cogenesis.privacy.words import base, name_words, names, sensitive, zipf
from tests.unit.privacy.test_shield import SHIELD
from tests.unit.sketch.test_prompt import NAME_WORDS


def general(text: str) -> GeneralInstruction:
    return GeneralInstruction(text, _MINT, source="given")


def turns(prompt: Prompt[Released]) -> list[Released]:
    return [part for message in prompt.messages for part in message.parts]


def completion(prompt: Prompt[Released]) -> list[Released]:
    return list(prompt.completion)


FORMS = pytest.mark.parametrize("form", [turns, completion])
PLACEHOLDER = re.compile(r"\[[a-z]+ \d\]")
Form = Callable[[Prompt[Released]], list[Released]]


def fixed(form: Form) -> str:
    return "\n".join(part.text for part in form(fusion_prompt(general(""))))


def words(form: Form) -> list[str]:
    return sorted(set(re.findall(r"[^\W\d_]+", fixed(form).casefold())))


@FORMS
def test_every_fixed_word_is_frequent(form: Form) -> None:
    found = words(form)
    # The context may hold any inflection: the base form must not be rare either.
    assert len(found) >= (25 if form is turns else 2)
    assert [w for w in found if zipf(w) < RARE_BELOW or zipf(base(w)) < RARE_BELOW] == []


@FORMS
def test_no_fixed_word_is_a_name_or_sensitive(form: Form) -> None:
    assert [word for word in words(form) if word in names() | name_words() | NAME_WORDS] == []
    assert [word for word in words(form) if sensitive(word) is not None] == []


@FORMS
def test_the_guard_finds_nothing_in_it_and_it_holds_no_numbers_or_marks(form: Form) -> None:
    assert Guard(Lexicon(())).inspect(fixed(form)) == ()
    assert not re.search(r"[\d@/\\<>|]|\.\w", PLACEHOLDER.sub("", fixed(form)))


@FORMS
def test_nothing_but_the_general_instruction_varies(form: Form) -> None:
    one, other = general("A letter to a friend"), general("Notes on bridges")
    for part, another in zip(form(fusion_prompt(one)), form(fusion_prompt(other)), strict=True):
        assert isinstance(part, PublicText | GeneralInstruction)
        assert part == another or (part, another) == (one, other)


@FORMS
def test_the_general_instruction_stands_in_it_once(form: Form) -> None:
    one = general("A letter to a friend")
    assert [part for part in form(fusion_prompt(one)) if not isinstance(part, PublicText)] == [one]


def test_the_chat_form_is_one_turn_and_the_text_begins_a_line_in_the_other() -> None:
    prompt = fusion_prompt(general("A letter"))
    assert [message.role for message in prompt.messages] == ["user"]
    # A text that goes on in the line of its title is read as more title.
    assert prompt.completion[-1].text.endswith("\n")


def test_the_chat_form_shows_a_placeholder_as_the_shield_writes_it() -> None:
    (shown,) = PLACEHOLDER.findall(fixed(turns))
    (seen,) = PLACEHOLDER.findall(SHIELD.view("see Quillfeather now").released.text)
    assert seen == shown
