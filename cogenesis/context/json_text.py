"""A context's JSON: decoded, with the repairs that `reader` promises; mistakes by place."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any

from cogenesis.context.schema import show_key
from cogenesis.errors import ContextError
from cogenesis.strict_json import STRICT, UTF16, UnmeantError, looks_like_utf16

HELP = "See docs/context-format.md for an example."

Warn = Callable[[str], None]
"""Is told what was repaired while reading. Messages hold counts only."""

_NUL = "\x00"
_SURROGATE = re.compile("[\ud800-\udfff]")
_TO_REPAIR = re.compile("[\x00\ud800-\udfff]")


def load(data: bytes, name: str, warn: Warn) -> Any:
    """The value of a whole file.

    Raises:
        ContextError: it is none.
    """
    text, removed = _decode(data, name)
    try:
        value = STRICT.decode(text)
    except json.JSONDecodeError as error:
        raise ContextError(
            f"{name}: not JSON: line {error.lineno}, column {error.colno}. Often a comma or a "
            "quotation mark is missing there, or a line break in a text is not written \\n."
        ) from None
    except RecursionError:
        raise ContextError(f"{name}: objects are nested too deeply. {HELP}") from None
    except UnmeantError as error:
        twice = error.key and f"the key {show_key(error.key)} appears twice in one object"
        raise ContextError(f"{name}: {twice or error}") from None
    except ValueError:
        raise ContextError(f"{name}: it holds a number that is too long") from None
    repairs = Repairs(removed)
    try:
        value = repairs.apply(value)
    except RecursionError:
        raise ContextError(f"{name}: objects are nested too deeply. {HELP}") from None
    repairs.tell(name, warn)
    return value


def _decode(data: bytes, name: str) -> tuple[str, int]:
    """The text without its byte order mark and NULs, and the number of NULs removed."""
    if looks_like_utf16(data):
        raise ContextError(f"{name} {UTF16}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ContextError(
            f"{name}: line {line} is not UTF-8 text. Save the file as UTF-8."
        ) from None
    removed = text.count(_NUL)
    text = text.replace(_NUL, "")
    if not text.strip():
        raise ContextError(f"{name} is empty. {HELP}")
    return text, removed


class Repairs:
    """Removes NUL characters (written \\u0000) and replaces half surrogate pairs."""

    def __init__(self, nuls: int = 0) -> None:
        """`nuls` were removed already."""
        self._nuls = nuls
        self._halves = 0

    def apply(self, value: Any) -> Any:
        """The value with every string repaired."""
        if isinstance(value, str):
            return self._text(value) if _TO_REPAIR.search(value) else value
        if isinstance(value, list):
            return [self.apply(item) for item in value]
        if isinstance(value, dict):
            return {self.apply(key): self.apply(item) for key, item in value.items()}
        return value

    def _text(self, text: str) -> str:
        self._nuls += text.count(_NUL)
        # Written separately, two halves of one emoji were joined by the JSON reader already.
        text, halves = _SURROGATE.subn("\ufffd", text.replace(_NUL, ""))
        self._halves += halves
        return text

    def tell(self, name: str, warn: Warn) -> None:
        """Report what was repaired."""
        if self._nuls:
            warn(f"{name}: removed {self._nuls} NUL character(s), which no model can read")
        if self._halves:
            warn(f"{name}: replaced {self._halves} broken character(s) (half of a pair)")


def log(message: str) -> None:
    """A warning where nobody asked to be told."""
    logging.getLogger(__name__).warning(message)
