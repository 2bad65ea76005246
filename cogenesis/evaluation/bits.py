"""How well does each system know a person's text before it comes? In bits per byte.

A system gives every token of a text that the person really wrote a probability; the negative
log2 of it is what the token costs, and the sum over the text's UTF-8 bytes can be compared
across vocabularies. The end of the text is not scored.

Not covered: a model gets credit for the device's own cut into tokens only; other cuts of the
same text, which it would also write, count as nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from types import MappingProxyType
from typing import Final, Literal

from cogenesis.errors import InputError
from cogenesis.evaluation.bits_positions import Position
from cogenesis.fusion.gate_file import TrainedGate
from cogenesis.fusion.gates import FixedWeight
from cogenesis.fusion.mixing import RULES
from cogenesis.fusion.pool import Listed
from cogenesis.fusion.target import Target

ShieldState = Literal["on", "off"]

ZERO_SHOT: Final = "device:zero-shot"
"""The device model without its adapter."""

EVEN: Final = 0.5
"""The weight of systems whose names do not tell it."""

_WITHOUT_WEIGHT: Final = frozenset({"product", "max"})
"""Rules that do not look at the weight."""

NO_GATES: Final[Mapping[str, TrainedGate]] = MappingProxyType({})

_ALONE: Final = Target()
"""Without a word of the cloud any target is the device's own distribution."""


@dataclass(frozen=True, slots=True)
class BitsSettings:
    """What is measured. The same for all samples.

    Attributes:
        weights: the device model's shares in fusion; EVEN is always among them.
        device_k: entries of the device's distributions; the rest is one bucket.
        cloud_k: entries that the cloud is asked for at each position.
        max_tokens: longer texts are cut.
        shields: in which states of the shield the cloud is asked.
    """

    weights: tuple[float, ...] = (EVEN,)
    device_k: int = 1024
    cloud_k: int = 128
    max_tokens: int = 600
    shields: tuple[ShieldState, ...] = ("on",)

    def __post_init__(self) -> None:
        if any(not 0.0 <= weight <= 1.0 for weight in self.weights):
            raise InputError("--weight is the device model's share: a number from 0 to 1")
        if min(self.device_k, self.cloud_k, self.max_tokens) < 1:
            raise InputError("--device-k, --cloud-k and --max-tokens are at least 1")


@dataclass(frozen=True, slots=True)
class System:
    """Something that gives tokens probabilities.

    Attributes:
        name: as `evaluate bits` prints it.
        target: how the two models are mixed; None for the device alone.
    """

    name: str
    target: Target | None


def systems(
    weights: Sequence[float] = (), gates: Mapping[str, TrainedGate] = NO_GATES
) -> list[System]:
    """The device, the cloud, and every mixing rule: at EVEN, at these weights, with these gates.

    `cloud` is the cloud's side of the mixture. Where it may not be asked it is the device, as
    in every system; and what it does not list is spread as the device would.
    """
    found = [System("device", None), System("cloud", Target(gate=FixedWeight(0.0)))]
    others = [weight for weight in dict.fromkeys(weights) if weight != EVEN]
    for weight in (EVEN, *others):
        name = "" if weight == EVEN else f"@{weight:g}"
        found += [
            System(f"fusion:{rule}{name}", Target(rule=RULES[rule], gate=FixedWeight(weight)))
            for rule in RULES
            if weight == EVEN or rule not in _WITHOUT_WEIGHT
        ]
    for name, each in gates.items():
        found.append(System(name, Target(rule=RULES[each.rule], gate=each.gate)))
    return found


@dataclass(slots=True)
class Cost:
    """What one text costs with the shield in one state.

    Attributes:
        bits: by the names of the systems.
        held: positions at which the cloud may not be asked.
        held_bits: what the device alone pays for these.
    """

    bits: dict[str, float] = field(default_factory=dict)
    held: int = 0
    held_bits: float = 0.0


@dataclass(slots=True)
class TextCost:
    """What one text costs.

    Attributes:
        tokens: positions that were scored.
        bytes: UTF-8 bytes of these.
        costs: for each state of the shield.
    """

    tokens: int = 0
    bytes: int = 0
    costs: dict[ShieldState, Cost] = field(default_factory=dict)


def cost(
    found: Iterable[Position],
    measured: Sequence[System],
    shields: Sequence[ShieldState],
) -> TextCost:
    """Score every position by every system, from the same rows.

    Args:
        found: positions whose `rows` are those of `shields`, in this order.
        measured: the systems.
        shields: states of the shield.

    Raises: as `positions`, and as `Target.score`.
    """
    text = TextCost(costs={state: Cost({each.name: 0.0 for each in measured}) for state in shields})
    for position in found:
        text.tokens += 1
        text.bytes += position.size
        alone = _bits(position, _ALONE, None)
        for state, row in zip(shields, position.rows, strict=True):
            paid = text.costs[state]
            listed = None if row is None else row.onto(position.device)
            if row is None:
                paid.held += 1
                paid.held_bits += alone
            for system in measured:
                if system.target is None or listed is None:
                    paid.bits[system.name] += alone
                else:
                    paid.bits[system.name] += _bits(position, system.target, listed)
    return text


def device_bits(found: Iterable[Position]) -> float:
    """What the device model alone pays for a text."""
    return sum(_bits(position, _ALONE, None) for position in found)


def _bits(position: Position, target: Target, listed: Listed | None) -> float:
    score = target.score(position.device, listed, position.step, position.gold, position.logprob)
    return -score / log(2.0)
