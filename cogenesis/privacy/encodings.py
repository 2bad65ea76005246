"""Text inside text: HTML entities, percent and backslash escapes, base64, hexadecimal, Morse.

What is encoded cannot be judged by the person who looks at a preview, so encoded letters do
not leave at all, whatever they say; a shorter piece is decoded and judged with the rest.

Not covered: compression, encryption, ciphers with a key, base85 and uuencode, images, other
encodings than UTF-8 inside base64, and a message told by the choice of ordinary words.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

LONG: Final = 6
"""Characters that encoded text tells from which on it stays, whatever it is."""

_ESCAPE: Final = re.compile(
    r"&(?:#x?[0-9a-f]{1,7};?|[a-z][a-z0-9]{1,30};)"
    r"|(?:%[0-9a-f]{2})+"
    r"|(?:=[0-9A-F]{2})+"
    r"|\\(?:u\{[0-9a-f]{1,6}\}|u[0-9a-f]{4}|x[0-9a-f]{2}|[0-7]{3}|[nrt])"
    r"|\bU\+[0-9a-f]{4,6}\b",
    re.IGNORECASE,
)
_MARKS: Final = ("&", "%", "=", "\\", "+")
_CHUNK: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,6}")
_HEX: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:0x|#)?[2-7][0-9a-f](?:[\s:,._-]{0,2}(?:0x)?[2-7][0-9a-f]){3,}(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_CODES: Final = re.compile(r"(?<![\w.,])\d{1,3}(?:[,;|+]\s?\d{1,3}){3,}(?!\w)")
_MORSE: Final = re.compile(
    r"(?<![\w.·•\-–—])[.·•\-–—_]{1,5}(?:\s?/\s?|\s{1,3})"
    r"(?:[.·•\-–—_]{1,5}(?:\s?/\s?|\s{1,3})){2,}[.·•\-–—_]{1,5}(?!\w)"
)
# fmt: off
_SPOKEN: Final = frozenset((
    "alfa", "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india",
    "juliet", "juliett", "kilo", "lima", "mike", "november", "oscar", "papa", "quebec", "romeo",
    "sierra", "tango", "uniform", "victor", "whiskey", "whisky", "xray", "yankee", "zulu",
))
# fmt: on


class Encoded(NamedTuple):
    """Characters [start, end) say `text`; `closed` if they stay here whatever they say."""

    start: int
    end: int
    text: str
    closed: bool


def escapes(text: str) -> tuple[Encoded, ...]:
    """Entities and escapes of single characters. One that tells a letter or digit is closed.

    "&amp;", "&nbsp;" and the percent sign of "100%" are common in pasted text, so they are not.
    """
    if not any(mark in text for mark in _MARKS):
        return ()
    out = []
    for m in _ESCAPE.finditer(text):
        told = _escape(m.group())
        if told is not None and told != m.group():
            named = m.group()[0] == "&" and m.group()[1] != "#"
            closed = any(c.isalnum() for c in told) and not (named and len(told) == 1)
            out.append(Encoded(m.start(), m.end(), told, closed))
    return tuple(out)


def _escape(form: str) -> str | None:
    first = form[0]
    if first == "&":
        return html.unescape(form)
    if first in "%=":
        return _as_text(unquote_to_bytes(form.replace("=", "%")))
    if first in "Uu":
        return _character(form[2:])
    if form[1] in "nrtNRT":
        return None  # "\n" of a pasted string, or "\team": no letter is hidden by it
    digits = form[2:].strip("{}") if form[1] in "uUxX" else ""
    return _character(digits) if digits else _character(f"{int(form[1:], 8):x}")


def _character(hexadecimal: str) -> str | None:
    code = int(hexadecimal, 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else None


def blocks(text: str, odd: Callable[[str], bool]) -> Iterator[Encoded]:
    """Base64, base32, hexadecimal, character codes, Morse and "xn--" names.

    `odd` says whether a piece of text is no word: base64 is looked for in odd pieces only, and
    in neighbouring ones put together.
    """
    yield from _marked(text, _HEX, lambda form: _from_hex(form))
    yield from _marked(text, _CODES, _from_codes)
    if "-" in text or "." in text or "•" in text or "·" in text:
        for m in _MORSE.finditer(text):
            signs = set(m.group()) - {" ", "/"}
            if len(signs) > 1:
                yield Encoded(m.start(), m.end(), "", closed=True)
    if "xn--" in text.casefold():
        for m in re.finditer(r"\S+", text):
            if "xn--" in m.group().casefold():
                yield Encoded(m.start(), m.end(), "", closed=True)
    yield from _base64(text, odd)


def spoken_letters(keys: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Three or more words of the spelling alphabet in a row, as (first, last + 1, letters)."""
    first = 0
    while first < len(keys):
        last = first
        while last < len(keys) and keys[last] in _SPOKEN:
            last += 1
        if last - first >= 3:
            yield first, last, "".join(key[0] for key in keys[first:last])
        first = max(last, first + 1)


def _marked(
    text: str, form: re.Pattern[str], read: Callable[[str], str | None]
) -> Iterator[Encoded]:
    for m in form.finditer(text):
        told = read(m.group())
        if told is not None:
            yield Encoded(m.start(), m.end(), told, closed=len(told) >= LONG)


def _from_hex(form: str) -> str | None:
    digits = re.sub(r"0x|[^0-9a-f]", "", form.lower())
    return _readable(bytes.fromhex(digits)) if len(digits) % 2 == 0 else None


def _from_codes(form: str) -> str | None:
    """Letters by their place in the alphabet (1 to 26) or in ASCII, parted by commas."""
    codes = [int(code) for code in re.findall(r"\d+", form)]
    if all(1 <= code <= 26 for code in codes):
        steps = {b - a for a, b in pairwise(codes)}
        return None if steps == {1} else "".join(chr(96 + code) for code in codes)
    return _readable(bytes(codes)) if all(32 <= code < 127 for code in codes) else None


def _base64(text: str, odd: Callable[[str], bool]) -> Iterator[Encoded]:
    chunks = [m for m in re.finditer(r"\S+", text) if _CHUNK.search(m.group())]
    strange = [odd(m.group()) for m in chunks]
    done = -1
    for i, chunk in enumerate(chunks):
        if not strange[i] or i <= done:
            continue
        for last in range(min(len(chunks), i + 12), i, -1):
            # The end of a split code may be any letter or two.
            if not all(strange[i : last - 1]) or not (
                strange[last - 1] or _short(chunks[last - 1])
            ):
                continue
            form = "".join(m.group() for m in chunks[i:last])
            told = _from_base64(form)
            if told is not None:
                start, end = chunk.start(), chunks[last - 1].end()
                yield Encoded(start, end, told, closed=len(told) >= LONG)
                done = last - 1
                break


def _short(chunk: re.Match[str]) -> bool:
    return chunk.end() - chunk.start() <= 3


def _from_base64(form: str) -> str | None:
    """What a piece says in base64 or base32, with or without padding and signs between."""
    standard = form.translate(str.maketrans("-_", "+/"))
    bare = re.sub(r"[^A-Za-z0-9]", "", form)
    for piece in dict.fromkeys((re.sub(r"[^A-Za-z0-9+/]", "", standard), bare)):
        if len(piece) < 4 or len(piece) % 4 == 1:
            continue
        try:
            told = _readable(base64.b64decode(piece + "=" * (-len(piece) % 4)))
        except binascii.Error:
            continue
        if told is not None:
            return told
    if len(bare) >= 7 and re.fullmatch(r"[A-Z2-7]+|[a-z2-7]+", bare):
        try:
            return _readable(base64.b32decode(bare.upper() + "=" * (-len(bare) % 8)))
        except binascii.Error:
            return None
    return None


def _readable(data: bytes) -> str | None:
    """The text that bytes are, if they are text: printable, and mostly letters and digits
    (0.6 of "$4,538")."""
    told = _as_text(data)
    if told is None or len(told) < 3 or not told.replace("\n", " ").isprintable():
        return None
    plain = sum(c.isalnum() or c == " " for c in told)
    return told if plain >= 0.6 * len(told) else None


def _as_text(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None
