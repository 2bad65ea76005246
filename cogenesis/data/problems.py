"""What the checks find: kinds, how bad each is, and examples."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["error", "warning"]

MAX_EXAMPLES: Final = 5

KINDS: Final[dict[str, tuple[Severity, str]]] = {
    "schema": ("error", "a sample is not of the form"),
    "no-samples": ("error", "a file holds no sample"),
    "empty-text": ("error", "there is no text"),
    "placeholder-text": ("error", "the text is only a placeholder"),
    "leftover": ("error", "the text has slots that nobody filled, or remarks of a model"),
    "leftover-in-history": ("warning", "an earlier text has such slots or remarks"),
    "general-leak": ("error", "the guard would not let the general instruction leave"),
    "title-leak": ("warning", "the guard would not let the title leave: no cloud is asked for it"),
    "name-in-details": ("warning", "the details name the person: they must never be sent"),
    "same-id": ("error", "an id comes twice in one split"),
    "same-text": ("warning", "a text comes twice in one split"),
    "near-text": ("warning", "a text is nearly the same as another one of its split"),
    "answer-in-history": ("error", "the text to write is among the earlier texts"),
    "near-answer-in-history": ("warning", "the text is nearly one of the earlier texts"),
    "shared-groups": ("error", "two splits share groups of people"),
    "shared-people": ("error", "two splits share people, by their profiles"),
    "shared-texts": ("error", "two splits share texts"),
    "near-shared-texts": ("error", "two splits share texts that are nearly the same"),
    "shared-history": ("error", "earlier texts of one split are texts of the other"),
    "language": ("warning", "a text is not in the main language of its split"),
    "unfinished": ("warning", "a text ends without a closing mark"),
}
"""Every kind: an error makes the data unfit as it is, a warning is to be looked at."""


@dataclass(frozen=True, slots=True)
class Example:
    """One of them: the sample's place and id, and what is there."""

    number: int
    id: str
    detail: str


class Problems:
    """Counts of all, the first few of each kind and split."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._examples: defaultdict[tuple[str, str], list[Example]] = defaultdict(list)

    def add(self, kind: str, split: str, example: Example, *, count: int = 1) -> None:
        """Note a problem; `count` if one example stands for several."""
        assert kind in KINDS, kind
        self._counts[kind, split] += count
        if len(self._examples[kind, split]) < MAX_EXAMPLES:
            self._examples[kind, split].append(example)

    def count(self, kind: str, split: str | None = None) -> int:
        """How many of a kind, in one split or in all."""
        return sum(
            number
            for (each, where), number in self._counts.items()
            if each == kind and split in {None, where}
        )

    def total(self, severity: Severity) -> int:
        """How many of a severity."""
        return sum(n for (kind, _), n in self._counts.items() if KINDS[kind][0] == severity)

    def listed(self) -> list[dict[str, object]]:
        """All of them as JSON: errors first, each with its examples."""
        order = list(KINDS)
        keys = sorted(
            self._counts, key=lambda key: (KINDS[key[0]][0] != "error", order.index(key[0]))
        )
        return [
            {
                "kind": kind,
                "severity": KINDS[kind][0],
                "split": split,
                "count": self._counts[kind, split],
                "meaning": KINDS[kind][1],
                "examples": [
                    {"number": each.number, "id": each.id, "detail": each.detail}
                    for each in self._examples[kind, split]
                ],
            }
            for kind, split in keys
        ]
