"""`cogenesis ledger forget` and `rekey`: removing old records, changing the key."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cogenesis.cli.ledger_open import LedgerPath, open_ledger
from cogenesis.errors import InputError

if TYPE_CHECKING:
    from cogenesis.privacy.home_key import Source

NEW_PASSPHRASE = "COGENESIS_NEW_PASSPHRASE"  # noqa: S105  (a variable's name)


def forget(
    before: Annotated[
        datetime,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="Records from before this day or time go (UTC).",
        ),
    ],
    ledger: LedgerPath = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove old records for good; the ledger records that it was done.

    What is left can still be checked, and 'ledger verify' says which rows were forgotten and
    when. Export first what you may want to show to somebody later.

    Examples:

      cogenesis ledger export all.jsonl

      cogenesis ledger forget --before 2026-01-01
    """
    opened = open_ledger(ledger)
    if opened is None:
        typer.echo("There is no ledger yet: nothing was sent to a cloud model.")
        return
    with opened:
        day = before.replace(tzinfo=UTC)
        if not yes:
            typer.confirm(
                f"Remove all records from before {before:%Y-%m-%d %H:%M} UTC?", abort=True
            )
        cut = opened.forget(day)
        if cut is None:
            typer.echo("The first record is not older than that: nothing was forgotten.")
            return
        typer.echo(f"Rows up to {cut.last} are forgotten. Row {opened.last_row()} says so.")
        older = opened.older_than(day)
    if older:
        typer.echo(
            f"{older} later rows have an earlier time (the clock was changed) and stay.", err=True
        )


def rekey(
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Lock with a passphrase, which is asked for.")
    ] = False,
    keyring: Annotated[
        bool, typer.Option("--keyring", help="Keep the key in the system's keyring.")
    ] = False,
    key_file: Annotated[
        bool, typer.Option("--key-file", help="Keep the key in a file that only you can read.")
    ] = False,
    ledger: LedgerPath = None,
) -> None:
    """Encrypt the ledger with a new key, or change where the key is kept.

    Everything in the ledger's folder that has its key gets the new one. Without an option the
    key stays where it was. A passphrase is asked for, never given on the command line; scripts
    set COGENESIS_PASSPHRASE (the one that holds now) and COGENESIS_NEW_PASSPHRASE.

    Examples:

      cogenesis ledger rekey

      cogenesis ledger rekey --passphrase

      cogenesis ledger rekey --keyring
    """
    from cogenesis.home import home
    from cogenesis.privacy.home_key import Source, read_key
    from cogenesis.privacy.rekey import rekey as change

    wanted = {Source.PASSPHRASE: passphrase, Source.KEYRING: keyring, Source.FILE: key_file}
    chosen = [source for source, given in wanted.items() if given]
    if len(chosen) > 1:
        raise InputError("Give only one of --passphrase, --keyring and --key-file.")
    folder = ledger.resolve().parent if ledger is not None else home()
    opened = open_ledger(ledger)
    if opened is not None:
        opened.close()  # one of an older version is encrypted now
    known = read_key(folder)
    if known is None:
        typer.echo("There is no ledger yet: the first one gets a key of its own.")
        return
    source = chosen[0] if chosen else known.source
    new = _new_passphrase(known.source) if source is Source.PASSPHRASE else ""
    done = change(folder, source, new)
    place = {
        Source.PASSPHRASE: "locked with the passphrase",
        Source.KEYRING: "in your keyring",
        Source.FILE: "in a file that only you can read",
    }
    files = ", ".join(done.files) or "no file"
    typer.echo(f"New key, {place[done.source]}, for {files}.")


def _new_passphrase(now: Source) -> str:
    from cogenesis.privacy.home_key import PASSPHRASE, Source

    given = os.environ.get(NEW_PASSPHRASE)
    if not given and now is not Source.PASSPHRASE:
        given = os.environ.get(PASSPHRASE)
    if given:
        return given
    answer: str = typer.prompt(
        "New passphrase", hide_input=True, confirmation_prompt=True, err=True
    )
    return answer
