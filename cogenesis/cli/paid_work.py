"""What commands share that ask for much and may cost money: prices, and a question before."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cogenesis.errors import InputError

PriceInOption = Annotated[
    float | None, typer.Option(min=0, help="What a million tokens of prompts cost.")
]
PriceOutOption = Annotated[
    float | None, typer.Option(min=0, help="What a million tokens of replies cost.")
]
YesOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Go on after the estimate without asking.")
]


def agreed(again: str) -> bool:
    """Whether the user says yes; `again` are the options to go on with where nobody can be asked.

    Raises:
        InputError: nobody can be asked here.
    """
    if not sys.stdin.isatty():
        raise InputError(f"nobody can be asked here: give the same command again with {again}")
    return typer.confirm("Go on?", err=True)


def duration(seconds: float) -> str:
    """In seconds, minutes or hours, as people say it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
