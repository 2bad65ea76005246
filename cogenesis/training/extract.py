"""Next-token distributions of both models along texts that people wrote.

The same models, prompts, guard, shield and alignment as in `evaluate bits`, from the same code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cogenesis import __version__
from cogenesis.errors import InputError
from cogenesis.fusion.gate_input import SEEN
from cogenesis.training.extract_file import ExtractWriter, Text
from cogenesis.training.extract_rows import columns
from cogenesis.training.folds import fold_of, group_of

if TYPE_CHECKING:
    from cogenesis.evaluation.bits import BitsSettings
    from cogenesis.evaluation.bits_pair import BitsPair
    from cogenesis.evaluation.bits_samples import BitsSample, LeftOut


@dataclass(frozen=True, slots=True)
class Tuning:
    """On which of the texts the device model was tuned.

    Attributes:
        folds: into how many folds groups of people are divided; 0 for no folds.
        held_out: the fold that it was not tuned on; None if it was not tuned on any.
        seen: without folds, whether it was tuned on all of them.
    """

    folds: int = 0
    held_out: int | None = None
    seen: bool = False

    def __post_init__(self) -> None:
        if self.folds and self.seen:
            raise InputError("--seen is for a device model tuned on all of the data: no --folds")
        if self.held_out is not None and not 0 <= self.held_out < self.folds:
            raise InputError("--held-out is a fold: a number from 0 to --folds minus 1")

    def text(self, sample: BitsSample) -> Text:
        """Whose text it is, and whether the model knows it."""
        group = group_of(sample.sample.id, sample.number)
        fold = fold_of(group, self.folds) if self.folds else None
        seen = self.seen if self.held_out is None else fold != self.held_out
        return Text(sample.number, sample.sample.id, group, fold, seen)


@dataclass(slots=True)
class Extracted:
    """What a run did: texts, positions, bytes on the disk; and what it left out."""

    texts: int = 0
    positions: int = 0
    bytes: int = 0


def extract(
    running: BitsPair,
    prepare: Callable[[BitsSample], Any],
    samples: Sequence[tuple[Text, BitsSample]],
    out: ExtractWriter,
    *,
    left_out: LeftOut,
    tick: Callable[[int], None] = lambda positions: None,
) -> Extracted:
    """Add the samples to a file.

    Args:
        running: both models, with the shield on and nothing else.
        prepare: `bits_samples.bits_task` of a sample.
        samples: those that the file lacks.
        out: the file.
        left_out: is told of those that the guard does not release, and the like.
        tick: is told how many positions are done.

    Raises:
        ModelError, PrivacyError: as `BitsPair.positions`. The texts before are kept.
    """
    done = Extracted()
    for text, sample in samples:
        task = prepare(sample)
        if isinstance(task, str):
            left_out(sample.number, task)
            tick(len(sample.ids))
            continue
        with closing(running.positions(task)) as found:
            kept = columns(_told(found, tick), SEEN)
        done.bytes += out.add(text, kept)
        done.texts, done.positions = done.texts + 1, done.positions + len(kept)
    return done


def _told(found: Any, tick: Callable[[int], None]) -> Any:
    for position in found:
        yield position
        tick(1)


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def about_extract(
    data: Path,
    settings: BitsSettings,
    models: dict[str, dict[str, Any]],
    tuning: Tuning,
) -> dict[str, Any]:
    """All that the columns depend on."""
    return {
        "version": __version__,
        "data": {"name": data.name, "sha256": file_hash(data)},
        **models,
        "options": {
            "device_k": settings.device_k,
            "cloud_k": settings.cloud_k,
            "max_tokens": settings.max_tokens,
            "shield": "on",
        },
        "tuning": {"folds": tuning.folds, "held_out": tuning.held_out, "seen": tuning.seen},
    }
