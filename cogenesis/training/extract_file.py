"""The file of `train extract`: Parquet, one row group for each text (docs/extract-format.md).

    with ExtractWriter(path, about, resume=True) as out:
        for number in numbers:
            if number not in out.done:
                out.add(Text(number, "14_10_6", "14_10", fold=None, seen=False), columns)
    for text, columns in extract_groups(path): ...

A Parquet file cannot be read before its end is written. So each text becomes a file of its own
in `PATH.parts` first, complete or not there at all, and the parts become one file at the end.
Whatever ends the program, at most the text that it was at is lost.

The file holds tokens of private texts and what a model that read the context thought: it is as
private as the texts. Only its owner may read it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cogenesis.errors import InputError, MissingExtraError
from cogenesis.training.extract_rows import OWN, Columns

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SCHEMA: Final = 1
"""Raised when a reader of the older form could not read the new one."""

_META: Final = b"cogenesis"
_PACKED: Final = frozenset({"kinds", "known"})
"""Columns whose K values are kept as bytes."""


@dataclass(frozen=True, slots=True)
class Text:
    """Whose text it is.

    Attributes:
        sample: its number in the data, from 1. id: what the data calls it.
        group: people who resemble each other (`folds.group_of`).
        fold: the fold of the group; None without folds.
        seen: whether the device model was tuned on this text.
    """

    sample: int
    id: str
    group: str
    fold: int | None = None
    seen: bool = False


def load_parquet() -> tuple[Any, Any]:
    """`pyarrow` and `pyarrow.parquet`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "train") from error
    return pyarrow, pyarrow.parquet


def _schema(k: int, about: dict[str, Any]) -> pa.Schema:
    pa, _ = load_parquet()
    half, real = pa.float16(), pa.float32()

    def many(kind: Any, size: int) -> Any:
        return pa.list_(pa.field("item", kind, nullable=False), size)

    held_k = {
        "ids": many(pa.int32(), k),
        "logprobs": many(half, k),
        "kinds": pa.binary(k),
        "mass": many(half, k),
        "known": pa.binary(-(-k // 8)),
        "own_ids": many(pa.int32(), OWN),
        "own_logprobs": many(half, OWN),
    }
    plain = {"step": pa.int32(), "size": pa.int16(), "held": pa.bool_(), "gold": pa.int32()}
    found = [
        pa.field("sample", pa.int32(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("fold", pa.int16()),
        pa.field("seen", pa.bool_(), nullable=False),
    ]
    for each in fields(Columns):
        kind = held_k.get(each.name) or plain.get(each.name, real)
        found.append(pa.field(each.name, kind, nullable=False))
    head = {"schema": SCHEMA, "k": k, "about": about}
    return pa.schema(found, metadata={_META: json.dumps(head).encode()})


def _table(text: Text, columns: Columns, schema: pa.Schema) -> pa.Table:
    pa, _ = load_parquet()
    n = len(columns)
    arrays = []
    for field in schema:
        if hasattr(text, field.name):
            arrays.append(pa.array([getattr(text, field.name)] * n, field.type))
            continue
        values = getattr(columns, field.name)
        if field.name in _PACKED:
            rows = np.packbits(values, axis=1) if values.dtype == np.bool_ else values
            flat = np.ascontiguousarray(rows)
            arrays.append(
                pa.FixedSizeBinaryArray.from_buffers(field.type, n, [None, pa.py_buffer(flat)])
            )
        elif values.ndim == 2:
            inner = pa.array(values.ravel(), field.type.value_type)
            arrays.append(pa.FixedSizeListArray.from_arrays(inner, type=field.type))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    _, parquet = load_parquet()
    lists = {"ids": "DELTA_BINARY_PACKED", "own_ids": "DELTA_BINARY_PACKED"}
    encodings = {f"{name}.list.element": kind for name, kind in lists.items()}
    split = ("logprobs", "mass", "own_logprobs")
    encodings |= {f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in split}
    words = ["id", "group", "sample", "fold", "seen"]
    return parquet.ParquetWriter(
        path, schema, compression="zstd", use_dictionary=words, column_encoding=encodings
    )


class ExtractWriter:
    """Writes texts as they are done; use it with `with`, which makes the file at its end.

    Attributes:
        done: numbers of the samples that are there already.
    """

    def __init__(self, path: Path, about: dict[str, Any], *, k: int, resume: bool) -> None:
        """Look for what an earlier run left.

        Args:
            path: the file.
            about: all that the columns depend on. To go on it must be the same.
            k: candidates of each position.
            resume: whether to go on.

        Raises:
            InputError: there is something and `resume` is false; it is of other models, data
                or options; or nothing can be written there.
            MissingExtraError: `pyarrow` is not installed.
        """
        self._path, self._folder = path, path.with_name(f"{path.name}.parts")
        self._schema = _schema(k, json.loads(json.dumps(about)))
        if (path.exists() or self._folder.exists()) and not resume:
            raise InputError(f"{path} exists or was begun: add --resume, or name another --out")
        self.done: set[int] = set()
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            for each in self._folder.glob("*.new"):
                each.unlink()
        except OSError as error:
            raise InputError(f"{self._folder} cannot be used: {error.strerror}") from None
        for source in self._sources():
            self._check(source)
            self.done.update(_samples(source))

    def __enter__(self) -> ExtractWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()

    def add(self, text: Text, columns: Columns) -> int:
        """Keep a text, on the disk; return the bytes that it takes. One without tokens is none."""
        if not len(columns):
            self.done.add(text.sample)
            return 0
        part = self._folder / f"{text.sample:07d}.parquet"
        with _replacing(part) as new, _writer(new, self._schema) as out:
            out.write_table(_table(text, columns, self._schema))
        self.done.add(text.sample)
        return part.stat().st_size

    def finish(self) -> None:
        """Make one file of all, in the order of the samples. Nothing is lost if it is stopped."""
        sources = self._sources()
        if sources != [self._path]:
            with _replacing(self._path) as new, _writer(new, self._schema) as out:
                for group in _in_order(sources):
                    out.write_table(group)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _sources(self) -> list[Path]:
        parts = sorted(self._folder.glob("*.parquet")) if self._folder.exists() else []
        return [self._path, *parts] if self._path.exists() else parts

    def _check(self, source: Path) -> None:
        head, now = extract_head(source), json.loads(self._schema.metadata[_META])
        before, about = head["about"], now["about"]
        other = [each for each in {**before, **about} if before.get(each) != about.get(each)]
        if head["k"] != now["k"]:
            other.append("k")
        if other:
            raise InputError(
                f"{source} was made with another {', '.join(sorted(other))}: use the same options, "
                "models and data, or name another --out"
            )


def extract_head(path: Path) -> dict[str, Any]:
    """What a file says about itself: `schema`, `k`, and `about` (models, data, options).

    Raises:
        InputError: no such file, or no such form.
        MissingExtraError: `pyarrow` is not installed.
    """
    pa, parquet = load_parquet()
    try:
        meta = parquet.read_schema(path).metadata or {}
        head: dict[str, Any] = json.loads(meta[_META])
        schema, _k, _about = head["schema"], int(head["k"]), dict(head["about"])
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or 'it is damaged'}") from None
    except (pa.ArrowException, KeyError, ValueError, TypeError):
        raise InputError(f"{path} is no file of `cogenesis train extract`") from None
    if schema != SCHEMA:
        raise InputError(
            f"{path} has form {schema}, this version reads form {SCHEMA}: extract it again"
        )
    return head


def extract_groups(path: Path) -> Iterator[tuple[Text, Columns]]:
    """Texts of a file, one after the other.

    Raises:
        InputError: as `extract_head`, or the file is damaged.
    """
    pa, parquet = load_parquet()
    extract_head(path)
    try:
        with parquet.ParquetFile(path) as file:
            for at in range(file.num_row_groups):
                yield _unpacked(file.read_row_group(at))
    except (pa.ArrowException, OSError, ValueError, KeyError):
        raise InputError(f"{path} is damaged: extract it again") from None


def _unpacked(table: pa.Table) -> tuple[Text, Columns]:
    first = {
        field.name: table[field.name][0].as_py() for field in table.schema if field.name in _TEXT
    }
    found: dict[str, Any] = {}
    k = table.schema.field("ids").type.list_size
    for each in fields(Columns):
        column = table[each.name].combine_chunks()
        if each.name in _PACKED:
            flat = np.frombuffer(b"".join(column.to_pylist()), np.uint8)
            rows = flat.reshape(table.num_rows, -1)
            found[each.name] = (
                np.unpackbits(rows, axis=1, count=k).astype(np.bool_)
                if each.name == "known"
                else rows
            )
        elif each.name in {"ids", "logprobs", "mass", "own_ids", "own_logprobs"}:
            values = column.flatten().to_numpy(zero_copy_only=False)
            found[each.name] = values.reshape(table.num_rows, -1)
        else:
            found[each.name] = column.to_numpy(zero_copy_only=False)
    return Text(**first), Columns(**found)


_TEXT: Final = frozenset({"sample", "id", "group", "fold", "seen"})


def _samples(path: Path) -> set[int]:
    _, parquet = load_parquet()
    return set(parquet.read_table(path, columns=["sample"])["sample"].to_pylist())


def _in_order(sources: Iterable[Path]) -> Iterator[pa.Table]:
    """The row groups of all files by the samples' numbers; only one is in memory."""
    _, parquet = load_parquet()
    places: dict[int, tuple[Path, int]] = {}
    for source in sources:
        with parquet.ParquetFile(source) as file:
            for at in range(file.num_row_groups):
                number = file.read_row_group(at, columns=["sample"])["sample"][0].as_py()
                places.setdefault(number, (source, at))
    for _, (source, at) in sorted(places.items()):
        with parquet.ParquetFile(source) as file:
            yield file.read_row_group(at)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A new file that takes the place of `path` once it is complete and on the disk."""
    new = path.with_name(f"{path.name}.new")
    try:
        os.close(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
        yield new
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
