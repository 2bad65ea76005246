"""Identifiers that a text shows by itself, without any context.

Two kinds of rules: notations (e-mail, URL, phone, dates, amounts, long numbers, street
addresses) and proper names, recognised by capitals, titles ("Dr."), company endings and
lists of names (US census of 1990).

Not covered: names typed in small letters that are in no list, nicknames that are ordinary
words, notations of other countries that look like plain words, numbers written out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from cogenesis.privacy.normal import Word, words
from cogenesis.privacy.released import Finding, Role
from cogenesis.privacy.words import content, function_words, name_words, names, ordinary
from cogenesis.privacy.words import public_names as _public

_MONTH: Final = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY: Final = r"\d{1,2}(?:st|nd|rd|th)?"
_STREET: Final = (
    r"(?:street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|way|court|ct|square|sq"
    r"|place|pl|terrace|highway|hwy|parkway|pkwy|crescent|close|alley)"
)
_UNIT: Final = (
    r"(?:dollars?|euros?|pounds?|usd|eur|gbp|chf|yen|rupees?|cents?|bucks|grand|k|million|billion)"
)
_NOTATIONS: Final[tuple[tuple[Role, str], ...]] = (
    # one notation a row: role, form
    (
        "contact",
        (
            r"[\w.+-]{1,64}\s?(?:@|\(at\)|\[at\])\s?[\w-]+"
            r"(?:\s?(?:\.|\(dot\)|\[dot\])\s?[\w-]+)+"
        ),
    ),
    ("contact", r"[\w.+-]{1,64} at [\w-]+(?: dot [\w-]+)+"),
    ("contact", r"(?:https?://|www\.)\S+"),
    (
        "contact",
        (
            r"\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|gov|io|co|uk|de|fr|es|it|info|biz|app"
            r"|dev|me|us|ca|eu|example)\b(?:/\S*)?"
        ),
    ),
    ("contact", r"(?<![\w@])@\w{2,}"),
    ("contact", r"(?<!\w)\+?\(?\d(?:[\s().\u2010-\u2015-]{0,3}\d){6,}"),
    ("amount", r"[$€£¥₹]\s?\d[\d.,]*(?:\s?(?:k|m|bn|thousand|million|billion)\b)?"),
    ("amount", rf"\b\d[\d.,]*\s?(?:€|£|{_UNIT}\b)"),
    ("date", rf"\b{_MONTH}\s+{_DAY}\b(?:,?\s+\d{{4}})?"),
    ("date", rf"\b{_DAY}(?:\s+of)?\s+{_MONTH}\b(?:,?\s+\d{{4}})?"),
    ("date", rf"\b{_MONTH},?\s+(?:of\s+)?\d{{4}}\b"),
    ("date", r"\b\d{1,4}[./-]\d{1,2}[./-]\d{1,4}\b"),
    ("date", r"\b\d{1,2}/\d{1,4}\b"),
    ("address", rf"\b\d{{1,5}}[a-z]?\s+(?:[\w.'’]+\s+){{1,4}}?{_STREET}\b\.?"),
    ("address", r"\b(?:apt|apartment|suite|flat|unit|room|p\.?\s?o\.?\s?box)\.?\s?#?\d+\w*\b"),
    ("number", r"\b\d{1,3}(?:[,.\s]\d{3})+\b"),
    ("number", r"\d(?:[\s\u2010-\u2015-]?\d){3,}"),
    ("number", r"\b(?=\w*\d\w*\d\w*\d)(?=\w*[a-z])\w{5,}\b"),
)
_COMPILED: Final = tuple((role, re.compile(form, re.IGNORECASE)) for role, form in _NOTATIONS)


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_TITLES: Final = _set(
    "mr mrs ms miss dr doctor prof professor sir madam rev reverend fr father rabbi imam "
    "captain sergeant officer judge senator uncle aunt auntie cousin grandma grandpa"
)
_RELATIONS: Final = _set(
    "mother father mom mum dad sister brother son daughter wife husband partner boyfriend "
    "girlfriend fiance fiancee friend boss manager colleague neighbor neighbour teacher "
    "landlord cat dog roommate nephew niece cousin client"
)
LEGAL_FORMS: Final = _set("inc llc ltd gmbh corp plc associates")
_COMPANY: Final = LEGAL_FORMS | _set(
    "corporation solutions technologies partners holdings university college academy hospital "
    "clinic institute foundation bank church"
)
_STRETCH_END: Final = re.compile(r"[.!?:;\n|•]")
_STRETCH_END_QUOTES: Final = re.compile(r"[.!?:;\n|•\"“”]|(?:^|\s)['‘]|['’](?:\s|$)")
_SENTENCE_END: Final = re.compile(
    r"[.!?:;\n|•]\s*[\"'“‘(]*\s*$|^\s*[\"'“‘(\-–—•*]*\s*$|[-–—]\s+[\"'“‘]?$"
)


def notations(text: str) -> Iterator[Finding]:
    """E-mail, URL, phone, amount, date, address and number notations, as they overlap."""
    if not any(c.isdigit() or c in "@./" for c in text) and " dot " not in text.casefold():
        return
    for role, pattern in _COMPILED:
        for m in pattern.finditer(text):
            yield Finding(m.start(), m.end(), "identifier", role, m.group())


def recognise(text: str, *, quotes_are_headings: bool = True) -> tuple[Finding, ...]:
    """All identifiers that the text shows by itself; overlapping findings are merged.

    `quotes_are_headings` takes a quoted title ('Urban Farming') for a heading, where capitals
    mean nothing. In a private context it is off: there a quoted title is a name.
    """
    found = words(text)
    named = proper_names(text, found, quotes_are_headings=quotes_are_headings)
    return merge(text, [*notations(text), *named])


def proper_names(
    text: str, found: Sequence[Word], *, quotes_are_headings: bool = True
) -> Iterator[Finding]:
    """Names of people, organisations and places, by the rules of this module's docstring."""
    flags = _flag(text, found, quotes=quotes_are_headings)
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


def _headings(text: str, found: Sequence[Word], *, quotes: bool) -> list[bool]:
    """Which words stand in a heading: a stretch where most content words have a capital.

    A stretch ends at a sentence mark, and at a quotation mark if `quotes` is set.
    """
    marks = _STRETCH_END_QUOTES if quotes else _STRETCH_END
    out: list[bool] = []
    start = 0
    for i in range(1, len(found) + 1):
        if i == len(found) or marks.search(text[found[i - 1].end : found[i].start]):
            rest = [w for w in found[start + 1 : i] if content(w.key) and not w.number]
            heading = bool(rest) and sum(w.capital for w in rest) >= 0.6 * len(rest)
            out.extend([heading] * (i - start))
            start = i
    return out


def _flag(text: str, found: Sequence[Word], *, quotes: bool) -> list[Role | None]:
    headings = _headings(text, found, quotes=quotes)
    public = _public_at(found)
    flags: list[Role | None] = [None] * len(found)
    for i, word in enumerate(found):
        if public[i] or word.number or word.key in function_words() or len(word.key) < 2:
            continue
        flags[i] = _name_role(text, found, i, heading=headings[i])
    _mark_companies(found, flags)
    _drop_lone_ordinary(text, found, flags)
    return flags


def _name_role(text: str, found: Sequence[Word], i: int, *, heading: bool) -> Role | None:
    word = found[i]
    before = found[i - 1].key if i else ""
    if word.key in names():
        return "person"
    if before in _TITLES and word.capital and word.key not in _TITLES:
        return "person"
    if word.key in name_words() and (before in _RELATIONS or _beside_name(found, i)):
        return "person"
    if not word.capital:
        return None
    if not ordinary(word.key):
        acronym = word.raw.isupper() and len(word.raw) <= 5
        return None if acronym else "name"
    if heading or _starts_sentence(text, word):
        return None
    return "person" if word.key in name_words() else "name"


def _mark_companies(found: Sequence[Word], flags: list[Role | None]) -> None:
    """ "Retro Fashion Inc": the capitalised words before a company ending belong to it."""
    for i, word in enumerate(found):
        if i == 0 or word.key not in _COMPANY or not word.capital:
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
        if legal or any(flags[j] is not None for j in range(start, i)):
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
    """Which words belong to a public proper name of up to four words ("New York" does not)."""
    public = [False] * len(found)
    listed = _public()
    for i in range(len(found)):
        key = ""
        for j in range(i, min(i + 4, len(found))):
            key += found[j].key
            if key in listed:
                public[i : j + 1] = [True] * (j + 1 - i)
    return public


def _beside_name(found: Sequence[Word], i: int) -> bool:
    near = [found[j] for j in (i - 1, i + 1) if 0 <= j < len(found)]
    return found[i].capital and any(w.key in names() and w.capital for w in near)


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
