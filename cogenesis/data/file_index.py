"""Where each sample of a file stands, so that one can be read without all the others.

    index = FileIndex(path, look)    # reads the file once, however large; `look` sees each sample
    index.value(3)                   # reads sample 3 again, from its place

Memory holds 32 bytes for each sample. What is read later is what was looked at: it has the same
sum, or the file was changed meanwhile and is refused. JSON lists, JSON lines and one object.

Not covered: Parquet, which has no place for a single row.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cogenesis.data.reading import Entry, json_entries
from cogenesis.errors import InputError
from cogenesis.strict_json import STRICT

_SUM: Final = 16
"""Bytes of a sample's sum: nobody finds another sample with the same one."""


class FileIndex:
    """Samples of one file by their numbers. Safe to use from several threads.

    Attributes:
        path: of the file.
        sha256: of its bytes as they were when it was looked at, in hex.
        count: how many samples there are, those with mistakes too.
    """

    def __init__(self, path: Path, look: Callable[[Entry], None]) -> None:
        """Read the file once.

        Args:
            path: of the file.
            look: sees each entry. It must raise for one that is `lost`: there is no `sha256` then.

        Raises:
            InputError: nothing in the file can be read.
            OSError: it cannot be opened.
        """
        self.path = path
        self._starts, self._sizes, self._sums = array("q"), array("q"), bytearray()
        summed = hashlib.sha256()
        with path.open("rb") as file:
            for entry in json_entries(path, file, summed):
                look(entry)
                self._starts.append(entry.start)
                self._sizes.append(len(entry.raw))
                self._sums += _sum(entry.raw)
        self.sha256 = summed.hexdigest()
        self.count = len(self._starts)

    def __repr__(self) -> str:
        return f"FileIndex({self.path.name!r}, {self.count} samples)"

    def value(self, number: int) -> dict[str, Any]:
        """A sample without mistakes by its number, from 1.

        Raises:
            InputError: the file was changed, or cannot be read any more.
        """
        at = number - 1
        try:
            with self.path.open("rb") as file:
                file.seek(self._starts[at])
                raw = file.read(self._sizes[at])
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror}") from None
        if _sum(raw) != self._sums[at * _SUM : number * _SUM]:
            raise InputError(f"{self.path} was changed while it was in use: start again")
        found: dict[str, Any] = STRICT.decode(raw.decode())
        return found


def _sum(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=_SUM).digest()
