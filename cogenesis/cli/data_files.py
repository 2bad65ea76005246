"""What the commands on data files have in common: their arguments and their bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cogenesis.cli.evaluate_progress import progress

FilesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="Files of samples (.json, .jsonl, .parquet) or folders of them. Each file is a "
        "split, called like the file; NAME=FILE gives it another name.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
PlotsOption = Annotated[
    Path | None,
    typer.Option(
        "--plots", metavar="FOLDER", help="Write a page with plots and tables, and PNG files."
    ),
]


@contextmanager
def ticking(what: str) -> Iterator[Callable[[], None]]:
    """A bar on stderr that counts samples; redrawn every hundredth."""
    with progress() as bar:
        step = bar.add_task(what, total=None)
        count = 0

        def tick() -> None:
            nonlocal count
            count += 1
            if count % 100 == 0:
                bar.update(step, completed=count)
                bar.refresh()

        yield tick
        bar.update(step, completed=count, total=count)
        bar.refresh()
