"""`cogenesis models`: which models there are, fetch them, check them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cogenesis.errors import ModelError

if TYPE_CHECKING:
    from rich.table import Table

    from cogenesis.models.catalogue import Checked, Installed

models_app = typer.Typer(
    no_args_is_help=True,
    help="Find, fetch and check the models that run on this device.",
)


@models_app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show installed models, the demo models, and good choices for this machine.

    Nothing is downloaded and no network is used.

    Examples:

      cogenesis models list

      cogenesis models list --json | jq '.installed[].path'
    """
    from cogenesis.models.catalogue import list_installed
    from cogenesis.models.memory import total_memory

    installed, memory = list_installed(), total_memory()
    if as_json:
        typer.echo(json.dumps(_listing(installed, memory), indent=2))
        return
    from rich.console import Console

    console = Console()
    if installed:
        console.print(_installed_table(installed))
    console.print(_demo_table({model.name for model in installed}))
    console.print(_known_table(memory))
    for line in _advice(memory):
        console.print(line, highlight=False, soft_wrap=True)


@models_app.command("get")
def get(
    name: Annotated[
        str,
        typer.Argument(
            help="A name from `models list`, a hub model as owner/name or "
            "owner/name:FILE-or-quant, or a .gguf path."
        ),
    ],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the path.")] = False,
) -> None:
    """Fetch a model, verify it, and print where it is.

    A fetch that was cut off goes on where it stopped. A damaged model is fetched again.

    Examples:

      cogenesis models get demo-device

      cogenesis models get qwen3-4b

      cogenesis models get bartowski/Qwen2.5-0.5B-Instruct-GGUF:Q8_0
    """
    typer.echo(str(fetch_model(name, quiet=quiet, repair=True)))


@models_app.command("check")
def check(
    name: Annotated[
        str | None, typer.Argument(help="One model. Default: every installed one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """Read every byte of the installed models and compare their sums.

    Ends with exit code 4 if one is missing or damaged.

    Examples:

      cogenesis models check

      cogenesis models check demo-cloud
    """
    from cogenesis.models.catalogue import check_model, list_installed

    names = [name] if name else [model.name for model in list_installed()]
    results = [check_model(each) for each in names]
    if as_json:
        typer.echo(json.dumps([_checked(result) for result in results], indent=2))
    else:
        for result in results:
            typer.echo(f"{result.state:8} {result.name}" + _because(result))
        if not results:
            typer.echo("No model is installed yet. See: cogenesis models list")
    if any(result.state != "ok" for result in results):
        raise typer.Exit(ModelError.exit_code)


def fetch_model(name: str, *, quiet: bool = False, repair: bool = False) -> Path:
    """`get_model` with its licence and a progress bar on stderr, if there is anything to fetch.

    Raises: as `get_model`.
    """
    from cogenesis.models.catalogue import get_model, needs_fetching

    if quiet or not (needs_fetching(name) or repair):
        return get_model(name, repair=repair)
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    if needs_fetching(name):
        console.print(_licence_line(name), highlight=False, markup=False, soft_wrap=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task(name, total=None, visible=False)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        return get_model(name, progress=report, repair=repair)


def _licence_line(name: str) -> str:
    from cogenesis.models.known import KNOWN_MODELS
    from cogenesis.models.wheels import DEMO_MODELS

    if name in DEMO_MODELS:
        demo = DEMO_MODELS[name]
        return f"Fetching {name} ({_size(demo.download_bytes)}). {demo.licence_note}"
    for known in KNOWN_MODELS:
        if known.name == name:
            return (
                f"Fetching {known.title} ({_size(known.file_bytes)}) from {known.repo}. "
                f"Licence: {known.licence}; by using it you accept it."
            )
    return f"Fetching {name}. Its licence is on its page on the hub."


def _installed_table(installed: list[Installed]) -> Table:
    from cogenesis.models.catalogue import models_folder

    table = _table("Installed", "Name", "Size", "Licence", "File in the models folder")
    for model in installed:
        inside = model.path.relative_to(models_folder())
        table.add_row(model.name, _size(model.size), model.licence, str(inside))
    return table


def _demo_table(installed: set[str]) -> Table:
    from cogenesis.models.wheels import DEMO_MODELS

    table = _table("For the demo (from PyPI)", "Name", "Size", "Licence", "What for")
    for demo in DEMO_MODELS.values():
        done = "installed; " if demo.name in installed else ""
        what = f"{done}{demo.title}, {demo.advice}"
        table.add_row(demo.name, _size(demo.file_bytes), demo.licence, what)
    return table


def _known_table(memory: int | None) -> Table:
    from cogenesis.models.known import KNOWN_MODELS, recommend

    pick = recommend(memory) if memory else None
    table = _table(
        "Real models (from the hub)", "Name", "Size", "Needs", "Licence", "For a machine with"
    )
    for known in KNOWN_MODELS:
        fits = memory is None or known.memory_bytes <= memory * 0.7
        style = "bold green" if known is pick else ("" if fits else "dim")
        table.add_row(
            known.name,
            _size(known.file_bytes),
            _size(known.memory_bytes),
            known.licence,
            known.advice,
            style=style,
        )
    return table


def _advice(memory: int | None) -> list[str]:
    from cogenesis.models.known import FACTS_DATE, WINDOW_TOKENS, recommend

    how = f"file + KV cache for {WINDOW_TOKENS:,} tokens (16 bit) + 0.4 GB for the program"
    lines = [f"Needs: {how}; facts as of {FACTS_DATE}."]
    if memory is None:
        return lines
    pick = recommend(memory)
    has = f"This machine has {_size(memory)} of memory."
    if pick is None:
        lines.append(f"{has} Real models are too large for it; the demo models run.")
    else:
        lines.append(f"{has} Start with {pick.title}: cogenesis models get {pick.name}")
    return lines


def _listing(installed: list[Installed], memory: int | None) -> dict[str, Any]:
    from cogenesis.models.known import FACTS_DATE, KNOWN_MODELS, WINDOW_TOKENS, recommend
    from cogenesis.models.wheels import DEMO_MODELS

    pick = recommend(memory) if memory else None
    return {
        "memory_bytes": memory,
        "recommended": pick.name if pick else None,
        "installed": [
            {"name": m.name, "path": str(m.path), "bytes": m.size, "licence": m.licence}
            for m in installed
        ],
        "demo": [
            {"name": d.name, "title": d.title, "bytes": d.file_bytes, "licence": d.licence}
            for d in DEMO_MODELS.values()
        ],
        "known": [
            {
                "name": k.name,
                "title": k.title,
                "repo": k.repo,
                "file": k.file,
                "bytes": k.file_bytes,
                "memory_bytes": k.memory_bytes,
                "fits": None if memory is None else k.memory_bytes <= memory * 0.7,
                "licence": k.licence,
                "advice": k.advice,
            }
            for k in KNOWN_MODELS
        ],
        "window_tokens": WINDOW_TOKENS,
        "facts_date": FACTS_DATE,
    }


def _table(title: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    for column in columns:
        right = column in ("Size", "Needs")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    return table


def _checked(result: Checked) -> dict[str, str]:
    return {
        "name": result.name,
        "state": result.state,
        "path": str(result.path),
        "problem": result.problem,
    }


def _because(result: Checked) -> str:
    return f": {result.problem}" if result.problem else ""


def _size(count: int) -> str:
    """Bytes in decimal units, as the hub and file managers show them."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
