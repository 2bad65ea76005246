"""The samples of a file by their numbers, which stay the same where others cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cogenesis.context.sample_file import SampleFile
from cogenesis.engines.engine import Place
from cogenesis.engines.known_file import KnownFile
from cogenesis.errors import ContextError

LeftOut = Callable[[int, str], None]
"""Is told the number of a sample and why it is left out, without anything private."""


def numbered_samples(path: Path, *, quiet: bool = False) -> SampleFile:
    """The usable samples of a file by their numbers, from 1; its `bad` tells why others are none.

    Args:
        path: samples in the published form, a list or JSON lines, of any size.
        quiet: tell nobody what was repaired: whoever started the run was told.

    Raises:
        ContextError: the file cannot be read.
    """
    return SampleFile(path, on_warning=_tell_nobody if quiet else None)


def known_samples(data: KnownFile, place: Place) -> SampleFile:
    """The samples as a worker reads them: what it read is what the run was started with.

    Raises:
        InputError: the file is not there, or it is another one.
        ContextError: it cannot be read.
    """
    try:
        samples = numbered_samples(data.path, quiet=True)
    except ContextError:
        data.at(place)  # is it another file here, or none? That says more
        raise
    data.check(samples.sha256, place)
    return samples


def first_samples(path: Path, limit: int | None, left_out: LeftOut) -> SampleFile:
    """The usable ones among the first `limit` (None: all); `left_out` is told of the others.

    Raises: as `numbered_samples`.
    """
    samples = numbered_samples(path).first(limit)
    for number, why in samples.bad.items():
        left_out(number, why)
    return samples


def _tell_nobody(_message: str) -> None:
    """What was repaired."""
