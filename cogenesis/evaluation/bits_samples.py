"""The samples that are measured, and why some are left out.

A sample that cannot be used is no reason to stop: it is told, counted and left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cogenesis.context.reader import Sample
from cogenesis.errors import ContextError, GuardRefusedError, InputError, InstructionError
from cogenesis.evaluation.bits_positions import Reference
from cogenesis.evaluation.speed_prompts import prompt_ids
from cogenesis.events import Task
from cogenesis.models.protocol import DeviceModel
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.released import GeneralInstruction
from cogenesis.writing import general_instruction, lexicon_of

_MARKS: Final = b"\xef\xbb\xbf \t\r\n"
"""What may stand before JSON: the byte order mark, and spaces."""


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


def refuse_private_data(path: Path) -> None:
    """Let only a list of samples be sent without the shield.

    A list in the published form is taken for published or made-up data, on the word of whoever
    gave `--unsafe-send-context`; a file with one object may be somebody's own context.

    Raises:
        InputError: it is no list, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            begun = file.read(4096).lstrip(_MARKS)
    except OSError as error:
        raise ContextError(f"{path} cannot be read: {error.strerror}.") from None
    if not begun.startswith(b"["):
        raise InputError(
            f"{path} is no list of samples, so it may be one person's own context. Without the "
            "shield only published or made-up data is sent: a list in the published form."
        )
    if re.search(rb'"origin"\s*:\s*"(?:own|licensed)"', begun):
        raise InputError(f"{path} is marked as private texts: they are not sent without the shield")


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
