"""What is known about English words: how frequent, which base form, which kind.

Frequencies come from `wordfreq` (Zipf scale: log10 of occurrences per billion words), base
forms from `simplemma`, the lists from `cogenesis/privacy/data`. All load on first use.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from importlib import resources
from typing import Final

from cogenesis.privacy.normal import words
from cogenesis.privacy.released import SensitiveRole

LANGUAGE: Final = "en"
"""The policy's lists exist for English only; other languages are written on the device alone."""

_ENDINGS: Final = (
    ("ies", "y"),
    ("ied", "y"),
    ("es", ""),
    ("s", ""),
    ("ed", ""),
    ("ed", "e"),
    ("ing", ""),
    ("ing", "e"),
)

# fmt: off
_FOREIGN_PARTICLES: Final = frozenset((
    "le", "les", "la", "un", "une", "des", "du", "de", "et", "pour", "avec", "dans", "sur",
    "el", "los", "las", "una", "unos", "y", "que", "por", "para", "con", "mis", "del",
    "der", "die", "das", "den", "dem", "und", "ein", "eine", "einen", "zu", "mit", "von", "ist",
    "het", "een", "van", "voor", "aan", "mijn", "op",
    "il", "lo", "gli", "di", "che", "della", "per", "mio", "al", "nel",
    "os", "um", "uma", "em", "ao", "meus", "dos", "da",
    "och", "att", "det", "som", "en", "av", "til", "og",
))
# fmt: on
"""Little words of French, Spanish, German, Dutch, Italian, Portuguese and Scandinavian."""


@cache
def _frequencies() -> dict[str, float]:
    import wordfreq

    plain: dict[str, float] = {}
    for word, share in wordfreq.get_frequency_dict(LANGUAGE, wordlist="best").items():
        key = word if word.isascii() and word.isalnum() else "".join(w.key for w in words(word))
        plain[key] = plain.get(key, 0.0) + share
    return plain


@lru_cache(maxsize=100_000)
def zipf(key: str) -> float:
    """Zipf frequency of a word in normal form, 0 for a word that the list does not know."""
    share = _frequencies().get(key, 0.0)
    return math.log10(share) + 9.0 if share > 0 else 0.0


@lru_cache(maxsize=100_000)
def base(key: str) -> str:
    """The base form of a word in normal form: "fertilizers" is "fertilizer"."""
    import simplemma

    lemma: str = simplemma.lemmatize(key, lang=LANGUAGE)
    if lemma.isascii() and lemma.isalnum():
        return lemma.lower()
    return "".join(w.key for w in words(lemma)) or key


@lru_cache(maxsize=100_000)
def families(key: str) -> frozenset[str]:
    """Keys under which inflections of one word meet: itself, its base form, endings cut.

    Two words are inflections of one another if their families share a key. Regular endings
    are cut even where the dictionary has the longer word too ("volunteering"), because it
    knows no names and no new words; so "news" meets "new", which costs a word, not a secret.
    """
    forms = {key, base(key)}
    for ending, instead in _ENDINGS:
        stem = key[: -len(ending)]
        if len(stem) >= 3 and key.endswith(ending):
            forms.add(stem + instead)
            if stem[-1] == stem[-2] and ending in {"ed", "ing"}:
                forms.add(stem[:-1])
    return frozenset(forms)


@lru_cache(maxsize=100_000)
def ordinary(key: str) -> bool:
    """Whether dictionaries list it as a word written with a small letter."""
    import simplemma

    if not simplemma.is_known(key, lang=LANGUAGE):
        return False
    lemma: str = simplemma.lemmatize(key, lang=LANGUAGE)
    return not lemma[:1].isupper()


def english_share(text: str) -> float:
    """Share of the words of a text that English dictionaries know, in [0, 1].

    A word with accents counts as unknown: French "mère" is not English "mere". English lists
    know many foreign words, so a text with more little words of other languages than English
    ones is none of English at all.
    """
    found = [w for w in words(text) if len(w.key) > 1 and not w.number]
    if not found:
        return 1.0
    foreign = sum(w.key in _FOREIGN_PARTICLES for w in found)
    if foreign >= 2 and foreign > sum(w.key in function_words() for w in found):
        return 0.0
    known = sum(1 for w in found if w.raw.isascii() and (ordinary(w.key) or zipf(w.key) >= 4.0))
    return known / len(found)


@cache
def function_words() -> frozenset[str]:
    """Words that carry no content by themselves."""
    return frozenset(key for line in _lines("function_words.txt") for key in line.split())


def content(key: str) -> bool:
    """Whether a word carries content: neither a function word nor a single letter."""
    return len(key) > 1 and key not in function_words()


@cache
def bare_words() -> frozenset[str]:
    """The core of the function words: articles, pronouns, prepositions, auxiliaries."""
    return frozenset(key for line in _lines("bare_words.txt") for key in line.split())


@cache
def names() -> frozenset[str]:
    """Given and family names that are no ordinary words."""
    return frozenset(_lines("names.txt"))


@cache
def name_words() -> frozenset[str]:
    """Given names that are ordinary words too."""
    return frozenset(_lines("name_words.txt"))


@cache
def public_names() -> frozenset[str]:
    """Proper words that name nobody and no small place; several words are joined."""
    return frozenset("".join(w.key for w in words(line)) for line in _lines("public_names.txt"))


@cache
def public_first_words() -> frozenset[str]:
    """First words of the public names, so that most words need one look only."""
    firsts = (words(line) for line in _lines("public_names.txt"))
    return frozenset(found[0].key for found in firsts if found)


@cache
def listed_names() -> tuple[frozenset[str], frozenset[str]]:
    """Public names that only the user may choose to send, joined, and their first words."""
    found = [words(line) for line in _lines("named_publicly.txt")]
    return (
        frozenset("".join(w.key for w in name) for name in found),
        frozenset(name[0].key for name in found if name),
    )


@cache
def _sensitive() -> tuple[dict[str, SensitiveRole], frozenset[str]]:
    """Categories by key, and the keys that count beside a personal word only."""
    kinds: dict[str, SensitiveRole] = {}
    personal: set[str] = set()
    kind: SensitiveRole = "health"
    for line in _lines("sensitive.txt"):
        if line.startswith("["):
            kind = line.strip("[]")  # type: ignore[assignment]  # the shipped file has no others
            continue
        for entry in line.split():
            key = "".join(w.key for w in words(entry))
            kinds[key] = kind
            if entry.endswith("?"):
                personal.add(key)
    return kinds, frozenset(personal)


@cache
def sensitive_sequences() -> frozenset[tuple[str, ...]]:
    """The sensitive entries word by word: most are one word, "mental-health" is two."""
    lines = (line for line in _lines("sensitive.txt") if not line.startswith("["))
    entries = (entry for line in lines for entry in line.split())
    return frozenset(tuple(w.key for w in words(entry)) for entry in entries)


@cache
def frequent_words(at_least: float) -> tuple[str, ...]:
    """Every word of the frequency list from this Zipf frequency on, sorted."""
    share = 10.0 ** (at_least - 9.0)
    return tuple(sorted(key for key, s in _frequencies().items() if s >= share))


@lru_cache(maxsize=100_000)
def sensitive(key: str) -> SensitiveRole | None:
    """The sensitive category of a word in normal form (or of joined words), None for most."""
    if not any(key[:size] in _sensitive_beginnings() for size in (2, 3, 4)):
        return None
    listed, _ = _sensitive()
    for form in (key, base(key)):
        if form in listed:
            return listed[form]
    return None


@cache
def _sensitive_beginnings() -> frozenset[str]:
    """What every inflection of a listed word begins with ("su" of "suing" and "sue").

    Most words begin with none of these, and a look here costs a fiftieth of a base form. The
    dictionary's only exceptions are oddities: "oke" for "ache", "cts" for "court".
    """
    listed, _ = _sensitive()
    return frozenset(key[: 2 if len(key) < 4 else 3 if len(key) < 7 else 4] for key in listed)


def sensitive_if_personal(key: str) -> bool:
    """Whether a sensitive word has a harmless sense too ("operation", "trial", "court").

    Such a word counts only beside a personal word: "my operation", not "business operations".
    """
    listed, personal = _sensitive()
    return (key if key in listed else base(key)) in personal


def _lines(name: str) -> list[str]:
    text = resources.files("cogenesis.privacy").joinpath("data", name).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
