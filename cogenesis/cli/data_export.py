"""`cogenesis data export`: samples in the form that another program reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cogenesis.cli.data_files import FilesArgument, JsonOption, ticking


def export(
    files: FilesArgument,
    out: Annotated[
        Path,
        typer.Option(
            help="A file: .json (a list, as training and evaluation read it), .jsonl or .parquet. "
            "A name without an ending is a new folder for datasets.load_dataset."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Write samples as a JSON list, JSON lines, Parquet, or a folder for `datasets`.

    What is not of the form is left out and counted. Files are readable by their owner alone.

    Examples:

      cogenesis data export train.json --out train.jsonl

      cogenesis data export train.json validation.json --out my-data
    """
    from cogenesis.data import exporting
    from cogenesis.data.splits import splits_of

    splits = splits_of(files)
    with ticking("written") as tick:
        done = exporting.export(splits, out, tick)
    if as_json:
        told = {
            "samples": dict(done.samples),
            "left_out": done.left_out,
            "files": [str(path) for path in done.files],
        }
        typer.echo(json.dumps(told, indent=2))
        return
    counted = ", ".join(f"{name} {count:,}" for name, count in done.samples.items())
    typer.echo(f"Written: {out} ({counted})")
    if done.left_out:
        typer.echo(f"Left out, because they are not of the form: {done.left_out:,}", err=True)
