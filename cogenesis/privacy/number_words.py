"""Numbers written out in words, read as digits: "five five five, oh one two" is "555012".

The rules for phone numbers, dates, amounts and addresses then apply to what they say. Digits
and words may be mixed ("5 five 5"), told in pairs ("nineteen eighty-five"), with "double" and
"triple", with "dash" or "then" between them, or as a quantity ("four thousand and two").

Not covered: languages other than English; "a thousand", "a dozen" and other round numbers;
fractions; numbers told as sums ("twice twenty"); other words between the digits. "May" and
"march" before a number word are taken for the month only with a capital.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Final

from cogenesis.privacy.normal import Word, words
from cogenesis.privacy.notations import notations
from cogenesis.privacy.released import Finding

# fmt: off
_UNITS: Final = {
    word: value for value, word in enumerate((
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
        "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
        "eighteen", "nineteen",
    ))
} | {"oh": 0, "o": 0, "nought": 0, "naught": 0, "nil": 0, "niner": 9}
_TENS: Final = {
    word: value for value, word in enumerate((
        "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
    ), start=2)
} | {"fourty": 4}
# fmt: on
_SCALES: Final = {"hundred": 100, "thousand": 1_000, "million": 1_000_000}
_LONGEST_SCALED: Final = 9
"""Digits of a number that a "hundred" behind it may multiply; longer ones are told as digits."""
_TIMES: Final = {"double": 2, "triple": 3, "treble": 3}
_BETWEEN: Final = frozenset({"dash", "hyphen", "then", "space", "dot", "point", "slash"})
_NUMBER_WORDS: Final = frozenset({*_UNITS, *_TENS})
_GAP: Final = re.compile(r"[\s,.\-–—/_()]{1,4}")
_JOINED: Final = re.compile(
    "|".join(sorted((w for w in (*_UNITS, *_TENS, *_SCALES) if len(w) > 2), key=len, reverse=True))
)
_OPEN_MONTH: Final = re.compile(r"(?:may|march)\b|.*\b(?:may|march)$")
_LOOSE_STREET: Final = re.compile(
    r".*\b(?:st|dr|drive|way|court|ct|close|place|pl|row|square|sq|alley|grove|gardens|terrace)\.?$"
)


def spelled_out(text: str) -> Iterator[Finding]:
    """Notations whose digits the text writes in words; spans are those of the text."""
    found = words(text)
    if _NUMBER_WORDS.isdisjoint(w.key for w in found) and not any(_parts(w.key) for w in found):
        return
    shown, places, changed = _as_digits(text, found)
    if not changed:
        return
    for finding in notations(shown):
        start, end = places[finding.start], places[finding.end - 1] + 1
        touched = overlapping(changed, start, end)
        if not touched or _harmless(finding):
            continue
        start, end = min(start, touched[0][0]), max(end, touched[-1][1])
        yield Finding(start, end, "identifier", finding.role, text[start:end])


def digits_in_order(text: str) -> tuple[str, Sequence[tuple[int, int]]]:
    """Every digit of the text, written out or not, and between which characters it is told."""
    shown, places, changed = _as_digits(text, words(text))
    told: list[str] = []
    spans: list[tuple[int, int]] = []
    for i, char in enumerate(shown):
        if char.isdecimal():
            told.append(str(int(char)))
            at = places[i]
            spans.extend(overlapping(changed, at, at + 1) or [(at, at + 1)])
    return "".join(told), spans


def overlapping(
    spans: Sequence[tuple[int, int]], start: int, end: int
) -> Sequence[tuple[int, int]]:
    """Those of some spans, in order and apart from each other, that [start, end) touches."""
    first = bisect_right(spans, start, key=itemgetter(1))
    last = bisect_left(spans, end, lo=first, key=itemgetter(0))
    return spans[first:last]


def _harmless(finding: Finding) -> bool:
    """What only number words make look like a date or a street: "may one", "one dark way"."""
    shown = finding.text
    if finding.role == "date":
        return bool(_OPEN_MONTH.match(shown)) or shown.casefold() in {"may 1", "march 1"}
    if finding.role == "address":
        return shown.startswith("1 ") or (
            shown == shown.lower() and bool(_LOOSE_STREET.match(shown))
        )
    return finding.role == "amount" and shown.startswith("1 ")


def _as_digits(
    text: str, found: Sequence[Word]
) -> tuple[str, Sequence[int], Sequence[tuple[int, int]]]:
    """The text with digits for number words, where each character stood, and what changed."""
    shown: list[str] = []
    places: list[int] = []
    changed: list[tuple[int, int]] = []
    at = 0
    for first, last in _groups(text, found):
        digits = _read(found[first:last])
        start, end = found[first].start, found[last - 1].end
        shown += [text[at:start], digits]
        places += [*range(at, start), *[start] * (len(digits) - 1), end - 1]
        changed.append((start, end))
        at = end
    shown.append(text[at:])
    places += range(at, len(text))
    return "".join(shown), places, changed


def _groups(text: str, found: Sequence[Word]) -> Iterator[tuple[int, int]]:
    """Stretches [first, last) of words that tell one number; at least one is a number word."""
    i = 0
    while i < len(found):
        if not _tells(found[i].key) or found[i].key == "o":
            i += 1
            continue
        last = i + 1
        ahead = last
        while ahead < len(found) and _near(text, found[ahead - 1], found[ahead]):
            key = found[ahead].key
            if _tells(key) or key in _SCALES:
                last = ahead + 1
            elif key not in _BETWEEN and not (key == "and" and found[ahead - 1].key in _SCALES):
                break
            ahead += 1
        if any(not w.key.isdigit() and w.key not in _TIMES for w in found[i:last]):
            yield i, last
        i = last


def _tells(key: str) -> bool:
    return key in _NUMBER_WORDS or key in _TIMES or key.isdigit() or bool(_parts(key))


def _near(text: str, left: Word, right: Word) -> bool:
    return bool(_GAP.fullmatch(text, left.end, right.start))


def _parts(key: str) -> list[str]:
    """Number words written as one: "fiftyfive" is "fifty" and "five"."""
    if len(key) < 6 or key in _UNITS or key in _TENS:
        return []
    parts = _JOINED.findall(key)
    return parts if len(parts) > 1 and "".join(parts) == key else []


def _read(group: Sequence[Word]) -> str:
    """Digits of a stretch: quantities by their value, everything else one after the other."""
    keys = [part for w in group for part in (_parts(w.key) or [w.key])]
    out: list[str] = []
    i = 0
    while i < len(keys):
        if keys[i] in _TIMES and i + 1 < len(keys) and (digit := _digit(keys[i + 1])):
            out.append(digit * _TIMES[keys[i]])
            i += 2
            continue
        digits, i = _quantity(keys, i)
        out.append(digits)
    return "".join(out)


def _digit(key: str) -> str:
    return str(_UNITS[key]) if _UNITS.get(key, 10) < 10 else key if key.isdigit() else ""


def _quantity(keys: Sequence[str], i: int) -> tuple[str, int]:
    """One number from place i on, and the place after it."""
    value, i = _below_hundred(keys, i)
    if value is None:
        digits = keys[i] if keys[i].isdigit() else ""
        scaled = i + 1 < len(keys) and keys[i + 1] in _SCALES
        if not digits or not scaled or len(digits) > _LONGEST_SCALED:
            return digits, i + 1
        value, i = int(digits), i + 1
    if i >= len(keys) or keys[i] not in _SCALES:
        return str(value), i
    total = 0
    while i < len(keys) and keys[i] in _SCALES:
        scale = _SCALES[keys[i]]
        i += 1
        if scale == 100:
            value *= scale
        else:
            total, value = total + value * scale, 0
        after = i + 1 if i < len(keys) and keys[i] == "and" else i
        rest, end = _below_hundred(keys, after) if after < len(keys) else (None, after)
        if rest is not None:
            value, i = value + rest, end
    return str(total + value), i


def _below_hundred(keys: Sequence[str], i: int) -> tuple[int | None, int]:
    key = keys[i]
    if key in _TENS:
        unit = _UNITS.get(keys[i + 1], 0) if i + 1 < len(keys) else 0
        return (_TENS[key] * 10 + unit, i + 2) if 0 < unit < 10 else (_TENS[key] * 10, i + 1)
    if key in _UNITS:
        return _UNITS[key], i + 1
    return None, i
