"""`cogenesis write --preview`: what would leave, decided by the same guard as the real thing.

Not covered: the text around the general instruction depends on the server, which a preview does
not ask. An instruct model gets turns (and its template adds marks), a base model one text; unless
`--cloud-kind` tells which, both are shown. What an earlier process released is in the ledger,
which a preview leaves closed: `write` may still refuse what completes a name in pieces (R11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer

from cogenesis.assistant import general_instruction
from cogenesis.cli.screen import preview_json
from cogenesis.errors import GuardRefusedError
from cogenesis.fusion.opening import fusion_prompt
from cogenesis.sketch.prompt import outline_prompt

if TYPE_CHECKING:
    from cogenesis.assistant import Protection, Task
    from cogenesis.cli.screen import Screen
    from cogenesis.models.cloud_connection import CloudKind
    from cogenesis.models.protocol import Prompt
    from cogenesis.privacy.released import GeneralInstruction, Released

ALSO_SENDS: Final = (
    "In fusion mode the text itself leaves too, as it grows, and so do words that are tried and "
    "thrown away. Private spans in it are replaced by placeholders such as “[person 1]”. Number, "
    "order and position of these spans stay visible, and which of them are the same. All other "
    "words leave as they are."
)
"""What cannot be shown before the text is written."""


_CHATS: Final = frozenset({"openai-chat", "vllm", "sglang"})
"""Kinds of server that are asked for a sketch by turns, whatever the model is."""

_PLAIN: Final = frozenset({"openai-completion", "openai-echo", "openai-echo-last"})
"""Servers that go on with a text, whatever the model is."""


def show_preview(
    task: Task, protection: Protection, screen: Screen, *, as_json: bool, kind: CloudKind = "auto"
) -> None:
    """Show it and send nothing. No model is loaded, and no session remembers it.

    Raises:
        InstructionError: the instruction is empty or too long.
        GuardRefusedError: `task.general`, the user's own words, holds private matter.
    """
    guard = protection.preview_guard(task)
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
    sent = ""
    if general is not None:
        sent = _as_text((fusion_prompt if fusion else outline_prompt)(general), kind, fusion=fusion)
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
    level = protection.level
    screen.say(f"Policy “{level.name}”: {level.promise}", "dim")
    if refused is not None:
        screen.say(refused, "yellow")
    if sent:
        screen.say("inside this fixed text, the same for everybody:", "dim")
        screen.say(sent, "dim")
    if also is not None:
        screen.say(also, "yellow")


def _as_text(prompt: Prompt[Released], kind: CloudKind, *, fusion: bool) -> str:
    """The prompt in the form that this kind of server gets; in both where that is not known."""
    turns = "\n".join(
        f"{message.role}: {''.join(part.text for part in message.parts)}"
        for message in prompt.messages
    )
    plain = "".join(part.text for part in prompt.completion)
    # In fusion a server with templates is shown the turns only if the model has one.
    if kind == "openai-chat" or (kind in _CHATS and not fusion):
        return turns
    if kind in _PLAIN:
        return plain
    return (
        f"To an instruct model, as turns:\n{turns}\n\nTo a base model, as one text:\n{plain}\n\n"
        "Which of the two depends on the model that the server has."
    )
