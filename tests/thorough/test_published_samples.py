"""The promise on the 271 published samples, by a check that shares no code with the lexicon.

From each context it computes, with regular expressions and word frequencies only: the words
of the name and location fields, capitalised names, e-mails, numbers of four digits, rare
words (Zipf frequency under 4.5, also inflected) and runs of three content words. None may
stand in the general instruction; a word that was typed in the title may, unless it is an
identifier. The data is never copied into the project: where it is not there, this skips.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import wordfreq

from cogenesis.context.reader import read_samples
from cogenesis.errors import GuardRefusedError
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.words import public_names

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "context_aware"
FILES = ("train.json", "validation.json")

pytestmark = pytest.mark.skipif(
    not all((DATA / name).is_file() for name in FILES),
    reason="needs the published data in ../shared/data/context_aware, which is never shipped",
)

RARE = 4.5
STOP_TEXT = (
    "a about after again all also am an and any are as at be been before being but by can could "
    "did do does doing down each few for from further had has have having he her here hers him "
    "his how i if in into is it its itself just me more most my no nor not now of off on once "
    "only or other our ours out over own s same she should so some such t than that the their "
    "them then there these they this those through to too under until up very was we were what "
    "when where which while who whom why will with would you your yours"
)
STOP = frozenset(STOP_TEXT.split())
OURS_TEXT = (
    "someone something some an organisation place contact details day amount address personal"
)
OURS = frozenset(OURS_TEXT.split())
"""Words that the guard puts for private ones."""


@dataclass(frozen=True)
class Sent:
    """What left for one sample, and what its context holds."""

    title: str
    texts: tuple[str, ...]
    names: frozenset[str]
    from_title: str
    source: str
    from_details: str | None


@cache
def frequencies() -> dict[str, float]:
    return dict(wordfreq.get_frequency_dict("en", wordlist="best"))


@cache
def zipf(word: str) -> float:
    share = frequencies().get(word, 0.0)
    return math.log10(share) + 9 if share else 0.0


def tokens(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower().replace("’s", "").replace("'s", ""))


def content(text: str) -> list[str]:
    return [word for word in tokens(text) if word not in STOP and len(word) > 1]


@cache
def stems(word: str) -> frozenset[str]:
    out = {word}
    for ending in ("s", "es", "ed", "ing", "d"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            out.add(word[: -len(ending)])
    return frozenset(out)


def field_words(label: str, text: str) -> Iterator[str]:
    """Words of the name and the place, less those that everybody's text holds."""
    for word in tokens(text):
        frequent = zipf(word) >= (5.3 if label == "Location" else 5.0)
        if len(word) > 2 and word not in STOP and not frequent:
            yield word


@pytest.fixture(scope="module")
def sent() -> list[Sent]:
    out = []
    for name in FILES:
        for sample in read_samples(DATA / name):
            items = list(sample.context.texts())
            guard = Guard(Lexicon(items))
            title, _, details = sample.instruction.partition(": ")
            try:
                # Without a colon it has no title any more.
                from_details = guard.derive(details.replace(": ", ", ")).text
            except GuardRefusedError:
                from_details = None
            names = (
                w
                for i in items
                if i.label in {"Name", "Location"}
                for w in field_words(i.label, i.text)
            )
            minted = guard.derive(sample.instruction)
            texts = tuple(item.text for item in items)
            out.append(
                Sent(title, texts, frozenset(names), minted.text, minted.source, from_details)
            )
    return out


@pytest.fixture(scope="module")
def small_words(sent: list[Sent]) -> frozenset[str]:
    """Every word that somebody's context writes with a small letter: no name by itself."""
    return frozenset(
        word for s in sent for text in s.texts for word in re.findall(r"\b[a-z]+\b", text)
    )


@cache
def capitalised(texts: tuple[str, ...], small: frozenset[str]) -> set[str]:
    """Words with a capital inside a sentence that nobody writes small."""
    return {
        word.lower()
        for text in texts
        for word in re.findall(r"(?<=[a-z,'‘(] )['‘(]?([A-Z][A-Za-z]{2,})\b", text)
        if word.lower() not in small and word.lower() not in public_names()
    }


def identifiers_in(text: str, s: Sent, small: frozenset[str]) -> set[str]:
    context = "\n".join(s.texts)
    emails = set(re.findall(r"[\w.+-]+@[\w.-]+", context))
    found = {word for word in tokens(text) if word in s.names | capitalised(s.texts, small)}
    # An ordinary word that is also a place ("Reading") counts with a capital only.
    found = {w for w in found if w not in small or re.search(rf"\b{w.capitalize()}\b", text)}
    return found | {e for e in emails if e in text} | set(re.findall(r"\d{4,}", text))


@cache
def rare_words(texts: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """The rare words of a context, and their stems."""
    words = {word for text in texts for word in content(text)}
    rare = {word for word in words if zipf(word) < RARE and not word.isdigit()}
    return frozenset(rare), frozenset(stem for word in rare for stem in stems(word))


def rare_words_in(text: str, s: Sent) -> set[str]:
    rare, rare_stems = rare_words(s.texts)
    return {
        word
        for word in content(text)
        if word in rare or (zipf(word) < RARE and not rare_stems.isdisjoint(stems(word)))
    }


def runs(text: str) -> set[tuple[str, ...]]:
    words = content(text)
    return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}


@cache
def runs_of(texts: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    return frozenset(run for text in texts for run in runs(text))


def runs_in(text: str, s: Sent) -> set[tuple[str, ...]]:
    return runs(text) & runs_of(s.texts)


def test_all_samples_are_read_and_nearly_all_are_served(sent: list[Sent]) -> None:
    assert len(sent) == 271
    assert {s.source for s in sent} == {"title"}
    assert sum(s.from_title == s.title for s in sent) >= 255
    assert sum(s.from_details is not None for s in sent) >= 255


def test_no_identifier_leaves(sent: list[Sent], small_words: frozenset[str]) -> None:
    for s in sent:
        for text in (s.from_title, s.from_details or ""):
            assert identifiers_in(text, s, small_words) == set()


def test_from_a_title_only_words_of_the_title_leave(sent: list[Sent]) -> None:
    for s in sent:
        assert set(tokens(s.from_title)) <= set(tokens(s.title)) | OURS


def test_without_a_title_no_rare_word_and_no_run_leaves(sent: list[Sent]) -> None:
    for s in sent:
        text = s.from_details or ""
        assert rare_words_in(text, s) - OURS == set()
        assert runs_in(text, s) == set()


def test_the_check_itself_finds_what_was_typed(
    sent: list[Sent], small_words: frozenset[str]
) -> None:
    """A positive control: unguarded text must fail the same check."""
    assert sum(bool(identifiers_in(s.title, s, small_words)) for s in sent) >= 5
    assert all(rare_words_in(s.texts[-1], s) for s in sent)
    assert all(runs_in(s.texts[-1], s) for s in sent)
