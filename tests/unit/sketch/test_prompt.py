"""The fixed text of the outline prompt cannot coincide with anything private."""

from __future__ import annotations

import re

from cogenesis.models.protocol import Prompt
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import RARE_BELOW, Lexicon
from cogenesis.privacy.released import _MINT, GeneralInstruction, PublicText, Released
from cogenesis.privacy.words import base, name_words, names, sensitive, zipf
from cogenesis.sketch.prompt import EXAMPLE_POINTS, OUTLINE_SAMPLING, outline_prompt

# Given names and frequent surnames that are ordinary words; the guard's own list leaves
# some of them out, because it must not take "long" for a name wherever it stands.
NAME_WORDS = frozenset({
    "art", "baker", "banks", "bell", "bill", "bishop", "black", "bob", "brown", "bush", "case",
    "chance", "christian", "church", "cook", "cross", "day", "dean", "drew", "duke", "faith",
    "field", "fields", "fisher", "fox", "frank", "gay", "gene", "glass", "grace", "grant", "green",
    "guy", "hill", "hope", "house", "hunter", "jack", "joy", "judge", "king", "lane", "little",
    "long", "love", "major", "mark", "may", "miles", "mills", "moon", "noble", "page", "park",
    "parks", "pat", "power", "powers", "price", "prince", "ray", "reed", "rice", "rich", "river",
    "rob", "rock", "rose", "sharp", "short", "sky", "small", "star", "stone", "story", "strong",
    "sue", "summer", "van", "wade", "walker", "ward", "waters", "white", "will", "wise", "wolf",
    "wood", "woods", "young", "april", "june", "august",
})  # fmt: skip


def _prompt(text: str = "") -> Prompt[Released]:
    return outline_prompt(GeneralInstruction(text, _MINT, source="given"))


def _fixed() -> str:
    """Every fixed string of both forms, on lines of their own."""
    prompt = _prompt()
    parts: list[Released] = [part for message in prompt.messages for part in message.parts]
    parts += [*prompt.completion, *prompt.stop]
    return "\n".join(part.text for part in parts)


WORDS = sorted(set(re.findall(r"[^\W\d_]+", _fixed().casefold())))


def test_every_fixed_word_is_frequent() -> None:
    # The context may hold any inflection: the base form must not be rare either.
    assert len(WORDS) > 100
    assert [w for w in WORDS if zipf(w) < RARE_BELOW or zipf(base(w)) < RARE_BELOW] == []


def test_no_fixed_word_is_a_name_or_sensitive() -> None:
    assert [word for word in WORDS if word in names() | name_words() | NAME_WORDS] == []
    assert [word for word in WORDS if sensitive(word) is not None] == []


def test_fixed_text_has_no_long_numbers_and_no_marks_of_addresses() -> None:
    assert all(len(number) <= 2 for number in re.findall(r"\d+", _fixed()))
    assert not re.search(r"[@/\\<>|]|\.\w", _fixed())


def test_the_guard_finds_nothing_in_the_fixed_text() -> None:
    assert Guard(Lexicon(())).inspect(_fixed()) == ()


def test_only_the_general_instruction_varies() -> None:
    first, second = _prompt("A letter to a friend"), _prompt("Notes on bridges")
    assert first.stop == second.stop
    for turn, other in zip(first.messages, second.messages, strict=True):
        assert turn.role == other.role
        for part, another in zip(turn.parts, other.parts, strict=True):
            assert part == another or isinstance(part, GeneralInstruction)
    for part, another in zip(first.completion, second.completion, strict=True):
        assert part == another or isinstance(part, GeneralInstruction)


def test_all_else_is_public_text() -> None:
    general = GeneralInstruction("A letter to a friend", _MINT, source="given")
    prompt = outline_prompt(general)
    parts = [*(p for m in prompt.messages for p in m.parts), *prompt.completion, *prompt.stop]
    assert [part for part in parts if not isinstance(part, PublicText)] == [general, general]


def test_turns_alternate_and_end_with_the_task() -> None:
    roles = [message.role for message in _prompt().messages]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


def test_examples_have_the_form_that_is_asked_for() -> None:
    """8 to 15 points of about 3 to 5 words."""
    completion = "".join(part.text for part in _prompt("X").completion)
    plans = re.findall(r"Main points of the text:\n((?:\d+\. .+\n)+)", completion)
    assert len(plans) == 3
    for plan in plans:
        points = re.findall(r"^\d+\. (.+)$", plan, re.MULTILINE)
        assert 8 <= len(points) <= 15
        assert all(3 <= len(point.split()) <= 6 for point in points)
        assert all(point in EXAMPLE_POINTS for point in points)


def test_a_reply_fits_the_token_limit() -> None:
    """15 points of 5 words need about 110 tokens; the limit leaves room for longer ones."""
    assert OUTLINE_SAMPLING.max_tokens >= 150
    assert OUTLINE_SAMPLING.temperature > 0.3  # below, the demo model repeats itself
