"""The samples of a file by their numbers, which stay the same where others cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cogenesis.context.reader import Sample, read_samples

LeftOut = Callable[[int, str], None]
"""Is told the number of a sample and why it is left out, without anything private."""


def numbered_samples(
    path: Path, *, quiet: bool = False
) -> tuple[dict[int, Sample], dict[int, str]]:
    """The usable samples of a file by their numbers, from 1; and why the others are none.

    Args:
        path: a list of samples in the published form.
        quiet: tell nobody what was repaired: whoever started the run was told.

    Raises:
        ContextError: the file cannot be read.
    """
    bad: dict[int, str] = {}
    good = read_samples(
        path,
        on_warning=_tell_nobody if quiet else None,
        on_bad=lambda number, why: bad.update({number: why}),
    )
    numbers = (n for n in range(1, len(good) + len(bad) + 1) if n not in bad)
    return dict(zip(numbers, good, strict=True)), bad


def first_samples(path: Path, limit: int | None, left_out: LeftOut) -> dict[int, Sample]:
    """The usable ones among the first `limit` (None: all); `left_out` is told of the others.

    Raises: as `numbered_samples`.
    """
    good, bad = numbered_samples(path)
    last = limit if limit is not None else len(good) + len(bad)
    for number, why in bad.items():
        if number <= last:
            left_out(number, why)
    return {number: each for number, each in good.items() if number <= last}


def _tell_nobody(_message: str) -> None:
    """What was repaired."""
