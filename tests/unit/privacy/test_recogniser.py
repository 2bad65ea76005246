"""A recogniser beside the guard's own rules: it can only add. Everybody is invented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cogenesis.errors import GuardRefusedError, MissingExtraError
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.presidio import PresidioRecogniser
from cogenesis.privacy.recogniser import RecognisedSpan, Recogniser
from cogenesis.privacy.released import Role


@dataclass(frozen=True)
class Listed:
    """A recogniser that knows some words."""

    known: dict[str, Role]

    def recognise(self, text: str) -> Iterator[RecognisedSpan]:
        for word, role in self.known.items():
            for m in re.finditer(rf"\b{word}\b", text):
                yield RecognisedSpan(m.start(), m.end(), role)


@dataclass(frozen=True)
class Fixed:
    """A recogniser that gives one span whatever the text is."""

    span: RecognisedSpan

    def recognise(self, text: str) -> list[RecognisedSpan]:
        return [self.span]


EMPTY = Lexicon([])
KNOWN = Listed({"stone": "person", "knee": "health"})
GUARD = Guard(EMPTY, recogniser=KNOWN)


def test_recognised_identifiers_are_replaced_or_refused() -> None:
    assert isinstance(KNOWN, Recogniser)
    told = "write a letter to stone about the new garden"
    assert Guard(EMPTY).derive(told).text == told
    assert GUARD.derive(told).text == "write a letter to someone about the new garden"
    with pytest.raises(GuardRefusedError) as error:
        GUARD.release("A letter to stone about the garden")
    assert [(f.text, f.role) for f in error.value.spans] == [("stone", "person")]


def test_recognised_sensitive_words_are_replaced_but_may_be_given() -> None:
    told = "write a letter to the club about my knee and our summer games"
    assert "something personal" in GUARD.derive(told).text
    assert GUARD.derive("A talk on the knee: for the club").text == "A talk on something personal"
    assert GUARD.release("A talk on the knee").text == "A talk on the knee"


def test_a_title_and_an_allowed_word() -> None:
    assert GUARD.derive("A letter to stone: about it").text == "A letter to someone"
    allowing = Guard(EMPTY, recogniser=KNOWN, allow=["stone"])
    assert allowing.release("A letter to stone").allowed == ("stone",)


def test_a_recogniser_cannot_take_a_finding_away() -> None:
    with pytest.raises(GuardRefusedError):
        Guard(EMPTY, recogniser=Listed({})).release("A letter to Barnaby about work")


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (0, 0), (5, 4), (0, 999)])
def test_a_span_outside_the_text_is_a_refusal(start: int, end: int) -> None:
    guard = Guard(EMPTY, recogniser=Fixed(RecognisedSpan(start, end, "person")))
    for method in (guard.release, guard.derive):
        with pytest.raises(GuardRefusedError, match="guard failed"):
            method("A plan about the garden for the summer")


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr("cogenesis.privacy.presidio.import_module", missing)
    with pytest.raises(MissingExtraError, match=r"cogenesis\[recogniser\]"):
        PresidioRecogniser.load()


@dataclass(frozen=True)
class Result:
    """The part of Presidio's `RecognizerResult` that is read."""

    entity_type: str
    start: int
    end: int


class Analyzer:
    """Gives recorded results in the form of Presidio 2.2."""

    def __init__(self, *results: Result) -> None:
        self.results = list(results)

    def analyze(self, text: str, language: str, *, score_threshold: float) -> list[Result]:
        assert (language, 0.0 < score_threshold < 0.4) == ("en", True)
        return self.results


@pytest.mark.parametrize(
    ("entity", "role"),
    [
        ("PERSON", "person"),
        ("ORGANIZATION", "organisation"),
        ("NRP", "politics"),
        ("US_SSN", "number"),
        ("IBAN_CODE", "number"),
        ("SOMETHING_NEW", "name"),
    ],
)
def test_entities_become_roles_and_unknown_ones_are_names(entity: str, role: Role) -> None:
    spans = PresidioRecogniser(Analyzer(Result(entity, 0, 4))).recognise("abcd efgh")
    assert list(spans) == [RecognisedSpan(0, 4, role)]


def test_times_without_a_digit_are_topics() -> None:
    analyzer = Analyzer(Result("DATE_TIME", 0, 10), Result("DATE_TIME", 11, 17))
    spans = PresidioRecogniser(analyzer).recognise("every week 3 June")
    assert list(spans) == [RecognisedSpan(11, 17, "date")]
