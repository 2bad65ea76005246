"""What a made-up task or text must not be, before it becomes a sample.

A task whose general part the guard would not let go teaches to leak; a text with unfilled slots
teaches to write them. What is refused is asked for again, then dropped, and counted by the words
that the functions here return.

Not covered: a dull text, a wrong fact, a text that does not do what the task asks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from cogenesis.context.private_context import PrivateContext
from cogenesis.data.leaks import released_as_it_is
from cogenesis.data.leftovers import leftovers, unfinished
from cogenesis.data.repeats import alike, runs

MIN_WORDS: Final = 40
MAX_WORDS: Final = 700
ECHO: Final = 8
"""So many words of the prompt's own in a row are no text of a person."""

SAME: Final = 0.5
"""A text that shares so many runs of three words with an earlier one of the person repeats it."""

_WORD: Final = re.compile(r"\w+")


def wrong_task(task: str, details: str, context: PrivateContext, earlier: Sequence[str]) -> str:
    """What is wrong with a task; "" if nothing."""
    if ": " in task or task.endswith(":"):
        return "colon in the general part"
    if any(alike(runs(task), runs(each)) > SAME for each in earlier):
        return "repeated"
    if leftovers(f"{task} {details}. One two three four five."):
        return "leftover"
    return "" if released_as_it_is(context, task) else "private in the general part"


def wrong_text(text: str, fixed: Sequence[str], earlier: Sequence[str]) -> str:
    """What is wrong with a text; "" if nothing.

    Args:
        text: what the model wrote.
        fixed: the fixed texts of the prompt that it was asked with.
        earlier: texts of the same person.
    """
    words = len(_WORD.findall(text))
    if words < MIN_WORDS:
        return "too short"
    if words > MAX_WORDS:
        return "too long"
    found = leftovers(text)
    if found:
        return found[0].kind
    if unfinished(text):
        return "unfinished"
    if echoes(text, fixed):
        return "echo of the prompt"
    if any(alike(runs(text), runs(each)) > SAME for each in earlier):
        return "repeated"
    return "loops" if _loops(text) else ""


def echoes(text: str, fixed: Sequence[str]) -> bool:
    """Whether ECHO words in a row are the prompt's own."""
    wanted = {run for each in fixed for run in _runs(each)}
    return any(run in wanted for run in _runs(text))


def _runs(text: str) -> list[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return [tuple(words[at : at + ECHO]) for at in range(len(words) - ECHO + 1)]


def _loops(text: str) -> bool:
    """Whether the text says the same again and again: under half of its runs are different."""
    every = _runs(text)
    return len(every) > ECHO and len(set(every)) < 0.5 * len(every)
