"""From a mixed distribution to the one that is sampled: penalties, temperature, cuts.

The order is fixed and the same for drafts and target: penalties, temperature, top-k, top-p,
min-p. Only generated tokens are penalised, never the prompt. Everything works on the finite
candidate set; the bucket of all other tokens is dropped here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cogenesis.fusion.mixing import log_normalised
from cogenesis.fusion.pool import Array


@dataclass(frozen=True, slots=True)
class Shaping:
    """Sampling settings of fusion; 0 and 1 switch off as in `models.protocol.Sampling`."""

    temperature: float = 0.7
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0


def shaped(
    mixed: Array, ids: npt.NDArray[np.int64], generated: Sequence[int], shaping: Shaping
) -> Array:
    """Normalised log-probabilities of the candidates, shape (K,); cut ones are -inf.

    Args:
        mixed: log-probabilities of shape (K + 1,), the bucket last.
        ids: the K candidates, ascending.
        generated: token ids of the text so far.
        shaping: what to apply; temperature 0 leaves only the best (lowest id of equals).
    """
    values = _penalised(mixed[:-1].copy(), ids, generated, shaping)
    if shaping.temperature <= 0.0:
        best = np.full_like(values, -np.inf)
        best[int(np.argmax(values))] = 0.0
        return best
    values = log_normalised(values / shaping.temperature)
    if 0 < shaping.top_k < len(values):
        values = _keep(values, _order(values)[: shaping.top_k])
    if shaping.top_p < 1.0:
        order = _order(values)
        mass = np.cumsum(np.exp(values[order]))
        # The smallest set that reaches top_p: all before it is reached, and one more.
        values = _keep(values, order[: int(np.searchsorted(mass, shaping.top_p)) + 1])
    if shaping.min_p > 0.0:
        values = np.where(values < values.max() + np.log(shaping.min_p), -np.inf, values)
    return log_normalised(values)


def _penalised(
    values: Array, ids: npt.NDArray[np.int64], generated: Sequence[int], shaping: Shaping
) -> Array:
    """Repeat penalty (Keskar et al. 2019, CTRL) and presence penalty on generated tokens.

    Log-probabilities are at most 0, so the repeat penalty multiplies them.
    """
    if not generated or (shaping.repeat_penalty == 1.0 and shaping.presence_penalty == 0.0):
        return values
    seen = np.isin(ids, np.unique(np.asarray(generated, dtype=np.int64)))
    values[seen] = values[seen] * shaping.repeat_penalty - shaping.presence_penalty
    return values


def _order(values: Array) -> npt.NDArray[np.int64]:
    """Indexes, most probable first; the lower id first of equals."""
    return np.argsort(-values, kind="stable").astype(np.int64)


def _keep(values: Array, kept: npt.NDArray[np.int64]) -> Array:
    out = np.full_like(values, -np.inf)
    out[kept] = values[kept]
    return log_normalised(out)
