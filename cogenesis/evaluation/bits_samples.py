"""The samples that are measured, and why some are left out.

A sample that cannot be used is no reason to stop: it is told, counted and left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cogenesis.context.reader import Sample
from cogenesis.errors import GuardRefusedError, InstructionError
from cogenesis.evaluation.bits_positions import Reference
from cogenesis.evaluation.speed_prompts import prompt_ids
from cogenesis.events import Task
from cogenesis.models.protocol import DeviceModel
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.released import GeneralInstruction
from cogenesis.writing import general_instruction, lexicon_of


class Tokenises(Protocol):
    """A device model that cuts texts into tokens; `LlamaCpp` is one."""

    def tokenise(self, text: str) -> tuple[tuple[int, ...], tuple[bytes, ...]]:
        """Ids and bytes of the tokens."""
        ...


@dataclass(frozen=True, slots=True)
class BitsSample:
    """One text to measure.

    Attributes:
        number: in the file, from 1.
        sample: the person, the task, the text.
        ids, pieces: the text in the device's tokens, cut to the length that is scored.
        cut: whether there was more.
    """

    number: int
    sample: Sample
    ids: tuple[int, ...]
    pieces: tuple[bytes, ...]
    cut: bool

    def __repr__(self) -> str:
        return f"BitsSample({self.number}, {len(self.ids)} tokens)"


@dataclass(frozen=True, slots=True)
class BitsTask:
    """A sample as both models get it: what the device reads, what the cloud may know."""

    reference: Reference
    general: GeneralInstruction
    lexicon: Lexicon


def bits_sample(
    number: int, sample: Sample, device: Tokenises, max_tokens: int
) -> BitsSample | str:
    """A sample in the device's tokens, or why it is left out."""
    ids, pieces = device.tokenise(sample.reference)
    if b"".join(pieces) != sample.reference.encode("utf-8", "replace"):
        return "the device model's tokens do not spell its text"
    cut = len(ids) > max_tokens
    return BitsSample(number, sample, ids[:max_tokens], pieces[:max_tokens], cut)


def bits_task(device: DeviceModel, found: BitsSample, max_tokens: int) -> BitsTask | str:
    """Prepare a sample as the product would, or say why it is left out."""
    sample = found.sample
    lexicon = lexicon_of(sample.context, sample.instruction)
    try:
        task = Task(sample.instruction, sample.context)
        general = general_instruction(task, Guard(lexicon_of(sample.context)))
        prompt = prompt_ids(device, sample.context, sample.instruction, max_tokens)
    except GuardRefusedError:
        # Its own words may name private spans.
        return "the guard releases no general instruction, so a cloud is not asked at all"
    except InstructionError:
        return "its instruction is too long for the device model's window"
    return BitsTask(Reference(prompt, found.ids, found.pieces), general, lexicon)
