"""The shield on the published samples, with a device that copies its context word by word.

The check shares no code with the lexicon or the shield: it is that of
`test_published_samples`, plus one for beginnings. The data is never copied into the project:
where it is not there, this skips. All 271 samples take part; each gives a short stretch of its
context, another place for each sample, so that the file takes seconds (and every third one a
stretch of its reference). It is read at every fourth character, as if tokens ended there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest

from cogenesis.context.reader import Sample, read_samples
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.released import GeneralInstruction
from cogenesis.privacy.shield import Shield
from cogenesis.privacy.words import function_words
from tests.thorough import test_published_samples as oracle

pytestmark = oracle.pytestmark

STRETCH = 60
"""Characters of each text that are read."""

SIGNS = str.maketrans("", "", ".'’-")
PLACEHOLDER = re.compile(
    r"\[(?:person|group|place|name|contact|date|amount|number|address|word) \d+\]"
)


@dataclass(frozen=True)
class Case:
    """One person: what is private, what may leave, and what the device writes."""

    facts: oracle.Sent
    general: GeneralInstruction
    lexicon: Lexicon
    copied: str
    reference: str


def case(number: int, sample: Sample) -> Case:
    items = list(sample.context.texts())
    lexicon = Lexicon(items)
    general = Guard(lexicon).derive(sample.instruction)
    names = frozenset(
        word
        for item in items
        if item.label in {"Name", "Location"}
        for word in oracle.field_words(item.label, item.text)
    )
    texts = tuple(item.text for item in items)
    title = sample.instruction.partition(": ")[0]
    facts = oracle.Sent(title, texts, names, general.text, general.source, None)
    return Case(
        facts,
        general,
        lexicon,
        stretch("\n".join(texts), number),
        stretch(sample.reference, number),
    )


def stretch(text: str, number: int) -> str:
    """A piece that begins with a word; another place for each sample."""
    start = (number * 7919) % max(1, len(text) - STRETCH)
    start = max(text.rfind(" ", 0, start), text.rfind("\n", 0, start)) + 1
    return text[start : start + STRETCH]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    samples = [s for name in oracle.FILES for s in read_samples(oracle.DATA / name)]
    return [case(i, sample) for i, sample in enumerate(samples)]


@pytest.fixture(scope="module")
def small_words(cases: list[Case]) -> frozenset[str]:
    return frozenset(
        word for c in cases for text in c.facts.texts for word in re.findall(r"\b[a-z]+\b", text)
    )


def leaks(c: Case, released: str, small: frozenset[str]) -> Iterator[object]:
    """What the oracle finds in a shielded text, topic words in any inflection excepted."""
    # A placeholder is a word of its own, so that no run goes through it.
    text = PLACEHOLDER.sub(" zqplaceholderzq ", released)
    topic = [word for word in oracle.tokens(c.general.text) if content(word)]

    def typed(word: str) -> bool:
        return any(akin(word, other) for other in topic)

    for word in oracle.identifiers_in(text, c.facts, small) - set(topic):
        # A frequent word with a capital ("the South") is a name to the policy only in a name.
        if word in c.facts.names or zipf(word) < oracle.RARE:
            yield word
    for word in oracle.rare_words_in(text, c.facts):
        if content(word) and zipf(word) < oracle.RARE and not typed(word):
            yield word
    for run in oracle.runs_in(text, c.facts):
        if all(map(content, run)) and not all(map(typed, run)):
            yield run


def content(word: str) -> bool:
    """The policy's list says which words carry none: data, not code."""
    return len(word) > 1 and not word.isdigit() and word not in function_words()


@cache
def frequencies() -> dict[str, float]:
    """ "nights" and "night's", "ai" and "a.i." are one word to the policy."""
    plain: dict[str, float] = {}
    for word, share in oracle.frequencies().items():
        key = word if word.isalnum() else word.translate(SIGNS)
        plain[key] = plain.get(key, 0.0) + share
    return plain


def zipf(word: str) -> float:
    share = frequencies().get(word, 0.0)
    return math.log10(share) + 9 if share else 0.0


def akin(word: str, other: str) -> bool:
    """Whether two words look like inflections of one: "coding" and "code"."""
    same = 0
    while same < min(len(word), len(other)) and word[same] == other[same]:
        same += 1
    return word == other or same >= max(3, min(len(word), len(other)) - 2)


def telling_beginning(c: Case, released: str) -> str | None:
    """The last letters, if a rare word or a name of the context begins with them."""
    last = re.search(r"[A-Za-z]{3,}$", released)
    if last is None:
        return None
    word = last.group().lower()
    if zipf(word) >= oracle.RARE or word in oracle.tokens(c.general.text):
        return None
    rare = {w for w in oracle.rare_words(c.facts.texts)[0] if zipf(w) < oracle.RARE}
    private = rare | c.facts.names
    return word if any(p.startswith(word) and p != word for p in private) else None


@pytest.mark.parametrize("written", ["copied", "reference"])
def test_nothing_private_leaves(
    cases: list[Case], small_words: frozenset[str], written: str
) -> None:
    for c in cases if written == "copied" else cases[::3]:
        shield = Shield(c.lexicon, c.general)
        text = c.copied if written == "copied" else c.reference
        shown = ""
        for end in range(3, len(text) + 1, 4):
            view = shield.view(text[:end])
            if view.asks and view.released.text != shown:
                shown = view.released.text
                assert telling_beginning(c, shown) is None
                assert list(leaks(c, shown, small_words)) == []


def test_the_check_itself_finds_what_is_not_shielded(
    cases: list[Case], small_words: frozenset[str]
) -> None:
    """A positive control: the copied text as it stands fails the same check."""
    assert sum(bool(list(leaks(c, c.copied, small_words))) for c in cases) >= 250


def test_most_of_a_text_is_shown(cases: list[Case]) -> None:
    """Not by showing nothing: most words of a reference are plain."""
    shown = total = 0
    for c in cases:
        view = Shield(c.lexicon, c.general).view(c.reference + "\n")
        total += len(c.reference.split())
        shown += len(PLACEHOLDER.sub("", view.released.text).split())
    assert shown / total > 0.7
