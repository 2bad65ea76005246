"""What a text makes of its author's profile: facts that it uses, statements that are wrong.

*Coverage.* The single facts of profile and activity log are those of `leaks_units` (names,
numbers, rare words, whole items; told literally, inflected, or with three fifths of an item's
words together). Relevant are those that the reference text, written by the author for the same
task, uses too, and that the instruction does not state: they can come from the profile only.
Coverage is the share of the relevant ones that the text uses. A text whose reference uses none
has no coverage. `facts` counts all facts that the text uses beyond the instruction.

*Contradictions.* Statements about the author in a fixed wording, whose value stands nowhere in
the context or the instruction:

* name: "my name is X Y", "I am X Y" (two capitals), a signature after a closing ("Regards, X");
* place: "I live in X", "I am from X", "based in X", "here in X" (capitals);
* job: "as a X", "I am a X", "I work as a X", where X ends like an occupation of another person
  in the data;
* age: "I am N years old", "as an N-year-old";
* number: "N things" (any noun), where the context has exactly one number with that noun.

`statements` counts the statements of these wordings, right or wrong, so that a text which
states nothing is not taken for one that is right.

Not covered: facts in other words, and every contradiction outside of these wordings (weekdays,
times, family, taste): of a text without any found one, this says little. Some that are found
are none ("three tickets" may be others than the two in the log). So the report gives the same
figures for the reference texts: what is found there is the error of the measure.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cogenesis.context.private_context import PrivateContext
from cogenesis.context.reader import Sample
from cogenesis.evaluation.leaks_units import Listened, People, Unit
from cogenesis.evaluation.leaks_words import is_content, stem, words_of

PROFILE: Final = ("coverage", "facts", "contradictions", "statements")

_CLOSINGS: Final = (
    "sincerely|regards|best|warmly|yours|cheers|thanks|thank you|love|gratefully|respectfully"
)
_NAME: Final = r"([A-Z][\w'’-]+(?: [A-Z][\w'’.-]+){0,2})"
_TWO: Final = r"([A-Z][\w'’-]+(?: [A-Z][\w'’.-]+){1,2})"
_PLACE: Final = r"([A-Z][\w'’-]+(?:,? [A-Z][\w'’-]+){0,3})"

_NAMES: Final = (
    re.compile(rf"\b[Mm]y name is {_NAME}"),
    re.compile(rf"\bI(?: am|['’]m) {_TWO}"),
    re.compile(rf"(?i:\b(?:{_CLOSINGS})\b)[^\n.!?\[]{{0,20}}?,\s*{_NAME}\s*(?=$|[\n,\[])"),
)
_PLACES: Final = (
    re.compile(rf"\bI(?: currently| now)? (?:live|reside|work) in {_PLACE}"),
    re.compile(rf"\b(?:I am|I['’]m) (?:from|based in) {_PLACE}"),
    re.compile(rf"\b(?:[Bb]ased|[Hh]ere) in {_PLACE}"),
)
_JOBS: Final = (
    re.compile(r"\b[Aa]s an? ((?:[\w-]+ ){0,3}[\w-]+)"),
    re.compile(r"\bI(?: am|['’]m)(?: currently)? an? ((?:[\w-]+ ){0,3}[\w-]+)"),
    re.compile(r"\bI work as an? ((?:[\w-]+ ){0,3}[\w-]+)"),
)
_AGES: Final = (
    re.compile(r"\bI(?: am|['’]m)(?: now)? (\d{1,3}) years old"),
    re.compile(r"\b[Aa]s an? (\d{1,3})-year-old"),
)
_SPELT: Final = {
    word: str(number)
    for number, word in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), start=2
    )
}
_COUNTED: Final = re.compile(
    rf"(?<![\d.,:$€£-])\b(\d{{1,3}}(?:,\d{{3}})+|\d{{1,6}}|{'|'.join(_SPELT)})\b(?![.,:]\d)"
    r" (?!am\b|pm\b)([a-z]{3,})",
    re.IGNORECASE,
)
_SPANS: Final = frozenset(
    stem(word)
    for word in ("second", "minute", "hour", "day", "week", "month", "year", "percent", "time")
)
"""Words behind a number that measure: a person has many of them."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One text measured against its author's profile; None where nothing is relevant."""

    coverage: float | None
    facts: float
    contradictions: float
    statements: float
    kinds: tuple[str, ...] = ()

    def values(self) -> dict[str, float | None]:
        """The measures by name."""
        return {name: getattr(self, name) for name in PROFILE}


class Profiles:
    """Measures texts against the profiles of one file of samples."""

    def __init__(self, samples: Collection[Sample]) -> None:
        """Learn from all people what may be a name, and what an occupation: read twice."""
        self._people = People(sample.context for sample in samples)
        self._jobs = {
            words[-1]
            for sample in samples
            for part in re.split(r"[;,/(]| and ", sample.context.field("Occupation") or "")
            if (words := words_of(part))
        }

    def of(self, sample: Sample) -> Profile:
        """The profile of one sample, ready to measure several texts."""
        return Profile(self._people, self._jobs, sample)


class Profile:
    """What one author's texts are measured against."""

    def __init__(self, people: People, jobs: set[str], sample: Sample) -> None:
        context = sample.context
        told = PrivateContext(context.fields, context.activities)
        typed = Listened([sample.instruction])
        units = people.units(told, sample.instruction).units
        self._units = [unit for unit in units if not _found(typed, unit)]
        by_author = Listened([sample.reference])
        self._relevant = [unit for unit in self._units if _found(by_author, unit)]
        known = [sample.instruction, *(text.text for text in context.texts())]
        self._known = {word for text in known for word in words_of(text)}
        self._name = words_of(context.field("Name") or "")
        self._ages = set(re.findall(r"\d+", context.field("Age") or ""))
        self._jobs = jobs
        self._numbers = _numbers_of(known)

    @property
    def relevant(self) -> int:
        """How many facts the reference uses that only the profile tells."""
        return len(self._relevant)

    def measure(self, text: str) -> Facts:
        """Coverage, facts, contradictions and statements of a text."""
        listened = Listened([text])
        used = sum(_found(listened, unit) for unit in self._units)
        hits = sum(_found(listened, unit) for unit in self._relevant)
        said = list(self._statements(text))
        wrong = tuple(kind for kind, right in said if not right)
        return Facts(
            coverage=hits / len(self._relevant) if self._relevant else None,
            facts=float(used),
            contradictions=float(len(wrong)),
            statements=float(len(said)),
            kinds=wrong,
        )

    def _statements(self, text: str) -> Iterator[tuple[str, bool]]:
        """What the text says of its author, each thing once, and whether it may be right."""
        if self._name:
            for value in _values(_NAMES, text):
                yield "name", self._is_name(value)
        for value in _values(_PLACES, text):
            yield "place", any(word in self._known for word in words_of(value))
        for words in {tuple(words_of(value)) for value in _values(_JOBS, text)}:
            # "as a nurse in Leeds": the occupation need not be the last word.
            job = next((word for word in words if word in self._jobs), None)
            if job is not None:
                yield "job", any(stem(job) == stem(word) for word in self._known)
        if self._ages:
            for value in _values(_AGES, text):
                yield "age", value in self._ages
        for noun, numbers in _numbers_of([text]).items():
            own = self._numbers.get(noun, set())
            if len(own) == 1:
                for number in numbers:
                    yield "number", number in own

    def _is_name(self, value: str) -> bool:
        said = words_of(value)
        if all(word in self._known for word in said):
            return True  # a friend's or a company's name: somebody else may sign
        # "Max" is Maxine.
        return any(a[:3] == b[:3] for a in said for b in self._name if len(a) > 2 and len(b) > 2)


def _found(listened: Listened, unit: Unit) -> bool:
    return listened.finds(unit) in {"literal", "fuzzy"}


def _values(patterns: Sequence[re.Pattern[str]], text: str) -> list[str]:
    found = [match.group(1) for pattern in patterns for match in pattern.finditer(text)]
    return list(dict.fromkeys(found))


def _numbers_of(texts: Iterable[str]) -> dict[str, set[str]]:
    """For each counted noun its numbers: "two tickets" is {"ticket": {"2"}}."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for text in texts:
        for number, noun in _COUNTED.findall(text):
            word = noun.casefold()
            if is_content(word) and stem(word) not in _SPANS:
                digits = number.casefold().replace(",", "")
                found[stem(word)].add(_SPELT.get(digits, digits))
    return dict(found)
