"""`cogenesis ledger`: look at, check and hand on the record of what left this device."""

from __future__ import annotations

import base64
import json
import os
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from cogenesis.cli.ledger_open import LedgerPath, open_ledger
from cogenesis.cli.ledger_upkeep import forget, rekey
from cogenesis.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from cogenesis.privacy.ledger import Outcome, Row

ledger_app = typer.Typer(
    no_args_is_help=True,
    help="""See, check and export the record of every byte that left for a cloud model.

    The ledger is encrypted. Its key is locked with COGENESIS_PASSPHRASE if that is set when
    the ledger is made, else kept in the system's keyring, else in a file that only you can read.

    Examples:

      cogenesis ledger show --limit 1 --full

      cogenesis ledger verify

      cogenesis ledger export sent.jsonl

      cogenesis ledger forget --before 2026-01-01

      cogenesis ledger rekey --passphrase
    """,
)

_SHORT = 200
"""Characters of a text field that are shown without --full."""


@ledger_app.command()
def show(
    ledger: LedgerPath = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many requests.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Show all text, the address and the headers.")
    ] = False,
) -> None:
    """Show what was sent, newest first.

    Characters that could disturb a terminal or hide text are shown as escapes such as \\x1b.

    Examples:

      cogenesis ledger show

      cogenesis ledger show --limit 1 --full

      cogenesis ledger show --json | jq '.[].url'
    """
    opened = open_ledger(ledger)
    if opened is None:
        typer.echo("[]" if as_json else "Nothing was sent to a cloud model yet.")
        return
    with opened:
        rows = opened.entries(limit=limit)
        if as_json:
            # ASCII only, and DEL too: a terminal must be safe to look at this on.
            text = json.dumps([_as_object(row) for row in rows], indent=2)
            typer.echo(text.replace("\x7f", "\\u007f"))
            return
        _print_rows(rows, full=full)


@ledger_app.command()
def verify(ledger: LedgerPath = None) -> None:
    """Check that no record was changed, removed, added or moved.

    Ends with exit code 3 if one was. Write down the head that is printed: whoever knows it
    can tell later that nothing up to it was rewritten.

    Example:

      cogenesis ledger verify
    """
    opened = open_ledger(ledger)
    if opened is None:
        typer.echo("There is no ledger yet: nothing was sent to a cloud model.")
        return
    with opened:
        result = opened.verify()
    if result.ok:
        gone = result.forgotten
        if gone is not None:
            typer.echo(f"Rows 1 to {gone.last} were forgotten (all from before {gone.before}).")
        count = result.rows - (gone.last if gone else 0)
        typer.echo(f"{count} rows checked: all are as they were written.")
        typer.echo(f"Head: row {result.rows}, {result.head}")
        return
    typer.echo(f"The ledger is NOT as it was written: {result.problem}.", err=True)
    typer.echo(
        f"{result.rows} rows before that are good. Keep the file as it is. To start a new "
        f"ledger, move {opened.path.name}, its -wal file if there is one, and its .head file "
        "to another folder, and put a copy of cogenesis.key beside them.",
        err=True,
    )
    raise typer.Exit(3)


@ledger_app.command()
def export(
    file: Annotated[
        Path | None, typer.Argument(help="A new file to write. Default: standard output.")
    ] = None,
    ledger: LedgerPath = None,
) -> None:
    """Write every record as a line of JSON, for others to check with sha256 alone.

    The file holds all that was sent, so only you can read it (mode 0600). How to check it
    is written in docs/ledger.md.

    Examples:

      cogenesis ledger export sent.jsonl

      cogenesis ledger export | tail -n 1
    """
    opened = open_ledger(ledger)
    if opened is None:
        typer.echo("There is no ledger yet: nothing was sent to a cloud model.", err=True)
        return
    with opened:
        if file is None:
            opened.export(sys.stdout)
            return
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii", newline="\n") as out:
                count = opened.export(out)
        except FileExistsError:
            raise InputError(f"{file} exists already. Choose a new name.") from None
        except OSError as error:
            raise InputError(f"{file} cannot be written: {error.strerror}.") from error
    typer.echo(f"{count} rows written to {file}", err=True)


ledger_app.command()(forget)
ledger_app.command()(rekey)


def _as_object(row: Row) -> dict[str, Any]:
    entry, outcome = row.entry, row.outcome
    try:
        body = {"body": entry.body.decode("utf-8")}
    except UnicodeDecodeError:
        body = {"body_base64": base64.b64encode(entry.body).decode("ascii")}
    return {
        "row": row.number,
        "time": row.time,
        "purpose": entry.purpose,
        "method": entry.method,
        "url": entry.url,
        "headers": [list(pair) for pair in entry.headers],
        "attempt": entry.attempt,
        "note": entry.note,
        "bytes": len(entry.body),
        **body,
        "outcome": outcome
        and {
            "status": outcome.status,
            "error": outcome.error,
            "received": outcome.received,
            "seconds": outcome.seconds,
        },
    }


def _print_rows(rows: Iterator[Row], *, full: bool) -> None:
    from rich.console import Console

    # No markup and no highlighting: what is printed was partly written by others.
    console = Console(markup=False, highlight=False, emoji=False, soft_wrap=True)
    row = None
    for row in rows:
        _print_row(console, row, full=full)
    if row is None:
        console.print("Nothing was sent to a cloud model yet.")


def _print_row(console: Console, row: Row, *, full: bool) -> None:
    entry = row.entry
    time = row.time.replace("T", " ").replace("Z", " UTC")
    retry = f" (attempt {entry.attempt})" if entry.attempt > 1 else ""
    host = printable(urlsplit(entry.url).netloc)
    title = f"#{row.number}  {time}  {printable(entry.purpose)}{retry} to {host}"
    console.print(title, style="bold")
    console.print(f"    {len(entry.body):,} bytes sent; {_came_back(row.outcome)}")
    if entry.note:
        _print_field(console, "note", entry.note, full=full)
    if full:
        _print_field(console, "request", f"{entry.method} {entry.url}", full=True)
        for name, value in entry.headers:
            _print_field(console, f"header {name}", value, full=True)
    for name, text in text_fields(entry.body):
        _print_field(console, name, text, full=full)
    console.print()


def _came_back(outcome: Outcome | None) -> str:
    if outcome is None:
        return "what came back is not known"
    if outcome.status is None:
        what = printable(outcome.error or "no answer")
    else:
        what = " ".join(filter(None, (str(outcome.status), printable(outcome.error))))
    return f"{what}, {outcome.received:,} bytes back in {outcome.seconds:.2f} s"


def _print_field(console: Console, name: str, text: str, *, full: bool) -> None:
    shown = text if full else text[:_SHORT]
    if full:
        shown = "\n        ".join(printable(line) for line in shown.split("\n"))
    else:
        shown = printable(shown)
    rest = len(text) - _SHORT
    more = f" … and {rest:,} more characters (--full)" if rest > 0 and not full else ""
    console.print(f"    {printable(name)}: {shown}{more}")


def text_fields(body: bytes) -> Iterator[tuple[str, str]]:
    """Every string in a JSON body with its place in it; the whole body if it is not JSON.

    Repeated keys are all shown: a server may read another one than Python would.
    """
    try:
        # A tuple of pairs is an object, a list an array: JSON itself has no tuples.
        value = json.loads(body, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        if body:
            yield "body", body.decode("utf-8", "backslashreplace")
        return
    yield from _strings("", value)


def _strings(place: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place or "body", value
    elif isinstance(value, tuple):
        for key, item in value:
            yield from _strings(f"{place}.{key}" if place else key, item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(f"{place}[{index}]", item)


def printable(text: str) -> str:
    """The text with every character that a terminal obeys or does not show as an escape.

    Control and formatting characters (also those that turn the direction of writing),
    line separators, lone surrogates, private-use and unassigned characters.
    """
    return "".join(_escaped(char) for char in text)


def _escaped(char: str) -> str:
    if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
        return char
    return (
        char.encode("ascii", "backslashreplace").decode("ascii")
        if char > "\x7f"
        else ({"\n": "\\n", "\t": "\\t"}.get(char, f"\\x{ord(char):02x}"))
    )
