"""In which order examples are learned from, and how they are put together.

Everything here is a function of the examples, the seed and the epoch. So a run that was killed
goes on with the very examples that it would have had.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cogenesis.training.examples import Example

if TYPE_CHECKING:
    import torch

IGNORED: Final = -100
"""The label of a position that counts for nothing, as `torch` has it."""

_POOL: Final = 8
"""Updates whose examples are sorted by length together."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples beside one another, filled up at their left: all of them end together.

    Attributes:
        ids, mask, positions: examples × tokens.
        labels: examples × tokens of the longest target; `IGNORED` where a shorter one lacks them.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True, slots=True)
class Share:
    """What one process computes at once; `counts` is false for a copy that only keeps step."""

    examples: tuple[int, ...]
    counts: bool


def updates(lengths: Sequence[int], *, batch: int, seed: int, epoch: int) -> list[list[int]]:
    """Every example once, in groups of `batch`, one group an update of the weights.

    Examples of similar length come together, so that little is filled up, and the groups come
    in random order. The last group may be smaller.
    """
    chance = random.Random(f"{seed} {epoch}")  # noqa: S311  (an order, no secret)
    order = list(range(len(lengths)))
    chance.shuffle(order)
    groups: list[list[int]] = []
    pool = batch * _POOL
    for start in range(0, len(order), pool):
        near = sorted(order[start : start + pool], key=lambda index: (lengths[index], index))
        groups += [near[at : at + batch] for at in range(0, len(near), batch)]
    chance.shuffle(groups)
    return groups


def shares(
    group: Sequence[int], lengths: Sequence[int], *, most_tokens: int, processes: int
) -> list[list[Share]]:
    """A group cut into pieces that fit the memory, for each process the same number.

    A piece has at most `most_tokens` tokens, filled up ones included, or one example.
    """
    pieces: list[list[int]] = []
    for index in sorted(group, key=lambda each: (lengths[each], each)):
        if pieces and (len(pieces[-1]) + 1) * lengths[index] <= most_tokens:
            pieces[-1].append(index)
        else:
            pieces.append([index])
    whole = [Share(tuple(piece), counts=True) for piece in pieces]
    # Every process must take part in every exchange of gradients.
    idle = Share(tuple(pieces[0][:1]), counts=False)
    whole += [idle] * (-len(whole) % processes)
    return [whole[rank::processes] for rank in range(processes)]


def collate(examples: Sequence[Example], *, counts: bool = True) -> Batch:
    """Put examples together. The last token of a target is only predicted, never read."""
    import torch

    rows = [(*each.prompt, *each.target[:-1]) for each in examples]
    width = max(map(len, rows))
    longest = max(len(each.target) for each in examples)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    labels = torch.full((len(rows), longest), IGNORED)
    for number, (row, each) in enumerate(zip(rows, examples, strict=True)):
        ids[number, width - len(row) :] = torch.tensor(row)
        mask[number, width - len(row) :] = 1
        if counts:
            labels[number, longest - len(each.target) :] = torch.tensor(each.target)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    return Batch(ids, mask, positions, labels)
