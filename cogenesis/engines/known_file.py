"""A file that the workers of a run read for themselves, and that must be the same one for all.

What is in it does not go through the engine: a path and a checksum do. On a cluster the file
must lie in a folder that all its machines see, under the same path.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cogenesis.engines.engine import Place
from cogenesis.errors import InputError

_ADVICE: Final = "it must lie in a folder that all machines of the cluster see"


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file as it was where the run was started. Made by `of`; it can be pickled.

    Attributes:
        path: absolute: a worker has another working folder.
        sha256: of its bytes, in hex.
    """

    path: Path
    sha256: str

    @classmethod
    def of(cls, path: Path) -> KnownFile:
        """The file as it is now.

        Raises:
            InputError: it cannot be read.
        """
        try:
            return cls(path.absolute(), _digest(path))
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None

    def at(self, place: Place) -> Path:
        """Where a worker reads it.

        Raises:
            InputError: it is not there, or it is another one.
        """
        try:
            found = _digest(self.path)
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be read on {place.machine.name}: {error.strerror}. With "
                f"--ray-address {_ADVICE}"
            ) from None
        self.check(found, place)
        return self.path

    def check(self, sha256: str, place: Place) -> None:
        """Compare what a worker has read with what the run was started with.

        Raises:
            InputError: it is another one.
        """
        if sha256 != self.sha256:
            raise InputError(
                f"{self.path} on {place.machine.name} is not the file that the run was started "
                f"with: it was changed since, or is another one there; {_ADVICE}"
            )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
