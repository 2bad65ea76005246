"""What the cloud is told in fusion, before the shielded text: the general instruction.

As in `sketch.prompt`, the fixed text around it is plain and holds no rare word, so that it
cannot coincide with one that is private to somebody. It is the same for everybody.

Two forms. An instruct model gets one turn, and the text so far as the beginning of its own. A
base model goes on with a text that stands under its title.
"""

from __future__ import annotations

from typing import Final

from cogenesis.models.protocol import Message, Prompt
from cogenesis.privacy.released import GeneralInstruction, Released, public

_RULE: Final = public(
    "Write this text for another person. A name, a place or a number that you do not know"
    " is shown like this: [name 1]. Answer with the text and nothing else.\n\nTask: "
)
_TASK: Final = public("Title: ")
_TEXT: Final = public("\n\nText:\n")


def fusion_prompt(general: GeneralInstruction) -> Prompt[Released]:
    """The cloud's prompt, up to where the text begins. Nothing but `general` varies."""
    return Prompt(
        messages=(Message("user", (_RULE, general)),),
        completion=(_TASK, general, _TEXT),
    )
