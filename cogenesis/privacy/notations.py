"""Identifiers written in a notation: e-mail, URL, phone, amounts, dates, addresses, numbers.

Numbers count from four digits on, or inside a phone number, date, amount or address
(DESIGN section 6). List numbering, "top 10", "24/7", "1/2 cup" and "5k run" are none.

Not covered: digits written out in words, which `number_words` reads for the guard; e-mail
addresses and URLs told in other words ("elena, then the at sign, ..."); dates told by other
means ("the day after Easter", "day 12 of month 3"); months of other languages than the seven
of `_MONTHS_ABROAD`; notations of other countries that look like plain words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from cogenesis.privacy.normal import visible
from cogenesis.privacy.released import Finding, Role

_MONTH: Final = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
# French, Spanish, German, Italian, Portuguese, Dutch; counts behind a day only.
_MONTHS_ABROAD: Final = (
    r"(?:janvier|f[ée]vrier|mars|avril|mai|juin|juillet|ao[uû]t|septembre|octobre|novembre"
    r"|d[ée]cembre|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre"
    r"|noviembre|diciembre|januar|februar|m[äa]rz|juni|juli|oktober|dezember|gennaio|febbraio"
    r"|aprile|maggio|giugno|luglio|settembre|ottobre|dicembre|janeiro|fevereiro|mar[çc]o|maio"
    r"|junho|julho|setembro|outubro|novembro|dezembro|januari|februari|maart|mei|augustus)"
)
_DAY: Final = r"\d{1,2}(?:st|nd|rd|th)?"
_DAY_WORD: Final = (
    r"(?:(?:twenty|thirty)[\s-]?)?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)"
    r"|tenth|eleventh|twelfth|thirteenth|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth"
    r"|nineteenth|twentieth|thirtieth"
)
# "may" and "march" are left out: "you may first call" is no date.
_CLEAR_MONTH: Final = (
    r"(?:january|february|april|june|july|august|september|october|november|december)"
)
_STREET: Final = (
    r"(?:street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|way|court|ct|square|sq"
    r"|place|pl|terrace|highway|hwy|parkway|pkwy|crescent|close|alley|row|gardens|grove)"
)
# What stands between the number and "street": not the words of "10 steps to close a deal".
_NO_STREET: Final = (
    r"(?!(?:a|an|and|at|by|for|from|in|into|of|on|or|out|over|that|the|their|to|up|with|your"
    r"|ways?|tips?|steps?|ideas?|reasons?|things?|rules?|minutes?|hours?|days?|weeks?|months?"
    r"|years?|miles?|km|percent|people|am|pm)\b)"
)
_UNIT: Final = (
    r"(?:dollars?|euros?|pounds?|usd|eur|gbp|chf|yen|rupees?|cents?|bucks|grand|million|billion"
    r"|k(?!\s?(?:run|race|walk|marathon|steps|followers|video|tv)))"
)
_DOMAIN: Final = (
    r"(?:com|org|net|edu|gov|io|co|uk|de|fr|es|it|info|biz|app|dev|me|us|ca|eu|example)"
)
_SIGN_DOT: Final = r"(?:\s?(?:[(\[{<]\s?(?:dot|punkt|punto|\.)\s?[)\]}>]|[_*-]+dot[_*-]+)\s?)"
_DOT: Final = rf"(?:{_SIGN_DOT}|\s{{1,3}}(?:dot|period|punkt|punto)\s{{1,3}})"
_SIGN_AT: Final = r"(?:@|[(\[{<]\s?(?:at|@)\s?[)\]}>]|[_*-]+at[_*-]+)"
_LOCAL: Final = rf"[\w.+-]{{1,64}}(?:{_DOT}[\w+-]{{1,63}}){{0,3}}"
_MEASURE: Final = (
    r"(?:cups?|tsp|tbsp|teaspoons?|tablespoons?|inch(?:es)?|pounds?|lbs?|miles?|hours?)"
)

_WITH_SIGN: Final[tuple[tuple[Role, str], ...]] = (
    # one notation a row: role, form
    (
        "contact",
        (
            rf"{_LOCAL}\s?{_SIGN_AT}\s?[\w-]{{1,63}}"
            rf"(?:(?:\s?\.\s?|{_DOT})[\w-]{{1,63}}){{1,6}}"
        ),
    ),
    (
        "contact",
        rf"{_LOCAL}\s{{1,3}}at\s{{1,3}}[\w-]{{1,63}}(?:{_DOT}[\w-]{{1,63}}){{1,6}}",
    ),
    (
        "contact",
        rf"[\w+-]{{1,64}}\s{{1,3}}at\s{{1,3}}[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{0,6}}\.{_DOMAIN}\b",
    ),
    ("contact", r"(?:https?://|www\.)\S+"),
    (
        "contact",
        rf"(?<![\w-])[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{0,6}}\.{_DOMAIN}\b(?:/\S*)?",
    ),
    ("contact", r"(?<![\w@])@\w{2,}"),
)
_WITH_DIGIT: Final[tuple[tuple[Role, str], ...]] = (
    (
        "contact",  # a phone number; not a date such as 2024-03-12
        (
            r"(?<!\w)(?!\d{1,4}([./-])\d{1,2}\1\d{1,4}\b(?![\s./-]?\d))"
            r"\+?\(?\d(?:[\s()._/\u2010-\u2015-]{0,3}\d){6,}"
        ),
    ),
    ("amount", r"[$€£¥₹]\s?\d[\d.,]*(?:\s?(?:k|m|bn|thousand|million|billion)\b)?"),
    ("amount", rf"\b\d[\d.,]{{0,40}}\s?(?:[€£$]|{_UNIT}\b)"),
    ("date", rf"\b{_MONTH}\s+(?:the\s+)?{_DAY}\b(?:,?\s+\d{{4}})?"),
    ("date", rf"\b{_DAY}(?:\s+of)?[\s-]+{_MONTH}\b(?:[,\s-]+\d{{2,4}}\b)?"),
    ("date", rf"\b{_MONTH},?\s+(?:of\s+)?\d{{4}}\b"),
    ("date", rf"\b{_DAY}(?:\.?\s+|\s+d[eo]\s+){_MONTHS_ABROAD}\b"),
    ("date", rf"\b(?:{_MONTH}\d{{1,2}}|\d{{1,2}}{_MONTH})(?:\d{{2,4}})?(?![\w-])"),
    ("date", rf"\b(?:{_MONTH}[/-]\d{{1,2}}|\d{{1,2}}[./-]\s?{_MONTH})\b"),
    ("date", r"\b\d{1,2}[./-]\s?[ivx]{1,4}[./-]\s?\d{2,4}\b"),
    ("date", r"\b\d{1,4}[./-]\d{1,2}[./-]\d{1,4}\b"),
    ("date", rf"\b(?!24/7|50/50|[1-3]/[2-48]\s{_MEASURE}\b)\d{{1,2}}/\d{{1,4}}\b"),
    (
        "address",
        rf"\b\d{{1,5}}[a-z]?,?\s+(?:{_NO_STREET}[\w'’]+\.?\s+){{1,4}}?{_STREET}\b\.?",
    ),
    ("address", r"\b(?:apt|apartment|suite|flat|unit|room|p\.?\s?o\.?\s?box)\.?\s?#?\d+\w*\b"),
    ("address", rf"\b{_NO_STREET}[\w'’]+\s+(?:street|road|avenue|lane)\s+\d{{1,4}}[a-z]?\b"),
    ("number", r"\b(?:[a-z]{1,5}-){1,20}\d{3,}(?:-?\w{1,8})*\b"),
    ("number", r"\b\d{1,3}(?:[,.\s]\d{3})+\b"),
    ("number", r"(?!50/50\b)\d(?:[\s._/\u2010-\u2015-]?\d){3,}"),
    ("number", r"\b(?=\w*\d\w*\d\w*\d)(?=\w*[a-z])\w{5,}\b"),
)
_WITH_ORDINAL: Final[tuple[tuple[Role, str], ...]] = (
    ("date", rf"\b(?:{_DAY_WORD})\s+of\s+{_MONTH}\b"),
    ("date", rf"\b{_CLEAR_MONTH}\s+(?:the\s+)?(?:{_DAY_WORD})\b"),
)


def _compiled(rows: tuple[tuple[Role, str], ...]) -> tuple[tuple[Role, re.Pattern[str]], ...]:
    return tuple((role, re.compile(form, re.IGNORECASE)) for role, form in rows)


# A group is tried only where its trigger stands in the text: most text has neither.
_GROUPS: Final = (
    (
        re.compile(r"[@.]\w|@|dot\b|dot_|period|punkt|punto|[\[({<]at|://", re.IGNORECASE),
        _compiled(_WITH_SIGN),
    ),
    (re.compile(r"\d"), _compiled(_WITH_DIGIT)),
    (re.compile(rf"{_CLEAR_MONTH}|of\s+ma(?:y|rch)", re.IGNORECASE), _compiled(_WITH_ORDINAL)),
)


def patterns() -> tuple[re.Pattern[str], ...]:
    """The forms that begin with a number or a word: the shield asks what could become one."""
    return tuple(pattern for _, rows in _GROUPS[1:] for _, pattern in rows)


def notations(text: str) -> Iterator[Finding]:
    """Every notation of the text, as they overlap; spans are those of `text` itself."""
    shown, places = visible(text)
    for trigger, rows in _GROUPS:
        if not trigger.search(shown):
            continue
        for role, pattern in rows:
            for m in pattern.finditer(shown):
                start, end = m.span()
                if places is not None:
                    start, end = places[start], places[end - 1] + 1
                yield Finding(start, end, "identifier", role, text[start:end])
