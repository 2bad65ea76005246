"""Gates: the weight of the device model at one position, learned.

Two kinds. `PaperGate` is the network of CoGenesis section 3.3, over both vocabularies.
`SmallGate` looks at a dozen numbers that mean the same for every pair of models.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from cogenesis.errors import InputError, ModelFileError
from cogenesis.fusion.pool import Array, Pool
from cogenesis.models.distribution import Distribution

Floats = npt.NDArray[np.float32]

HIDDEN: Final = 512
LAST: Final = 16


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

    A model's input x is max(0, l - l_K) for its K listed tokens, l_K the smallest listed
    log-probability, and 0 for all others. (The released code fills unlisted logits with 0,
    which is a high logit; subtracting l_K makes 0 mean "least".) So the first layer needs
    only K of its V rows for each model: the same numbers, computed from 2K rows.

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
        if cloud is None:
            raise InputError(
                "the paper's gate needs two models with one vocabulary: choose another gate"
            )
        return self.of(device, cloud)

    def of(self, device: Distribution, cloud: Distribution) -> float:
        """The weight from the listed entries of both models, in 2 K rows of the first layer.

        Raises:
            ModelFileError: a token id is beyond the gate's vocabulary.
        """
        hidden = self.first_bias.copy()
        for offset, one in ((0, device), (self.vocabulary, cloud)):
            if one.ids[-1] >= self.vocabulary:
                raise ModelFileError("the gate was made for a smaller vocabulary")
            hidden += paper_input(one) @ self.first[offset + one.ids]
        return self._rest(hidden)

    def dense(self, device: Distribution, cloud: Distribution) -> float:
        """The same by the whole first layer: the reference for tests and the benchmark."""
        x = np.zeros(2 * self.vocabulary, dtype=np.float32)
        x[device.ids] = paper_input(device)
        x[self.vocabulary + cloud.ids] = paper_input(cloud)
        return self._rest(x @ self.first + self.first_bias)

    def _rest(self, hidden: Floats) -> float:
        last = _relu(_relu(hidden) @ self.second + self.second_bias)
        return _sigmoid(float(last @ self.third) + self.third_bias)

    def save(self, path: Path) -> None:
        """Write as `.npz`, with the shapes of the paper's network."""
        np.savez(
            path,
            first=self.first,
            first_bias=self.first_bias,
            second=self.second,
            second_bias=self.second_bias,
            third=self.third,
            third_bias=np.float64(self.third_bias),
        )

    @classmethod
    def load(cls, path: Path) -> PaperGate:
        """Read what `save` wrote.

        Raises:
            ModelFileError: not such a file.
        """
        try:
            with np.load(path, allow_pickle=False) as held:
                third_bias = float(held["third_bias"])
                first, first_bias, second, second_bias, third = (
                    held[name].astype(np.float32)
                    for name in ("first", "first_bias", "second", "second_bias", "third")
                )
        except (OSError, ValueError, KeyError) as error:
            raise ModelFileError(f"{path.name} is no gate: {type(error).__name__}") from None
        return cls(first, first_bias, second, second_bias, third, third_bias)


def paper_input(one: Distribution) -> Floats:
    """max(0, l - l_K) of the listed tokens, in their order."""
    values: Floats = one.logprobs - one.logprobs.min()
    return values


FEATURES: Final = (
    "device entropy",
    "cloud entropy",
    "device best log-probability",
    "cloud best log-probability",
    "device's best in the cloud",
    "cloud's best in the device",
    "same best token",
    "rank of the device's best in the cloud",
    "rank of the cloud's best in the device",
    "device rest",
    "cloud rest",
    "overlap",
    "position",
)


def features(pool: Pool, step: int) -> Array:
    """What the small gate looks at: FEATURES, each roughly between -1 and 1, shape (13,).

    All are taken from the pool, so they mean the same for any two vocabularies.
    """
    p, q = np.exp(pool.device), np.exp(pool.cloud)
    device, cloud = pool.device[:-1], pool.cloud[:-1]
    best_p, best_q = int(np.argmax(device)), int(np.argmax(cloud))
    size = np.log(len(p))
    return np.array(
        [
            -(p * pool.device).sum() / size,
            -(q * pool.cloud).sum() / size,
            device[best_p] / 5.0,
            cloud[best_q] / 5.0,
            max(cloud[best_p], -20.0) / 10.0,
            max(device[best_q], -20.0) / 10.0,
            float(best_p == best_q),
            float(np.log1p((cloud > cloud[best_p]).sum())) / size,
            float(np.log1p((device > device[best_q]).sum())) / size,
            p[-1],
            q[-1],
            float(np.minimum(p, q).sum()),
            float(np.log1p(step)) / 6.0,
        ]
    )


@dataclass(frozen=True, slots=True, eq=False)
class SmallGate:
    """A two-layer network on FEATURES: w = sigmoid(v·tanh(W x + b) + u·x + c).

    `untrained` gives a fixed weight: all of W, v and u are zero. Training fits it to the
    probability mixture. Shapes: W (H, 13), b (H,), v (H,), u (13,), c a number.
    """

    w: Array
    b: Array
    v: Array
    u: Array
    c: float

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
        x = features(pool, step)
        return _sigmoid(float(self.v @ np.tanh(self.w @ x + self.b) + self.u @ x) + self.c)
