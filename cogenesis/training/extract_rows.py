"""What is kept of one position of a text: enough to fit any gate without a model.

Both models are seen as in decoding (`fusion.target`): the device's K most probable tokens are
the candidates, what the cloud listed is carried over to them, through the shield. Beside that
stands the token that came, scored as `evaluate bits` does, with its much longer lists: where it
is no candidate, that says how probable each model found it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cogenesis.errors import ModelError
from cogenesis.evaluation.bits_positions import Position
from cogenesis.fusion.gate_input import kinds, most_probable
from cogenesis.fusion.gates import FixedWeight
from cogenesis.fusion.target import Target
from cogenesis.models.distribution import Distribution

OWN: Final = 16
"""Entries of the cloud's own list that are kept where ids mean the same in both models. The
paper's gate looks at 10."""

_CLOUD: Final = Target(gate=FixedWeight(0.0))
"""The cloud's side of the mixture."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The positions of one text, N of them, with K candidates each.

    Attributes:
        step: int32 (N,), counts the text's tokens from 0.
        size: int16 (N,), bytes of the token that came.
        held: bool (N,), whether the shield let the cloud not be asked. Then the device is
            alone, and all that is about the cloud is zero or -inf.
        gold: int32 (N,), the token that came. gold_logprob: float32 (N,), the device's. gold_cloud:
            float32 (N,), the cloud's, its unlisted mass spread as `evaluate bits` does.
        ids: int32 (N, K), candidates, ascending. logprobs: float16 (N, K), the device's.
        rest: float32 (N,), the device's mass outside.
        kinds: uint8 (N, K), what the candidates look like: `fusion.gate_input`.
        mass: float16 (N, K), natural logarithm of the cloud's mass, -inf for none.
        known: bool (N, K), whether the cloud listed anything for the candidate.
        outside, unlisted: float32 (N,), the cloud's mass elsewhere, and nowhere.
        own_ids: int32 (N, OWN), the cloud's own most probable tokens, -1 where there are none,
            all of them across vocabularies. own_logprobs: float16 (N, OWN).
    """

    step: npt.NDArray[np.int32]
    size: npt.NDArray[np.int16]
    held: npt.NDArray[np.bool_]
    gold: npt.NDArray[np.int32]
    gold_logprob: npt.NDArray[np.float32]
    gold_cloud: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int32]
    logprobs: npt.NDArray[np.float16]
    rest: npt.NDArray[np.float32]
    kinds: npt.NDArray[np.uint8]
    mass: npt.NDArray[np.float16]
    known: npt.NDArray[np.bool_]
    outside: npt.NDArray[np.float32]
    unlisted: npt.NDArray[np.float32]
    own_ids: npt.NDArray[np.int32]
    own_logprobs: npt.NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.step)

    def __repr__(self) -> str:
        return f"Columns({len(self)} positions)"


def columns(found: Iterable[Position], k: int) -> Columns:
    """Keep what matters of a text's positions.

    Raises:
        ModelError: the device listed fewer than `k` tokens, or as `Position.row.onto`.
    """
    rows = [_row(position, k) for position in found]
    parts = {name: [row[name] for row in rows] for name in _TYPES}
    shapes = {"ids": (k,), "logprobs": (k,), "kinds": (k,), "mass": (k,), "known": (k,)}
    shapes |= {"own_ids": (OWN,), "own_logprobs": (OWN,)}
    return Columns(
        **{
            name: np.array(parts[name], dtype=kind).reshape(len(rows), *shapes.get(name, ()))
            for name, kind in _TYPES.items()
        }
    )


_TYPES: Final[dict[str, type]] = {
    "step": np.int32,
    "size": np.int16,
    "held": np.bool_,
    "gold": np.int32,
    "gold_logprob": np.float32,
    "gold_cloud": np.float32,
    "ids": np.int32,
    "logprobs": np.float16,
    "rest": np.float32,
    "kinds": np.uint8,
    "mass": np.float16,
    "known": np.bool_,
    "outside": np.float32,
    "unlisted": np.float32,
    "own_ids": np.int32,
    "own_logprobs": np.float16,
}


def _row(position: Position, k: int) -> dict[str, object]:
    wide = position.device
    if len(wide) < k:
        raise ModelError(f"the device model lists {len(wide)} tokens only, and gates look at {k}")
    device = most_probable(wide, k)
    row: dict[str, object] = {
        "step": position.step,
        "size": position.size,
        "gold": position.gold,
        "gold_logprob": position.logprob,
        "ids": device.ids,
        "logprobs": device.logprobs,
        "rest": device.rest,
        "kinds": kinds(device),
    }
    return row | _cloud(position, device)


def _cloud(position: Position, device: Distribution) -> dict[str, object]:
    said, wide = position.row, position.device
    listed = None if said is None else said.onto(device)
    own_ids, own_logprobs = np.full(OWN, -1), np.full(OWN, -np.inf)
    if said is None or listed is None:
        nothing = np.zeros(len(device))
        return {
            "held": True,
            "gold_cloud": -np.inf,
            "mass": nothing - np.inf,
            "known": nothing > 0.0,
            "outside": 0.0,
            "unlisted": 0.0,
            "own_ids": own_ids,
            "own_logprobs": own_logprobs,
        }
    if listed.source is not None:
        own = most_probable(listed.source, OWN)
        own_ids[: len(own)], own_logprobs[: len(own)] = own.ids, own.logprobs
    with np.errstate(divide="ignore"):
        mass = np.log(listed.mass)
    return {
        "held": False,
        "gold_cloud": _CLOUD.score(
            wide, said.onto(wide), position.step, position.gold, position.logprob
        ),
        "mass": mass,
        "known": listed.known,
        "outside": listed.outside,
        "unlisted": listed.unlisted,
        "own_ids": own_ids,
        "own_logprobs": own_logprobs,
    }
