"""A cloud model that writes alone: from what the guard released, or, for an upper bound on
published data, from the whole instruction or the whole context.

The upper bound is the paper's first finding: a large model with the context writes best. Its
prompt says the same things in the same order as the device model's (`context.prompt`), but is
made of strings of the marked file, word for word, and fixed text: no other text fits its type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cogenesis.fusion.opening import fusion_prompt
from cogenesis.models.protocol import CloudModel, Message, Prompt, Sampling, hang_up
from cogenesis.privacy.published import PublishedData
from cogenesis.privacy.released import GeneralInstruction, Released, public, published
from cogenesis.untrusted import clean
from cogenesis.wire import Deadline

MAX_TEXT_CHARS: Final = 40_000
"""What a cloud model writes is cut there: longer than any text that was asked for."""

_WRITE: Final = public("Write this text for another person. Answer with the text and nothing else.")
_FROM: Final = public(
    "You write a text for the author described here, in the author's own voice. Use what fits "
    "of the profile. Answer with the text and nothing else, in first person."
)
_TASK: Final = public("\n\nTask: ")
_PROFILE: Final = public("\n\n# The author\n")
_EARLIER: Final = public("\n\n# A text by the author: ")
_LINE: Final = public("\n")
_NOW: Final = public("\n\n# What the author writes now\n")
_TEXT: Final = public("\n\n# The text\n")
_STOP: Final = public("\n#")


def general_prompt(general: GeneralInstruction) -> Prompt[Released]:
    """The cloud without context: what it is told in fusion."""
    return fusion_prompt(general)


def instruction_prompt(data: PublishedData, sample: int) -> Prompt[Released]:
    """The cloud without context, as the paper has it: the whole instruction."""
    task = instruction_of(data, sample)
    return Prompt(
        messages=(Message("user", (_WRITE, _TASK, task)),),
        completion=(_WRITE, _NOW, task, _TEXT),
        stop=(_STOP,),
    )


def context_prompt(data: PublishedData, sample: int) -> Prompt[Released]:
    """The cloud with everything: profile, earlier texts, instruction."""
    parts: list[Released] = [_FROM, *context_parts(data, sample)]
    task = instruction_of(data, sample)
    return Prompt(
        messages=(Message("user", (*parts, _TASK, task)),),
        completion=(*parts, _NOW, task, _TEXT),
        stop=(_STOP,),
    )


def context_parts(data: PublishedData, sample: int) -> list[Released]:
    """Profile and earlier texts of a sample, as far as it has them."""
    parts: list[Released] = []
    if data.has(sample, "additional_profile"):
        parts += [_PROFILE, published(data, sample, "additional_profile")]
    at = 0
    while data.has(sample, "profile", at, "text"):
        parts.append(_EARLIER)
        if data.has(sample, "profile", at, "title"):
            parts.append(published(data, sample, "profile", at, "title"))
        parts += [_LINE, published(data, sample, "profile", at, "text")]
        at += 1
    return parts


def instruction_of(data: PublishedData, sample: int) -> Released:
    """What the user of a sample asked for."""
    return published(data, sample, *_turn(data, sample, ("user", "human")))


def reference_of(data: PublishedData, sample: int) -> Released:
    """The text that the user of a sample wrote."""
    return published(data, sample, *_turn(data, sample, ("assistant", "gpt")))


def _turn(data: PublishedData, sample: int, speakers: Sequence[str]) -> tuple[str | int, ...]:
    at = 0
    while data.has(sample, "conversations", at, "from"):
        place = ("conversations", at, "value")
        who = data.at(sample, "conversations", at, "from")
        if who in speakers and data.has(sample, *place):
            return place
        at += 1
    return ("conversations", "none")  # ends in an EgressError


def write_alone(
    cloud: CloudModel, prompt: Prompt[Released], sampling: Sampling, deadline_s: float
) -> tuple[str, int]:
    """The cloud's text and the number of its pieces.

    Raises:
        CloudError: the cloud failed.
        PrivacyError: nothing may be sent.
    """
    text, pieces = "", 0
    steps = cloud.generate(prompt, sampling, deadline=Deadline(deadline_s))
    try:
        for piece in steps:
            text += piece.text
            pieces += 1
            if len(text) > MAX_TEXT_CHARS:
                break
    finally:
        hang_up(steps)
    return clean(text[:MAX_TEXT_CHARS]).strip(), pieces
