"""The device model's adapter as an option, and what tells one model from every other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

AdapterOption = Annotated[
    str | None,
    typer.Option(
        envvar="COGENESIS_ADAPTER",
        help="A GGUF of “cogenesis train export” for the device model; none: without the one "
        "that is shipped for it.",
    ),
]


def model_id(model: str, *, quiet: bool) -> dict[str, Any]:
    """What tells a model on this device from every other one: its file's hash, or its address."""
    from cogenesis.cli.models import fetch_model
    from cogenesis.models.receipts import known_sha256

    if model.startswith(("http://", "https://")):
        return {"name": "a server on this device", "url": model}
    path = fetch_model(model, quiet=quiet)
    return {"name": path.stem, "sha256": known_sha256(path)}


def model_sums(models: Mapping[str, str], *, quiet: bool) -> dict[str, str]:
    """The hashes of the files of "device" and "cloud", which are fetched first.

    A name does not tell a file that is gone on with later: a path may hold another model then.

    Raises:
        ModelError: a model cannot be had.
    """
    from cogenesis.cli.models import fetch_model
    from cogenesis.models.receipts import known_sha256

    return {
        f"{role}_sha256": known_sha256(fetch_model(models[role], quiet=quiet))
        for role in ("device", "cloud")
    }


def adapter_id(model: str, adapter: str | None) -> dict[str, Any]:
    """The adapter that a model is used with, by its hash; nothing where there is none.

    Raises:
        ModelFileError: there is no such adapter.
    """
    from cogenesis.models.adapters import find_adapter
    from cogenesis.models.fetch import sha256_of

    found = find_adapter(model, adapter)
    return {} if found is None else {"adapter": sha256_of(found)}


def placed(model: str) -> str:
    """A model, adapter or gate as workers find it: a path says nothing of the working folder."""
    path = Path(model).expanduser()
    is_path = path.suffix in {".gguf", ".npz"} or os.sep in model
    return str(path.absolute()) if is_path and path.is_file() else model
