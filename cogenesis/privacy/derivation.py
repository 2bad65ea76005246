"""Making a general instruction of what was typed without a title.

Two forms, tried in this order:

* **The typed words**, private ones replaced by plain role words, where that is short enough.
* **Task and topics**, for longer texts: the sentences that say what to do, and the common words
  of the rest in no order of the text (how often they occur, then the alphabet). A list of common
  words tells the topic of a pasted letter; its sentences, and who did what to whom, stay here.

What the word lists cannot read (another language, program code) is left out first, sentence by
sentence. Nothing here decides what may leave: `find` says what is private, and the guard's
verdict on the finished text comes last.

Not covered: that a list of common words tells a topic, and by it what the topic tells.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from cogenesis.errors import GuardRefusedError
from cogenesis.privacy.identifiers import LEGAL_FORMS, recognise
from cogenesis.privacy.normal import tidy, words
from cogenesis.privacy.released import Finding, Role
from cogenesis.privacy.words import (
    base,
    content,
    english_share,
    ordinary,
    zipf,
)

Find = Callable[[str], tuple[Finding, ...]]

MIN_ENGLISH: Final = 0.6
"""Share of words that English dictionaries know in a text, or a part of it, that they can read."""

MAX_TASK: Final = 200
"""Characters of the sentences that say what to do, in the form with topics."""

CAPITAL_FROM: Final = 5.0
"""Zipf frequency of a topic word that the text has with a capital only: most are names."""

TOPIC_FROM: Final = 3.0
"""Zipf frequency of a topic word: rarer ones are names, or tell one text from all others."""

_ROLE_WORDS: Final[dict[Role, str]] = {
    "person": "someone",
    "organisation": "an organisation",
    "place": "some place",
    "name": "something",
    "contact": "contact details",
    "date": "some day",
    "amount": "an amount",
    "number": "",
    "address": "an address",
    "health": "something personal",
    "sexuality": "something personal",
    "religion": "something personal",
    "politics": "something personal",
    "money": "something personal",
    "law": "something personal",
    "word": "something",
    "words": "something",
}
_ROLE_KEYS: Final = frozenset(w.key for text in _ROLE_WORDS.values() for w in words(text))
_TELLING_ROLES: Final = frozenset(_ROLE_WORDS.values()) - {"", "something"}
_EMPTY: Final = re.compile(r"\(\s*\)|\[\s*\]|\s+(?=[.,;!?](?:\s|$))")
"""What a removed number leaves behind."""
_DETERMINERS: Final = tuple(
    form + " " for word in ("the", "a", "an", "my", "our", "your") for form in (word, word.title())
)
"""Role words bring their own: "about my divorce" is "about something personal"."""

_NEXT: Final = re.compile(r" ([A-Za-z]+)")
_ARTICLE: Final = re.compile(r"\ban? $")

_PART: Final = re.compile(
    r"(?<=[.!?。！？])[\"'”’)]*\s+|[\n\r\u2028]+|(?<=[:：])\s*|[{}<>|\"“”]+\s*"
)
"""What ends a part of a text that is in one language, or is one sentence."""
_TASK: Final = re.compile(
    r"\W{0,3}(?:(?:please|pls|can|could|would|will|you|kindly|hi|hello|i|want|need|to|help|me"
    r"|now|just|also|then|and)\W+){0,6}"
    r"(?:add|adapt|advise|analy[sz]e|answer|ask|build|change|check|clean|compare|compose|convert"
    r"|correct|craft|create|define|describe|design|develop|discuss|do|draft|edit|enhance|expand"
    r"|explain|extract|find|fix|format|generate|give|help|how|identify|improve|is|list|make|modify"
    r"|optimi[sz]e|outline|paraphrase|plan|polish|prepare|proof\s?read|provide|refine|rephrase"
    r"|reply|re-?organi[sz]e|respond|restructure|review|revise|rewrite|reword|script|send|shorten"
    r"|show|simplify|solve|structure|suggest|summari[sz]e|tell|translate|update|use|what|when"
    r"|where|which|who|why|write)\b",
    re.IGNORECASE,
)
_TOPICS: Final = "Topics: "
_NO_TASK: Final = "Write about these topics: "


def general_text(text: str, find: Find, *, limit: int) -> str:
    """The general part of an instruction without a title, of at most about `limit` characters.

    Raises:
        GuardRefusedError: nothing of it is in a language that the word lists know, or what is
            private in it cannot be taken out.
    """
    readable = readable_part(text)
    if len(readable) <= 2 * limit:
        replaced = with_roles(tidy(readable), find)
        if len(replaced) <= limit:
            return replaced
    return with_roles(tidy(task_and_topics(readable, find, limit=limit)), find)


def readable_part(text: str) -> str:
    """The sentences that the word lists can read; the whole text where they can read all of it.

    Names are in no dictionary of any language, so they do not count.

    Raises:
        GuardRefusedError: there is none.
    """
    told = [part for part in _parts(text) if words(part)]
    good = [part for part in told if _readable(part)]
    if not good:
        raise not_english()
    return text if len(good) == len(told) else " ".join(part.strip() for part in good)


def task_and_topics(text: str, find: Find, *, limit: int) -> str:
    """What to do, and the common words of the text in an order that is not the text's."""
    task = " ".join(_task(text, find))
    head = f"{task} {_TOPICS}" if task else _NO_TASK
    told = {base(w.key) for w in words(task)}
    listed: list[str] = []
    room = limit - len(head)
    for key in topic_words(text, find(text)):
        if base(key) in told or len(key) + 2 > room:
            continue
        room -= len(key) + 2
        listed.append(key)
    return (head + ", ".join(listed)) if listed else task


def topic_words(text: str, private: Sequence[Finding]) -> list[str]:
    """The common words of a text outside private spans, the most frequent first.

    A word that is private at one place, or is written with a capital inside each sentence,
    is none: it may be a name that happens to be a word. One form stands for all inflections.
    """
    hidden = {base(w.key) for f in private if f.kind == "identifier" for w in words(f.text)}
    spans = iter(sorted((f.start, f.end) for f in private))
    start, end = next(spans, (len(text), len(text)))
    counts: Counter[str] = Counter()
    forms: dict[str, str] = {}
    small: set[str] = set()
    for word in words(text):
        while word.start >= end and start < len(text):
            start, end = next(spans, (len(text), len(text)))
        stem = base(word.key)
        if word.end > start or stem in hidden or not _common(word.key):
            continue
        counts[stem] += 1
        forms[stem] = min(forms.get(stem, word.key), word.key)
        if not word.capital:
            small.add(stem)
    seen = [stem for stem in counts if stem in small or zipf(stem) >= CAPITAL_FROM]
    return [forms[stem] for stem in sorted(seen, key=lambda s: (-counts[s], -round(zipf(s)), s))]


def with_roles(text: str, find: Find) -> str:
    """Put role words for private spans until none is left.

    A replacement can bring two harmless words together that are private side by side, so
    the text is read again; five rounds are more than any input of the tests needs.

    Raises:
        GuardRefusedError: something private is left all the same.
    """
    for _ in range(5):
        found = find(text)
        if not found:
            return text
        text = tidy(_EMPTY.sub(" ", _replaced(text, found)))
    raise GuardRefusedError("the guard cannot make this instruction general", find(text))


def content_left(text: str) -> int:
    """How many different content words a text has, role words and fixed words aside."""
    fixed = _ROLE_KEYS | {w.key for w in words(_TOPICS)}
    return len({base(w.key) for w in words(text) if content(w.key) and w.key not in fixed})


def roles_left(text: str) -> int:
    """How many different role words that tell what was there; "something" tells nothing."""
    shown = f" {' '.join(w.key for w in words(text))} "
    return sum(f" {role} " in shown for role in _TELLING_ROLES)


def not_english() -> GuardRefusedError:
    """The refusal of a text that the word lists cannot read."""
    return GuardRefusedError(
        "the guard's word lists are English and this does not look like it: it is "
        "written on the device alone, unless you give --general TEXT in English"
    )


def _parts(text: str) -> list[str]:
    return [part for part in _PART.split(text) if part]


def _readable(part: str) -> bool:
    rest, at = "", 0
    for finding in recognise(part):
        rest, at = rest + part[at : finding.start] + " ", finding.end
    return english_share(rest + part[at:]) >= MIN_ENGLISH


def _task(text: str, find: Find) -> Iterator[str]:
    """Sentences at the beginning or the end that say what to do, role words in them."""
    parts = [part.strip() for part in _parts(text) if len(words(part)) > 1]
    room = MAX_TASK
    for part in dict.fromkeys([*parts[:3], *parts[3:][-2:]]):
        if not _TASK.match(part):
            continue
        said = with_roles(_beginning(tidy(part), room), find)
        if len(said) <= room and content_left(said):
            room -= len(said)
            yield said if said[-1] in ".:?!" else said + "."


def _beginning(part: str, room: int) -> str:
    """As much of a sentence as there is room for, in whole words."""
    if len(part) <= room:
        return part
    return part[:room].rpartition(" ")[0].rstrip(" ,;:-")


def _common(key: str) -> bool:
    return (
        ordinary(key)
        and key.isalpha()
        and len(key) > 2
        and content(key)
        and zipf(key) >= TOPIC_FROM
    )


def _noun(text: str, at: int) -> str:
    """The content word that follows at once, of which a rare word may be said; else nothing."""
    following = _NEXT.match(text, at)
    return following[1] if following and content(following[1].lower()) else ""


def _with_article(before: str, following: str) -> str:
    """What stands before a word, with the form of "a" that fits: "an old" is "a" before "day"."""
    article = "an" if following[0].lower() in "aeiou" else "a"
    return _ARTICLE.sub(f"{article} ", before)


def _replaced(text: str, found: Iterable[Finding]) -> str:
    parts: list[str] = []
    at = 0
    for finding in found:
        before = text[at : finding.start]
        role_word = _ROLE_WORDS[finding.role]
        if (
            finding.role == "word"
            and (parts or before.strip())
            and (following := _noun(text, finding.end))
        ):
            parts.append(_with_article(before, following))  # "autumn rain" is "rain"
            at = finding.end
            continue
        for word in _DETERMINERS:
            if before.endswith(" " + word) or before == word:
                before = before[: -len(word)]
                break
        repeated = parts and not before.strip(" ,'&-") and parts[-1].casefold() == role_word
        if not repeated:
            if not "".join(parts).strip() and not before.strip():
                role_word = role_word.capitalize()
            parts += [before, role_word]
        at = finding.end
        if text[at : at + 2] == ". ":  # the dot of "Inc."
            at += words(finding.text)[-1].key in LEGAL_FORMS
    return "".join([*parts, text[at:]])
