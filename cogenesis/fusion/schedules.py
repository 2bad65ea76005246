"""At which steps the cloud is asked. A schedule looks at the device's part only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cogenesis.models.distribution import Distribution


class Schedule(Protocol):
    """Decides before a step whether the cloud is asked for it."""

    def asks(self, step: int, device: Distribution) -> bool:
        """`step` counts generated tokens from 0; `device` is its distribution there.

        The answer may depend on nothing else: lockstep and draft-and-verify must agree.
        """
        ...

    def beforehand(self, step: int) -> bool | None:
        """The same answer without the device's distribution; None if that is needed.

        It lets lockstep ask both models at the same time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Always:
    """Every step."""

    def asks(self, step: int, device: Distribution) -> bool:
        return True

    def beforehand(self, step: int) -> bool | None:
        return True


@dataclass(frozen=True, slots=True)
class Periodic:
    """The paper's fixed clock with phases P, K, T.

    The first `prefix` steps ask; after that `quiet` steps without the cloud alternate with
    `asking` steps with it: a step asks if 0 <= (step - quiet - 1) mod (quiet + asking) <
    asking. The released class has 5, 10, 3, its documentation 1, 1, 1 (every second token).
    """

    prefix: int = 5
    quiet: int = 10
    asking: int = 3

    def __post_init__(self) -> None:
        if min(self.prefix, self.quiet, self.asking) < 0 or self.quiet + self.asking == 0:
            raise ValueError("phases are not negative, and quiet + asking is at least 1")

    def asks(self, step: int, device: Distribution) -> bool:
        return self.beforehand(step)

    def beforehand(self, step: int) -> bool:
        if step < self.prefix:
            return True
        return (step - self.quiet - 1) % (self.quiet + self.asking) < self.asking


@dataclass(frozen=True, slots=True)
class Unsure:
    """Where the device is unsure: its best token has less than `sure` probability.

    FS-GEN (arXiv 2406.12295) finds that under a fifth of the tokens need the large model
    and that the small model's uncertainty tells which.
    """

    sure: float = 0.8

    def asks(self, step: int, device: Distribution) -> bool:
        return float(np.exp(device.logprobs.max())) < self.sure

    def beforehand(self, step: int) -> bool | None:
        return None
