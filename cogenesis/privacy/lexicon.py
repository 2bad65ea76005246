"""What counts as private in one person's context (DESIGN section 6, four classes).

1. Identifiers of the context, whatever their spelling: names, places, organisations,
   contact data, numbers beside their field's word.
2. Sensitive words: a shipped list, the same for everybody (`privacy.words.sensitive`).
3. Topic words are no part of the lexicon: `privacy.guard` takes them out of class 4.
4. Rare words of the context (Zipf frequency under the threshold, any inflection) and every
   run of three content words of it.

Not covered: paraphrase and synonyms, facts told in common words that are no run of the
context, what follows from words that may leave, words in other languages than English
(unknown words are rare, so they are private if they stand in the context).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from cogenesis.privacy.identifiers import merge, recognise
from cogenesis.privacy.normal import Word, joined, words
from cogenesis.privacy.released import Finding, FindingKind, Role
from cogenesis.privacy.words import (
    base,
    content,
    families,
    function_words,
    name_words,
    names,
    ordinary,
    public_names,
    sensitive,
    zipf,
)

RARE_BELOW: Final = 4.5
"""Zipf frequency under which a word of the context is private: once in 32,000 words."""

RUN: Final = 3
"""Content words in a row that make a private run."""

_NAME_FIELDS: Final = ("name", "nickname", "alias", "spouse", "partner", "employer", "company")
_PLACE_FIELDS: Final = ("location", "address", "city", "town", "hometown", "residence")
_FIELD_WORDS: Final = {"age": ("age", "aged", "old", "year", "years", "birthday")}
_HONORIFICS: Final = frozenset(
    {"dr", "mr", "mrs", "ms", "miss", "prof", "professor", "sir", "jr", "sr"}
)
_ITEM_END: Final = re.compile(r"[;\n]+")


class TextOfContext(Protocol):
    """A private string with its label; `cogenesis.context.ContextText` is one."""

    @property
    def label(self) -> str: ...
    @property
    def text(self) -> str: ...


@dataclass(frozen=True, slots=True)
class LexiconSize:
    """How many private things a lexicon holds."""

    identifiers: int
    rare_words: int
    runs: int


class Lexicon:
    """The private words of one context. Shows counts only; never pickled."""

    __slots__ = (
        "_capital_names",
        "_families",
        "_keys",
        "_longest",
        "_numbers",
        "_rare",
        "_runs",
        "_threshold",
    )

    def __init__(self, texts: Iterable[TextOfContext], *, rare_below: float = RARE_BELOW) -> None:
        self._threshold = rare_below
        self._keys: dict[str, Role] = {}
        self._capital_names: dict[str, Role] = {}
        self._numbers: set[tuple[str, str]] = set()
        self._rare: set[str] = set()
        self._families: set[str] = set()
        self._runs: set[tuple[str, ...]] = set()
        seen: set[str] = set()
        for item in texts:
            self._read(item, seen)
        self._longest = max((len(key) for key in self._keys), default=0)

    def __repr__(self) -> str:
        return f"Lexicon({self.size})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a lexicon is private and is never pickled")

    @property
    def size(self) -> LexiconSize:
        """Counts of what is looked for, the shipped lists not included."""
        return LexiconSize(
            identifiers=len(self._keys) + len(self._capital_names) + len(self._numbers),
            rare_words=len(self._rare),
            runs=len(self._runs),
        )

    def identifiers(self, text: str) -> tuple[Finding, ...]:
        """Class 1: identifiers of the context, and those that the text shows by itself."""
        found = words(text)
        known = [*self._known(text, found), *self._beside_field(text, found)]
        return merge(text, [*known, *recognise(text)])

    def sensitive(self, text: str) -> tuple[Finding, ...]:
        """Class 2: words of sensitive categories, in any inflection."""
        found = words(text)
        hits = [(i, i + 1, w.key) for i, w in enumerate(found)]
        hits += [hit for hit in joined(found, 24) if hit[1] - hit[0] <= 3]
        out = []
        for first, last, key in hits:
            if (kind := sensitive(key)) is not None:
                out.append(_finding(text, found, first, last, "sensitive", kind, "pattern"))
        return merge(text, out)

    def rare(self, text: str) -> tuple[Finding, ...]:
        """Class 4: rare words of the context, in any inflection, also written apart."""
        found = words(text)
        out = []
        for i, word in enumerate(found):
            if content(word.key) and self._is_rare(word.key):
                out.append(_finding(text, found, i, i + 1, "rare", "word"))
        for first, last, key in joined(found, 24):
            if key in self._rare and not all(zipf(w.key) >= 5.0 for w in found[first:last]):
                out.append(_finding(text, found, first, last, "rare", "word"))
        return merge(text, out)

    def runs(self, text: str) -> tuple[Finding, ...]:
        """Class 4: three or more content words in the order of the context."""
        found = words(text)
        return tuple(
            _finding(text, found, run[0], run[-1] + 1, "run", "words")
            for run in _runs(found)
            if tuple(base(found[i].key) for i in run) in self._runs
        )

    # -- reading the context ------------------------------------------------------------

    def _read(self, item: TextOfContext, seen: set[str]) -> None:
        label = "".join(w.key for w in words(item.label))
        if any(label.endswith(field) for field in _NAME_FIELDS):
            self._add_name(item.text, "person")
        elif any(label.endswith(field) for field in _PLACE_FIELDS):
            self._add_name(item.text, "place")
        for field, beside in _FIELD_WORDS.items():
            if label == field:
                self._numbers.update(
                    (number.key, word)
                    for number in words(item.text)
                    if number.number
                    for word in beside
                )
        # Occupations and traits are written with capitals without being names.
        named = label not in {"occupation", "personaltraits", "writingstyle"}
        for part in _ITEM_END.split(item.text):
            if part.strip() and part not in seen:
                seen.add(part)
                self._read_part(part, named=named)

    def _read_part(self, part: str, *, named: bool) -> None:
        for finding in recognise(part, quotes_are_headings=False):
            if named or finding.role != "name":
                self._add_identifier(finding)
        found = words(part)
        for word in found:
            if not content(word.key) or word.key.isdigit():
                continue
            forms = families(word.key)
            self._families |= forms
            if zipf(word.key) < self._threshold:
                self._rare |= forms
        for run in _runs(found):
            self._runs.add(tuple(base(found[i].key) for i in run))

    def _add_name(self, value: str, role: Role) -> None:
        """The value of a name or place field: each part as a whole, and its telling words."""
        for part in re.split(r"[,;/()\n]", value):
            found = [w for w in words(part) if w.key not in _HONORIFICS]
            key = "".join(w.key for w in found)
            if len(key) < 2 or key in public_names():
                continue
            if len(found) > 1:
                self._keys[key] = role
            for word in found:
                self._add_word(word, role, telling=role == "person")

    def _add_word(self, word: Word, role: Role, *, telling: bool) -> None:
        if len(word.key) < 2 or word.key in public_names():
            return
        if word.key in names() or not ordinary(word.key):
            if word.key not in function_words():
                self._keys[word.key] = role
        elif telling:
            # "Will" or "Rose": an ordinary word too, so only with a capital.
            self._capital_names[word.key] = role

    def _add_identifier(self, finding: Finding) -> None:
        found = words(finding.text)
        key = "".join(w.key for w in found)
        if len(key) >= 2 and (len(found) > 1 or not ordinary(key)) and key not in public_names():
            self._keys.setdefault(key, finding.role)
        if finding.role in {"person", "organisation", "place", "name"}:
            for word in found:
                telling = finding.role == "person" and word.key in name_words()
                self._add_word(word, finding.role, telling=telling)

    # -- looking for it -----------------------------------------------------------------

    def _known(self, text: str, found: Sequence[Word]) -> Iterator[Finding]:
        for i, word in enumerate(found):
            role = self._key_role(word)
            if role is not None:
                yield _finding(text, found, i, i + 1, "identifier", role)
        for first, last, key in joined(tuple(found), max(self._longest, 1)):
            if (role := self._keys.get(key)) is not None:
                yield _finding(text, found, first, last, "identifier", role)

    def _key_role(self, word: Word) -> Role | None:
        for form in families(word.key):
            if form in self._keys:
                return self._keys[form]
        if word.capital and word.key in self._capital_names:
            return self._capital_names[word.key]
        if len(word.key) > 5 and zipf(word.key) == 0.0:
            # An unknown word that contains a name: "elainethompson99".
            for key, role in self._keys.items():
                if len(key) >= 4 and key in word.key:
                    return role
        return None

    def _beside_field(self, text: str, found: Sequence[Word]) -> Iterator[Finding]:
        """A small number within three words of its field's word: "turning 47 years"."""
        if not self._numbers:
            return
        for i, word in enumerate(found):
            digits = word.key.rstrip("abcdefghijklmnopqrstuvwxyz")
            near = found[max(0, i - 3) : i + 4]
            if digits and any(
                (digits, base(w.key)) in self._numbers or (digits, w.key) in self._numbers
                for w in near
            ):
                yield _finding(text, found, i, i + 1, "identifier", "number")

    def _is_rare(self, key: str) -> bool:
        if key.isdigit():
            return False
        forms = families(key)
        if not self._rare.isdisjoint(forms):
            return True
        return zipf(key) < self._threshold and not self._families.isdisjoint(forms)


def _finding(
    text: str,
    found: Sequence[Word],
    first: int,
    last: int,
    kind: FindingKind,
    role: Role,
    source: Literal["context", "pattern"] = "context",
) -> Finding:
    start, end = found[first].start, found[last - 1].end
    return Finding(start, end, kind, role, text[start:end], source=source)


def _runs(found: Sequence[Word]) -> Iterator[tuple[int, ...]]:
    """Every RUN content words in a row, function words between them passed over."""
    at = [i for i, w in enumerate(found) if content(w.key)]
    for k in range(len(at) - RUN + 1):
        yield tuple(at[k : k + RUN])
