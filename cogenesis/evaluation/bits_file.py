"""The file of `evaluate bits --save`. Samples hold numbers only, nothing that was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cogenesis.evaluation.bits_report import SampleCost
from cogenesis.evaluation.saved_lines import SavedLines


class SavedSamples(SavedLines[SampleCost]):
    """What each text costs, by the samples' numbers; use it with `with`."""

    def __init__(self, path: Path, about: Callable[[], dict[str, Any]], *, resume: bool) -> None:
        """As `SavedLines`. Raises InputError likewise."""
        super().__init__(
            path,
            about,
            resume=resume,
            kind="bits",
            read=SampleCost.from_json,
            write=SampleCost.to_json,
            key=lambda sample: sample.sample,
        )
