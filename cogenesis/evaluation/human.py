"""Which texts people compare, on which side each stands, and the key that tells whose it was.

People see two texts of the same task, side by side, and are not told who wrote them. The page
does not know it either: the names of the systems stand in a key, a file of its own, which only
the analysis reads. Sides are drawn by seed, half and half for each pair of systems; so is the
order.

Not covered: texts that give themselves away (a system that always signs, or stops in mid-word).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final

from cogenesis.errors import InputError
from cogenesis.evaluation.generation import WrittenText, chosen_texts, content_key

KEY_KIND: Final = "cogenesis human key"
RATINGS_KIND: Final = "cogenesis human ratings"
FORM: Final = 1

_ID_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts of one task.

    Attributes:
        item: names the pair on the page; tells nothing of the systems.
        sample: number in the data.
        left, right: the texts, as they stand on the page.
    """

    item: str
    sample: int
    left: WrittenText = field(repr=False)
    right: WrittenText = field(repr=False)

    @property
    def task(self) -> str:
        """What was to be written."""
        return self.left.instruction or self.right.instruction or self.left.title


@dataclass(frozen=True, slots=True)
class Pairs:
    """All pairs of one page, and what is not among them.

    Attributes:
        page: names the page: another choice of texts, systems or seed is another page.
        seed: of the sides and of the order.
        systems: that are compared.
        pairs: in the order of the page.
        missing: for two systems, pairs in which one of them has no text.
        equal: for two systems, pairs whose texts are the same: nobody can tell these apart.
    """

    page: str
    seed: int
    systems: tuple[str, ...]
    pairs: tuple[Pair, ...]
    missing: dict[tuple[str, str], int]
    equal: dict[tuple[str, str], int]

    def key(self) -> dict[str, Any]:
        """What the analysis needs to know whose texts were rated. Holds no text."""
        return {
            "kind": KEY_KIND,
            "form": FORM,
            "page": self.page,
            "seed": self.seed,
            "systems": list(self.systems),
            "items": [
                {
                    "item": pair.item,
                    "sample": pair.sample,
                    "left": pair.left.system,
                    "right": pair.right.system,
                }
                for pair in self.pairs
            ],
            "missing": _counts(self.missing),
            "equal": _counts(self.equal),
        }


def pairs_of(
    texts: Sequence[WrittenText],
    systems: Sequence[str] | None,
    *,
    limit: int | None = None,
    seed: int = 0,
) -> Pairs:
    """Every system against every other, on the first `limit` samples.

    Args:
        texts: of at least two systems.
        systems: that are compared; None for all that have a text.
        limit: samples at most.
        seed: of the sides and of the order.

    Raises:
        InputError: fewer than two systems, a system without a text, or no pair at all.
    """
    samples = sorted({each.sample for each in texts})[:limit]
    found = chosen_texts(texts, systems, samples)
    empty = [name for name, of in found.items() if not of]
    if empty:
        listed = ", ".join(dict.fromkeys(each.system for each in texts))
        raise InputError(f"there is no text of {', '.join(empty)}: the file has {listed}")
    if len(found) < 2:
        raise InputError("people compare two systems or more: name them with --system")
    drawn = random.Random(seed)  # noqa: S311  (sides of a page, no secret)
    page = content_key("human", FORM, seed, sorted(found), [each.key for each in texts], samples)
    pairs: list[Pair] = []
    missing: dict[tuple[str, str], int] = {}
    equal: dict[tuple[str, str], int] = {}
    for first, second in combinations(found, 2):
        both = []
        for sample in samples:
            one, other = found[first].get(sample), found[second].get(sample)
            if one is None or other is None or not _said(one) or not _said(other):
                missing[first, second] = missing.get((first, second), 0) + 1
            elif _said(one) == _said(other):
                equal[first, second] = equal.get((first, second), 0) + 1
            else:
                both.append((one, other))
        pairs += _sides(page, both, drawn)
    if not pairs:
        raise InputError("no two texts can be compared: each pair is missing one, or is the same")
    drawn.shuffle(pairs)
    return Pairs(page[:_ID_LENGTH], seed, tuple(found), tuple(pairs), missing, equal)


def _sides(
    page: str, both: Sequence[tuple[WrittenText, WrittenText]], drawn: random.Random
) -> list[Pair]:
    """Each system of the two stands on the left in half of the pairs."""
    swapped = [number % 2 == 1 for number in range(len(both))]
    drawn.shuffle(swapped)
    pairs = []
    for (one, other), swap in zip(both, swapped, strict=True):
        left, right = (other, one) if swap else (one, other)
        item = content_key(page, left.key, right.key)[:_ID_LENGTH]
        pairs.append(Pair(item, one.sample, left, right))
    return pairs


def _said(text: WrittenText) -> str:
    return (text.text or "").strip()


def _counts(found: dict[tuple[str, str], int]) -> list[dict[str, Any]]:
    return [{"systems": list(names), "samples": count} for names, count in found.items()]
