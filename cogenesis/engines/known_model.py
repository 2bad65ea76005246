"""A model that each worker of a run loads for itself, and that must be the same one for all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cogenesis.engines.engine import Place
from cogenesis.errors import InputError
from cogenesis.models.adapters import NO_ADAPTER, find_adapter
from cogenesis.models.catalogue import get_model
from cogenesis.models.fetch import sha256_of
from cogenesis.models.receipts import is_unchanged, known_sha256


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A GGUF model, and its adapter, as where the run was started. Made by `of`; can be pickled.

    Attributes:
        name: as `get_model` takes it: fetched where it is not; or a path, the same everywhere.
        sha256: of the file, in hex.
        adapter: as `find_adapter` takes it.
        adapter_sha256: of the adapter; empty for none.
    """

    name: str
    sha256: str
    adapter: str | None = NO_ADAPTER
    adapter_sha256: str = ""

    @classmethod
    def of(cls, name: str, path: Path, adapter: str | None = NO_ADAPTER) -> KnownModel:
        """The model that lies at `path` here.

        Raises:
            ModelFileError: there is no such adapter.
        """
        lora = find_adapter(name, adapter)
        if adapter not in {None, NO_ADAPTER} and lora is not None:
            adapter = str(lora.absolute())
        given = Path(name).expanduser()
        return cls(
            str(given.absolute()) if given.is_file() else name,
            known_sha256(path),
            adapter,
            "" if lora is None else sha256_of(lora),
        )

    def at(self, place: Place) -> tuple[Path, Path | None]:
        """The files of the model and its adapter at a worker's place, fetched if need be.

        Raises:
            InputError: they are not those that the run was started with.
            ModelError: they cannot be had.
        """
        path, lora = get_model(self.name), find_adapter(self.name, self.adapter)
        if not is_unchanged(path, self.sha256):
            raise another_file(path, place)
        if (lora is None) != (not self.adapter_sha256):
            raise InputError(f"the adapter of {self.name} is not there on {place.machine.name}")
        if lora is not None and sha256_of(lora) != self.adapter_sha256:
            raise another_file(lora, place)
        return path, lora


def another_file(path: Path, place: Place) -> InputError:
    """What to say of a file that is not the one that the run was started with."""
    return InputError(
        f"{path} on {place.machine.name} is not the file that the run was started with: put the "
        "same one there"
    )
