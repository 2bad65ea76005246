"""Reading files of samples one at a time, however large they are.

Four kinds of file: a JSON list (the published form), JSON lines, one JSON object, Parquet as
`data export` writes it. Memory holds one block of the file and one sample. What cannot be read
is one mistake at one place, where the rest can still be read; the messages name places, never
values.

Not covered: compressed files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from cogenesis.errors import InputError, MissingExtraError

BLOCK: Final = 1 << 20
"""Characters read at once."""

MAX_SAMPLE: Final = 16 << 20
"""Characters of one sample. A published one has 10,000."""

SUFFIXES: Final = frozenset({".json", ".jsonl", ".ndjson", ".parquet"})

_SPACE: Final = " \t\r\n"
_BROKEN: Final = (
    "it is not JSON from here on. Often a comma or a quotation mark is missing, or the file was "
    "cut off while it was copied"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One sample as it stands in the file, or why it cannot be read.

    Attributes:
        number: in the file, from 1.
        value: the sample; None if there is a mistake.
        mistake: places, no values.
    """

    number: int
    value: dict[str, Any] | None = field(repr=False)
    mistake: str | None = None


def entries(path: Path) -> Iterator[Entry]:
    """The samples of a file, one at a time.

    Raises:
        InputError: there is no such file, or nothing in it can be read.
        MissingExtraError: it is Parquet and pyarrow is not installed.
    """
    if path.suffix == ".parquet":
        yield from _parquet(path)
        return
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _json(path, file)
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text in UTF-8: save it as UTF-8 first") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def data_files(path: Path) -> list[Path]:
    """The files of samples that a path names: itself, or those of a folder, by name.

    Raises:
        InputError: there is none.
    """
    if not path.is_dir():
        if path.exists():
            return [path]
        raise InputError(f"{path}: there is no such file")
    inside = [path, path / "data"]
    found = [
        each
        for folder in inside
        if folder.is_dir()
        for each in sorted(folder.iterdir())
        if each.suffix in SUFFIXES and each.is_file() and not each.name.startswith(".")
    ]
    if not found:
        raise InputError(f"{path} holds no file of samples (.json, .jsonl or .parquet)")
    return found


def _json(path: Path, file: IO[str]) -> Iterator[Entry]:
    begun = file.read(BLOCK)
    while begun and not begun.strip(_SPACE):
        begun = file.read(BLOCK)
    begun = begun.lstrip(_SPACE)
    if not begun:
        raise InputError(f"{path} is empty: it needs at least one sample")
    if begun[0] == "[":
        yield from _list(begun[1:], file)
    elif begun[0] != "{":
        raise InputError(f"{path} holds no samples: a list [...] or one object {{...}} a line")
    elif _one_line_is_all(begun):
        yield from _lines(begun, file)
    else:
        yield _object(path, begun, file)


def _one_line_is_all(begun: str) -> bool:
    """Whether the first line is an object by itself: then each line is a sample."""
    line, ended, _ = begun.partition("\n")
    if not ended and len(begun) >= BLOCK:
        return True  # a line longer than a block: nobody writes one object like this
    return isinstance(_loaded(line), dict)


def _lines(begun: str, file: IO[str]) -> Iterator[Entry]:
    number = 0
    rest = begun
    while True:
        *lines, rest = rest.split("\n")
        for line in lines:
            if line.strip(_SPACE):
                number += 1
                yield _entry(number, _loaded(line))
        block = file.read(BLOCK)
        if not block:
            break
        rest += block
        if len(rest) > MAX_SAMPLE and "\n" not in rest:
            yield Entry(number + 1, None, _too_long())
            return
    if rest.strip(_SPACE):
        yield _entry(number + 1, _loaded(rest))


def _list(rest: str, file: IO[str]) -> Iterator[Entry]:
    """The items of a JSON list whose "[" was read.

    After a mistake nothing says where the next item begins: the rest of the list is lost.
    """
    decoder = json.JSONDecoder()
    number, at, block = 0, 0, BLOCK
    while True:
        at = _skip(rest, at)
        try:
            if at >= len(rest):
                raise ValueError("more is needed")
            if rest[at] == "]":
                return
            value, end = decoder.raw_decode(rest, at)
            after = _skip(rest, end)
            if after >= len(rest):
                raise ValueError("whether it goes on stands in the next block")
            if rest[after] not in ",]":
                yield Entry(number + 1, None, _BROKEN)
                return
        except (ValueError, RecursionError):
            more = file.read(block)
            if not more or len(rest) - at > MAX_SAMPLE:
                yield Entry(number + 1, None, _too_long() if more else _BROKEN)
                return
            rest, at = rest[at:] + more, 0
            block *= 2  # a long item is not tried again for every block of it
            continue
        number += 1
        yield _entry(number, value)
        at, block = after + (rest[after] == ","), BLOCK


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _object(path: Path, begun: str, file: IO[str]) -> Entry:
    text = begun + file.read(MAX_SAMPLE)
    if file.read(1):
        raise InputError(f"{path}: one object of more than {MAX_SAMPLE:,} characters is no sample")
    return _entry(1, _loaded(text))


def _loaded(text: str) -> object:
    """The value, or None for what is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _entry(number: int, value: object) -> Entry:
    if isinstance(value, dict):
        return Entry(number, value)
    return Entry(number, None, _BROKEN if value is None else "a sample is an object {...}")


def _too_long() -> str:
    return f"a sample of more than {MAX_SAMPLE:,} characters, or the file is broken"


def _parquet(path: Path) -> Iterator[Entry]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "data") from error
    from cogenesis.data.columns import from_columns

    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    number += 1
                    yield _entry(number, from_columns(row))
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} cannot be read as Parquet: {type(error).__name__}") from None
