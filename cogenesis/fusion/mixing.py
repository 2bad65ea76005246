"""Mixing rules: pure functions from two distributions to one.

All work on log-probabilities of shape (K + 1,), the last entry standing for every token
that is no candidate (see `pool`), and return normalised log-probabilities of that shape.
`weight` is the device model's share, from 0 (cloud alone) to 1 (device alone).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from cogenesis.fusion.pool import Array

Rule = Callable[[Array, Array, float], Array]


def log_normalised(values: Array) -> Array:
    """Shift log-values so that their exponentials sum to 1."""
    top = float(values.max())
    shifted: Array = values - (top + np.log(np.exp(values - top).sum()))
    return shifted


def logits(device: Array, cloud: Array, weight: float) -> Array:
    """The paper's rule: w·z_device + (1 - w)·z_cloud on logits (CoGenesis, section 3.3).

    Log-probabilities are logits up to a constant, which the normalisation removes. Within
    the bucket both models keep the device's proportions, so the bucket's entry is exact.
    """
    return log_normalised(weight * device + (1.0 - weight) * cloud)


def mixture(device: Array, cloud: Array, weight: float) -> Array:
    """w·p_device + (1 - w)·p_cloud: the linear opinion pool."""
    if weight >= 1.0:
        return log_normalised(device)
    if weight <= 0.0:
        return log_normalised(cloud)
    return log_normalised(np.logaddexp(np.log(weight) + device, np.log1p(-weight) + cloud))


def product(device: Array, cloud: Array, weight: float) -> Array:
    """p_device·p_cloud: product of experts; `weight` is not used.

    The bucket's entry is an upper bound: the product inside it depends on single tokens.
    """
    return log_normalised(device + cloud)


def maximum(device: Array, cloud: Array, weight: float) -> Array:
    """max(p_device, p_cloud), normalised; `weight` is not used."""
    return log_normalised(np.maximum(device, cloud))


def steered(cloud: Array, device: Array, device_without: Array, beta: float) -> Array:
    """Context steering: z_cloud + β·(z_device with context - z_device without).

    The direction that the context gives the device model, applied to the cloud model
    (He et al. 2024, "Context Steering"; Liu et al. 2024, "Tuning by proxy"). β = 0 is the
    cloud alone. `device_without` is aligned to the same candidates.
    """
    return log_normalised(cloud + beta * (device - device_without))


RULES: Final[dict[str, Rule]] = {
    "logits": logits,
    "mixture": mixture,
    "product": product,
    "max": maximum,
}
"""The rules with at most one weight, by the names that commands take."""
