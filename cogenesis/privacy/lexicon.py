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
from typing import Final, Literal

from cogenesis.privacy.entries import CAPITAL_NEEDED, Entries, TextOfContext, views
from cogenesis.privacy.identifiers import merge, recognise
from cogenesis.privacy.normal import Word, joined, words
from cogenesis.privacy.policy import STRICT, PolicyLevel
from cogenesis.privacy.recogniser import Recogniser
from cogenesis.privacy.released import Finding, FindingKind, Role
from cogenesis.privacy.words import (
    base,
    content,
    families,
    ordinary,
    sensitive,
    sensitive_if_personal,
    zipf,
)

__all__ = ["RARE_BELOW", "Lexicon", "LexiconSize", "TextOfContext"]

RARE_BELOW: Final = STRICT.rare_below
"""Zipf frequency under which a word of the context is private: once in 32,000 words."""

_LONGEST_WORD: Final = 24
"""Characters of a word written apart: longer ones are not tried."""

_NEAR: Final = 3
"""Words between a number and its field's word, or a sensitive word and a personal one."""

# fmt: off
_PERSONAL: Final = frozenset((
    "i", "me", "my", "mine", "myself", "im", "ive", "we", "us", "our", "ours", "you", "your",
    "yours", "he", "him", "his", "she", "her", "hers", "they", "them", "their", "theirs",
))
# fmt: on
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_PARTS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_DIGIT_LETTERS: Final = tuple(str.maketrans("0134578", f"o{i}eastb") for i in "il")
"""Digits that stand for letters, as in "Th0mp50n"."""


@dataclass(frozen=True, slots=True)
class LexiconSize:
    """How many private things a lexicon holds."""

    identifiers: int
    rare_words: int
    runs: int


class Lexicon:
    """The private words of one context. Shows counts only; never pickled."""

    __slots__ = ("_entries", "_longest", "_recogniser", "level")

    def __init__(
        self,
        texts: Iterable[TextOfContext],
        *,
        level: PolicyLevel = STRICT,
        rare_below: float | None = None,
        recogniser: Recogniser | None = None,
    ) -> None:
        """Read a context by a level of the policy; `rare_below` sets another threshold.

        What a `recogniser` finds in the context belongs to the lexicon. It reads every text
        once, here, so that the shield need not ask it about a text that grows.
        """
        threshold = level.rare_below if rare_below is None else rare_below
        self._set(Entries(texts, threshold, recogniser), level, recogniser)

    def _set(self, entries: Entries, level: PolicyLevel, recogniser: Recogniser | None) -> None:
        self.level, self._recogniser = level, recogniser
        self._entries = entries
        self._longest = max((len(key) for key in entries.keys), default=0)

    def extended(self, texts: Iterable[TextOfContext]) -> Lexicon:
        """A lexicon of these texts besides: the same level, and quick after a large context.

        What is a name already stays one, also if the new texts write it with small letters.
        """
        held = self._entries
        made = object.__new__(type(self))
        made._set(
            Entries(texts, held.threshold, self._recogniser, held), self.level, self._recogniser
        )
        return made

    def __repr__(self) -> str:
        return f"Lexicon({self.size})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a lexicon is private and is never pickled")

    def __getstate__(self) -> object:
        raise TypeError("a lexicon is private and is never serialised")

    @property
    def entries(self) -> Entries:
        """The private words themselves, for the shield, which must know their beginnings."""
        return self._entries

    @property
    def size(self) -> LexiconSize:
        """Counts of what is looked for, the shipped lists not included."""
        held = self._entries
        return LexiconSize(
            identifiers=len(held.keys) + len(held.capital_keys) + len(held.numbers),
            rare_words=len(held.rare),
            runs=len(held.runs),
        )

    def identifiers(self, text: str) -> tuple[Finding, ...]:
        """Class 1: identifiers of the context, and those that the text shows by itself."""
        found = words(text)
        known = [*self._known(text, found), *self._beside_field(text, found)]
        return merge(text, [*known, *recognise(text)])

    def known(self, text: str) -> tuple[Finding, ...]:
        """Class 1, what the context alone makes an identifier."""
        return tuple(self._known(text, words(text)))

    def sensitive(self, text: str) -> tuple[Finding, ...]:
        """Class 2: words of sensitive categories, in any inflection, also written apart."""
        found = words(text)
        hits = [(i, i + 1, w.key) for i, w in enumerate(found)]
        hits += [
            (first, last, key)
            for first, last, key in joined(found, _LONGEST_WORD)
            if _written_apart(text, found, first, last) or last - first <= 3
        ]
        out = []
        for first, last, key in hits:
            kind = sensitive(key)
            if kind is None or (sensitive_if_personal(key) and not _personal(found, first, last)):
                continue
            out.append(_finding(text, found, first, last, "sensitive", kind, "pattern"))
        return merge(text, out)

    def rare(self, text: str) -> tuple[Finding, ...]:
        """Class 4: rare words of the context, in any inflection, also written apart."""
        found = words(text)
        out = []
        for i, word in enumerate(found):
            if content(word.key) and self._is_rare(word.key):
                out.append(_finding(text, found, i, i + 1, "rare", "word"))
        for first, last, key in joined(found, _LONGEST_WORD):
            if key in self._entries.rare and _written_apart(text, found, first, last):
                out.append(_finding(text, found, first, last, "rare", "word"))
        return merge(text, out)

    def runs(self, text: str) -> tuple[Finding, ...]:
        """Class 4: three or more content words in the order of the context."""
        found = words(text)
        runs = sorted(
            {
                (run[0], run[-1] + 1)
                for view in views(found)
                for run in view
                if tuple(base(found[i].key) for i in run) in self._entries.runs
            }
        )
        return tuple(_finding(text, found, first, last, "run", "words") for first, last in runs)

    # -- looking for it -----------------------------------------------------------------

    def _known(self, text: str, found: Sequence[Word]) -> Iterator[Finding]:
        for i, word in enumerate(found):
            role = self._word_role(word)
            if role is not None:
                yield _finding(text, found, i, i + 1, "identifier", role)
        for first, last, key in joined(found, max(self._longest, 1)):
            role = self._entries.keys.get(key)
            if role is None and last - first > 1 and key.endswith("s"):
                role = self._entries.keys.get(key[:-1])  # "golden threads" of a Golden Thread
            if role is not None:
                yield _finding(text, found, first, last, "identifier", role)

    def _word_role(self, word: Word) -> Role | None:
        held = self._entries
        for form in families(word.key):
            if form in held.keys and (form == word.key or not _other_word(word.key)):
                return held.keys[form]
        if word.capital:
            for form in families(word.key) if not _other_word(word.key) else (word.key,):
                if form in held.capital_keys:
                    return held.capital_keys[form]
        return self._hidden_role(word)

    def _hidden_role(self, word: Word) -> Role | None:
        """A name inside something longer: "elainethompson99", "JoeLetter", "Th0mps0n"."""
        keys = self._entries.keys
        parts = _PARTS.findall(word.raw)
        if len(parts) > 1 or word.number:
            for part in parts:
                if len(part) >= 3 and (role := keys.get(part.lower())) is not None:
                    return role
        if word.number and not word.key.isdigit():
            for digits in _DIGIT_LETTERS:
                if (role := self._role_inside(word.key.translate(digits))) is not None:
                    return role
        if len(word.key) > 5 and zipf(word.key) == 0.0 and not ordinary(word.key):
            return self._role_inside(word.key)
        return None

    def _role_inside(self, key: str) -> Role | None:
        for start in range(len(key) - 3):
            for end in range(start + 4, min(len(key), start + self._longest) + 1):
                if (role := self._entries.keys.get(key[start:end])) is not None:
                    return role
        return None

    def _beside_field(self, text: str, found: Sequence[Word]) -> Iterator[Finding]:
        """A small number near its field's word: "turning 47", "forty-seven years"."""
        numbers = self._entries.numbers
        if not numbers:
            return
        held = {digits for digits, _ in numbers}
        spans = [(i, i + 1, w.key.rstrip(_LETTERS) or w.key) for i, w in enumerate(found)]
        spans += [span for span in joined(found, _LONGEST_WORD) if span[1] - span[0] <= 3]
        for first, last, digits in spans:
            if digits not in held:
                continue
            ending = found[first].key.removeprefix(digits) if last == first + 1 else ""
            near = {w.key for w in found[max(0, first - _NEAR) : last + _NEAR]}
            if ending:  # "47yo"
                near.add(ending)
            if any((digits, word) in numbers or (digits, base(word)) in numbers for word in near):
                yield _finding(text, found, first, last, "identifier", "number")

    def _is_rare(self, key: str) -> bool:
        if key.isdigit():
            return False
        held = self._entries
        forms = families(key)
        if not held.rare.isdisjoint(forms):
            return True
        return zipf(key) < held.threshold and not held.families.isdisjoint(forms)


def _other_word(key: str) -> bool:
    """Whether a dictionary word is too frequent to be taken for a name's inflection."""
    return ordinary(key) and zipf(key) >= CAPITAL_NEEDED - 1.0


def _written_apart(text: str, found: Sequence[Word], first: int, last: int) -> bool:
    """Whether joined words are one word in pieces, not frequent neighbours ("so lid")."""
    if text[found[first].start : found[last - 1].end].count(" ") == 0:
        return True
    return not all(zipf(w.key) >= CAPITAL_NEEDED and len(w.key) > 1 for w in found[first:last])


def _personal(found: Sequence[Word], first: int, last: int) -> bool:
    near = [*found[max(0, first - _NEAR) : first], *found[last : last + 2]]
    return any(w.key in _PERSONAL for w in near)


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
