"""A trained gate in a file: numbers, and what they were fitted for.

A `.npz` of plain arrays, one of which is a JSON header as bytes. It is read with numpy alone,
never by unpickling. Everything is checked while the file is read, so that a bad gate is told
before a text begins and not in the middle of it.

Not covered: a gate whose numbers are finite but bad. It weighs the models badly; it cannot
change what either of them says, nor what is sent.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from cogenesis.errors import InputError, ModelFileError
from cogenesis.fusion.gate_input import FEATURES, SEEN
from cogenesis.fusion.gates import PAPER_K, Gate, PaperGate, SmallGate
from cogenesis.fusion.mixing import RULES

SHIPPED: Final = "demo"
"""What `--gate` takes for the gate that comes with the program, for the two demo models."""

_SHIPPED_FILE: Final = Path(__file__).resolve().parent.parent / "shipped" / "demo-gate.npz"

_SHIPPED_FOR: Final = ("demo-device", "demo-cloud")

NO_GATE: Final = "none"
"""What `--gate` takes to leave that one out."""

FORMAT: Final = "cogenesis-gate"
VERSION: Final = 1

Kind = Literal["small", "paper"]

_LARGEST: Final = 4 << 30
"""Bytes of all arrays: the paper's network over a vocabulary of 260,000 has half a gigabyte."""

_HEADER: Final = "header"

_DAMAGED: Final = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What `zipfile`, `numpy` and `json` raise about files that are something else."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainedGate:
    """A gate and what it is for.

    Attributes:
        gate: gives the device model's weight.
        rule: the name of the mixing rule that it was fitted to; with another one it is no use.
        kind: which network.
        device, cloud: what is known of the models it was fitted for: `name`, `sha256`, and
            of the device `vocabulary` (its hash), `tokens` (their number) and `adapter`: its
            sha256, or a list of one for each file it was fitted to where these differ.
        about: anything else: data (`name` and `sha256` of each file), command, metrics.
        digest: SHA-256 of the file that it was read from; empty for one that was not.
    """

    gate: Gate
    rule: str
    kind: Kind
    device: dict[str, Any] = field(default_factory=dict)
    cloud: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    digest: str = ""

    def __repr__(self) -> str:
        return f"TrainedGate({self.kind}, {self.rule})"

    def check_device(self, name: str, tokens: Sequence[bytes] | None) -> None:
        """Refuse a device model with another vocabulary than the gate was fitted for.

        A model that cannot tell its vocabulary (a server) is believed by the small gate, which
        knows no tokens. Not covered: another model with the same vocabulary, as a tuned one has
        (for adapters see `adapter_warning`).

        Raises:
            InputError: it is another, or the paper's gate cannot find out.
        """
        wanted = self.device.get("vocabulary")
        fitted = self.device.get("name", "another model")
        if tokens is None:
            if self.kind == "paper":
                raise InputError(
                    f"{name} does not tell its vocabulary, and the paper's gate needs it: run the "
                    "device model from its GGUF file, or use the small gate"
                )
            return
        if wanted is not None and vocabulary_hash(tokens) != wanted:
            raise InputError(
                f"this gate was fitted for {fitted}, and {name} has another vocabulary: use that "
                "model, or fit a gate for this one (cogenesis train extract, then train gate)"
            )

    def adapter_warning(self, adapter: str | None) -> str | None:
        """What to tell somebody who uses the gate with another adapter than it was fitted with.

        Args:
            adapter: sha256 of the adapter that the device model is used with; None without one.

        Returns:
            The warning; None if all fits, or if the gate does not know what it was fitted with.
        """
        fitted, bases = (_sums(self.device.get(name)) for name in ("adapter", "sha256"))
        if not any(fitted) and not any(bases):
            return None  # a server: whether it had one is not known
        if adapter in fitted:
            return None
        if adapter is not None and (len(fitted) > 1 or len(set(bases)) > 1):
            return None  # cross-fitting: the adapter of all folds is none of theirs
        return (
            f"this gate was fitted to the device model {_adapter(fitted[0])}, and is used with it "
            f"{_adapter(adapter)}: it may weigh badly. Use it as it was fitted (--adapter), or fit "
            "a gate for this (cogenesis train extract, then train gate)"
        )

    def fitted_to(self, data_sha256: str) -> bool:
        """Whether the gate was fitted to texts of this file: figures on these flatter it."""
        files = self.about.get("data")
        return isinstance(files, list) and any(
            isinstance(each, dict) and each.get("sha256") == data_sha256 for each in files
        )


def _sums(told: object) -> list[str | None]:
    """What a header says of one file or several: one entry at least, None for nothing."""
    found = told if isinstance(told, list) else [told]
    return [each if isinstance(each, str) else None for each in found] or [None]


def _adapter(sha256: str | None) -> str:
    return "without an adapter" if sha256 is None else f"with the adapter {sha256[:12]}…"


def shipped_gate(device: str, cloud: str, adapter: str | None) -> Path | None:
    """The gate that comes with the program, as `load_gate` takes it, for the models it fits.

    Args:
        device, cloud: their names, as `get_model` takes them.
        adapter: as `--adapter` takes it; the gate was fitted to the one that is shipped.
    """
    fits = (device, cloud) == _SHIPPED_FOR and adapter is None
    return Path(SHIPPED) if fits else None


def vocabulary_hash(tokens: Sequence[bytes]) -> str:
    """SHA-256 of a vocabulary: the same for two files with the same tokens."""
    digest = hashlib.sha256()
    for each in tokens:
        digest.update(len(each).to_bytes(4, "big") + each)
    return digest.hexdigest()


def save_gate(path: Path, trained: TrainedGate) -> None:
    """Write a gate, for its owner alone; an older file is replaced at once or not at all.

    The rows of a paper gate that the fit touched tell the tokens of the texts.

    Raises:
        InputError: the file cannot be written.
    """
    gate = trained.gate
    if not isinstance(gate, SmallGate | PaperGate):
        raise TypeError("only trained networks are kept in files")
    header = {
        "format": FORMAT,
        "version": VERSION,
        "kind": trained.kind,
        "rule": trained.rule,
        "input": _input(trained.kind),
        "device": trained.device,
        "cloud": trained.cloud,
        "about": trained.about,
    }
    arrays = {each.name: np.asarray(getattr(gate, each.name)) for each in fields(gate)}
    told = np.frombuffer(json.dumps(header).encode(), np.uint8)
    new = path.with_name(f"{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        os.close(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))
        with new.open("wb") as file:
            np.savez(file, **{_HEADER: told, **arrays})  # type: ignore[arg-type]
        new.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None


def load_gate(path: Path) -> TrainedGate:
    """Read what `save_gate` wrote; a path that is just SHIPPED is the gate of the program.

    Raises:
        InputError: there is no such file.
        ModelFileError: it is no gate, of another version, or damaged; the message says what.
    """
    if str(path) == SHIPPED and not path.is_file():
        path = _SHIPPED_FILE
    if not path.is_file():
        raise InputError(f"{path}: there is no such gate. Check the path.")
    try:
        digest = _digest(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    try:
        with zipfile.ZipFile(path) as parts:
            if sum(each.file_size for each in parts.infolist()) > _LARGEST:
                raise ModelFileError(f"{path.name} is too large for a gate")
        with np.load(path, allow_pickle=False) as held:
            header = json.loads(bytes(held[_HEADER].astype(np.uint8)))
            kind, rule = _checked(header, path.name)
            parts_of = {each: dict(header.get(each) or {}) for each in ("device", "cloud", "about")}
            arrays = {name: held[name] for name in held.files if name != _HEADER}
    except _DAMAGED as error:
        raise ModelFileError(
            f"{path.name} is no gate of `cogenesis train gate` ({type(error).__name__})"
        ) from None
    gate = _gate(kind, arrays, path.name)
    tokens = parts_of["device"].get("tokens")
    if isinstance(gate, PaperGate) and tokens not in (None, gate.vocabulary):
        raise ModelFileError(
            f"{path.name} has rows for another vocabulary than its own header says"
        )
    return TrainedGate(gate, rule, kind, **parts_of, digest=digest)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _input(kind: Kind) -> dict[str, Any]:
    """What the network reads. A gate that was fitted to other input is refused."""
    if kind == "small":
        return {"features": list(FEATURES), "candidates": SEEN}
    return {"entries": PAPER_K, "candidates": SEEN}


def _checked(header: Any, name: str) -> tuple[Kind, str]:
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError("no header")
    kind, rule = header.get("kind"), header.get("rule")
    if header.get("version") != VERSION:
        raise ModelFileError(
            f"{name} is a gate of version {header.get('version')}, and this program reads version "
            f"{VERSION}: fit it again (cogenesis train gate)"
        )
    if kind not in ("small", "paper"):
        raise ModelFileError(f"{name} holds an unknown kind of gate")
    if rule not in RULES:
        raise ModelFileError(f"{name} was fitted to a mixing rule that is not known here")
    if header.get("input") != _input(kind):
        raise ModelFileError(
            f"{name} reads other features than this version computes: fit it again "
            "(cogenesis train gate)"
        )
    return kind, rule


def _gate(kind: Kind, arrays: dict[str, Any], name: str) -> Gate:
    made = SmallGate if kind == "small" else PaperGate
    wanted = [each.name for each in fields(made)]
    if set(arrays) != set(wanted):
        raise ModelFileError(f"{name} does not hold the numbers of a {kind} gate")
    if not all(each.dtype.kind == "f" and np.isfinite(each).all() for each in arrays.values()):
        raise ModelFileError(f"{name} holds numbers that are not finite: fit it again")
    kept = np.float64 if kind == "small" else np.float32
    values = {key: each.astype(kept, copy=False) for key, each in arrays.items()}
    last = wanted[-1]
    if values[last].ndim or any(values[each].ndim not in (1, 2) for each in wanted[:-1]):
        raise ModelFileError(f"{name} holds arrays of wrong shapes")
    return made(**{**values, last: float(values[last])})
