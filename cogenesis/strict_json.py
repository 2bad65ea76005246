"""JSON as it is meant: no key twice in one object, no NaN, no Infinity; and in UTF-8."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final, NoReturn

UTF16: Final = (
    "is in UTF-16 or UTF-32. Save it as UTF-8 (in Windows Notepad: Save as, Encoding: UTF-8)."
)


class UnmeantError(Exception):
    """JSON that Python would read but that cannot be meant. The message holds no value.

    Attributes:
        key: stands twice in one object; None if that is not what is wrong.
    """

    def __init__(self, key: str | None = None) -> None:
        twice = "a key appears twice in one object"
        super().__init__(
            "it holds NaN or Infinity, which JSON does not have" if key is None else twice
        )
        self.key = key


def looks_like_utf16(data: bytes) -> bool:
    """Whether a file that begins like this is in UTF-16 or UTF-32."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        return True
    # Without a mark: JSON begins with ASCII characters, and each has a zero byte beside it.
    return data[:4].count(0) >= 2 and data.strip(b" \t\r\n\x00") != b""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counted = Counter(key for key, _ in pairs)
        raise UnmeantError(next(key for key, number in counted.items() if number > 1))
    return found


def _no_constant(_name: str) -> NoReturn:
    raise UnmeantError


STRICT: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
"""Raises UnmeantError, and what `json` raises."""
