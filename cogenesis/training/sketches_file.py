"""The file of outlines: one JSON object a line, one line a sample.

    {"id": "3_7_4", "number": 1, "general": "Write an email to the team",
     "sketch": ["Thanks for the help", ...], "model": "gemma-3", "seed": 0, "asks": 1,
     "seconds": 3.2}

`id` is what the training file calls the sample (its number where it has no id), `general` all
that the cloud was told of it. A line is on the disk before the next one is asked for, so a run
that is killed loses what was on its way and nothing else; half a line at the end is left out. One
run at a time has the file (`growing_file`).

The outlines are untrusted text of a cloud model, cleaned by `sketch.outline`. Not covered:
somebody who writes into the file; it is read as it stands, and only its form is checked.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from cogenesis.errors import InputError
from cogenesis.growing_file import open_growing


@dataclass(frozen=True, slots=True)
class SketchLine:
    """One outline.

    Attributes:
        id: of the sample.
        number: of the sample in its file, from 1.
        general: what the cloud was told.
        sketch: the points of the outline.
        model: that wrote it.
        seed: of the first ask; a second one, where the first reply was no outline, has the next.
        asks: how often it was asked for.
        seconds: that it took.
    """

    id: str
    number: int
    general: str = field(repr=False)
    sketch: tuple[str, ...] = field(repr=False)
    model: str
    seed: int
    asks: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """As a line holds it."""
        return asdict(self) | {"sketch": list(self.sketch)}

    @classmethod
    def from_json(cls, value: Any) -> SketchLine:
        """What `to_json` gave. Raises KeyError, TypeError or ValueError if it is not that."""
        points = value["sketch"]
        texts = [value["id"], value["general"], value["model"]]
        if not isinstance(points, list) or not all(isinstance(each, str) for each in points):
            raise ValueError("an outline is a list of points")
        if not all(isinstance(each, str) for each in texts):
            raise ValueError("id, general and model are texts")
        return cls(
            id=value["id"],
            number=int(value["number"]),
            general=value["general"],
            sketch=tuple(points),
            model=value["model"],
            seed=int(value["seed"]),
            asks=int(value["asks"]),
            seconds=float(value["seconds"]),
        )


def read_sketches(path: Path) -> dict[str, SketchLine]:
    """All outlines of a file, by the samples' ids.

    Raises:
        InputError: it cannot be read, or a line is none of `train sketches`.
    """
    return {line.id: line for line in _lines(path, _bytes(path))}


class SketchFile:
    """The file while it grows; use it with `with`.

    Attributes:
        done: what an earlier run got, by the samples' ids.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        """Read what is there, and get ready to add to it.

        Raises:
            InputError: the file is there and `resume` was not given, or another run has it, or
                it cannot be used.
        """
        self._path = path
        try:
            self._file: IO[bytes] = open_growing(path)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from None
        try:
            data = self._file.read()
            if data and not resume:
                raise InputError(f"{path} exists: add --resume to go on, or name another file")
            whole = data[: data.rfind(b"\n") + 1]
            self.done = {line.id: line for line in _lines(path, whole)}
            self._file.truncate(len(whole))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> SketchFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, line: SketchLine) -> None:
        """Write an outline, to the disk."""
        self.done[line.id] = line
        self._file.write(_as_line(line))
        self._file.flush()
        os.fsync(self._file.fileno())

    def sort(self) -> None:
        """Put the lines into the order of the samples: answers come in any order.

        So two runs that got the same outlines leave the same lines, but for their seconds. The
        file is replaced whole or not at all. Nothing can be added after this.
        """
        lines = sorted(self.done.values(), key=lambda line: line.number)
        descriptor, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(map(_as_line, lines))
                file.flush()
                os.fsync(file.fileno())
            if sys.platform == "win32":
                self._file.close()  # no open file is replaced there; elsewhere the lock stays
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _lines(path: Path, data: bytes) -> Iterable[SketchLine]:
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            yield SketchLine.from_json(json.loads(line))
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"{path}: line {number} is no line of train sketches: name another file"
            ) from None


def _as_line(line: SketchLine) -> bytes:
    return json.dumps(line.to_json(), ensure_ascii=False).encode() + b"\n"
