"""What was measured so far, kept in a file: a long measurement can be interrupted.

One JSON object a line. The first tells what is measured, each other one is a sample, written
when it is done. So at most one sample is lost, and half a line at the end is left out. One run
at a time has the file (`growing_file`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Hashable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Generic, TypeVar

from cogenesis.errors import InputError
from cogenesis.growing_file import open_growing

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
        about: Callable[[], dict[str, Any]],
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
            about: all that the figures depend on. To go on it must be the same. It is asked
                for when the file can be used otherwise: finding it out may take a while.
            resume: whether to go on.
            kind: of the measurement, as `evaluate` calls it.
            read: what `write` gave; raises KeyError, TypeError or ValueError if it is not that.
            write: a sample as JSON.
            key: what no two samples share.

        Raises:
            InputError: the file is of another measurement, no such file, in use, or cannot be
                used.
        """
        self._path, self._kind, self._from_json, self._to_json = path, kind, read, write
        self._key = key
        self.done: dict[Any, S] = {}
        try:
            self._file: IO[bytes] = open_growing(path)
        except OSError as error:
            raise self._unusable(error) from None
        try:
            self._begin(about, resume=resume)
        except OSError as error:
            self._file.close()
            raise self._unusable(error) from None
        except BaseException:
            self._file.close()
            raise

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

    def _begin(self, about: Callable[[], dict[str, Any]], *, resume: bool) -> None:
        """Read what is there, and cut off half a line at the end."""
        try:
            data = self._file.read()
            whole = data[: data.rfind(b"\n") + 1]
            lines = whole.decode("utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise self._unusable(error) from None
        if data and not resume:
            raise InputError(f"{self._path} exists: add --resume to go on, or name another file")
        if lines:
            self._read(lines, about)
            self._file.truncate(len(whole))
            return
        head = _line({"measurement": self._kind, "about": about()})
        if not head.startswith(data):
            self._read([], about)
        self._file.truncate(0)
        self._write(head)

    def _unusable(self, error: OSError | UnicodeDecodeError) -> InputError:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        return InputError(f"{self._path} cannot be used for --save: {why}")

    def _read(self, lines: list[str], about: Callable[[], dict[str, Any]]) -> None:
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
        now = json.loads(json.dumps(about()))
        other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if other:
            unsaid = "" if before.keys() & set(other) else " or before that was noted"
            raise InputError(
                f"{self._path} was measured with another {', '.join(other)}{unsaid}: "
                "use the same options and data, or name another file"
            )
        self.done = {self._key(each): each for each in found}


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
