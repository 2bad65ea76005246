"""The samples of a file, however large: each is read when it is asked for.

    samples = SampleFile(path)
    samples[3].instruction

Memory holds 32 bytes for each sample, and what is wrong with those that cannot be used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from cogenesis.context.json_text import Warn
from cogenesis.context.reader import Sample, SampleReader, attempt, told_by_path, unwrap
from cogenesis.data.file_index import FileIndex
from cogenesis.data.reading import Entry
from cogenesis.errors import ContextError


class SampleFile(Mapping[int, Sample]):
    """The usable samples of a file by their numbers, from 1. Safe to use from several threads.

    A look-up raises ContextError where the file was changed since it was opened.

    Attributes:
        bad: why the others cannot be used, by their numbers.
        last: number of the last sample.
    """

    def __init__(self, path: Path, *, on_warning: Warn | None = None) -> None:
        """Read the file once: a list of samples in the published form, or JSON lines.

        Raises:
            ContextError: it cannot be read, or holds no sample.
        """
        self._index, self.bad = unwrap(attempt(lambda at: _looked_through(at, on_warning), path))
        self.last = self._index.count

    @property
    def sha256(self) -> str:
        """Of the whole file as it was when it was opened, in hex."""
        return self._index.sha256

    def first(self, limit: int | None) -> SampleFile:
        """The first samples of the file, those that cannot be used counted; None for all."""
        if limit is None or limit >= self.last:
            return self
        found = object.__new__(type(self))
        found._index, found.last = self._index, limit
        found.bad = {number: why for number, why in self.bad.items() if number <= limit}
        return found

    def __repr__(self) -> str:
        return f"SampleFile({len(self)} samples)"

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and 1 <= number <= self.last and number not in self.bad

    def __getitem__(self, number: int) -> Sample:
        if number not in self:
            raise KeyError(number)
        return unwrap(attempt(self._sample, number))

    def __iter__(self) -> Iterator[int]:
        return (number for number in range(1, self.last + 1) if number not in self.bad)

    def __len__(self) -> int:
        return self.last - len(self.bad)

    def _sample(self, number: int) -> Sample:
        found = SampleReader(self._index.path).known(number, self._index.value(number))
        if not isinstance(found, Sample):  # it was one when the file was opened
            raise ContextError(f"{self._index.path}: sample {number} cannot be used")
        return found


def _looked_through(path: Path, warn: Warn | None) -> tuple[FileIndex, dict[int, str]]:
    reader, bad = SampleReader(path), dict[int, str]()

    def look(entry: Entry) -> None:
        found = reader.sample(entry)
        if not isinstance(found, Sample):
            bad[entry.number] = "; ".join(found)

    with told_by_path(path):
        index = FileIndex(path, look)
    reader.end(warn)
    return index, bad
