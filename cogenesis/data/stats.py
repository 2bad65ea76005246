"""`data stats`: whom a data set covers and how long its parts are, split by split."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from cogenesis.data.coverage import Coverage
from cogenesis.data.reading import entries
from cogenesis.data.rows import Row, row_of
from cogenesis.errors import InputError

MAX_MISTAKES: Final = 5

PARTS: Final = ("text", "instruction", "profile", "earlier texts")


class Statistics:
    """Counted in one pass; memory grows by 40 bytes a sample."""

    def __init__(self) -> None:
        self._coverage: dict[str, Coverage] = {}
        self._lengths: dict[str, dict[str, array[int]]] = {}
        self._counts: dict[str, Counter[str]] = {}
        self._groups: dict[str, set[str]] = {}
        self._mistakes: list[str] = []

    def read(self, name: str, path: Path, tick: Callable[[], None] = lambda: None) -> None:
        """Count the samples of one file; several files may make one split.

        Raises:
            InputError: the file cannot be read at all.
            MissingExtraError: it is Parquet and pyarrow is not installed.
        """
        coverage = self._coverage.setdefault(name, Coverage())
        lengths = self._lengths.setdefault(name, {part: array("L") for part in PARTS})
        counts = self._counts.setdefault(name, Counter(samples=0, unusable=0))
        groups = self._groups.setdefault(name, set())
        before = counts.total()
        for entry in entries(path):
            row = (
                [entry.mistake or ""] if entry.value is None else row_of(entry.number, entry.value)
            )
            if isinstance(row, Row):
                coverage.add(row)
                counts["samples"] += 1
                counts[f"form {row.form}"] += 1
                if row.group is not None:
                    groups.add(row.group)
                for part, words in _words(row).items():
                    lengths[part].append(words)
            else:
                counts["unusable"] += 1
                self._mistaken(f"{path.name}, sample {entry.number}: {'; '.join(row)}")
            tick()
        if counts.total() == before:
            self._mistaken(f"{path.name} holds no sample")

    def _mistaken(self, told: str) -> None:
        if len(self._mistakes) < MAX_MISTAKES:
            self._mistakes.append(told)

    def told(self) -> dict[str, Any]:
        """All of it as JSON, with the first mistakes: places, no values.

        Raises:
            InputError: there is no usable sample at all.
        """
        if not any(counts["samples"] for counts in self._counts.values()):
            raise InputError(f"there is no sample to count. {'. '.join(self._mistakes[:3])}")
        return {
            "mistakes": self._mistakes,
            "splits": {
                name: {
                    "samples": self._counts[name]["samples"],
                    "unusable": self._counts[name]["unusable"],
                    "groups": len(self._groups[name]),
                    "forms": {
                        key.removeprefix("form "): count
                        for key, count in self._counts[name].items()
                        if key.startswith("form ")
                    },
                    "words": {part: spread(each) for part, each in self._lengths[name].items()},
                    "coverage": coverage.told(),
                }
                for name, coverage in self._coverage.items()
            },
        }

    def all_coverage(self) -> dict[str, Any]:
        """The coverage of all splits together."""
        whole = Coverage()
        for each in self._coverage.values():
            for name, counts in each.counts.items():
                whole.counts[name].update(counts)
        return whole.told()

    def lengths(self) -> dict[str, Sequence[int]]:
        """Words of the texts of each split, for plots."""
        return {name: each["text"] for name, each in self._lengths.items()}


def _words(row: Row) -> dict[str, int]:
    texts = row.context.writings
    return {
        "text": len(row.text.split()),
        "instruction": len(row.instruction.split()),
        "profile": len(row.person.split()),
        "earlier texts": sum(len(each.text.split()) for each in texts),
    }


def spread(values: Sequence[int]) -> dict[str, float]:
    """Mean and quantiles; empty for no values."""
    if not values:
        return {}
    ordered = sorted(values)
    last = len(ordered) - 1
    at = {"min": 0.0, "p5": 0.05, "median": 0.5, "p95": 0.95, "max": 1.0}
    told: dict[str, float] = {name: ordered[round(share * last)] for name, share in at.items()}
    return {"mean": round(sum(ordered) / len(ordered), 1), **told}
