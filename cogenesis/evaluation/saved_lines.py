"""What was measured so far, kept in a file: a long measurement can be interrupted.

One JSON object a line. The first tells what is measured, each other one is a sample, written
when it is done. So at most one sample is lost, and half a line at the end is left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Hashable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Generic, TypeVar

from cogenesis.errors import InputError

S = TypeVar("S")
SelfT = TypeVar("SelfT", bound="SavedLines[Any]")


class SavedLines(Generic[S]):
    """A file of samples; use it with `with`.

    Attributes:
        done: what an earlier run measured, by the samples' keys.
    """

    def __init__(
        self,
        path: Path,
        about: dict[str, Any],
        *,
        resume: bool,
        kind: str,
        read: Callable[[dict[str, Any]], S],
        write: Callable[[S], dict[str, Any]],
        key: Callable[[S], Hashable],
    ) -> None:
        """Read what is there, and get ready to add to it.

        Args:
            path: the file; a new one, unless `resume`.
            about: all that the figures depend on. To go on it must be the same.
            resume: whether to go on.
            kind: of the measurement, as `evaluate` calls it.
            read: what `write` gave; raises KeyError, TypeError or ValueError if it is not that.
            write: a sample as JSON.
            key: what no two samples share.

        Raises:
            InputError: the file is of another measurement, no such file, or cannot be used.
        """
        self._path, self._kind, self._from_json, self._to_json = path, kind, read, write
        self._key = key
        self.done: dict[Any, S] = {}
        try:
            data = path.read_bytes() if path.exists() else b""
            if data and not resume:
                raise InputError(f"{path} exists: add --resume to go on, or name another file")
            head = _line({"measurement": kind, "about": about})
            whole = data[: data.rfind(b"\n") + 1]
            if whole or not head.startswith(data):
                self._read(whole.decode("utf-8").splitlines(), about)
            self._file: IO[bytes] = path.open("r+b" if path.exists() else "w+b")
            self._file.truncate(len(whole))
            self._file.seek(len(whole))
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise InputError(f"{path} cannot be used for --save: {why}") from None
        if not whole:
            self._write(head)

    def __enter__(self: SelfT) -> SelfT:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, sample: S) -> None:
        """Write a sample, to the disk."""
        self._write(_line(self._to_json(sample)))

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self, lines: list[str], about: dict[str, Any]) -> None:
        try:
            head, *rest = map(json.loads, lines)
            kind, before = head.get("measurement"), dict(head["about"])
            if kind != self._kind:
                raise ValueError("another measurement")
            found = [self._from_json(each) for each in rest]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(
                f"{self._path} is no file of evaluate {self._kind} --save: name another one"
            ) from None
        # Through JSON, where a tuple becomes a list.
        now = json.loads(json.dumps(about))
        other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if other:
            raise InputError(
                f"{self._path} was measured with another {', '.join(other)}: "
                "use the same options and data, or name another file"
            )
        self.done = {self._key(each): each for each in found}


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
