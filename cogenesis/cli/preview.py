"""`cogenesis write --preview`: what would leave, decided by the same guard as the real thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer

from cogenesis.assistant import general_instruction, lexicon_of
from cogenesis.cli.screen import preview_json
from cogenesis.errors import GuardRefusedError
from cogenesis.fusion.opening import fusion_prompt
from cogenesis.privacy.guard import Guard
from cogenesis.sketch.prompt import outline_prompt

if TYPE_CHECKING:
    from cogenesis.assistant import Task
    from cogenesis.cli.screen import Screen
    from cogenesis.models.protocol import Prompt
    from cogenesis.privacy.released import GeneralInstruction, Released

ALSO_SENDS: Final = (
    "In fusion mode the text itself leaves too, as it grows, and so do words that are tried and "
    "thrown away. Private spans in it are replaced by placeholders such as “[person 1]”. Number, "
    "order and position of these spans stay visible, and which of them are the same. All other "
    "words leave as they are."
)
"""What cannot be shown before the text is written."""


def show_preview(task: Task, screen: Screen, *, as_json: bool) -> None:
    """Show it and send nothing. No model is loaded.

    Raises:
        InstructionError: the instruction is empty or too long.
        GuardRefusedError: `task.general`, the user's own words, holds private matter.
    """
    guard = Guard(lexicon_of(task.context), allow=task.allow)
    general: GeneralInstruction | None = None
    refused: str | None = None
    if task.mode == "device":
        guard.check_instruction(task.instruction)
    else:
        try:
            general = general_instruction(task, guard)
        except GuardRefusedError as error:
            if task.general is not None:
                raise
            refused = str(error)
    fusion = task.mode == "fusion"
    sent = (
        "" if general is None else _as_text((fusion_prompt if fusion else outline_prompt)(general))
    )
    also = ALSO_SENDS if fusion and general is not None else None
    private = guard.inspect(task.instruction)
    if as_json:
        typer.echo(preview_json(general, private, sent, refused, also))
        return
    screen.heading("What you typed")
    screen.marked(task.instruction, private)
    screen.heading(
        f"What would leave in {'fusion' if fusion else 'sketch'} mode (nothing was sent)"
    )
    screen.general(general)
    if refused is not None:
        screen.say(refused, "yellow")
    if sent:
        screen.say("inside this fixed text, the same for everybody:", "dim")
        screen.say(sent, "dim")
    if also is not None:
        screen.say(also, "yellow")


def _as_text(prompt: Prompt[Released]) -> str:
    return "\n".join(
        f"{message.role}: {''.join(part.text for part in message.parts)}"
        for message in prompt.messages
    )
