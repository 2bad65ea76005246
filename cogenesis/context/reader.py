"""Reading a private context from a file.

Two forms are read: one sample of the published CoGenesis data set, and our own form
(docs/context-format.md). Text is kept exactly as written, except that NUL characters and
half surrogate pairs, which no model and no data base can take, are removed or replaced and
counted in a warning. Cleaning for the prompt comes later: the privacy lexicon must see
what the file says.

Errors say where a mistake is, never what is written there. They are raised from frames
that hold no private text, so a traceback with locals shows none either. Not covered: the
caller's own frame, and errors that nobody expected (out of memory, a bug).
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from cogenesis.context.private_context import Private, PrivateContext, normal_name
from cogenesis.context.schema import (
    OwnForm,
    PublishedForm,
    PublishedSample,
    refuse,
    show_key,
    validate,
)
from cogenesis.errors import ContextError

MAX_CONTEXT_BYTES = 64_000_000
"""Far above any honest context (a data set of 150 people has 1.5 MB)."""

HELP = "See docs/context-format.md for an example."

Warn = Callable[[str], None]
"""Is told what was repaired while reading. Messages hold counts only."""

OnBadSample = Callable[[int, str], None]
"""Is told the number of a sample, counted from 1, and what is wrong with it: places, no values."""

S = TypeVar("S")
T = TypeVar("T")

_NUL = "\x00"
_SURROGATE = re.compile("[\ud800-\udfff]")
_TO_REPAIR = re.compile("[\x00\ud800-\udfff]")


class Sample(Private):
    """One task of a data set: the context, what is asked, and the text somebody wrote.

    `group` and `origin` are "" where the file does not say; see docs/data-files.md.
    """

    __slots__ = ("context", "group", "id", "instruction", "origin", "reference")
    context: PrivateContext
    instruction: str
    reference: str
    id: str
    group: str
    origin: str

    def __init__(
        self,
        context: PrivateContext,
        instruction: str,
        reference: str,
        id: str,  # noqa: A002
        *,
        group: str = "",
        origin: str = "",
    ) -> None:
        self._set(context=context, instruction=instruction, reference=reference, id=id)
        self._set(group=group, origin=origin)

    def __repr__(self) -> str:
        return f"Sample({self.context!r}, {len(self.reference)} characters)"


def read_context(path: Path, *, on_warning: Warn | None = None) -> PrivateContext:
    """Read a context file.

    Raises:
        ContextError: there is no such file, or it cannot be used; the message says why.
    """
    return _unwrap(_attempt(lambda at: _parse_context(_read(at), str(at), on_warning), path))


def parse_context(data: bytes, name: str, *, on_warning: Warn | None = None) -> PrivateContext:
    """Read a context from bytes; `name` stands for it in messages.

    Raises:
        ContextError: the bytes cannot be used; the message says why.
    """
    outcome = _attempt(lambda given: _parse_context(given, name, on_warning), data)
    del data  # a traceback with locals must not show it
    return _unwrap(outcome)


def read_samples(
    path: Path, *, on_warning: Warn | None = None, on_bad: OnBadSample | None = None
) -> list[Sample]:
    """Read a data set in the published form: a list of samples, each with its task.

    With `on_bad`, samples that cannot be used are told to it and left out.

    Raises:
        ContextError: there is no such file, or (without `on_bad`) a sample cannot be used.
    """
    return _unwrap(
        _attempt(lambda at: _parse_samples(_read(at), str(at), on_warning, on_bad), path)
    )


def _attempt(action: Callable[[S], T], source: S) -> T | ContextError:
    try:
        return action(source)
    except ContextError as error:
        # A new error: the old one's traceback leads through frames that hold private text.
        return ContextError(str(error))


def _unwrap(outcome: T | ContextError) -> T:
    if isinstance(outcome, ContextError):
        raise outcome
    return outcome


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONTEXT_BYTES + 1)  # bounded also for a pipe or a device
    except FileNotFoundError:
        raise ContextError(f"{path}: there is no such file. Check the path.") from None
    except IsADirectoryError:
        raise ContextError(f"{path} is a folder. Name the JSON file in it.") from None
    except PermissionError:
        raise ContextError(f"{path}: you are not allowed to read this file.") from None
    except OSError as error:
        raise ContextError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise ContextError("the path of the context holds a NUL character") from None
    if len(data) > MAX_CONTEXT_BYTES:
        raise ContextError(
            f"{path} is larger than {MAX_CONTEXT_BYTES // 1_000_000} MB. "
            "Keep what the texts need: a profile, activities, some earlier texts."
        )
    return data


def _parse_context(data: bytes, name: str, on_warning: Warn | None) -> PrivateContext:
    value = _load(data, name, on_warning or _log)
    if isinstance(value, list):
        if len(value) != 1:
            raise ContextError(
                f"{name}: this is a list of {len(value)} samples. A context is one person: "
                "save one of them as a file of its own."
                if value
                else f"{name}: the list is empty. {HELP}"
            )
        value = value[0]
    form = validate(_form_of(value, name), value)
    if isinstance(form, list):
        raise refuse(name, form)
    context = form.context()
    repeated = _repeated_field(context) if isinstance(form, OwnForm) else None
    if repeated is not None:
        raise refuse(name, [f"profile entry {repeated} has the name of an earlier entry"])
    if not any(text.text.strip() for text in context.texts()):
        raise ContextError(f"{name}: it holds no profile, no activity and no text. {HELP}")
    return context


def _form_of(value: object, name: str) -> type[OwnForm] | type[PublishedForm]:
    if not isinstance(value, dict):
        raise ContextError(f"{name}: a context is a JSON object {{...}}. {HELP}")
    if not value:
        raise ContextError(f"{name}: the object is empty. {HELP}")
    if "cogenesis" in value:
        return OwnForm
    if "additional_profile" in value or isinstance(value.get("profile"), list):
        return PublishedForm
    if {"profile", "activities", "writings"} & value.keys():
        return OwnForm  # its mistakes will say that `"cogenesis": 1` is missing
    raise ContextError(
        f'{name}: this is no context: it has neither "cogenesis": 1 nor "additional_profile". '
        + HELP
    )


def _repeated_field(context: PrivateContext) -> int | None:
    """Number of the first field whose name, case aside, an earlier field has."""
    seen: set[str] = set()
    for number, item in enumerate(context.fields, start=1):
        name = normal_name(item.name)
        if name in seen:
            return number
        seen.add(name)
    return None


def _parse_samples(
    data: bytes, name: str, on_warning: Warn | None, on_bad: OnBadSample | None
) -> list[Sample]:
    value = _load(data, name, on_warning or _log)
    items = value if isinstance(value, list) else [value]
    if not items:
        raise ContextError(f"{name}: the list is empty. It needs at least one sample.")
    samples: list[Sample] = []
    mistakes: list[str] = []
    for number, item in enumerate(items, start=1):
        found = _sample(number, item)
        if isinstance(found, Sample):
            samples.append(found)
        elif on_bad is None:
            mistakes += [f"sample {number}: {mistake}" for mistake in found]
        else:
            on_bad(number, "; ".join(found))
    if mistakes:
        raise refuse(name, mistakes)
    return samples


def _sample(number: int, item: object) -> Sample | list[str]:
    """The sample, or every mistake in it."""
    form = validate(PublishedSample, item)
    if isinstance(form, list):
        return form
    instruction, reference = form.turn("user", "human"), form.turn("assistant", "gpt")
    if instruction is None or reference is None:
        mistake = (
            "conversations needs a turn of the user (the instruction) "
            "and one of the assistant (the reference text)"
        )
        return [mistake]
    identity = str(number) if form.tid is None else str(form.tid)
    group = "" if form.group is None else str(form.group)
    return Sample(
        form.context(), instruction, reference, identity, group=group, origin=form.origin or ""
    )


def _load(data: bytes, name: str, warn: Warn) -> Any:
    """Decode JSON with the repairs that the module's docstring names."""
    text, removed = _decode(data, name)
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ContextError(
            f"{name}: not JSON: line {error.lineno}, column {error.colno}. Often a comma or a "
            "quotation mark is missing there, or a line break in a text is not written \\n."
        ) from None
    except RecursionError:
        raise ContextError(f"{name}: objects are nested too deeply. {HELP}") from None
    except _BadJsonError as error:
        raise ContextError(f"{name}: {error}") from None
    except ValueError:
        raise ContextError(f"{name}: it holds a number that is too long") from None
    repairs = _Repairs(removed)
    try:
        value = repairs.apply(value)
    except RecursionError:
        raise ContextError(f"{name}: objects are nested too deeply. {HELP}") from None
    repairs.tell(name, warn)
    return value


def _decode(data: bytes, name: str) -> tuple[str, int]:
    """The text without its byte order mark and NULs, and the number of NULs removed."""
    if _looks_like_utf16(data):
        raise ContextError(
            f"{name} is in UTF-16 or UTF-32. Save it as UTF-8 "
            "(in Windows Notepad: Save as, Encoding: UTF-8)."
        )
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


def _looks_like_utf16(data: bytes) -> bool:
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        return True
    # Without a mark: JSON begins with ASCII characters, and each has a zero byte beside it.
    return data[:4].count(0) >= 2 and data.strip(b" \t\r\n\x00") != b""


class _BadJsonError(Exception):
    """JSON that Python would read but that cannot be meant. The message holds no value."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counted = Counter(key for key, _ in pairs)
        repeated = next(key for key, number in counted.items() if number > 1)
        raise _BadJsonError(f"the key {show_key(repeated)} appears twice in one object")
    return found


def _no_constant(_name: str) -> NoReturn:
    raise _BadJsonError("it holds NaN or Infinity, which JSON does not have")


class _Repairs:
    """Removes NUL characters (written \\u0000) and replaces half surrogate pairs."""

    def __init__(self, nuls: int) -> None:
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


def _log(message: str) -> None:
    logging.getLogger(__name__).warning(message)
