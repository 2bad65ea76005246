"""Next-token distributions of both models along texts that people wrote.

The same models, prompts, guard, shield and alignment as in `evaluate bits`, from the same code.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from cogenesis import __version__
from cogenesis.context.reader import Sample
from cogenesis.engines.engine import Engine, Opening, Place
from cogenesis.engines.known_file import KnownFile
from cogenesis.errors import InputError
from cogenesis.evaluation.bits import BitsSettings
from cogenesis.evaluation.bits_pairing import Pairing
from cogenesis.evaluation.bits_work import worked
from cogenesis.evaluation.numbered_samples import LeftOut
from cogenesis.fusion.gate_input import SEEN
from cogenesis.training.extract_file import ExtractWriter, Text
from cogenesis.training.extract_rows import Columns, columns
from cogenesis.training.folds import fold_of, group_of


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

    def text(self, number: int, sample: Sample) -> Text:
        """Whose text the sample with this number is, and whether the model knows it."""
        name, group = sample.id, group_of(sample.id, number, sample.group)
        fold = fold_of(group, self.folds) if self.folds else None
        seen = self.seen if self.held_out is None else fold != self.held_out
        return Text(number, name, group, fold, seen)


@dataclass(slots=True)
class Extracted:
    """What a run did.

    Attributes:
        texts, positions: that were added.
        bytes: on the disk.
        seconds: of all texts added up, each in its worker.
    """

    texts: int = 0
    positions: int = 0
    bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ExtractWork:
    """How a worker gets ready. Item: a sample's number. Result: the columns of its text, or why the
    sample is left out.

    The columns are as private as the text: its tokens are in them, and what a model that read the
    context thought. From a worker of Ray they go through the memory of the cluster, and between
    machines over its network, which is not encrypted unless its owner has Ray do so: a cluster
    that others use must not get texts that they must not see.
    """

    pairing: Pairing

    @contextmanager
    def open(self, place: Place) -> Iterator[Callable[[int], Columns | str]]:
        """Raises: as `Pairing.open`."""
        # A model does one thing at a time, whatever the engine is asked for.
        one = threading.Lock()
        with self.pairing.open(place) as pair:

            def work(number: int) -> Columns | str:
                with one:
                    found = pair.task(number)
                    if isinstance(found, str):
                        return found
                    with closing(pair.running.positions(found[1])) as positions:
                        return columns(positions, SEEN)

            yield work


def extract(
    engine: Engine,
    work: Opening[int, Columns | str],
    texts: Sequence[Text],
    out: ExtractWriter,
    *,
    left_out: LeftOut,
    tick: Callable[[], None] = lambda: None,
) -> Extracted:
    """Add texts to a file, each as soon as it is done.

    Args:
        engine: has workers do them.
        work: both models, with the shield on and nothing else.
        texts: those that the file lacks.
        out: the file.
        left_out: is told of those that the guard does not release, and the like.
        tick: called after each text.

    Raises:
        ModelError, PrivacyError: as `BitsPair.positions`. The texts before are kept.
        EngineError: as `Engine.map`.
    """
    done, known = Extracted(), {each.sample: each for each in texts}
    for found in worked(engine, work, known, left_out):
        kept = found.result
        if kept is not None:
            done.bytes += out.add(known[found.number], kept)
            done.texts, done.positions = done.texts + 1, done.positions + len(kept)
            done.seconds += found.seconds
        tick()
    return done


def about_extract(
    data: KnownFile,
    settings: BitsSettings,
    models: dict[str, dict[str, Any]],
    tuning: Tuning,
    origins: Collection[str],
) -> dict[str, Any]:
    """All that the columns depend on; and what the samples say of their origin, if they do."""
    marks = {"origins": sorted(origins)} if origins else {}
    return {
        "version": __version__,
        "data": {"name": data.path.name, "sha256": data.sha256, **marks},
        **models,
        "options": {
            "device_k": settings.device_k,
            "cloud_k": settings.cloud_k,
            "max_tokens": settings.max_tokens,
            "shield": "on",
        },
        "tuning": {"folds": tuning.folds, "held_out": tuning.held_out, "seen": tuning.seen},
    }
