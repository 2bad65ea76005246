"""What a gate is fitted to: positions of `train extract`, ready for arithmetic.

Both models stand on K + 2 entries: the K candidates, the token that came where it is no
candidate, and the bucket of all others. So the rule `mixture` scores that token exactly as
`evaluate bits` does with its long lists; `logits` comes near it, because it divides by a sum over
all tokens in which the bucket counts as one. What the gate itself looks at (features, the paper's
entries) comes from the K candidates alone: it never sees the token that came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cogenesis.errors import InputError
from cogenesis.fusion.gate_input import features
from cogenesis.fusion.gates import PAPER_K
from cogenesis.fusion.pool import TINY, Array
from cogenesis.training.extract_file import Text, extract_groups, extract_head
from cogenesis.training.extract_rows import Columns

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Positions at which the cloud was asked, N of them.

    Attributes:
        text: int64 (N,), index of the text.
        device, cloud: float32 (N, K + 2), log-probabilities as told above.
        gold: int64 (N,), the entry of the token that came.
        x: float32 (N, 27), `gate_input.features`.
        entries: int64 (N, 2 · 10), rows of the paper's first layer: token ids, V + ids for the
            cloud. values: float32 (N, 2 · 10), its input there.
    """

    text: Ints
    device: Floats
    cloud: Floats
    gold: Ints
    x: Floats
    entries: Ints
    values: Floats

    def __len__(self) -> int:
        return len(self.text)

    def of(self, chosen: npt.NDArray[np.bool_]) -> Positions:
        """Those of the chosen texts."""
        at = chosen[self.text]
        return Positions(**{each.name: getattr(self, each.name)[at] for each in fields(self)})


@dataclass(frozen=True, slots=True, eq=False)
class GateData:
    """Texts and their positions.

    Attributes:
        heads: what each file says about itself.
        texts: whose they are.
        tokens, bytes, held, held_bits, device_bits: of each text: positions in all, their
            bytes, those at which the cloud is not asked, what the device pays for these and
            for all.
        positions: the others.
    """

    heads: list[dict[str, Any]]
    texts: list[Text]
    tokens: Ints
    bytes: Ints
    held: Ints
    held_bits: Array
    device_bits: Array
    positions: Positions

    @property
    def groups(self) -> list[str]:
        """The group of each text."""
        return [each.group for each in self.texts]

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """For each text, whether the device model was tuned on it."""
        return np.array([each.seen for each in self.texts], dtype=np.bool_)


def read_gate_data(paths: Sequence[Path]) -> GateData:
    """Read files of `train extract` that were made with one pair of models.

    The device models may be differently tuned, as in cross-fitting; vocabulary and cloud are one.

    Raises:
        InputError: a file cannot be read, they do not fit together, or hold nothing.
    """
    heads = [extract_head(path) for path in paths]
    _check_together(paths, heads)
    size = int(heads[0]["about"]["device"].get("tokens") or 0)
    texts: list[Text] = []
    figures: list[tuple[int, int, int, float, float]] = []
    parts: list[Positions] = []
    for path in paths:
        for text, columns in extract_groups(path):
            bits = columns.gold_logprob.astype(np.float64) / -np.log(2.0)
            held = columns.held
            figures.append(
                (
                    len(columns),
                    int(columns.size.sum()),
                    int(held.sum()),
                    float(bits[held].sum()),
                    float(bits.sum()),
                )
            )
            parts.append(positions_of(columns, len(texts), size))
            texts.append(text)
    if not texts or not any(map(len, parts)):
        raise InputError("these files hold no position at which the cloud was asked")
    joined = {
        each.name: np.concatenate([getattr(part, each.name) for part in parts])
        for each in fields(Positions)
    }
    tokens, size_, held_, held_bits, all_bits = (
        np.array(each) for each in zip(*figures, strict=True)
    )
    return GateData(heads, texts, tokens, size_, held_, held_bits, all_bits, Positions(**joined))


def _check_together(paths: Sequence[Path], heads: Sequence[dict[str, Any]]) -> None:
    first = heads[0]
    for path, head in zip(paths, heads, strict=True):
        for role, name in (("device", "vocabulary"), ("device", "tokens"), ("cloud", "sha256")):
            mine, its = (each["about"][role].get(name) for each in (first, head))
            if mine != its:
                raise InputError(f"{path} was made with another {role} model than {paths[0]}")
        if head["k"] != first["k"]:
            raise InputError(f"{path} has {head['k']} candidates, {paths[0]} has {first['k']}")


def positions_of(columns: Columns, text: int, vocabulary: int) -> Positions:
    """The positions of one text at which the cloud was asked."""
    asked = ~columns.held
    kept = Columns(**{each.name: getattr(columns, each.name)[asked] for each in fields(columns)})
    device, cloud = pools(kept)
    entries, values = _paper(kept, device, cloud, vocabulary)
    x = features(device, cloud, kept.kinds, kept.step.astype(np.int64))
    a, b, gold = _with_gold(kept, device, cloud)
    return Positions(
        np.full(len(kept), text, dtype=np.int64),
        a.astype(np.float32),
        b.astype(np.float32),
        gold,
        x.astype(np.float32),
        entries,
        values,
    )


def pools(kept: Columns) -> tuple[Array, Array]:
    """`fusion.pool.pooled` for many positions at once: device and cloud, shape (N, K + 1)."""
    p = np.exp(kept.logprobs.astype(np.float64))
    p = np.concatenate([p, kept.rest[:, None].astype(np.float64)], axis=1)
    p /= p.sum(axis=1, keepdims=True)
    mass = np.exp(kept.mass.astype(np.float64))
    q = np.concatenate([mass, kept.outside[:, None].astype(np.float64)], axis=1)
    nowhere = np.zeros((len(kept), 1), dtype=np.bool_)
    room = np.where(np.concatenate([kept.known, nowhere], axis=1), 0.0, p)
    total = room.sum(axis=1, keepdims=True)
    share = np.divide(room, total, out=np.zeros_like(room), where=total > 0.0)
    q = q + kept.unlisted[:, None] * share
    said = q.sum(axis=1, keepdims=True)
    q = np.where(said > 0.0, q / np.where(said > 0.0, said, 1.0), p)
    return np.log(np.maximum(p, TINY)), np.log(np.maximum(q, TINY))


def _with_gold(kept: Columns, device: Array, cloud: Array) -> tuple[Array, Array, Ints]:
    """Give the token that came an entry of its own, with its exact log-probabilities."""
    n, k = kept.ids.shape
    is_gold = kept.ids == kept.gold[:, None]
    listed = is_gold.any(axis=1)
    gold = np.where(listed, is_gold.argmax(axis=1), k)
    found = []
    for values, exact in ((device, kept.gold_logprob), (cloud, kept.gold_cloud)):
        own = np.exp(exact.astype(np.float64))
        bucket = np.exp(values[:, -1]) - np.where(listed, 0.0, own)
        entry = np.full((n, 1), np.log(TINY))
        wide = np.concatenate(
            [values[:, :-1], entry, np.log(np.maximum(bucket, TINY))[:, None]], axis=1
        )
        wide[np.arange(n), gold] = np.log(np.maximum(own, TINY))
        found.append(wide)
    return found[0], found[1], gold.astype(np.int64)


def _paper(
    kept: Columns, device: Array, cloud: Array, vocabulary: int
) -> tuple[Ints, npt.NDArray[np.float32]]:
    """`PaperGate`'s rows and input: its own list of the cloud where ids mean the same."""
    mine, mine_ids = device[:, :-1], kept.ids.astype(np.int64)
    own = kept.own_ids[:, :1] >= 0 if len(kept) else np.zeros((0, 1), dtype=np.bool_)
    parts_ids, parts_values = [], []
    at = np.argsort(-mine, axis=1, kind="stable")[:, :PAPER_K]
    parts_ids.append(np.take_along_axis(mine_ids, at, 1))
    parts_values.append(_above(np.take_along_axis(mine, at, 1)))
    at = np.argsort(-cloud[:, :-1], axis=1, kind="stable")[:, :PAPER_K]
    its, its_ids = np.take_along_axis(cloud, at, 1), np.take_along_axis(mine_ids, at, 1)
    listed = kept.own_logprobs.astype(np.float64)
    best = np.argsort(-listed, axis=1, kind="stable")[:, :PAPER_K]
    own_ids = np.take_along_axis(kept.own_ids, best, 1)
    listed = np.where(own_ids < 0, np.nan, np.take_along_axis(listed, best, 1))
    parts_ids.append(vocabulary + np.where(own, np.maximum(own_ids, 0), its_ids))
    parts_values.append(_above(np.where(own, listed, its)))
    entries = np.concatenate(parts_ids, axis=1).astype(np.int64)
    return entries, np.concatenate(parts_values, axis=1).astype(np.float32)


def _above(values: Array) -> Array:
    """max(0, l - l_K); nothing for entries that there are not."""
    if not values.size:
        return values
    lowest = np.nanmin(values, axis=1, keepdims=True)
    found: Array = np.nan_to_num(values - lowest, nan=0.0)
    return found
