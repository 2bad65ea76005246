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

_STEP: Final = 64
"""Widths are multiples of this: a processor prepares its sums anew for each width it meets."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples beside one another, filled up at their right.

    No mask is needed: a model that predicts the next token looks to the left only, and what is
    predicted at the filling counts for nothing. Without a mask attention is quicker and takes
    less memory.

    Attributes:
        ids: examples × tokens.
        kept: positions at which something is predicted in one example at least.
        labels: examples × `kept`; `IGNORED` where an example has nothing to predict.
    """

    ids: torch.Tensor
    kept: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True, slots=True)
class Share:
    """What one process computes at once; `counts` is false for a copy that only keeps step."""

    examples: tuple[int, ...]
    counts: bool


def in_turn(examples: Sequence[Example], epoch: int) -> list[int]:
    """One example of each sample: its forms take turns, from epoch to epoch and sample to sample.

    So an epoch costs the same however many forms there are, and after as many epochs as forms
    each sample was seen in each.
    """
    forms: dict[int, list[int]] = {}
    for index, example in enumerate(examples):
        forms.setdefault(example.sample, []).append(index)
    return [of[(epoch + at) % len(of)] for at, of in enumerate(forms.values())]


def updates(examples: Sequence[Example], *, batch: int, seed: int, epoch: int) -> list[list[int]]:
    """Every sample once, in groups of `batch`, one group an update of the weights.

    Examples of similar length come together, so that little is filled up, and the groups come
    in random order. The last group may be smaller.
    """
    chance = random.Random(f"{seed} {epoch}")  # noqa: S311  (an order, no secret)
    order = in_turn(examples, epoch)
    chance.shuffle(order)
    groups: list[list[int]] = []
    pool = batch * _POOL
    for start in range(0, len(order), pool):
        near = sorted(order[start : start + pool], key=lambda index: (len(examples[index]), index))
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
    longest = max(map(len, rows))
    first = min(len(each.prompt) for each in examples) - 1
    ids = torch.zeros(len(rows), -(-longest // _STEP) * _STEP, dtype=torch.long)
    labels = torch.full((len(rows), longest - first), IGNORED)
    for number, (row, each) in enumerate(zip(rows, examples, strict=True)):
        ids[number, : len(row)] = torch.tensor(row)
        if counts:
            at = len(each.prompt) - 1 - first
            labels[number, at : at + len(each.target)] = torch.tensor(each.target)
    return Batch(ids, torch.arange(first, longest), labels)
