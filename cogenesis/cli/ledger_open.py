"""Finding and opening the ledger that a command of `cogenesis ledger` is about."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cogenesis.errors import InputError

if TYPE_CHECKING:
    from cogenesis.privacy.ledger import Ledger

LedgerPath = Annotated[
    Path | None,
    typer.Option(
        "--ledger", help="The ledger's file. Default: ledger.sqlite in your CoGenesis folder."
    ),
]


def open_ledger(path: Path | None) -> Ledger | None:
    """The ledger, or None where the default one does not exist yet.

    A missing ledger that was asked for by name is a mistake in the name.
    """
    from cogenesis.home import home
    from cogenesis.privacy.ledger import Ledger
    from cogenesis.privacy.ledger_chain import HeadFile

    chosen = path or home() / "ledger.sqlite"
    # A head without its ledger means that the ledger was removed: that must be reported.
    if not os.path.lexists(chosen) and not HeadFile(chosen).path.exists():
        if path is None:
            return None
        raise InputError(f"There is no ledger at {path}. Look at the path given to --ledger.")
    return Ledger.open(chosen)
