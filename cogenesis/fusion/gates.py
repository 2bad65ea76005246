"""Gates: the weight of the device model at one position, learned.

Two kinds. `PaperGate` is the network of CoGenesis section 3.3, over both vocabularies.
`SmallGate` looks at 27 numbers that mean the same for every pair of models. Both see what
`gate_input` says; `gate_file` keeps them; `train gate` fits them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from cogenesis.errors import ModelFileError
from cogenesis.fusion.gate_input import FEATURES, features, most_probable, seen
from cogenesis.fusion.pool import Array, Pool
from cogenesis.models.distribution import Distribution

Floats = npt.NDArray[np.float32]

HIDDEN: Final = 512
LAST: Final = 16

PAPER_K: Final = 10
"""Entries of each model that the paper's network looks at."""


class Gate(Protocol):
    """Gives the device model's weight, from 0 to 1."""

    def weight(
        self, pool: Pool, device: Distribution, cloud: Distribution | None, step: int
    ) -> float:
        """`step` counts generated tokens from 0.

        `cloud` is its list of tokens of the same vocabulary, None across vocabularies.
        """
        ...


@dataclass(frozen=True, slots=True)
class FixedWeight:
    """The same weight everywhere."""

    value: float = 0.5

    def weight(
        self, pool: Pool, device: Distribution, cloud: Distribution | None, step: int
    ) -> float:
        return self.value


def _relu(values: Floats) -> Floats:
    return np.maximum(values, np.float32(0.0))


def _sigmoid(value: float) -> float:
    return float(1.0 / (1.0 + np.exp(-np.clip(value, -60.0, 60.0))))


@dataclass(frozen=True, slots=True, eq=False)
class PaperGate:
    """w = sigmoid(MLP([x_device; x_cloud])), 2V → 512 → 16 → 1 with ReLU (CoGenesis, 3.3).

    A model's input x is max(0, l - l_K) for its K = 10 most probable tokens, l_K the smallest
    of their log-probabilities, and 0 for all others. (The released code fills unlisted logits
    with 0, which is a high logit; subtracting l_K makes 0 mean "least".) So the first layer
    needs only K of its V rows for each model: the same numbers, computed from 2K rows.

    Across vocabularies x_cloud is over the device's tokens, too: what `pool` carried over to
    the device's candidates.

    Attributes:
        first: float32, shape (2 V, 512): input-major, so that a token's row is contiguous.
        first_bias: shape (512,). second: (512, 16). second_bias: (16,). third: (16,).
        third_bias: a number.
    """

    first: Floats
    first_bias: Floats
    second: Floats
    second_bias: Floats
    third: Floats
    third_bias: float

    def __post_init__(self) -> None:
        wanted = {
            "first": (self.first.shape[0], HIDDEN),
            "first_bias": (HIDDEN,),
            "second": (HIDDEN, LAST),
            "second_bias": (LAST,),
            "third": (LAST,),
        }
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ModelFileError(f"a gate's {name} has shape {shape}, this one has another")
        if self.first.shape[0] % 2:
            raise ModelFileError("a gate's first layer has two rows for each token")

    @property
    def vocabulary(self) -> int:
        """V, the number of tokens of each model."""
        return len(self.first) // 2

    def weight(
        self, pool: Pool, device: Distribution, cloud: Distribution | None, step: int
    ) -> float:
        return self.of(device, projected(pool, device) if cloud is None else cloud)

    def of(self, device: Distribution, cloud: Distribution) -> float:
        """The weight from the listed entries of both models, in 2 K rows of the first layer.

        Raises:
            ModelFileError: a token id is beyond the gate's vocabulary.
        """
        hidden = self.first_bias.copy()
        for offset, one in ((0, device), (self.vocabulary, cloud)):
            best = most_probable(one, PAPER_K)
            if best.ids[-1] >= self.vocabulary:
                raise ModelFileError("the gate was made for a smaller vocabulary")
            hidden += paper_input(best) @ self.first[offset + best.ids]
        return self._rest(hidden)

    def dense(self, device: Distribution, cloud: Distribution) -> float:
        """The same by the whole first layer: the reference for tests and the benchmark."""
        x = np.zeros(2 * self.vocabulary, dtype=np.float32)
        for offset, one in ((0, device), (self.vocabulary, cloud)):
            best = most_probable(one, PAPER_K)
            x[offset + best.ids] = paper_input(best)
        return self._rest(x @ self.first + self.first_bias)

    def _rest(self, hidden: Floats) -> float:
        last = _relu(_relu(hidden) @ self.second + self.second_bias)
        return _sigmoid(float(last @ self.third) + self.third_bias)

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        first, second = self.first.size + self.first_bias.size, self.second.size
        return first + second + self.second_bias.size + self.third.size + 1


def paper_input(one: Distribution) -> Floats:
    """max(0, l - l_K) of the listed tokens, in their order."""
    values: Floats = one.logprobs - one.logprobs.min()
    return values


def projected(pool: Pool, device: Distribution) -> Distribution:
    """The cloud's most probable tokens among the candidates that a gate looks at."""
    small, _ = seen(pool, device.tokens)
    at = np.sort(np.argsort(-small.cloud[:-1], kind="stable")[:PAPER_K])
    logprobs = small.cloud[at].astype(np.float32)
    rest = max(0.0, 1.0 - float(np.exp(small.cloud[at]).sum()))
    return Distribution(small.ids[at], logprobs, (b"",) * len(at), rest)


@dataclass(frozen=True, slots=True, eq=False)
class SmallGate:
    """A two-layer network on FEATURES x: w = sigmoid(v·tanh(W x + b) + u·x + c).

    `untrained` gives a fixed weight: W, v and u are zero.
    Shapes: W (H, 27), b (H,), v (H,), u (27,), c a number.
    """

    w: Array
    b: Array
    v: Array
    u: Array
    c: float

    def __post_init__(self) -> None:
        size, hidden = len(FEATURES), len(self.b)
        wanted = {"w": (hidden, size), "b": (hidden,), "v": (hidden,), "u": (size,)}
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ModelFileError(f"a gate's {name} has shape {shape}, this one has another")

    @classmethod
    def untrained(cls, weight: float = 0.5, hidden: int = 8) -> SmallGate:
        """Equal to `FixedWeight(weight)`, 0 < weight < 1."""
        size = len(FEATURES)
        zeros = np.zeros
        bias = float(np.log(weight) - np.log1p(-weight))
        return cls(zeros((hidden, size)), zeros(hidden), zeros(hidden), zeros(size), bias)

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return self.w.size + self.b.size + self.v.size + self.u.size + 1

    def weight(
        self, pool: Pool, device: Distribution, cloud: Distribution | None, step: int
    ) -> float:
        small, kinds = seen(pool, device.tokens)
        x = features(small.device, small.cloud, kinds, np.array(step))
        return self.of(x)

    def of(self, x: Array) -> float:
        """The weight from the features of one position."""
        return _sigmoid(float(self.v @ np.tanh(self.w @ x + self.b) + self.u @ x) + self.c)
