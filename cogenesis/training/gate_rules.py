"""The mixing rules of `fusion.mixing` in torch, so that a loss can go through them.

The same arithmetic, on logits of the weight: log w and log(1 - w) stay exact near 0 and 1.
A test compares the two to 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor

TorchRule = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]


def logits(device: Tensor, cloud: Tensor, z: Tensor) -> Tensor:
    """`mixing.logits` at the weight sigmoid(z). Shapes (N, K), (N, K), (N,)."""
    import torch

    weight = torch.sigmoid(z)[:, None]
    return torch.log_softmax(weight * device + (1.0 - weight) * cloud, dim=1)


def mixture(device: Tensor, cloud: Tensor, z: Tensor) -> Tensor:
    """`mixing.mixture` at the weight sigmoid(z). Shapes (N, K), (N, K), (N,)."""
    import torch
    from torch.nn.functional import logsigmoid

    mixed = torch.logaddexp(logsigmoid(z)[:, None] + device, logsigmoid(-z)[:, None] + cloud)
    return torch.log_softmax(mixed, dim=1)


TORCH_RULES: Final[dict[str, TorchRule]] = {"logits": logits, "mixture": mixture}
"""Those that have a weight to learn."""


def gold_nats(rule: TorchRule, device: Tensor, cloud: Tensor, gold: Tensor, z: Tensor) -> Tensor:
    """Cross-entropy of the fused distribution on the token that came, shape (N,)."""
    return -rule(device, cloud, z).gather(1, gold[:, None])[:, 0]
