"""The outline prompt: all that a cloud model sees in sketch mode.

It is made of the general instruction, which the guard released, and fixed text. The fixed
text is plain on purpose: every word of it is among the most frequent of English (Zipf
frequency 4.5 or more), and it holds no names, dates or sensitive words, so that it cannot
coincide with a rare word that is private to somebody. A unit test checks each word.

Two forms. Instruct models get chat turns, without a system turn, which some chat templates
refuse. Base models get one text with three worked examples. A small base model copies what
it sees, so the examples differ in kind and each stays close to its own task;
`outline.parse_outline` drops a point that was copied all the same.
"""

from __future__ import annotations

import re
from typing import Final

from cogenesis.models.protocol import Message, Prompt, Sampling
from cogenesis.privacy.released import GeneralInstruction, PublicText, Released, public

OUTLINE_SAMPLING: Final = Sampling(
    temperature=0.8,
    top_p=0.9,
    # No repeat penalty: it weighs on the line breaks and numbers that a list needs, and the
    # demo model then writes long lines and stops early. The milder penalty is enough.
    presence_penalty=0.5,
    max_tokens=200,
)
"""Settled on the demo cloud model by `benchmarks/outline_quality.py`; see its results."""

_CHAT_RULE: Final = public(
    "Plan a text that another person is going to write. Answer with a list of 8 to 15 points,"
    " in the order of the text, each on a line of its own. A point has 3 to 5 words and says"
    " what one part of the text is about. Write the list and nothing else.\n\n"
)
_COMPLETION_RULE: Final = public(
    "Each text below has 8 to 15 main points, of 3 to 5 words each. The points say what the"
    " text is about, in order.\n\n"
)
_TASK: Final = public("Task: ")
_POINTS: Final = public("\nMain points of the text:\n")
# A base model that is shown the first number keeps to the list from the start.
_FIRST: Final = public("1.")
_GAP: Final = public("\n\n")

_EXAMPLES: Final[tuple[tuple[PublicText, PublicText], ...]] = (
    (
        public("Email to the team about the new office kitchen"),
        public(
            "1. The new kitchen is ready\n"
            "2. Thanks to the building crew\n"
            "3. Coffee and fresh fruit for everyone\n"
            "4. Space for lunch together\n"
            "5. How to book the kitchen\n"
            "6. Simple rules for keeping it clean\n"
            "7. Quiet hours in the afternoon\n"
            "8. Who to call with problems\n"
            "9. Join us for breakfast"
        ),
    ),
    (
        public("Write a guide to taking better photos of animals"),
        public(
            "1. Why animal photos are difficult\n"
            "2. Which camera to bring\n"
            "3. Learning how animals move\n"
            "4. Using early morning light\n"
            "5. Getting down to eye level\n"
            "6. Staying quiet and careful\n"
            "7. Looking at the background\n"
            "8. Common problems with color\n"
            "9. How to pick the best photo\n"
            "10. Sharing your animal photos"
        ),
    ),
    (
        public("Film review"),
        public(
            "1. First look at the film\n"
            "2. A family lost at sea\n"
            "3. The captain and his daughter\n"
            "4. Great acting in quiet scenes\n"
            "5. Beautiful pictures of the water\n"
            "6. Music that feels too loud\n"
            "7. A slow middle part\n"
            "8. The surprise at the end\n"
            "9. What the film is really about\n"
            "10. Who should watch it\n"
            "11. Final thoughts and score"
        ),
    ),
)

EXAMPLE_POINTS: Final[tuple[str, ...]] = tuple(
    re.sub(r"^\d+\. ", "", line) for _, points in _EXAMPLES for line in points.text.split("\n")
)
"""Every point of every example: a reply that repeats one has copied it."""

EXAMPLE_TASKS: Final = frozenset(task.text for task, _ in _EXAMPLES)
"""What the examples ask for: it stands where a general instruction does, and is nobody's."""


def outline_prompt(general: GeneralInstruction) -> Prompt[Released]:
    """Ask for an outline of 8 to 15 points of 3 to 5 words. Nothing but `general` varies."""
    return Prompt(
        messages=_messages(general),
        completion=_completion(general),
        # One point more than is kept; a blank line; the next task that a base model invents.
        stop=(public("\n16."), public("\n\n"), public("\nTask")),
    )


def _messages(general: GeneralInstruction) -> tuple[Message[Released], ...]:
    """The rule, two examples as turns that already happened, and the task."""
    (first_task, first), (second_task, second), _ = _EXAMPLES
    return (
        Message("user", (_CHAT_RULE, _TASK, first_task)),
        Message("assistant", (first,)),
        Message("user", (_TASK, second_task)),
        Message("assistant", (second,)),
        Message("user", (_TASK, general)),
    )


def _completion(general: GeneralInstruction) -> tuple[Released, ...]:
    """The rule, three worked examples, and the beginning of a fourth."""
    parts: list[Released] = [_COMPLETION_RULE]
    for task, points in _EXAMPLES:
        parts += [_TASK, task, _POINTS, points, _GAP]
    return (*parts, _TASK, general, _POINTS, _FIRST)
