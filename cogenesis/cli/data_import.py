"""`cogenesis data import`: samples of other forms, and a folder of one's own texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cogenesis.cli.data_files import JsonOption, ticking


def import_(
    source: Annotated[
        Path,
        typer.Argument(
            help="A file of samples in the published form (.json, .jsonl, .parquet), prompts of "
            "titles and texts, LaMP's questions (tasks 4 to 6), or a folder of .txt, .md, .eml."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The file to write: .json for training, or .jsonl, .parquet.")
    ],
    name: Annotated[
        str | None,
        typer.Option(help="Whose texts a folder holds. Mails count if this person sent them."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="The person's e-mail address, where the name in mails is not enough."),
    ] = None,
    outputs: Annotated[
        Path | None,
        typer.Option(help="LaMP's outputs. Default: the file beside the questions."),
    ] = None,
    avocado: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="For licence holders of LDC2015T03: the collection's folder data/text, for the "
            "questions of LaMP 6 that name its mails.",
        ),
    ] = None,
    history: Annotated[
        int, typer.Option(min=0, max=50, help="Earlier texts of a sample, if there are more.")
    ] = 5,
    origin: Annotated[
        str,
        typer.Option(
            help="Mark samples that do not say where they come from: published or synthetic. "
            "Only such data may ever be sent with its context."
        ),
    ] = "",
    clean: Annotated[
        bool,
        typer.Option("--clean", help="Leave out texts with placeholders or unfilled slots."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write data of other forms as samples that training and evaluation read.

    The general part of each instruction becomes a field of its own, beside the details. Texts
    of a folder are marked as your own, e-mails of LaMP 6 as licensed: no command sends them with
    their context. Nothing is sent by this one either.

    Examples:

      cogenesis data import samples.json --clean --out train.json

      cogenesis data import ~/letters --name "Ada Lovelace" --out mine.json

      cogenesis data import LaMP_5/dev_questions.json --out abstracts.json
    """
    from cogenesis.data.importing import Source, import_data
    from cogenesis.errors import InputError

    if origin not in {"", "published", "synthetic"}:
        raise InputError("--origin is published or synthetic: the source sets all other marks")
    chosen = Source(
        source,
        outputs=outputs,
        avocado=avocado,
        name=name,
        address=address,
        history=history,
        origin=origin,
        clean=clean,
    )
    with ticking("imported") as tick:
        done = import_data(chosen, out, tick)
    if as_json:
        told = {
            "kind": done.kind,
            "samples": done.samples,
            "left_out": dict(done.left_out),
            "examples": done.examples,
            "file": str(out),
        }
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    typer.echo(f"Written: {out} ({done.samples:,} samples)")
    for reason, count in done.left_out.most_common():
        typer.echo(f"Left out: {count:,}: {reason}", err=True)
