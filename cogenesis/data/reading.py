"""Reading files of samples one at a time, however large they are.

Four kinds of file: a JSON list (the published form), JSON lines, one JSON object, Parquet as
`data export` writes it. Memory holds one block of the file and one sample. What cannot be read
is one mistake at one place, where the rest can still be read; the messages name places, never
values.

Not covered: compressed files.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, Protocol

from cogenesis.errors import InputError, MissingExtraError
from cogenesis.strict_json import STRICT, UTF16, UnmeantError, looks_like_utf16

BLOCK: Final = 1 << 20
"""Bytes read at once."""

MAX_SAMPLE: Final = 16 << 20
"""Characters of one sample. A published one has 10,000."""

SUFFIXES: Final = frozenset({".json", ".jsonl", ".ndjson", ".parquet"})
_LINES: Final = frozenset({".jsonl", ".ndjson"})

NO_OBJECT: Final = "it must be an object {...}"
_NO_COLUMNS: Final = "its columns are not those of samples"

_SPACE: Final = " \t\r\n"
_PLAIN: Final = json.JSONDecoder()
_WHY: Final = (
    "Often a comma or a quotation mark is missing, or the file was cut off while it was copied"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One sample as it stands in the file, or why it cannot be read.

    Attributes:
        number: in the file, from 1.
        value: the sample; None if there is a mistake.
        mistake: places, no values.
        start: the byte of the file at which it begins; of Parquet 0.
        raw: its bytes; of Parquet none.
        lost: whether all that may come after it cannot be read either.
    """

    number: int
    value: dict[str, Any] | None = field(repr=False)
    mistake: str | None = None
    start: int = 0
    raw: bytes = field(default=b"", repr=False)
    lost: bool = False


class Summed(Protocol):
    """What is told all bytes that are read: a hash of `hashlib`."""

    def update(self, data: bytes, /) -> None:
        """The next bytes."""
        ...


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
        with path.open("rb") as file:
            yield from json_entries(path, file)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def json_entries(path: Path, file: IO[bytes], summed: Summed | None = None) -> Iterator[Entry]:
    """The samples of an open file of JSON, one at a time.

    Args:
        path: how messages call it; its ending tells JSON lines.
        file: at its beginning.
        summed: is told all bytes of the file, if no entry is `lost`.

    Raises:
        InputError: nothing in it can be read, or it is Parquet.
        OSError: as the file's.
    """
    if path.suffix == ".parquet":
        raise InputError(
            f"{path} is Parquet, and JSON is wanted: make such a file with "
            f"`cogenesis data export {path.name} --out {path.stem}.jsonl`"
        )
    window = _Window(path, file, summed)
    while window.at == len(window.text) and window.more(BLOCK):
        window.skip()
    if window.at == len(window.text):
        raise InputError(f"{path} is empty: it needs at least one sample")
    first = window.text[window.at]
    if first == "[":
        window.at += 1
        yield from _list(window)
    elif first != "{":
        raise InputError(f"{path} holds no samples: a list [...] or one object {{...}} a line")
    elif path.suffix in _LINES or _one_line_is_all(window):
        yield from _lines(window)
    else:
        yield _object(path, window)


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


class _Window:
    """The part of a file that is looked at, and where in the file it is.

    Attributes:
        text: without the file's byte order mark.
        at: what stands before is done with.
    """

    def __init__(self, path: Path, file: IO[bytes], summed: Summed | None) -> None:
        self._path, self._file, self._summed = path, file, summed
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._begun = False
        self._read_lines = 0
        # Of the beginning of the text: lines and characters of the line before it.
        self._lines, self._column = 0, 0
        # The byte at which the character `_mark` of the text stands.
        self._byte, self._mark = 0, 0
        self.text, self.at = "", 0

    def more(self, size: int) -> bool:
        """Read on by about so many bytes and forget what is done with; False at the end.

        Raises InputError: it is no text in UTF-8.
        """
        block = self._block(size)
        if not block:
            return False
        self.byte(self.at)
        done = self.text[: self.at]
        self._lines, self._column = self._place(done)
        self.text, self.at, self._mark = self.text[self.at :] + block, 0, 0
        return True

    def skip(self) -> None:
        """Move on to what is no space."""
        text, at = self.text, self.at
        while at < len(text) and text[at] in _SPACE:
            at += 1
        self.at = at

    def byte(self, index: int) -> int:
        """The byte of the file at which a character of the text stands; only ever forwards."""
        self._byte += len(self.text[self._mark : index].encode())
        self._mark = index
        return self._byte

    def where(self, index: int) -> str:
        """A place in the text as people count it."""
        lines, column = self._place(self.text[:index])
        return f"line {lines + 1:,}, column {column + 1:,}"

    def _place(self, done: str) -> tuple[int, int]:
        lines = done.count("\n")
        column = len(done) - done.rfind("\n") - 1 if lines else self._column + len(done)
        return self._lines + lines, column

    def _block(self, size: int) -> str:
        while True:
            data = self._file.read(size)
            if self._summed is not None:
                self._summed.update(data)
            text = self._decoded(data if self._begun else self._without_mark(data))
            if text or not data:  # else the block ended within a character
                return text

    def _without_mark(self, data: bytes) -> bytes:
        self._begun = True
        if looks_like_utf16(data):
            raise InputError(f"{self._path} {UTF16}")
        if not data.startswith(codecs.BOM_UTF8):
            return data
        self._byte = len(codecs.BOM_UTF8)
        return data[self._byte :]

    def _decoded(self, data: bytes) -> str:
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            line = self._read_lines + error.object.count(b"\n", 0, error.start) + 1
            raise InputError(
                f"{self._path}: line {line:,} is not UTF-8 text. Save the file as UTF-8."
            ) from None
        self._read_lines += text.count("\n")
        return text


def _one_line_is_all(window: _Window) -> bool:
    """Whether the first line is an object by itself: then each line is a sample."""
    line, ended, _ = window.text[window.at :].partition("\n")
    if not ended and window.more(BLOCK):
        return True  # a line longer than a block: nobody writes one object like this
    return isinstance(_loaded(line)[0], dict)


def _lines(window: _Window) -> Iterator[Entry]:
    number, last = 0, False
    while not last:
        end = window.text.find("\n", window.at)
        if end < 0:
            if len(window.text) - window.at > MAX_SAMPLE:
                yield _lost(number + 1, f"{_too_long()}: {window.where(window.at)}")
                return
            if window.more(BLOCK):
                continue
            end, last = len(window.text), True
        line = window.text[window.at : end]
        if line.strip(_SPACE):
            number += 1
            value, mistake, wrong = _loaded(line)
            if wrong is not None:
                mistake = f"it is not JSON: {window.where(window.at + wrong)}. {_WHY}"
            yield _entry(number, value, mistake, window.byte(window.at), line.encode())
        window.at = min(end + 1, len(window.text))


def _list(window: _Window) -> Iterator[Entry]:
    """The items of a JSON list whose "[" was read.

    After a mistake nothing says where the next item begins: the rest of the list is lost.
    """
    number, block, comma = 0, BLOCK, False
    while True:
        window.skip()
        if window.text.startswith("]", window.at) and not comma:
            window.at += 1
            yield from _after_the_list(window, number)
            return
        found = _item(window.text, window.at)
        if isinstance(found, _Wrong):
            long = len(window.text) - window.at > MAX_SAMPLE
            if not long and not found.sure and window.more(block):
                block *= 2  # a long item is not tried again for every block of it
                continue
            what = _too_long() if long else "it is not JSON from here on"
            yield _lost(number + 1, f"{what}: {window.where(found.place)}. {_WHY}")
            return
        number += 1
        raw = window.text[window.at : found.end].encode()
        yield _entry(number, found.value, found.mistake, window.byte(window.at), raw)
        comma, block = window.text[found.after] == ",", BLOCK
        window.at = found.after + comma


class _Item(NamedTuple):
    """An item of a list: where it ends, and where the comma or bracket after it stands."""

    value: object
    mistake: str | None
    end: int
    after: int


class _Wrong(NamedTuple):
    """A place that is not JSON, unless more text mends it; `sure` if none can."""

    place: int
    sure: bool = False


def _item(text: str, at: int) -> _Item | _Wrong:
    try:
        try:
            value, end = STRICT.raw_decode(text, at)
            mistake = None
        except UnmeantError as error:
            _, end = _PLAIN.raw_decode(text, at)
            value, mistake = None, str(error)
    except json.JSONDecodeError as error:
        return _Wrong(error.pos)
    except (ValueError, RecursionError):
        return _Wrong(at)
    after = end
    while after < len(text) and text[after] in _SPACE:
        after += 1
    if not text.startswith((",", "]"), after):
        return _Wrong(after, sure=after < len(text))
    return _Item(value, mistake, end, after)


def _after_the_list(window: _Window, number: int) -> Iterator[Entry]:
    """Nothing may stand there: of two lists in one file the second would be lost in silence."""
    window.skip()
    while window.at == len(window.text):
        if not window.more(BLOCK):
            return
        window.skip()
    where = window.where(window.at)
    yield _lost(number + 1, f"it is not JSON: the list ends before {where}, and something follows")


def _object(path: Path, window: _Window) -> Entry:
    while window.more(BLOCK):
        if len(window.text) - window.at > MAX_SAMPLE:
            raise InputError(
                f"{path}: one object of more than {MAX_SAMPLE:,} characters is no sample"
            )
    text = window.text[window.at :]
    value, mistake, wrong = _loaded(text)
    if wrong is not None:
        return _lost(1, f"it is not JSON: {window.where(window.at + wrong)}. {_WHY}")
    return _entry(1, value, mistake, window.byte(window.at), text.encode())


def _loaded(text: str) -> tuple[object, str | None, int | None]:
    """The value, or what is wrong with it, or the character where it is no JSON."""
    try:
        return STRICT.decode(text), None, None
    except UnmeantError as error:
        return None, str(error), None
    except json.JSONDecodeError as error:
        return None, None, error.pos
    except (ValueError, RecursionError):
        return None, None, 0


def _entry(number: int, value: object, mistake: str | None, start: int, raw: bytes) -> Entry:
    if mistake is None and isinstance(value, dict):
        return Entry(number, value, None, start, raw)
    return Entry(number, None, mistake or NO_OBJECT, start, raw)


def _lost(number: int, mistake: str) -> Entry:
    return Entry(number, None, mistake, lost=True)


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
                    value = from_columns(row)
                    yield Entry(number, value, None if value is not None else _NO_COLUMNS)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} cannot be read as Parquet: {type(error).__name__}") from None
