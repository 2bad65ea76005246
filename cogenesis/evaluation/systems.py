"""The systems whose texts are compared, by the names that DESIGN section 7 gives them.

cloud               the cloud model alone, from the general instruction: no context
device              the device model alone, as configured, with the context
device:zero-shot    the same model as it was before tuning
sketch              the cloud outlines, the device fills in
fusion:RULE         both decide each token; RULE@WEIGHT sets the device model's share
fusion:gate         with a trained gate (its own rule)
cloud:instruction   the cloud model alone, from the whole instruction (the paper's "without
                    context"): needs published data
cloud:context       the cloud model with the whole context, the upper bound: likewise
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from cogenesis.errors import InputError
from cogenesis.fusion.gate_file import TrainedGate
from cogenesis.fusion.mixing import RULES
from cogenesis.fusion.settings import FusionSettings

Told = Literal["general", "instruction", "context"]

DEFAULT: Final = ("cloud", "device", "sketch", "fusion:mixture")
UPPER_BOUND: Final = "cloud:context"
_CLOUD: Final[dict[str, Told]] = {
    "cloud": "general",
    "cloud:instruction": "instruction",
    UPPER_BOUND: "context",
}
_DEVICE: Final = {"device": False, "device:zero-shot": True}


@dataclass(frozen=True, slots=True)
class TextSystem:
    """Something that writes texts.

    Attributes:
        name: as above.
        mode: who writes.
        told: what a cloud that writes alone is told.
        zero_shot: whether the device model is the one before tuning.
        fusion: how both decide; of use in fusion only.
    """

    name: str
    mode: Literal["cloud", "device", "sketch", "fusion"]
    told: Told = "general"
    zero_shot: bool = False
    fusion: FusionSettings = field(default_factory=FusionSettings)

    @property
    def uses_device(self) -> bool:
        """Whether a device model takes part."""
        return self.mode != "cloud"

    @property
    def uses_cloud(self) -> bool:
        """Whether a cloud model takes part."""
        return self.mode != "device"

    @property
    def sends_context(self) -> bool:
        """Whether it breaks promise 1 on purpose, and needs published data."""
        return self.mode == "cloud" and self.told != "general"

    def settings(self) -> dict[str, Any]:
        """All that its texts depend on, beside the models: part of the key of a text."""
        told: dict[str, Any] = {"mode": self.mode, "told": self.told}
        if self.mode == "fusion":
            gate = self.fusion.gate
            told |= {
                "rule": self.fusion.rule,
                "weight": self.fusion.weight if gate is None else None,
                "schedule": self.fusion.schedule,
                "decoding": self.fusion.decoding,
                "gate": None if gate is None else gate.digest,
            }
        return told


def text_systems(names: Iterable[str], gate: TrainedGate | None = None) -> list[TextSystem]:
    """The systems of these names, each once.

    Raises:
        InputError: there is no such system, or `fusion:gate` without a gate.
    """
    return [_system(name, gate) for name in dict.fromkeys(names)]


def is_system(name: str) -> bool:
    """Whether this is the name of a system that can be made to write."""
    try:
        _system(name.replace("fusion:gate", "sketch"), None)
    except InputError:
        return False
    return True


def _system(name: str, gate: TrainedGate | None) -> TextSystem:
    if name in _CLOUD:
        return TextSystem(name, "cloud", told=_CLOUD[name])
    if name in _DEVICE:
        return TextSystem(name, "device", zero_shot=_DEVICE[name])
    if name == "sketch":
        return TextSystem(name, "sketch")
    kind, colon, rule = name.partition(":")
    if kind != "fusion" or not colon:
        raise _unknown(name)
    if rule == "gate":
        if gate is None:
            raise InputError("fusion:gate needs a trained gate: name its file with --gate")
        return TextSystem(name, "fusion", fusion=FusionSettings(rule=gate.rule, gate=gate))
    rule, at, weight = rule.partition("@")
    try:
        share = float(weight) if at else FusionSettings().weight
    except ValueError:
        raise _unknown(name) from None
    if rule not in RULES:
        raise _unknown(name)
    return TextSystem(name, "fusion", fusion=FusionSettings(rule=rule, weight=share))


def _unknown(name: str) -> InputError:
    known = [*_CLOUD, *_DEVICE, "sketch", *(f"fusion:{rule}" for rule in RULES), "fusion:gate"]
    return InputError(
        f"there is no system {name!r}: choose {', '.join(known)}; a fusion may end with @WEIGHT"
    )
