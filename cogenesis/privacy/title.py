"""Whether what stands before the first ": " of an instruction is a title.

A title leaves with its rare words, and nobody has to look at it before: so it has to be one
short clause that does not speak of "I" or "we". "I was robbed and nobody knows. Please help
me write: a letter" has no title. Neither has a task on a text that follows ("Shorten this
letter: ...", or more than MAX_DETAILS characters after the colon): the clause names no topic.

Not covered: a clause that tells something in ordinary words without "I" ("My sister left my
father: a letter") is a title; the guard takes only identifiers and sensitive words out of it.
"""

from __future__ import annotations

import re
from typing import Final

from cogenesis.privacy.identifiers import LEGAL_FORMS
from cogenesis.privacy.normal import visible, words
from cogenesis.privacy.words import content

MAX_TITLE: Final = 200
"""Characters of a title. The longest of the 271 published ones has 123."""

MAX_TITLE_WORDS: Final = 25
"""Words of a title. The longest of the 271 published ones has 19."""

MAX_DETAILS: Final = 600
"""Characters after the title. The longest of the 271 published instructions has 397 in all."""

_POINTERS: Final = frozenset({"this", "these", "following", "below"})
"""Words that point at a text after the colon instead of naming a topic."""

_GREETINGS: Final = frozenset({"dear", "hi", "hello", "hey", "note", "subject", "ps", "task"})
"""Words before a colon that do not make what stands there a title."""

_SPEAKERS: Final = frozenset({"i", "im", "ive", "we", "weve"})
"""Words that make a statement about the user of what would be a title. "My" does not."""

_SENTENCE_END: Final = re.compile(r"[.!?…。]+[\"'”’)\]]*\s")
_NO_SENTENCE_END: Final = LEGAL_FORMS | frozenset({"mr", "mrs", "ms", "dr", "prof", "vs"})
"""With single letters: a dot after these ends no sentence ("Inc.", "Robert C. Martin")."""


def title_of(instruction: str) -> str | None:
    """The title before the first ": ", or None where the instruction has none."""
    title, colon, details = instruction.partition(": ")
    if not colon or len(details) > MAX_DETAILS or not is_title(title):
        return None
    return title


def is_title(text: str) -> bool:
    """Whether what stands before a colon names a topic in one short clause.

    An addressee, a label, a statement of "I" or "we", a task on the text that follows, more
    than one line or sentence is none.
    """
    found = words(text)
    told = [w.key for w in found if content(w.key)]
    return (
        bool(told)
        and told[0] not in _GREETINGS
        and len(text) <= MAX_TITLE
        and len(found) <= MAX_TITLE_WORDS
        and (_SPEAKERS | _POINTERS).isdisjoint(w.key for w in found)
        and not _has_clause_end(text)
    )


def _has_clause_end(text: str) -> bool:
    """Whether a sentence or a line ends inside the text."""
    if len(text.strip().splitlines()) > 1:
        return True
    shown = visible(text.strip())[0]
    for m in _SENTENCE_END.finditer(shown):
        before = words(shown[: m.start()])
        last = before[-1].key if before else ""
        if m.group().strip() != "." or not (len(last) == 1 or last in _NO_SENTENCE_END):
            return True
    return False
