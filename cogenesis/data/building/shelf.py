"""Outcomes on the disk while a build runs: memory holds a number of 8 bytes for each.

They are a copy, for the end of this run only: the replies that they were made from are in the
cache. So the file has no name where the system can do that, and is gone when the program ends,
however it ends.
"""

from __future__ import annotations

import json
import os
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

from cogenesis.data.building.steps import Outcome
from cogenesis.errors import InputError


class Shelf:
    """Outcomes by number. For one thread; made by `opened`."""

    def __init__(self, folder: Path, file: IO[bytes]) -> None:
        """Nothing is on it."""
        self._folder, self._file = folder, file
        self._places = array("q")  # where each begins in the file; -1 for none
        self._count = 0

    @classmethod
    @contextmanager
    def opened(cls, folder: Path) -> Iterator[Shelf]:
        """A shelf that lasts as long as the block.

        Raises:
            InputError: the folder cannot be written.
        """
        with ExitStack() as stack:
            try:
                file = stack.enter_context(tempfile.TemporaryFile(dir=folder, prefix=".outcomes."))
            except OSError as error:
                raise _unwritable(folder, error) from None
            yield cls(folder, file)

    def __len__(self) -> int:
        return self._count

    def put(self, number: int, outcome: Outcome) -> None:
        """Keep an outcome; no number comes twice.

        Raises:
            InputError: it cannot be written.
        """
        missing = number + 1 - len(self._places)
        self._places.extend([-1] * missing)
        try:
            self._places[number] = self._file.seek(0, os.SEEK_END)
            self._file.write(json.dumps(asdict(outcome)).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise _unwritable(self._folder, error) from None
        self._count += 1

    def get(self, number: int) -> Outcome | None:
        """The outcome of this number, if there is one."""
        if number >= len(self._places) or self._places[number] < 0:
            return None
        self._file.seek(self._places[number])
        return Outcome(**json.loads(self._file.readline()))

    def all(self) -> Iterator[tuple[int, Outcome]]:
        """All of them, by number."""
        for number in range(len(self._places)):
            outcome = self.get(number)
            if outcome is not None:
                yield number, outcome


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        f"what was made cannot be kept in {folder}: {error.strerror}. Make room, then go on with "
        "the same command"
    )
