"""What can be chosen about a tuning run, and what follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

Form = Literal["with-context", "without-context", "with-sketch"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)
"""How a prompt looks, see `examples`."""

Precision = Literal["auto", "bfloat16", "float32"]

LORA_RATE: Final = 5e-4
FULL_RATE: Final = 5e-5
"""A LoRA takes about ten times the rate of full tuning."""

WARM_UP: Final = 0.1
"""Share of the updates over which the rate rises."""


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """All that the learned weights depend on, beside data and base.

    Attributes:
        forms: of the prompts, see `examples`. Each epoch shows a sample in one of them, in turn.
        full: tune all weights instead of a LoRA.
        rank: of the LoRA.
        epochs: how often each example is learned from, at most.
        learning_rate: its peak; None chooses by `full`.
        batch: examples an update.
        context_tokens: the window that prompts are cut to, as when the text is written.
        max_tokens: longest text; what is longer is cut.
        hold_out: share of the samples to validate with, where there is no file for that.
        patience: stop after so many epochs without gain; 0 never.
        limit: only the first samples.
        seed: of the order, the split and the new weights.
    """

    forms: tuple[Form, ...] = ("with-context",)
    full: bool = False
    rank: int = 16
    epochs: int = 3
    learning_rate: float | None = None
    batch: int = 8
    context_tokens: int = 4096
    max_tokens: int = 400
    hold_out: float = 0.1
    patience: int = 1
    limit: int | None = None
    seed: int = 0

    @property
    def rate(self) -> float:
        """The peak of the learning rate."""
        if self.learning_rate is not None:
            return self.learning_rate
        return FULL_RATE if self.full else LORA_RATE


@dataclass(frozen=True, slots=True)
class Hardware:
    """How it is computed; the outcome differs by rounding only.

    Attributes:
        precision: "auto" is bfloat16 where the processor computes in it.
        most_tokens: tokens computed at once; None chooses.
        recompute: compute activations twice instead of keeping them (less memory, more time).
        threads: of the processor.
        save_minutes: time between checkpoints.
    """

    precision: Precision = "auto"
    most_tokens: int | None = None
    recompute: bool = False
    threads: int = 1
    save_minutes: float = 5.0


def rate_at(step: int, total: int, peak: float) -> float:
    """The rate of an update, counted from 0: a linear rise, then half a cosine down to zero."""
    rising = max(1, round(total * WARM_UP))
    if step < rising:
        return peak * (step + 1) / rising
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))
