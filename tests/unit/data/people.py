"""Samples in the published form, made up for these tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEXTS = (
    "The tomatoes came early this year. We ate them on the porch with bread and salt.",
    "My grandmother kept bees behind the barn, and every jar of honey had a date on it.",
    "On Sunday the whole street comes together, and somebody always brings a guitar.",
    "It rained for nine days. On the tenth the river stood in the cellar and we laughed.",
    "Whoever wants to learn to swim must first learn to float and to trust the water.",
    "Three things matter when a roof is mended: a dry day, good nails and a calm head.",
    "The old library smells of dust and rain. I go there when the house is too loud.",
    "Nobody told us that the train would stop in the middle of a field for two hours.",
)


def sample(
    identity: str = "3_7_4",
    *,
    text: str = TEXTS[0],
    instruction: str = "Letter about a garden: Tell how the harvest went.",
    name: str = "Nora Quill",
    earlier: tuple[str, ...] = (TEXTS[6],),
    **more: Any,
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "tid": identity,
        "conversations": [
            {"from": "user", "value": instruction},
            {"from": "assistant", "value": text},
        ],
        "profile": [
            {"title": f"Note {number}", "text": each, "id": str(number)}
            for number, each in enumerate(earlier)
        ],
        "additional_profile": f"Age: 47\nName: {name}\nOccupation: History Teacher\n"
        f"Location: Austin, TX\nPrivacy_info: Keeps a list called {identity}",
    }
    return made | more


def write_list(path: Path, samples: list[Any]) -> Path:
    path.write_text(json.dumps(samples), "utf-8")
    return path


def write_lines(path: Path, samples: list[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(each)}\n" for each in samples), "utf-8")
    return path
