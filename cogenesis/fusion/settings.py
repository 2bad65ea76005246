"""What a person may choose about fusion, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from cogenesis.errors import InputError
from cogenesis.fusion.gate_file import TrainedGate
from cogenesis.fusion.gates import FixedWeight
from cogenesis.fusion.mixing import RULES
from cogenesis.fusion.schedules import Always, Periodic, Schedule, Unsure
from cogenesis.fusion.shaping import Shaping
from cogenesis.fusion.target import Target
from cogenesis.models.protocol import Sampling

SCHEDULES: Final[dict[str, Callable[[], Schedule]]] = {
    "always": Always,
    "paper": Periodic,
    "unsure": Unsure,
}


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """How two models decide each token together; used in fusion mode only.

    Attributes:
        rule: how their distributions are mixed; a name in `mixing.RULES`.
        weight: the device model's share, from 0 to 1, for rules that have one.
        schedule: at which tokens the cloud is asked: at all, by the paper's clock, or where
            the device is unsure. A name in SCHEDULES.
        decoding: one request for a block of drafted tokens, or one for each token. Both give
            the same text.
        gate: a trained gate that gives the weight at each token, in place of `weight`. It is
            of use with its own rule only.
    """

    rule: str = "mixture"
    weight: float = 0.5
    schedule: str = "always"
    decoding: Literal["draft-and-verify", "lockstep"] = "draft-and-verify"
    gate: TrainedGate | None = None

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise InputError(f"there is no mixing rule {self.rule!r}: choose {_names(RULES)}")
        if self.schedule not in SCHEDULES:
            raise InputError(f"there is no schedule {self.schedule!r}: choose {_names(SCHEDULES)}")
        if not 0.0 <= self.weight <= 1.0:
            raise InputError("the weight is the device model's share: a number from 0 to 1")
        if self.decoding not in ("draft-and-verify", "lockstep"):
            raise InputError("decoding is draft-and-verify or lockstep")
        if self.gate is not None and self.gate.rule != self.rule:
            raise InputError(
                f"this gate was fitted to the rule {self.gate.rule}, not to {self.rule}: "
                f"choose {self.gate.rule}"
            )

    def check_device(self, name: str, tokens: Sequence[bytes] | None) -> None:
        """Refuse a gate that was fitted for a device model with another vocabulary.

        Raises:
            InputError: as `TrainedGate.check_device`.
        """
        if self.gate is not None:
            self.gate.check_device(name, tokens)

    def target(self, sampling: Sampling) -> Target:
        """The distribution that is sampled with these settings."""
        return Target(
            rule=RULES[self.rule],
            gate=FixedWeight(self.weight) if self.gate is None else self.gate.gate,
            schedule=SCHEDULES[self.schedule](),
            shaping=Shaping(
                temperature=sampling.temperature,
                top_k=sampling.top_k,
                top_p=sampling.top_p,
                min_p=sampling.min_p,
                repeat_penalty=sampling.repeat_penalty,
                presence_penalty=sampling.presence_penalty,
            ),
        )


def _names(choices: Iterable[str]) -> str:
    return ", ".join(sorted(choices))
