"""Both models' view of one position, on the same candidates.

A pool holds K candidates of the device model plus one bucket for all its other tokens. The
bucket is treated as tokens that share its mass in the device's own proportions; so every
rule of `mixing` can work on K + 1 numbers, and the result is a distribution over the whole
vocabulary: a token in the bucket gets `mixed[rest] * p_device(token) / p_device(rest)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cogenesis.models.distribution import Distribution

Array = npt.NDArray[np.float64]

TINY = 1e-30
"""Mass of a bucket that is empty up to rounding: its logarithm stays finite."""


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """What the cloud said about the device's candidates, before unlisted mass is spread.

    Attributes:
        mass: float64, shape (K,), cloud probability carried over to each candidate.
        known: bool, shape (K,), whether the cloud listed anything for the candidate.
        outside: listed mass that belongs to none of the candidates.
        unlisted: mass of which the cloud did not say where it is.
        source: the cloud's own list, where both models have one vocabulary. Only the paper's
            gate looks at it.
    """

    mass: Array
    known: npt.NDArray[np.bool_]
    outside: float
    unlisted: float
    source: Distribution | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Natural log-probabilities over candidates and bucket, shape (K + 1,), normalised.

    Attributes:
        ids: int64, shape (K,), device token ids, ascending.
        device: the device model's.
        cloud: the cloud model's, with its unlisted mass spread.
    """

    ids: npt.NDArray[np.int64]
    device: Array
    cloud: Array


def pooled(device: Distribution, listed: Listed) -> Pool:
    """Spread the cloud's unlisted mass and put both models side by side.

    Unlisted mass goes to candidates that the cloud did not list, and to the bucket, in
    proportion to the device's probability. Where there is no such place (the cloud listed
    every candidate and the bucket is empty), the listed part is scaled up instead.
    """
    p = np.append(np.exp(device.logprobs.astype(np.float64)), max(device.rest, 0.0))
    p /= p.sum()
    q = np.append(listed.mass, listed.outside)
    room = np.where(np.append(listed.known, False), 0.0, p)
    if room.sum() > 0.0:
        q = q + listed.unlisted * room / room.sum()
    total = q.sum()
    if total <= 0.0:
        q, total = p.copy(), 1.0  # the cloud said nothing: it agrees with everything
    return Pool(device.ids, np.log(np.maximum(p, TINY)), np.log(np.maximum(q / total, TINY)))
