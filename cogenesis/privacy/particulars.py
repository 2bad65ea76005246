"""Particulars that a derived instruction leaves out although no context knows them.

Where the user gave the general part or a title, they chose its words. A derived instruction
is made of whatever was typed or pasted, so what only *may* be a name stays here too:

* words that no dictionary knows, unless they are frequent or publicly known;
* dictionary words that stand with a capital inside a sentence and nowhere without ("Luminate");
* abbreviations in capitals that are not publicly known ("the FRC's plan");
* names in program code: camelCase, snake_case, words with digits;
* countries, regions, large cities, peoples and companies (`data/named_publicly.txt`);
* everything that is a name at another place of the same text.

Not covered: a name that is a frequent word in small letters ("quote stone on the roof"), a
company named by frequent words ("General Store"), particulars told in ordinary words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from cogenesis.privacy.normal import Word, words
from cogenesis.privacy.released import Finding, Role
from cogenesis.privacy.words import (
    base,
    content,
    listed_names,
    ordinary,
    public_names,
    sensitive,
    zipf,
)

UNKNOWN_BELOW: Final = 4.0
"""Zipf frequency under which a word that is in no dictionary is taken for somebody's name."""

UNKNOWN_CAPITAL: Final = 4.5
"""The same for a word with a capital."""

RARE_BELOW: Final = 2.5
"""Zipf frequency under which also a word of the dictionary is taken for a name."""

SHOUTED: Final = 0.5
"""Share of words in capitals from which on capitals are a way of writing, not a sign."""

_TOKEN: Final = re.compile(r"<\w[^<>\s]*>|\w+")
_CODE: Final = re.compile(r"[a-z][A-Z]|[A-Za-z]_[A-Za-z]|[a-z]{2}\d")
"""What makes code of a token. Two expressions: one with both is quadratic in a long token."""
# fmt: off
_EVERYDAY: Final = frozenset((
    "apple", "turkey", "jersey", "marvel", "guinea", "tinder", "chile", "la", "coke", "buffalo",
    "target", "ups", "vanguard", "mit", "sap", "puma", "florence", "kent", "shell", "canon",
))
# fmt: on
"""Listed names that are everyday words in small letters."""
_NEW_SENTENCE: Final = re.compile(r"[.!?:;\n|•\"“”*#>]\s*$|^\s*$")


def particulars(text: str) -> tuple[Finding, ...]:
    """What only may be a name, as identifiers; findings may overlap."""
    found = words(text)
    return (*_in_code(text), *_listed(text, found), *_single(text, found))


def elsewhere(text: str, known: Sequence[Finding]) -> Iterator[Finding]:
    """Other places of words that are part of a name somewhere in the text.

    An ordinary word of a name ("Bank") is one elsewhere only with a capital.
    """
    names: dict[str, Role] = {}
    for finding in known:
        if finding.kind == "identifier" and finding.role in _NAMES:
            for word in words(finding.text):
                if content(word.key) and len(word.key) > 2 and not word.number:
                    names.setdefault(word.key, finding.role)
    if not names:
        return
    for word in words(text):
        if word.key in names and (word.capital or not ordinary(word.key)):
            yield _finding(text, word.start, word.end, names[word.key])


_NAMES: Final[frozenset[Role]] = frozenset(("person", "organisation", "place", "name"))


def _in_code(text: str) -> Iterator[Finding]:
    for m in _TOKEN.finditer(text):
        marked = m.group()[0] == "<" or _CODE.search(m.group())
        if marked and not all(w.key in public_names() for w in words(m.group())):
            yield _finding(text, m.start(), m.end(), "name")


def _listed(text: str, found: Sequence[Word]) -> Iterator[Finding]:
    """Countries, peoples and companies, of up to four words."""
    names, firsts = listed_names()
    for i, word in enumerate(found):
        if word.key not in firsts:
            continue
        key = ""
        for following in found[i : i + 4]:
            key += following.key
            if key in names and (word.capital or key not in _EVERYDAY):
                yield _finding(text, word.start, following.end, "name")


def _single(text: str, found: Sequence[Word]) -> Iterator[Finding]:
    told = [w for w in found if len(w.key) > 2 and not w.number]
    shouted = sum(w.raw.isupper() for w in told) > SHOUTED * len(told)
    small = {base(w.key) for w in found if not w.capital}
    beside = _beside_capital(text, found)
    for i, word in enumerate(found):
        if word.number or word.key in public_names() or not content(word.key):
            continue
        if (
            _rare(word)
            or _abbreviation(word, shouted)
            or (
                word.capital
                and (beside[i] or base(word.key) not in small)
                and _inside(text, word, shouted)
            )
        ):
            yield _finding(text, word.start, word.end, "name")


def _beside_capital(text: str, found: Sequence[Word]) -> list[bool]:
    """Which words with a capital stand beside another one, in text that is no heading."""
    out = [False] * len(found)
    for i, (left, right) in enumerate(pairwise(found)):
        if (
            left.capital
            and right.capital
            and text[left.end : right.start] == " "
            and content(left.key)
            and content(right.key)
        ):
            out[i] = out[i + 1] = True
    return out


def _rare(word: Word) -> bool:
    if len(word.key) < 3:
        return False
    below = RARE_BELOW if ordinary(word.key) else UNKNOWN_CAPITAL if word.capital else UNKNOWN_BELOW
    return zipf(word.key) < below


def _abbreviation(word: Word, shouted: bool) -> bool:
    """Capitals only. In a shouted text short words that are hardly ordinary still count."""
    if len(word.raw) < 2 or not word.raw.isupper():
        return False
    if shouted or len(word.key) > 5:
        return not ordinary(word.key)
    return not (ordinary(word.key) and zipf(word.key) >= UNKNOWN_CAPITAL and len(word.key) > 2)


def _inside(text: str, word: Word, shouted: bool) -> bool:
    """Whether a word stands inside a sentence, where a capital means something."""
    if shouted or sensitive(word.key):
        return False
    return not _NEW_SENTENCE.search(text[max(0, word.start - 12) : word.start])


def _finding(text: str, start: int, end: int, role: Role) -> Finding:
    return Finding(start, end, "identifier", role, text[start:end])
