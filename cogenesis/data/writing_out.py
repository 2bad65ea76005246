"""Writing samples to files, one at a time: a JSON list, JSON lines, Parquet.

A file appears under its name only when it is whole, and only its owner may read it: samples
hold profiles, and a user's own folder holds their mail.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cogenesis.data.columns import schema, to_columns
from cogenesis.errors import InputError, MissingExtraError

Put = Callable[[dict[str, Any]], None]
"""Writes one sample in the published form."""

BATCH: Final = 512
"""Rows of a row group of Parquet: about 5 MB of published samples."""


@contextmanager
def sample_file(path: Path) -> Iterator[Put]:
    """A file of samples, of the kind that its name says: .json, .jsonl or .parquet.

    Raises:
        InputError: the name has another ending, or the file cannot be written.
        MissingExtraError: it is Parquet and pyarrow is not installed.
    """
    kinds = {".json": _json_list, ".jsonl": _json_lines, ".parquet": _parquet}
    if path.suffix not in kinds:
        raise InputError(f"{path}: name the file .json, .jsonl or .parquet")
    with whole_file(path) as temporary, kinds[path.suffix](temporary) as put:
        yield put


def not_onto(out: Path, sources: Iterable[Path]) -> None:
    """Refuse to write over what is read: samples that are left out would be lost.

    Raises:
        InputError: the file to write is one of the sources.
    """
    for source in sources:
        with contextlib.suppress(OSError):  # one of them is not there
            if out.samefile(source):
                raise InputError(f"{out} is read here: name another file with --out")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A place to write to, mode 0600, that becomes `path` at the end, or nothing.

    Raises:
        InputError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def _json_list(path: Path) -> Iterator[Put]:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("[")
        first = True

        def put(sample: dict[str, Any]) -> None:
            nonlocal first
            file.write(("\n" if first else ",\n") + _dumped(sample))
            first = False

        yield put
        file.write("\n]\n")


@contextmanager
def _json_lines(path: Path) -> Iterator[Put]:
    with path.open("w", encoding="utf-8", newline="\n") as file:

        def put(sample: dict[str, Any]) -> None:
            file.write(_dumped(sample) + "\n")

        yield put


def _dumped(sample: dict[str, Any]) -> str:
    # Half surrogates cannot be written as UTF-8; json.dumps would let them through.
    text = json.dumps(sample, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode("utf-8")


@contextmanager
def _parquet(path: Path) -> Iterator[Put]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "data") from error
    columns = schema()
    rows: list[dict[str, Any]] = []
    with parquet.ParquetWriter(path, columns, compression="zstd") as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(rows, schema=columns))
            rows.clear()

        def put(sample: dict[str, Any]) -> None:
            # Arrow refuses half surrogates, too.
            rows.append(to_columns(json.loads(_dumped(sample))))
            if len(rows) >= BATCH:
                flush()

        yield put
        if rows:
            flush()
