"""Two exact ways to judge a drafted token against the target.

Both use noise keyed by seed and position, in separate streams for each purpose. So a draft
that was discarded can be drawn again at the same position with the same noise: what decided
the positions before it is independent of that noise. The text then does not depend on how
it was cut into blocks, in either way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from cogenesis.fusion.coupling import choose, gumbels, uniforms
from cogenesis.fusion.mixing import log_normalised
from cogenesis.fusion.pool import Array
from cogenesis.fusion.target import Shaped

_ACCEPTING: Final = 0x243F6A8885A308D3
_REPAIRING: Final = 0x13198A2E03707344
"""Added to the seed for the other streams: digits of pi, no seed that a person picks."""

_ONE: Final = np.zeros(1, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which candidate stands at a position, and whether it is the drafted one."""

    at: int
    accepted: bool


class Verification(Protocol):
    """How drafts are drawn and judged. `position` counts generated tokens from 0."""

    def draft(self, proposal: Shaped, seed: int, position: int) -> int:
        """Index of the drafted candidate."""
        ...

    def judge(
        self, proposal: Shaped, target: Shaped, drafted: int, seed: int, position: int
    ) -> Verdict:
        """Keep the draft or name another. Both arguments have the same candidates."""
        ...


@dataclass(frozen=True, slots=True)
class Coupled:
    """Shared noise g (Daliri, Musco and Suresh 2025).

    Drafts are argmax(log q + g), emitted is argmax(log r + g): it never depends on the draft,
    which only saves time when it is right.
    """

    def draft(self, proposal: Shaped, seed: int, position: int) -> int:
        return choose(proposal.logprobs, proposal.ids, seed, position)

    def judge(
        self, proposal: Shaped, target: Shaped, drafted: int, seed: int, position: int
    ) -> Verdict:
        at = choose(target.logprobs, target.ids, seed, position)
        return Verdict(at, at == drafted)


def residual(target: Array, proposal: Array) -> Array:
    """log of max(0, r - q), normalised; r itself where nothing is left (r = q up to rounding)."""
    left = np.maximum(np.exp(target) - np.exp(proposal), 0.0)
    if left.sum() <= 0.0:
        return target
    with np.errstate(divide="ignore"):
        return log_normalised(np.log(left))


@dataclass(frozen=True, slots=True)
class Rejection:
    """Accept with probability min(1, r/q), else draw from the residual.

    (Leviathan, Kalman and Matias 2023; Chen et al. 2023.) The text follows the target's
    distribution, but it is another text than lockstep's with the same seed.
    """

    residual: Callable[[Array, Array], Array] = residual

    def draft(self, proposal: Shaped, seed: int, position: int) -> int:
        return choose(proposal.logprobs, proposal.ids, seed, position)

    def judge(
        self, proposal: Shaped, target: Shaped, drafted: int, seed: int, position: int
    ) -> Verdict:
        u = float(uniforms(seed + _ACCEPTING, position, _ONE)[0])
        ratio = float(target.logprobs[drafted] - proposal.logprobs[drafted])
        if u <= np.exp(min(0.0, ratio)):
            return Verdict(drafted, True)
        left = self.residual(target.logprobs, proposal.logprobs)
        noise = gumbels(seed + _REPAIRING, position, target.ids)
        return Verdict(int(np.argmax(left + noise)), False)
