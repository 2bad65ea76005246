"""Texts of scripted models with one vocabulary, in the form that `train extract` keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cogenesis.evaluation.bits_positions import Position, Reference, positions
from cogenesis.fusion.gate_input import SEEN
from cogenesis.models.protocol import TokenIds
from cogenesis.models.scripted import ScriptedModel
from cogenesis.training.extract_file import ExtractWriter, Text
from cogenesis.training.extract_rows import columns
from cogenesis.wire import Deadline
from tests.unit.fusion.scripted_pair import MODEL, PROMPT, Kin, Row, SameVocabularyCloud

SIZE = MODEL.capabilities.logprobs
DEVICE = Kin(MODEL, ScriptedModel(seed=2))
CLOUD = Kin(MODEL, ScriptedModel(seed=3))

ABOUT: dict[str, Any] = {
    "version": "0",
    "data": {"name": "made", "sha256": "0"},
    "device": {"name": "scripted", "vocabulary": "v", "tokens": SIZE, "sha256": "d"},
    "cloud": {"name": "far", "sha256": "c"},
    "options": {},
    "tuning": {"folds": 0, "held_out": None, "seen": False},
}

WORDS = (
    "the tide was in and we sang", "dear all, rehearsal is at nine", "thank you for the soup",
    "the roof of the loft is mended", "my aunt comes on the ferry", "no news is good news",
    "come early and bring the lamps", "we have lost the second bass",
)  # fmt: skip


class Holding(SameVocabularyCloud):
    """A cloud that may not be asked at every fifth position."""

    def score(
        self, generated: TokenIds, draft: TokenIds, deadline: Deadline
    ) -> Sequence[Row | None]:
        rows = super().score(generated, draft, deadline)
        return [row if (len(generated) + at) % 5 else None for at, row in enumerate(rows)]


def along(text: str, device: Kin = DEVICE, cloud: Kin = CLOUD, k: int = SIZE) -> list[Position]:
    """Every position of a text."""
    data = text.encode()
    reference = Reference(PROMPT, tuple(data), tuple(bytes([each]) for each in data))
    view = Holding(cloud, k=40)
    return list(positions(device, [view], reference, k=k, vocabulary=SIZE, block=8))


def write(
    path: Path,
    texts: Sequence[str] = WORDS,
    *,
    resume: bool = False,
    seen: Callable[[int], bool] = lambda number: False,
    about: dict[str, Any] = ABOUT,
) -> list[int]:
    """Keep texts as `train extract` does; returns the numbers of those that were added."""
    added = []
    with ExtractWriter(path, about, k=SEEN, resume=resume) as out:
        for number, text in enumerate(texts, start=1):
            if number not in out.done:
                name = f"3_{number}_1"
                out.add(
                    Text(number, name, f"3_{number}", None, seen(number)),
                    columns(along(text), SEEN),
                )
                added.append(number)
    return added
