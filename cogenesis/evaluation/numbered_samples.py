"""The samples of a file by their numbers, which stay the same where others cannot be used."""

from __future__ import annotations

from pathlib import Path

from cogenesis.context.reader import Sample, read_samples


def numbered_samples(
    path: Path, *, quiet: bool = False
) -> tuple[list[tuple[int, Sample]], dict[int, str]]:
    """The usable samples of a file with their numbers, from 1; and why the others are none.

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
    return list(zip(numbers, good, strict=True)), bad


def _tell_nobody(_message: str) -> None:
    """What was repaired."""
