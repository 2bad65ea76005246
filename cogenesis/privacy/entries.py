"""What a lexicon holds: the private words of a context, read from its texts.

Written rules, for what the four classes of DESIGN section 6 leave open:

* Every word of a name field is an identifier; one that is a very frequent ordinary word
  ("Will", "May") only where it has a capital. A word of a place field too; an ordinary one
  ("Reading", "Bath") only with a capital, and the most frequent ones ("New", "City") only
  inside the whole name. The user's own country or state counts, though it is not small.
* A phrase of ordinary words that the context writes with capitals ("Golden Thread") is a
  name, unless the context writes the same words with small letters elsewhere: then it is a
  topic ("event planning"). A quoted title of ordinary words ('The Future of Green Bonds')
  names no person, organisation or place; its words and runs are private as all others.
* What a recogniser finds (`privacy.recogniser`) counts as what these rules find. An ordinary
  word that only it takes for a name counts with a capital; a number under four digits does not.
* A small number is an identifier beside the word of its field, and only if the field's
  value is short: "Age: 47", "Children: 3".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, Protocol

from cogenesis.privacy.identifiers import proper_names
from cogenesis.privacy.near import Near
from cogenesis.privacy.normal import Word, words
from cogenesis.privacy.notations import notations
from cogenesis.privacy.recogniser import Recogniser, findings
from cogenesis.privacy.released import Finding, Role
from cogenesis.privacy.words import (
    bare_words,
    base,
    content,
    families,
    function_words,
    name_words,
    names,
    ordinary,
    public_names,
    zipf,
)

RUN: Final = 3
"""Content words in a row that make a private run."""

CAPITAL_NEEDED: Final = 5.0
"""Zipf frequency from which an ordinary word that is also a name counts with a capital only."""

_MOST_FREQUENT: Final = 5.3
"""From this Zipf frequency a word of a place's name says nothing by itself ("New", "City")."""

_SHORT_VALUE: Final = 4
"""Words of a field's value in which a small number belongs to the field."""

_NAME_FIELDS: Final = ("name", "nickname", "alias", "spouse", "partner", "employer", "company")
_PLACE_FIELDS: Final = ("location", "address", "city", "town", "hometown", "residence")
_AGE_WORDS: Final = ("age", "aged", "old", "year", "yr", "yo", "birthday", "turn", "am", "im", "m")
_NO_NAMES_IN: Final = frozenset({"occupation", "personaltraits", "writingstyle"})
"""Fields whose values are written with capitals without being names."""
_HONORIFICS: Final = frozenset(
    {"dr", "mr", "mrs", "ms", "miss", "prof", "professor", "sir", "jr", "sr"}
)
_NAMED: Final = frozenset({"person", "organisation", "place", "name"})
_TOKEN: Final = re.compile(r"\S+")


class TextOfContext(Protocol):
    """A private string with its label; `cogenesis.context.ContextText` is one."""

    @property
    def label(self) -> str: ...
    @property
    def text(self) -> str: ...


class Entries:
    """Sets of private words in normal form. Never shown, never pickled."""

    __slots__ = (
        "_near",
        "_phrases",
        "_recogniser",
        "_small_pairs",
        "capital_keys",
        "families",
        "keys",
        "numbers",
        "rare",
        "runs",
        "sequences",
        "threshold",
    )

    def __init__(
        self,
        texts: Iterable[TextOfContext],
        threshold: float,
        recogniser: Recogniser | None = None,
        extends: Entries | None = None,
    ) -> None:
        """Read texts, and hold besides what `extends` holds: that one stays as it is."""
        held = extends
        self.threshold = threshold
        self.keys: dict[str, Role] = dict(held.keys) if held else {}
        self.capital_keys: dict[str, Role] = dict(held.capital_keys) if held else {}
        self.numbers: set[tuple[str, str]] = set(held.numbers) if held else set()
        self.rare: set[str] = set(held.rare) if held else set()
        self.families: set[str] = set(held.families) if held else set()
        self.runs: set[tuple[str, ...]] = set(held.runs) if held else set()
        # The keys of several words again, in words: the shield must know where each begins.
        self.sequences: set[tuple[str, ...]] = set(held.sequences) if held else set()
        self._near: Near | None = None
        self._phrases: dict[tuple[str, ...], Role] = {}
        self._small_pairs: set[tuple[str, str]] = set(held._small_pairs) if held else set()
        self._recogniser = recogniser
        unique: set[str] = set()
        seen: set[str] = set()
        for item in texts:
            self._read(item, seen, unique)
        for key in unique:
            self._add_rare(key)
        self._settle_phrases()

    def __repr__(self) -> str:
        return "Entries(hidden)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a lexicon is private and is never pickled")

    def __getstate__(self) -> object:
        raise TypeError("a lexicon is private and is never serialised")

    @property
    def near(self) -> Near:
        """The identifiers with a letter wrong, and their digits alone; made on first use."""
        if self._near is None:
            self._near = Near(self.keys)
        return self._near

    def _read(self, item: TextOfContext, seen: set[str], unique: set[str]) -> None:
        text = item.text
        found = words(text)
        label = "".join(w.key for w in words(item.label))
        if any(label.endswith(field) for field in _NAME_FIELDS):
            self._add_name_field(text, "person")
        elif any(label.endswith(field) for field in _PLACE_FIELDS):
            self._add_name_field(text, "place")
        if len(found) <= _SHORT_VALUE:
            self._add_numbers(item.label, label, found)
        if text in seen:
            return
        seen.add(text)
        # Not merged: an address holds a street's name, which is private by itself too.
        for finding in notations(text):
            self._add_identifier(finding, words(finding.text))
        headings = label.startswith("writing")
        for finding in proper_names(text, found, context=True, headings=headings):
            if finding.role != "name" or label not in _NO_NAMES_IN:
                self._add_identifier(finding, words(finding.text))
        for finding in findings(self._recogniser, text):
            self._add_recognised(finding, words(finding.text))
        self._add_tokens(text)
        unique.update(w.key for w in found)
        bases = [base(w.key) for w in found]
        for view in views(found):
            self.runs.update((bases[i], bases[j], bases[k]) for i, j, k in view)
        small = [not w.raw[0].isupper() for w in found]
        self._small_pairs.update(
            (bases[i], bases[i + 1]) for i in range(len(found) - 1) if small[i] and small[i + 1]
        )

    def _add_rare(self, key: str) -> None:
        if not content(key) or key.isdigit():
            return
        forms = families(key)
        self.families |= forms
        if zipf(key) < self.threshold:
            self.rare |= forms

    # -- identifiers ------------------------------------------------------------------------

    def _add_name_field(self, value: str, role: Role) -> None:
        """The value of a name or place field: each part as a whole, and its telling words."""
        for part in re.split(r"[,;/()\n]", value):
            found = [w for w in words(part) if w.key not in _HONORIFICS]
            key = "".join(w.key for w in found)
            if len(key) < 2:
                continue
            if len(found) > 1:
                self.keys[key] = role
                self.sequences.add(tuple(w.key for w in found))
            for word in found:
                self._add_field_word(word.key, role, alone=len(found) == 1)

    def _add_field_word(self, key: str, role: Role, *, alone: bool) -> None:
        if len(key) < 2 or (key in function_words() and key not in name_words()):
            return
        if not ordinary(key) and zipf(key) < CAPITAL_NEEDED:
            # Two letters ("CA", "Al") are too often the start or end of something else.
            (self.keys if len(key) > 2 else self.capital_keys)[key] = role
        elif role == "person":
            (self.keys if zipf(key) < CAPITAL_NEEDED else self.capital_keys)[key] = role
        elif alone or zipf(key) < _MOST_FREQUENT:
            self.capital_keys[key] = role

    def _add_identifier(self, finding: Finding, found: Sequence[Word]) -> None:
        """A notation or a name that the context shows: as a whole, and its telling words."""
        key = "".join(w.key for w in found)
        if finding.role in _NAMED:
            for word in found:
                self._add_named_word(word, finding.role)
        elif finding.role == "contact":
            self._add_contact_words(found)
        elif finding.role == "address" and len(found) > 2 and found[0].number:
            self.keys.setdefault("".join(w.key for w in found[1:]), "address")
            self.sequences.add(tuple(w.key for w in found[1:]))
        if len(key) < 2 or key in public_names():
            return
        if finding.role in _NAMED and len(found) > 1 and all(ordinary(w.key) for w in found):
            self._phrases.setdefault(tuple(w.key for w in found), finding.role)
        elif len(found) > 1 or finding.role not in _NAMED:
            self.keys.setdefault(key, finding.role)
            if len(found) > 1:
                self.sequences.add(tuple(w.key for w in found))

    def _add_recognised(self, finding: Finding, found: Sequence[Word]) -> None:
        """What a recogniser found: it may know a name where no list and no capital tells it."""
        if finding.kind == "sensitive":
            for word in found:
                if content(word.key):
                    self.rare |= families(word.key)
            return
        if finding.role in {"number", "amount"} and sum(c.isdigit() for c in finding.text) < 4:
            return
        self._add_identifier(finding, found)
        if finding.role in _NAMED:
            # It was called a name, so it stays one where the context uses small letters.
            if len(found) > 1:
                self.keys.setdefault("".join(w.key for w in found), finding.role)
                self.sequences.add(tuple(w.key for w in found))
            for word in found:
                if len(word.key) > 2 and content(word.key) and word.key not in public_names():
                    self.capital_keys.setdefault(word.key, finding.role)

    def _add_named_word(self, word: Word, role: Role) -> None:
        key = word.key
        if len(key) < 2 or key in public_names():
            return
        if key not in function_words() and (key in names() or not ordinary(key)):
            short = len(key) <= 3 and key not in names()
            (self.capital_keys if short else self.keys).setdefault(key, role)
        elif role == "person" and key in name_words():
            (self.keys if zipf(key) < CAPITAL_NEEDED else self.capital_keys).setdefault(key, role)

    def _add_contact_words(self, found: Sequence[Word]) -> None:
        """ "thompsonbakes" of "thompsonbakes@mail.example" tells who it is without the rest."""
        for word in found:
            key = word.key
            if (
                len(key) >= 4
                and zipf(key) < 3.0
                and not ordinary(key)
                and key not in public_names()
            ):
                self.keys.setdefault(key, "contact")

    def _add_tokens(self, text: str) -> None:
        """Names with an apostrophe or hyphen inside, also written as one word: "OBrien"."""
        for m in _TOKEN.finditer(text):
            token = m.group()
            if "'" not in token and "’" not in token and "-" not in token:
                continue
            parts = words(token)
            key = "".join(w.key for w in parts)
            if len(parts) > 1 and parts[-1].key != "s" and any(w.key in self.keys for w in parts):
                self.keys.setdefault(key, "person")
                self.sequences.add(tuple(w.key for w in parts))

    def _add_numbers(self, shown: str, label: str, found: Sequence[Word]) -> None:
        beside = set(_AGE_WORDS) if label == "age" else {base(w.key) for w in words(shown)}
        beside |= {base(w.key) for w in found if content(w.key) and not w.number}
        for number in found:
            digits = number.key.rstrip("abcdefghijklmnopqrstuvwxyz")
            if digits.isdigit() and len(digits) < 4:
                self.numbers.update((digits, word) for word in beside)
                self.numbers.update((spelled(int(digits)), word) for word in beside)

    def _settle_phrases(self) -> None:
        for phrase, role in self._phrases.items():
            pairs = pairwise(phrase)
            if not all((base(a), base(b)) in self._small_pairs for a, b in pairs):
                self.keys.setdefault("".join(phrase), role)
                self.sequences.add(phrase)
        self._phrases.clear()


Run = tuple[int, int, int]
"""Where RUN words stand among the words of a text."""


def views(found: Sequence[Word]) -> tuple[list[Run], list[Run]]:
    """Every RUN content words in a row, in two views of what content is.

    The first passes over all function words and numbers, the second only over the bare ones;
    there at least two words must carry content by the first measure as well.
    """
    little, bare = function_words(), bare_words()
    keys = [w.key for w in found]
    first = [
        i for i, key in enumerate(keys) if len(key) > 1 and key not in little and not key.isdigit()
    ]
    second = [i for i, key in enumerate(keys) if key not in bare]
    telling = set(first)
    return (
        list(zip(first, first[1:], first[2:], strict=False)),
        [
            run
            for run in zip(second, second[1:], second[2:], strict=False)
            if len(telling.intersection(run)) >= RUN - 1
        ],
    )


# fmt: off
_ONES: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)
_TENS: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
# fmt: on


def spelled(number: int) -> str:
    """A number below 1,000 in English words, in normal form: 47 is "fortyseven"."""
    if number >= 100:
        rest = spelled(number % 100) if number % 100 else ""
        return f"{_ONES[number // 100]}hundred{rest}"
    if number < 20:
        return _ONES[number]
    return _TENS[number // 10 - 2] + (_ONES[number % 10] if number % 10 else "")
