"""What is known about an installed model file: its source, and the sum it had when it came.

Hashing a large model at every start would take seconds. A receipt beside the file says
that a file of this size and time was hashed before; any change of either means hashing
again. Not covered: somebody who changes the file and restores its time (`models check`
hashes regardless).
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from cogenesis.models.fetch import sha256_of


@dataclass(frozen=True, slots=True)
class Receipt:
    """Facts about one model file; `size` in bytes and `mtime_ns` as of the last hashing."""

    source: str
    licence: str
    sha256: str
    size: int
    mtime_ns: int


def _path_of(model: Path) -> Path:
    return model.with_name(model.name + ".json")


def read_receipt(model: Path) -> Receipt | None:
    """The receipt of a model file; None if there is none or it cannot be read."""
    try:
        fields = json.loads(_path_of(model).read_text(encoding="utf-8"))
        receipt = Receipt(**fields)
    except (OSError, ValueError, TypeError):
        return None
    whole = isinstance(receipt.size, int) and isinstance(receipt.mtime_ns, int)
    texts = (receipt.source, receipt.licence, receipt.sha256)
    return receipt if whole and all(isinstance(text, str) for text in texts) else None


def write_receipt(model: Path, *, source: str, licence: str, sha256: str) -> None:
    """Record that the file as it is now has this sum.

    A receipt that cannot be written (a read-only folder) only costs time at the next start.
    """
    try:
        found = model.stat()
        receipt = Receipt(source, licence, sha256, found.st_size, found.st_mtime_ns)
        partial = _path_of(model).with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps(asdict(receipt), indent=1) + "\n", encoding="utf-8")
        partial.replace(_path_of(model))
    except OSError:
        return


def is_unchanged(model: Path, sha256: str) -> bool:
    """Whether the file still has this sum; hashes only if its size or time has changed."""
    return known_sha256(model) == sha256


def known_sha256(model: Path) -> str:
    """The file's sum in hex; hashes only if there is no receipt of the file as it is now."""
    receipt, found = read_receipt(model), model.stat()
    if receipt and (receipt.size, receipt.mtime_ns) == (found.st_size, found.st_mtime_ns):
        return receipt.sha256
    return sha256_of(model)
