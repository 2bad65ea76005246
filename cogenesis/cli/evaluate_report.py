"""`cogenesis evaluate report`: tables and plots of everything that was measured."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cogenesis.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cogenesis.evaluation.report_blocks import Block
    from cogenesis.evaluation.report_inputs import Source


def report(
    results: Annotated[
        list[Path],
        typer.Argument(
            help="What “evaluate bits|text|judge|leaks|speed|human --json” and “write --mode "
            "fusion --json” printed. Several of a kind are fine."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Markdown goes here, its plots beside it as .svg files."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="One HTML page with everything in it goes here.")
    ] = None,
    title: Annotated[str, typer.Option(help="Of the report.")] = "Results",
    plots: Annotated[
        bool, typer.Option(help="Draw plots; this needs matplotlib (the extra “plot”).")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was read, as JSON.")] = False,
) -> None:
    """Put measurements together: systems by measures as in the paper, leaks, speed, and plots.

    Every figure has its interval and names the file and the command that it is from. What was
    not measured stays a gap; nothing is made up. Files are known by what they hold.

    A text of “write --json” is shown as it is: give that of a made-up person only.

    Examples:

      cogenesis evaluate report bits.json speed.json leaks.json --out docs/results.md

      cogenesis evaluate report results/*.json --html results.html
    """
    from cogenesis.evaluation.report import report as made
    from cogenesis.evaluation.report_inputs import read_sources

    for path in (out, html):
        if path is not None and not path.parent.is_dir():
            raise InputError(f"{path.parent} is no folder: give another place")
    if out is None and html is None and not as_json:
        raise InputError("say where it goes: --out results.md, --html results.html, or --json")
    sources = read_sources(results)
    blocks = made(sources, plots=plots and (out is not None or html is not None))
    if out is not None:
        _markdown(out, title, blocks)
    if html is not None:
        from cogenesis.evaluation.report_blocks import as_html

        _write(html, as_html(title, blocks).encode())
    if as_json:
        typer.echo(json.dumps({"sources": [_shown(each) for each in sources]}, indent=2))
        return
    for path in (out, html):
        if path is not None:
            typer.echo(f"{path}: {len(sources)} results")


def _markdown(out: Path, title: str, blocks: Sequence[Block]) -> None:
    from cogenesis.evaluation.report_blocks import Picture, as_markdown, picture_file

    for block in blocks:
        if isinstance(block, Picture):
            _write(out.with_name(picture_file(out.stem, block.name)), block.svg)
    _write(out, as_markdown(title, blocks, out.stem).encode())


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None


def _shown(source: Source) -> dict[str, object]:
    told = asdict(source)
    del told["told"]
    return told
