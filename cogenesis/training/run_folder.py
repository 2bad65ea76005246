"""The folder of a training run: what was asked, how it went, where it stands, what came out.

    run.json         settings, data and base with their sums, versions, the command
    metrics.jsonl    one JSON object a line: each update, each validation
    checkpoint.pt    weights, optimiser and place, replaced whole; removed at the end
    best.pt          the weights with the least validation loss; removed at the end
    adapter/         what came out (`model/` after full tuning), with its model card
    loss.svg         training and validation loss, where matplotlib is installed

The folder is the user's alone (0700): what is learned from private texts is as private as they
are. A file is replaced whole or not at all, so the folder can be used after any kind of end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

from cogenesis.errors import InputError

CONFIG: Final = "run.json"
"""Settings, data and base with their sums, versions, the command."""

_METRICS = "metrics.jsonl"


class RunFolder:
    """One run on disk.

    Attributes:
        path: of the folder.
        resumed: whether an earlier run is gone on with.
    """

    def __init__(self, path: Path, config: dict[str, Any], *, resume: bool) -> None:
        """Make the folder, or find the earlier run in it.

        Args:
            path: of the folder.
            config: all that the outcome depends on under "asked"; an earlier run must have the
                same. What else is worth keeping under other names.
            resume: whether to go on.

        Raises:
            InputError: it holds a run and `resume` was not given, another run, or cannot be used.
        """
        self.path = path
        self.resumed = False
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if (path / CONFIG).exists():
                self._check(config, resume)
                self.resumed = True
                return
            if any(path.iterdir()):
                raise InputError(f"{path} holds other files: name a folder that is new or empty")
            path.chmod(0o700)
            self.write(CONFIG, json.dumps(config, indent=2, ensure_ascii=False).encode() + b"\n")
        except OSError as error:
            raise InputError(f"{path} cannot be used for a run: {error.strerror}") from None

    def _check(self, config: dict[str, Any], resume: bool) -> None:
        if not resume:
            raise InputError(
                f"{self.path} holds a run already. Go on with it by the same command and "
                "--resume, or name another --out"
            )
        try:
            earlier = json.loads((self.path / CONFIG).read_bytes())["asked"]
        except (ValueError, KeyError, TypeError):
            earlier = None
        if not isinstance(earlier, dict) or not earlier:
            raise InputError(
                f"{self.path / CONFIG} is damaged: it no longer says what was asked for, so the "
                "run cannot be gone on with. Name another --out"
            )
        asked = json.loads(json.dumps(config["asked"]))
        differing = sorted(name for name in asked | earlier if asked.get(name) != earlier.get(name))
        if differing:
            told = "; ".join(
                f"{name} was {earlier.get(name)}, now is {asked.get(name)}" for name in differing
            )
            raise InputError(
                f"{self.path} holds a run of other settings ({told}). Give the same, or another "
                "--out"
            )

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all."""
        self.write_by(name, lambda file: file.write(data))

    def write_by(self, name: str, save: Callable[[IO[bytes]], object]) -> None:
        """Likewise, by a function that fills the open file."""
        new = self.path / f".{name}.new"
        with new.open("wb") as file:
            save(file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path / name)

    def add_metrics(self, line: dict[str, Any]) -> None:
        """Add one line. A line that a sudden end cuts off is dropped by `metrics`."""
        with (self.path / _METRICS).open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")

    def metrics(self) -> list[dict[str, Any]]:
        """All lines so far."""
        with contextlib.suppress(FileNotFoundError):
            data = (self.path / _METRICS).read_bytes()
            return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]
        return []

    def forget_metrics_after(self, step: int) -> None:
        """Drop what came after the checkpoint: it comes again."""
        kept = [line for line in self.metrics() if line["step"] <= step]
        self.write(_METRICS, b"".join(json.dumps(line).encode() + b"\n" for line in kept))

    def file(self, name: str) -> Path | None:
        """A file of the run, if it is there."""
        path = self.path / name
        return path if path.exists() else None

    def keep_result(self, new: Path, name: str) -> Path:
        """Give the finished result its name."""
        place = self.path / name
        shutil.rmtree(place, ignore_errors=True)
        new.replace(place)
        return place

    def forget_checkpoints(self) -> None:
        """Remove what only a run needs. The last step: until then a killed run can go on."""
        for left in ("checkpoint.pt", "best.pt", ".checkpoint.pt.new", ".best.pt.new"):
            (self.path / left).unlink(missing_ok=True)
