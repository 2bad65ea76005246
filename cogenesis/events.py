"""What goes into the assistant and what comes out of it.

No repr of these shows private text: they may be logged.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from cogenesis.context.private_context import PrivateContext
from cogenesis.context.prompt import WRITING_SAMPLING
from cogenesis.errors import InputError
from cogenesis.fusion.settings import FusionSettings
from cogenesis.privacy.released import GeneralInstruction
from cogenesis.sketch.outline import Sketch

if TYPE_CHECKING:
    from cogenesis.privacy.egress import Traffic

Mode = Literal["auto", "sketch", "fusion", "device"]
CLOUD_DEADLINE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Task:
    """What to write, with which context.

    `general` replaces the derived general instruction; `allow` lets single identifiers
    through. `seed` makes the text reproducible on one machine.
    """

    instruction: str = field(repr=False)
    context: PrivateContext = field(default_factory=PrivateContext)
    mode: Mode = "auto"
    general: str | None = field(default=None, repr=False)
    allow: tuple[str, ...] = field(default=(), repr=False)
    seed: int = 0
    max_tokens: int = WRITING_SAMPLING.max_tokens
    cloud_deadline_s: float = CLOUD_DEADLINE_S
    fusion: FusionSettings = field(default_factory=FusionSettings)

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise InputError("max_tokens is at least 1")
        if not 0.0 <= self.cloud_deadline_s < math.inf:
            raise InputError("cloud_deadline_s is a number of seconds, 0 or more")


@dataclass(frozen=True, slots=True)
class Started:
    """What leaves (`general`, None if nothing), and what of the context the device reads.

    `notes` says what did not fit the device model's window, without private text.
    """

    general: GeneralInstruction | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outlined:
    """The cloud's outline has come."""

    sketch: Sketch


@dataclass(frozen=True, slots=True)
class Degraded:
    """The cloud's part is missing: the device model goes on alone. `reason` is one word."""

    reason: str
    message: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text, and who decided it.

    Attributes:
        weight: the device model's share in it, from 0 to 1.
        source: the model whose probability decided it; both where they agreed.
        fallback: one word if the cloud should have been asked and the device was alone (see
            `fusion.decoding.FusedToken`); None otherwise.
    """

    text: str = field(repr=False)
    weight: float = 1.0
    source: Literal["device", "cloud", "both"] = "device"
    fallback: str | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds from the call: to the first token, to the end; the cloud's and the device's
    part before the first token (`sketch_s` is the outline, in fusion the connection); tokens
    a second after it.
    """

    first_token_s: float | None
    total_s: float
    tokens_per_s: float | None
    sketch_s: float | None
    reading_s: float


@dataclass(frozen=True, slots=True)
class FusionFigures:
    """What fusion took.

    Attributes:
        same_vocabulary: both models number their tokens alike.
        acceptance: share of drafted tokens that were right; None in lockstep.
        held: share of the positions asked about at which the shield held text back.
        fallbacks: tokens that the device decided alone because the cloud did not answer.
    """

    same_vocabulary: bool
    acceptance: float | None
    held: float
    fallbacks: int


@dataclass(frozen=True, slots=True)
class Result:
    """A finished text with all that is known about how it came about."""

    text: str = field(repr=False)
    mode: Literal["sketch", "fusion", "device"]
    general: GeneralInstruction | None
    sketch: Sketch | None
    tokens: tuple[Token, ...]
    notes: tuple[str, ...]
    traffic: Traffic | None
    timing: Timing
    degraded: Degraded | None
    stopped: bool = False
    fusion: FusionFigures | None = None


Event = Started | Outlined | Degraded | Token | Result


def missing_answers(tokens: Sequence[Token]) -> Degraded | None:
    """What to say about tokens that went without the cloud in fusion; None if all had it."""
    reasons = Counter(token.fallback for token in tokens if token.fallback is not None)
    if not reasons:
        return None
    told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    # The pause after failures is no cause, unless an earlier text had these failures.
    first, *_ = sorted(reasons, key=lambda each: (each == "paused", -reasons[each]))
    message = f"{reasons.total()} of {len(tokens)} tokens were decided without the cloud: {told}"
    return Degraded(first, message)
