"""The file of samples as workers read it: each for itself, and all the same one.

What goes through an engine is a path and a SHA-256, not the samples: they are private, and
published ones must not be pickled either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cogenesis.context.reader import OnBadSample, Sample, parse_samples, read_data
from cogenesis.engines.engine import Place
from cogenesis.errors import ContextError, InputError

LeftOut = Callable[[int, str], None]
"""Is told the number of a sample and why it is left out, without anything private."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A list of samples in the published form; can be pickled.

    Attributes:
        path: absolute, the same on all machines.
        sha256: of its bytes, where the run was started.
    """

    path: Path
    sha256: str

    @classmethod
    def of(cls, path: Path) -> DataFile:
        """The file as it is now.

        Raises:
            ContextError: it cannot be read.
        """
        return cls(path.absolute(), hashlib.sha256(read_data(path)).hexdigest())

    def samples(
        self, place: Place | None = None, *, limit: int | None = None, left_out: LeftOut
    ) -> dict[int, Sample]:
        """The usable ones among the first `limit`, by their numbers in the file, from 1.

        Args:
            place: of the worker that reads; None where the run is started.
            limit: None for all.
            left_out: is told of those that cannot be used.

        Raises:
            InputError: the file is not there, or not the one that the run was started with.
            ContextError: it holds no samples.
        """
        bad: dict[int, str] = {}
        found = parse_samples(
            self._data(place),
            str(self.path),
            on_warning=_silent if place else None,
            on_bad=_into(bad),
        )
        total = len(found) + len(bad)
        good = iter(found)
        samples: dict[int, Sample] = {}
        for number in range(1, min(total, limit or total) + 1):
            if number in bad:
                left_out(number, bad[number])
            else:
                samples[number] = next(good)
        return samples

    def _data(self, place: Place | None) -> bytes:
        where = "" if place is None else f" for the worker on {place.machine.name}"
        shared = "" if place is None else ": on a cluster it lies in a folder that all machines see"
        try:
            data = read_data(self.path)
        except ContextError:
            if place is None:
                raise
            raise InputError(f"{self.path} cannot be read{where}{shared}") from None
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise InputError(f"{self.path} is another file{where} than at the start{shared}")
        return data


def _into(bad: dict[int, str]) -> OnBadSample:
    return lambda number, why: bad.update({number: why})


def _silent(_message: str) -> None:
    """What was repaired was told where the run was started."""
