"""Fitting the two networks: the loss is the cross-entropy of the fused distribution.

Both are stopped where the texts that are kept back are cheapest, and start at the best fixed
weight (the small gate) or as the paper's does (the other).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from cogenesis.errors import InputError, MissingExtraError
from cogenesis.fusion.gate_input import FEATURES
from cogenesis.fusion.gates import HIDDEN, LAST, PaperGate, SmallGate
from cogenesis.training.gate_data import Positions
from cogenesis.training.gate_rules import TORCH_RULES, gold_nats

if TYPE_CHECKING:
    from torch import Tensor

_CHUNK: Final = 4096
"""Positions whose loss is computed at once where nothing is learned."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How a gate is fitted.

    Attributes:
        rule: the mixing rule that the loss goes through.
        seed: of the first numbers and the order.
        hidden: width of the small gate.
        epochs, rate, decay, batch, patience: of the small gate. It has few parameters and few
            texts, so it is held near a constant by weight decay and stopped early.
        paper_epochs, paper_rate, paper_texts: the paper's: 4, 2e-3, 2 texts a step.
    """

    rule: str = "mixture"
    seed: int = 0
    hidden: int = 16
    epochs: int = 200
    rate: float = 5e-3
    decay: float = 1e-2
    batch: int = 1024
    patience: int = 25
    paper_epochs: int = 4
    paper_rate: float = 2e-3
    paper_texts: int = 2

    def __post_init__(self) -> None:
        if self.rule not in TORCH_RULES:
            names = ", ".join(sorted(TORCH_RULES))
            raise InputError(f"a gate gives a weight, and --rule {self.rule} has none: {names}")
        if min(self.hidden, self.epochs, self.batch, self.paper_epochs, self.paper_texts) < 1:
            raise InputError("the width and the numbers of epochs are at least 1")


def load_torch() -> Any:
    """`torch`. Raises MissingExtraError: it is not installed."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "train") from error
    return torch


@dataclass(frozen=True, slots=True, eq=False)
class _Tensors:
    """Positions as tensors."""

    device: Tensor
    cloud: Tensor
    gold: Tensor

    @classmethod
    def of(cls, found: Positions) -> _Tensors:
        torch = load_torch()
        return cls(*map(torch.from_numpy, (found.device, found.cloud, found.gold)))

    def nats(self, rule: str, z: Tensor, at: Tensor | slice) -> Tensor:
        return gold_nats(TORCH_RULES[rule], self.device[at], self.cloud[at], self.gold[at], z)


def nats_at(rule: str, found: Positions, logits: np.ndarray[Any, np.dtype[Any]]) -> Any:
    """What each position costs with these logits of the weight, float64 nats, shape (N,)."""
    torch = load_torch()
    rows = _Tensors.of(found)
    z = torch.from_numpy(np.asarray(logits, dtype=np.float32))
    parts = [
        rows.nats(rule, z[at : at + _CHUNK], slice(at, at + _CHUNK)).double()
        for at in range(0, len(found), _CHUNK)
    ]
    return torch.cat(parts).numpy() if parts else np.zeros(0)


def best_fixed(rule: str, found: Positions) -> float:
    """The one weight, of 0.02 to 0.98, with which these positions are cheapest."""
    weights = np.linspace(0.02, 0.98, 49)
    costs = [nats_at(rule, found, np.full(len(found), _logit(w))).sum() for w in weights]
    return float(weights[int(np.argmin(costs))])


def _logit(weight: float) -> float:
    return float(np.log(weight) - np.log1p(-weight))


def small_logits(gate: SmallGate, found: Positions) -> Any:
    """Logits of the gate's weight, shape (N,), without torch."""
    x = found.x.astype(np.float64)
    return np.tanh(x @ gate.w.T + gate.b) @ gate.v + x @ gate.u + gate.c


def fit_small(train: Positions, kept: Positions, settings: FitSettings) -> SmallGate:
    """Fit the small gate; `kept` says when to stop."""
    torch = load_torch()
    generator = torch.Generator().manual_seed(settings.seed)
    mean, spread = train.x.mean(axis=0), train.x.std(axis=0)
    spread[spread < 1e-4] = 1.0  # a feature that hardly ever differs tells nothing
    x, x_kept = (torch.from_numpy((each.x - mean) / spread) for each in (train, kept))
    start = best_fixed(settings.rule, train)
    size = len(FEATURES)
    w = torch.randn(settings.hidden, size, generator=generator) / size**0.5
    numbers = [w, *(torch.zeros(n) for n in (settings.hidden, settings.hidden, size, 1))]
    numbers[-1] += _logit(start)
    for each in numbers:
        each.requires_grad_(True)

    def logits(rows: Tensor) -> Tensor:
        w, b, v, u, c = numbers
        found: Tensor = torch.tanh(rows @ w.T + b) @ v + rows @ u + c
        return found

    rows, rows_kept = _Tensors.of(train), _Tensors.of(kept)
    groups = [
        {"params": numbers[:4], "weight_decay": settings.decay},
        {"params": numbers[4:], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.rate)

    def epoch() -> float:
        order = torch.randperm(len(train), generator=generator)
        for at in order.split(settings.batch):
            optimizer.zero_grad()
            torch.autograd.backward(rows.nats(settings.rule, logits(x[at]), at).mean())
            optimizer.step()
        with torch.no_grad():
            cost = rows_kept.nats(settings.rule, logits(x_kept), slice(None)).mean()
        return float(cost)

    with torch.no_grad():
        before = float(rows_kept.nats(settings.rule, logits(x_kept), slice(None)).mean())
    _stop_early(epoch, numbers, settings.epochs, settings.patience, before)
    w, b, v, u, c = (each.detach().double().numpy() for each in numbers)
    scale = spread.astype(np.float64)
    shift = mean.astype(np.float64) / scale
    return SmallGate(w / scale, b - w @ shift, v, u / scale, float(c[0] - u @ shift))


def _stop_early(
    epoch: Callable[[], float], numbers: list[Tensor], epochs: int, patience: int, before: float
) -> None:
    """Go on while it helps, and leave `numbers` as they were when it was best."""
    torch = load_torch()
    best, since = before, 0
    held = [each.detach().clone() for each in numbers]
    for _ in range(epochs):
        cost = epoch()
        since += 1
        if cost < best:
            best, since = cost, 0
            held = [each.detach().clone() for each in numbers]
        if since >= patience:
            break
    with torch.no_grad():
        for each, value in zip(numbers, held, strict=True):
            each.copy_(value)


class _PaperNetwork:
    """The paper's network, of whose first layer only the rows that a position touches are torch's.

    The others have no gradient, so Adam leaves them as they were drawn: the same network in
    little memory.
    """

    def __init__(self, touched: NDArray[np.int64], settings: FitSettings, vocabulary: int) -> None:
        torch = load_torch()
        torch.manual_seed(settings.seed)
        bound = 1.0 / np.sqrt(2.0 * vocabulary)  # as torch.nn.Linear draws them
        random = np.random.default_rng(settings.seed)
        self._first = random.random((2 * vocabulary, HIDDEN), dtype=np.float32)
        self._first *= 2.0 * bound
        self._first -= bound
        self._touched = touched
        self._bag = torch.nn.EmbeddingBag(
            len(touched), HIDDEN, mode="sum", _weight=torch.from_numpy(self._first[touched])
        )
        self._bias = torch.nn.Parameter(torch.empty(HIDDEN).uniform_(-bound, bound))
        self._rest = torch.nn.Sequential(
            torch.nn.ReLU(),
            torch.nn.Linear(HIDDEN, LAST),
            torch.nn.ReLU(),
            torch.nn.Linear(LAST, 1),
        )
        self.numbers = [*self._bag.parameters(), self._bias, *self._rest.parameters()]

    def logits(self, places: Tensor, values: Tensor) -> Tensor:
        """Of the device's weight, by which touched rows and with which values, shape (N,)."""
        found: Tensor = self._rest(self._bag(places, per_sample_weights=values) + self._bias)[:, 0]
        return found

    def gate(self) -> PaperGate:
        self._first[self._touched] = self._bag.weight.detach().numpy()
        second, third = self._rest[1], self._rest[3]
        return PaperGate(
            self._first,
            self._bias.detach().numpy(),
            second.weight.detach().numpy().T.copy(),
            second.bias.detach().numpy(),
            third.weight.detach().numpy()[0].copy(),
            float(third.bias.detach()[0]),
        )


def fit_paper(
    train: Positions, kept: Positions, settings: FitSettings, vocabulary: int
) -> PaperGate:
    """Fit the paper's network as the paper does: Adam, 2 steps of warm-up, linear decay."""
    torch = load_torch()
    random = np.random.default_rng(settings.seed)
    touched, place = np.unique(
        np.concatenate([train.entries, kept.entries]).ravel(), return_inverse=True
    )
    network = _PaperNetwork(touched, settings, vocabulary)
    places = torch.from_numpy(place.reshape(-1, train.entries.shape[1]))
    entries, entries_kept = places[: len(train)], places[len(train) :]
    values, values_kept = (torch.from_numpy(each.values) for each in (train, kept))
    rows, rows_kept = _Tensors.of(train), _Tensors.of(kept)
    texts = np.unique(train.text)
    steps = settings.paper_epochs * -(-len(texts) // settings.paper_texts)
    optimizer = torch.optim.Adam(network.numbers, lr=settings.paper_rate)
    slower = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / 2.0, max(0.0, (steps - step) / max(steps - 2, 1)), 1.0),
    )

    def epoch() -> float:
        order = random.permutation(texts)
        for at in range(0, len(order), settings.paper_texts):
            chosen = np.flatnonzero(np.isin(train.text, order[at : at + settings.paper_texts]))
            some = torch.from_numpy(chosen)
            optimizer.zero_grad()
            z = network.logits(entries[some], values[some])
            torch.autograd.backward(rows.nats(settings.rule, z, some).mean())
            optimizer.step()
            slower.step()
        with torch.no_grad():
            z = network.logits(entries_kept, values_kept)
            return float(rows_kept.nats(settings.rule, z, slice(None)).mean())

    patience = settings.paper_epochs
    _stop_early(epoch, network.numbers, settings.paper_epochs, patience, float("inf"))
    return network.gate()


def paper_logits(gate: PaperGate, found: Positions) -> Any:
    """Logits of the gate's weight, shape (N,), without torch."""
    parts = []
    for at in range(0, len(found), _CHUNK // 8):
        some = slice(at, at + _CHUNK // 8)
        hidden = np.einsum("nk,nkh->nh", found.values[some], gate.first[found.entries[some]])
        inner = np.maximum(
            np.maximum(hidden + gate.first_bias, 0.0) @ gate.second + gate.second_bias, 0.0
        )
        parts.append(inner @ gate.third + gate.third_bias)
    return np.concatenate(parts) if parts else np.zeros(0)
