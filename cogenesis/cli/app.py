"""All commands under one name, and how errors end."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated, NoReturn

import typer

from cogenesis import __version__
from cogenesis.cli.cloud import cloud
from cogenesis.cli.crash import keep_crashes_private, shown
from cogenesis.cli.data import data_app
from cogenesis.cli.demo import demo
from cogenesis.cli.evaluate import evaluate_app
from cogenesis.cli.ledger import ledger_app
from cogenesis.cli.models import models_app
from cogenesis.cli.train import train_app
from cogenesis.cli.write import write
from cogenesis.errors import CogenesisError

# Rich tracebacks would print local variables, and those hold private text.
app = typer.Typer(
    name="cogenesis",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Cloud quality, in your own voice, with nothing private leaving your device.",
    epilog="Exit codes: 0 written · 2 input · 3 privacy, nothing sent · 4 model · 5 extra missing "
    "· 130 stopped.",
)
app.command()(demo)
app.command()(write)
app.add_typer(ledger_app, name="ledger")
app.add_typer(models_app, name="models")
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(train_app, name="train")
app.add_typer(data_app, name="data")
app.command()(cloud)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"cogenesis {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """Run the command line. Errors raised on purpose end in one line and their exit code.

    Anything else ends in a traceback of code lines without values: Python's own shows no
    local variables, and the message is cut off, since it may quote private text.
    """
    keep_crashes_private()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # clean up first
    if sys.stdout is None:
        sys.exit("error: standard output is closed: there is no place for the text")
    try:
        app(standalone_mode=True)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has gone; Python would complain again while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except CogenesisError as error:
        from rich.console import Console

        console = Console(stderr=True)
        console.print("[bold red]error:[/]", end=" ")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except OSError as error:
        sys.stderr.write(f"error: cannot read or write: {error.strerror}\n")
        sys.exit(1)
    except Exception as error:  # noqa: BLE001  (the last line of defence against leaks)
        sys.stderr.write(shown(error, error.__traceback__))
        sys.exit(1)
    sys.exit(0)
