"""r = target(prefix): the one distribution that every way of decoding samples from.

Lockstep, draft-and-verify and scoring all call `Target`. It looks at the device's
distribution, at what the cloud said about it, at the step and at the text so far. It cannot
see a draft, so it cannot depend on one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from cogenesis.errors import CloudError, ModelError
from cogenesis.fusion.gates import FixedWeight, Gate
from cogenesis.fusion.mixing import Rule, mixture
from cogenesis.fusion.pool import Array, Listed, Pool, pooled
from cogenesis.fusion.schedules import Always, Schedule
from cogenesis.fusion.shaping import Shaping, shaped
from cogenesis.models.distribution import MASS_TOLERANCE, Distribution

Source = Literal["device", "cloud", "both"]

CANDIDATES: Final = 64
"""K: how many of its most probable tokens the device proposes."""

DECIDED: Final = 2 / 3
"""A model decided a token if its share of the token's probability is above this."""


@dataclass(frozen=True, slots=True, eq=False)
class Shaped:
    """What is sampled at one position.

    Attributes:
        ids: int64, shape (K,), the candidates, ascending.
        logprobs: shape (K,), normalised natural log-probabilities, -inf where cut.
        weight: the device model's weight; 1 where the device is alone.
        pool: both models before mixing, None where the device is alone.
    """

    ids: npt.NDArray[np.int64]
    logprobs: Array
    weight: float
    pool: Pool | None = None

    def source(self, at: int) -> Source:
        """Who decided the candidate with index `at`: by each model's share of w·p + (1-w)·q.

        For the probability mixture this is the chance that the token came from that model.
        For the other rules it is a way of speaking.
        """
        if self.pool is None:
            return "device"
        device = self.weight * np.exp(self.pool.device[at])
        cloud = (1.0 - self.weight) * np.exp(self.pool.cloud[at])
        share = device / (device + cloud) if device + cloud > 0.0 else 0.5
        if share > DECIDED:
            return "device"
        return "cloud" if share < 1.0 - DECIDED else "both"


@dataclass(frozen=True, slots=True)
class Target:
    """How two distributions become the one that is sampled.

    Attributes:
        rule: mixes both models' log-probabilities.
        gate: gives the device model's weight.
        shaping: penalties, temperature and cuts, after mixing.
        schedule: at which steps the cloud counts; elsewhere the device is alone.
        k: how many candidates the device proposes.
    """

    rule: Rule = mixture
    gate: Gate = field(default_factory=FixedWeight)
    shaping: Shaping = field(default_factory=Shaping)
    schedule: Schedule = field(default_factory=Always)
    k: int = CANDIDATES

    def at(
        self, device: Distribution, listed: Listed | None, step: int, generated: Sequence[int]
    ) -> Shaped:
        """The distribution of the token at `step`.

        Args:
            device: the device model's distribution there.
            listed: what the cloud said about its candidates; None if it was not asked, may
                not be asked, or failed: then the target is the device's own distribution.
            step: counts generated tokens from 0.
            generated: ids of the text so far, without the prompt.

        Raises:
            ModelError: the cloud's part is nonsense, or the gate does not fit it.
            InputError: the gate cannot work with these two models.
        """
        pool, weight, mixed = self._mixed(device, listed, step)
        values = shaped(mixed, device.ids, generated, self.shaping)
        return Shaped(device.ids, values, weight, pool)

    def alone(self, device: Distribution, generated: Sequence[int]) -> Shaped:
        """The device's own distribution after the same shaping: what drafts are drawn from."""
        return Shaped(
            device.ids, shaped(_with_rest(device), device.ids, generated, self.shaping), 1.0
        )

    def score(
        self,
        device: Distribution,
        listed: Listed | None,
        step: int,
        token_id: int,
        device_logprob: float | None = None,
    ) -> float:
        """Natural log-probability of any token under the mixture at temperature 1.

        No penalties, no cuts, full support. A token that is no candidate shares the bucket
        in the device's own proportions, so its `device_logprob` is needed.

        Raises:
            ModelError: the token is no candidate and `device_logprob` is missing; or as `at`.
        """
        at = int(np.searchsorted(device.ids, token_id))
        if at < len(device) and device.ids[at] == token_id:
            return float(self._mixed(device, listed, step)[2][at])
        if device_logprob is None:
            raise ModelError("to score a token that is no candidate, the device must score it")
        # Rounding can leave less in the bucket than one of its tokens has.
        device = replace(device, rest=max(device.rest, float(np.exp(device_logprob))))
        share = device_logprob - float(np.log(device.rest))
        return float(self._mixed(device, listed, step)[2][-1]) + share

    def _mixed(
        self, device: Distribution, listed: Listed | None, step: int
    ) -> tuple[Pool | None, float, Array]:
        if listed is None or not self.schedule.asks(step, device):
            return None, 1.0, _with_rest(device)
        check(listed, len(device))
        pool = pooled(device, listed)
        weight = self.gate.weight(pool, device, listed.source, step)
        return pool, weight, self.rule(pool.device, pool.cloud, weight)


def check(listed: Listed, candidates: int) -> None:
    """Refuse what no honest cloud says: the last look before its numbers are used.

    Not covered: numbers that are wrong but could be right.

    Raises:
        CloudError: wrong shapes, not finite, negative, or more mass than 1.
    """
    numbers = np.append(
        np.asarray(listed.mass, dtype=np.float64), [listed.outside, listed.unlisted]
    )
    if listed.mass.shape != (candidates,) or listed.known.shape != (candidates,):
        raise CloudError("bad-reply", "the cloud's answer is not about the device's candidates")
    if not np.isfinite(numbers).all() or (numbers < 0.0).any():
        raise CloudError("bad-reply", "the cloud's answer holds numbers that are no probabilities")
    if numbers.sum() > 1.0 + 2.0 * MASS_TOLERANCE:
        raise CloudError("bad-reply", "the cloud's probabilities sum to more than 1")


def _with_rest(device: Distribution) -> Array:
    """The device alone in a pool's form, by a pool's own arithmetic.

    So a cloud that agrees gives the same numbers as no cloud, up to rounding.
    """
    nothing = np.zeros(len(device))
    return pooled(device, Listed(nothing, nothing > 0.0, 0.0, 1.0)).device
