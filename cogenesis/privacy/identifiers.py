"""Identifiers that a text shows by itself, without any context.

Two kinds of rules: notations (`privacy.notations`) and proper names, recognised by capitals,
titles ("Dr."), company endings and lists of names (US census of 1990).

Not covered: names typed in small letters that are in no list, nicknames that are ordinary
words, names of ordinary words inside a heading where every word has a capital, and what
`notations` lists as not covered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from cogenesis.privacy.normal import Word, words
from cogenesis.privacy.notations import notations
from cogenesis.privacy.released import Finding, Role
from cogenesis.privacy.words import (
    content,
    function_words,
    name_words,
    names,
    ordinary,
    public_first_words,
    public_names,
    sensitive,
)


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_TITLES: Final = _set(
    "mr mrs ms miss dr doctor prof professor sir madam rev reverend fr father rabbi imam "
    "captain sergeant officer judge senator uncle aunt auntie cousin grandma grandpa"
)
_CLEAR_TITLES: Final = _set("mr mrs ms dr prof")
"""Titles that are no ordinary words: what follows is a name, with a capital or without."""
_RELATIONS: Final = _set(
    "dear hi hello hey mother father mom mum dad sister brother son daughter wife husband "
    "partner boyfriend girlfriend fiance fiancee friend boss manager colleague neighbor "
    "neighbour teacher landlord cat dog roommate nephew niece cousin client"
)
LEGAL_FORMS: Final = _set("inc llc ltd gmbh corp plc associates")
_COMPANY: Final = LEGAL_FORMS | _set(
    "corporation solutions technologies partners holdings university college academy hospital "
    "clinic institute foundation bank church"
)
_VENUE: Final = _set(
    "school club society group center centre museum gallery theatre theater restaurant cafe hotel "
    "inn library studio studios labs agency trust charity shelter games press community"
)
"""With `_COMPANY`: what makes a name of the capitals before it, in a context."""
_STRETCH_END: Final = re.compile(r"[.!?:;\n|•\"“”]|(?:^|\s)['‘]|['’](?:\s|$)")
_QUOTED: Final = re.compile(r"(?<!\w)(?:['‘][^\n]{2,80}?['’]|[\"“][^\n\"“”]{2,80}[\"”])(?!\w)")
_SENTENCE_END: Final = re.compile(
    r"[.!?:;\n|•]\s*[\"'“‘(]*\s*$|^\s*[\"'“‘(\-–—•*]*\s*$|[-–—]\s+[\"'“‘]?$"
)


def recognise(text: str) -> tuple[Finding, ...]:
    """All identifiers that the text shows by itself; overlapping findings are merged."""
    return merge(text, [*notations(text), *proper_names(text, words(text))])


def proper_names(
    text: str, found: Sequence[Word], *, context: bool = False, headings: bool = True
) -> Iterator[Finding]:
    """Names of people, organisations and places, by the rules of this module's docstring.

    Capitals mean nothing in a heading. In typed text that is any stretch with capitals and
    any quoted title. In a `context` the rules are stricter: what stands after "at", "with",
    "from" or "by" is a name all the same, and without `headings` only a quoted title is a
    heading: "Dinner at Golden Thread" in a calendar is none.
    """
    flags = _flag(text, found, context=context, headings=headings)
    at = 0
    while at < len(found):
        role = flags[at]
        if role is None:
            at += 1
            continue
        end = at + 1
        while end < len(found) and (flags[end] is not None or _initial(found, flags, end)):
            if not _adjacent(text, found[end - 1], found[end]):
                break
            role = _stronger(role, flags[end])
            end += 1
        start, stop = found[at].start, found[end - 1].end
        yield Finding(start, stop, "identifier", role, text[start:stop])
        at = end


def _headings(text: str, found: Sequence[Word], *, quoted_only: bool) -> list[bool]:
    """Which words stand in a heading: a stretch where most content words have a capital.

    Capitals on name words alone make none ("Toast for Grace and Bill"). A stretch ends at a
    sentence mark or a quotation mark; with `quoted_only` it has to stand between two.
    """
    quoted = [m.span() for m in _QUOTED.finditer(text)] if quoted_only else []
    if quoted_only and not quoted:
        return [False] * len(found)
    out: list[bool] = []
    start = 0
    for i in range(1, len(found) + 1):
        if i == len(found) or _STRETCH_END.search(text[found[i - 1].end : found[i].start]):
            rest = [w for w in found[start + 1 : i] if content(w.key) and not w.number]
            capitals = [w for w in rest if w.capital]
            heading = len(capitals) >= 0.75 * len(rest) and not all(
                w.key in name_words() for w in capitals
            )
            if quoted_only:
                first, last = found[start].start, found[i - 1].end
                heading = heading and any(a <= first and last <= b for a, b in quoted)
            out.extend([heading] * (i - start))
            start = i
    return out


def _after_name_sign(found: Sequence[Word], i: int) -> bool:
    """Whether "at", "with", "from" or "by" comes before the capitals that the word is in."""
    while i > 0 and found[i].capital and content(found[i].key):
        i -= 1
    if found[i].key in {"the", "a", "an"} and i > 0:
        i -= 1
    return found[i].key in {"at", "with", "from", "by"}


def _flag(text: str, found: Sequence[Word], *, context: bool, headings: bool) -> list[Role | None]:
    heading = _headings(text, found, quoted_only=not headings)
    if context:
        heading = [told and not _after_name_sign(found, i) for i, told in enumerate(heading)]
    public = _public_at(found)
    functional = function_words()
    flags: list[Role | None] = [None] * len(found)
    for i, word in enumerate(found):
        if public[i] or len(word.key) < 2 or word.number:
            continue
        if word.key in functional and not _may_be_will(text, word):
            continue
        flags[i] = _name_role(text, found, i, heading=heading[i])
    _mark_surnames(text, found, flags)
    _mark_companies(found, flags, anywhere=context)
    _drop_lone_ordinary(text, found, flags)
    return flags


def _name_role(text: str, found: Sequence[Word], i: int, *, heading: bool) -> Role | None:
    key, before = found[i].key, found[i - 1].key if i else ""
    if key in names():
        return "person"
    capital = found[i].capital
    if before in _TITLES and key not in _TITLES:
        named = before in _CLEAR_TITLES and not ordinary(key)
        if named or (capital and not heading):
            return "person"
    if key in name_words() and (before in _RELATIONS or _named_by_place(text, found, i)):
        return "person"
    if not capital:
        return None
    if not ordinary(key):
        if sensitive(key):
            return None
        return "person" if before in _RELATIONS else "name"
    if heading or _starts_sentence(text, found[i]):
        return None
    return "person" if key in name_words() else "name"


def _mark_surnames(text: str, found: Sequence[Word], flags: list[Role | None]) -> None:
    """ "Elena Stone" in a heading: a capital after a single listed name is a family name."""
    for i, (first, second) in enumerate(pairwise(found)):
        single = flags[i] == "person" and (i == 0 or flags[i - 1] is None)
        if not single or first.key not in names() or not (first.capital and second.capital):
            continue
        if flags[i + 1] is None and content(second.key) and _adjacent(text, first, second):
            flags[i + 1] = "person"


def _mark_companies(found: Sequence[Word], flags: list[Role | None], *, anywhere: bool) -> None:
    """ "Retro Fashion Inc": the capitalised words before a company ending belong to it.

    A legal form makes a name of any words; a "Clinic" of words that are a name already, and
    `anywhere`, in a context, of any capitals.
    """
    endings = _COMPANY | _VENUE if anywhere else _COMPANY
    for i, word in enumerate(found):
        if i == 0 or word.key not in endings or not word.capital:
            continue
        start = i
        while (
            start > 0
            and found[start - 1].capital
            and content(found[start - 1].key)
            and i - start < 4
        ):
            start -= 1
        legal = word.key in LEGAL_FORMS
        if start < i and (legal or anywhere or any(flags[j] is not None for j in range(start, i))):
            flags[start : i + 1] = ["organisation"] * (i + 1 - start)


def _drop_lone_ordinary(text: str, found: Sequence[Word], flags: list[Role | None]) -> None:
    """A single ordinary word with a capital is a name only where it is a given name.

    "the Board" or "a Proposal" names nobody; "Wine Wednesday" or "ask Rose" may.
    """
    for i, word in enumerate(found):
        if flags[i] != "name" or not ordinary(word.key):
            continue
        left = i > 0 and flags[i - 1] is not None and _adjacent(text, found[i - 1], word)
        right = i + 1 < len(found) and (
            flags[i + 1] is not None and _adjacent(text, word, found[i + 1])
        )
        if not left and not right:
            flags[i] = None


def _public_at(found: Sequence[Word]) -> list[bool]:
    """Which words belong to a public proper name of up to four words ("New Zealand")."""
    public = [False] * len(found)
    listed, firsts = public_names(), public_first_words()
    for i, word in enumerate(found):
        if word.key not in firsts:
            continue
        key = ""
        for j in range(i, min(i + 4, len(found))):
            key += found[j].key
            if key in listed:
                public[i : j + 1] = [True] * (j + 1 - i)
    return public


def _may_be_will(text: str, word: Word) -> bool:
    """Whether a function word can be a name: "ask Will", but not "Don't"."""
    return word.capital and word.key in name_words() and text[word.end : word.end + 1] not in "'’"


def _named_by_place(text: str, found: Sequence[Word], i: int) -> bool:
    """A capitalised name word beside a listed name ("Rose Martinez") or before "'s" ("Rose's")."""
    if not found[i].capital:
        return False
    near = [found[j] for j in (i - 1, i + 1) if 0 <= j < len(found)]
    if any(w.key in names() and w.capital and w.key not in public_names() for w in near):
        return True
    return text[found[i].end : found[i].end + 2].casefold() in {"'s", "’s"}


def _initial(found: Sequence[Word], flags: Sequence[Role | None], i: int) -> bool:
    """A single capital letter between two flagged words, as in "Robert C. Martin"."""
    return (
        len(found[i].raw) == 1
        and found[i].capital
        and i + 1 < len(found)
        and flags[i + 1] is not None
    )


def _starts_sentence(text: str, word: Word) -> bool:
    return bool(_SENTENCE_END.search(text[max(0, word.start - 12) : word.start])) or word.start == 0


def _adjacent(text: str, left: Word, right: Word) -> bool:
    gap = text[left.end : right.start]
    return len(gap) <= 3 and not any(c in gap for c in ",;:!?\n()|")


def _stronger(role: Role, other: Role | None) -> Role:
    order: tuple[Role, ...] = ("organisation", "person", "place", "name")
    return min((r for r in (role, other) if r is not None), key=lambda r: order.index(r))


def merge(text: str, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Join findings that overlap; the earlier, longer one decides class and role."""
    out: list[Finding] = []
    for finding in sorted(findings, key=lambda f: (f.start, -f.end)):
        if out and finding.start < out[-1].end:
            if finding.end > out[-1].end:
                out[-1] = replace(out[-1], end=finding.end, text=text[out[-1].start : finding.end])
        else:
            out.append(finding)
    return tuple(out)
