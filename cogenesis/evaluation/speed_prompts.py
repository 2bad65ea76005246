"""What is written while speed is measured: tasks of people, released by the guard as always."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cogenesis.context.budget import Window
from cogenesis.context.private_context import PrivateContext
from cogenesis.context.prompt import fitted_prompt
from cogenesis.context.sample_file import SampleFile
from cogenesis.demo import DEMO_INSTRUCTION, demo_person
from cogenesis.errors import GuardRefusedError, InputError, InstructionError
from cogenesis.evaluation.numbered_samples import LeftOut, first_samples
from cogenesis.models.protocol import DeviceModel, TokenIds
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.released import GeneralInstruction
from cogenesis.writing import lexicon_of

DEMO_INSTRUCTIONS: Final = (
    DEMO_INSTRUCTION,
    (
        "Write a short speech for the end of a concert: thank the singers and the helpers of the "
        "Lantern Choir, and say that the hat at the door is for the roof of the Net Loft"
    ),
    (
        "Write a letter to a neighbour about the noise of evening practice: we sing in Tidewell "
        "Hall until nine on Thursday 16 April, and after that the street is quiet again"
    ),
    (
        "Write a note that welcomes a new singer: Anselm comes on Thursday, he sits with the "
        "basses, and Tobias Merrin lends him the music"
    ),
)
"""Tasks of the sample person: a general part, then details that must stay here."""

_WINDOW_TOKENS: Final = 2048
"""Assumed where a model does not tell its window."""


@dataclass(frozen=True, slots=True)
class SpeedTask:
    """Somebody who wants a text; `number` is that of the sample in its file, from 1."""

    context: PrivateContext
    instruction: str
    number: int

    def __repr__(self) -> str:
        return "SpeedTask(hidden)"


@dataclass(frozen=True, slots=True)
class SpeedPrompt:
    """One text to write: what the device reads, and what the cloud may know of it."""

    ids: TokenIds
    general: GeneralInstruction
    lexicon: Lexicon

    def __repr__(self) -> str:
        return f"SpeedPrompt({len(self.ids)} tokens)"


@dataclass(frozen=True, slots=True)
class _TasksOf:
    """Each task is read when its turn comes: few of a large file are measured."""

    samples: SampleFile

    def __iter__(self) -> Iterator[SpeedTask]:
        for number, each in self.samples.items():
            yield SpeedTask(each.context, each.instruction, number)


def speed_tasks(data: Path | None, left_out: LeftOut) -> Iterable[SpeedTask]:
    """The tasks of a data set in the published form; without one, those of the sample person.

    `left_out` is told of the samples that are none.

    Raises:
        ContextError: the file cannot be read.
    """
    if data is None:
        person = demo_person()
        return [SpeedTask(person, each, at) for at, each in enumerate(DEMO_INSTRUCTIONS, start=1)]
    return _TasksOf(first_samples(data, None, left_out))


def speed_prompts(
    device: DeviceModel,
    tasks: Iterable[SpeedTask],
    limit: int,
    max_tokens: int,
    left_out: LeftOut,
) -> list[SpeedPrompt]:
    """The first `limit` tasks that the guard releases for the cloud.

    A task that it refuses is not written with a cloud at all, and one that does not fit the window
    not at all: they tell nothing about speed, and `left_out` is told of them.

    Raises:
        InputError: none is left.
    """
    found: list[SpeedPrompt] = []
    for task in tasks:
        if len(found) == limit:
            break
        lexicon = lexicon_of(task.context, task.instruction)
        try:
            general = Guard(lexicon_of(task.context)).derive(task.instruction)
            ids = prompt_ids(device, task.context, task.instruction, max_tokens)
        except GuardRefusedError:
            left_out(task.number, "the guard releases no general instruction")
            continue
        except InstructionError:
            left_out(task.number, "its instruction is too long for the device model's window")
            continue
        found.append(SpeedPrompt(ids, general, lexicon))
    if not found:
        raise InputError("none of these instructions can be used: give other --data")
    return found


def prompt_ids(
    device: DeviceModel, context: PrivateContext, instruction: str, max_tokens: int
) -> TokenIds:
    """The product's prompt for a text of at most so many tokens, without a sketch.

    Raises:
        InstructionError: the instruction does not fit the window.
    """
    window = Window(device.capabilities.context_tokens or _WINDOW_TOKENS, max_tokens)
    prompt = fitted_prompt(device.encode, context, instruction, window)
    return device.encode(prompt.prompt)
