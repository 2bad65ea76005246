"""What a made-up task or text must not be, before it becomes a sample.

A task whose general part the guard would not let go teaches to leak; a text with unfilled slots
teaches to write them. What is refused is asked for again, then dropped, and counted by the words
that the functions here return.

Not covered: a dull text, a wrong fact, a text that does not do what the task asks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from cogenesis.data.leaks import clearing
from cogenesis.data.leftovers import leftovers, unfinished
from cogenesis.data.repeats import AGAIN, alike, runs
from cogenesis.data.rows import Row, row_of

MIN_WORDS: Final = 40
SHORTEST: Final = 5
"""Words: whatever is asked of a text, training takes no shorter one."""

MAX_WORDS: Final = 700
ECHO: Final = 6
"""So many words of a prompt's own in a row are no text of a person."""

SAME: Final = 0.5
"""A text that shares so many runs of three words with an earlier one of the person repeats it."""

DIFFERENT: Final = 0.85
"""Of the runs of three words in a text, at least so many are different ones, or it says the same
again and again. Of 1,317 published texts the least is 0.97; loops of a weak model have 0.01 to
0.75."""

LETTERS: Final = 0.75
"""Letters and spaces among the characters of a text. Of published texts and profiles the least is
0.90; what a weak model writes instead of prose has 0.6 to 0.8."""

LONGEST: Final = 60
"""Characters of a word. The longest published one has 38."""

_WORD: Final = re.compile(r"\w+")
_JOINED: Final = re.compile(r"(?:[^\W_]+[-_]){6,}")
"""Words strung together: "task_1-write-a-guide-to-the-office"."""

_LETTERS_ONLY: Final = re.compile(r"[^\W\d_]+")
_FEW: Final = 20
"""Runs of words: of fewer nothing is said."""


def wrong_task(
    task: str,
    details: str,
    clears: Callable[[str], bool],
    fixed: Sequence[str],
    earlier: Sequence[str],
    *,
    prose: bool = True,
) -> str:
    """What is wrong with a task; "" if nothing.

    Args:
        task, details: its two parts.
        clears: whether the guard lets a text go, for this person.
        fixed: the fixed texts of the prompts.
        earlier: general parts of the same person.
        prose: as in `wrong_text`.
    """
    if ": " in task or task.endswith(":"):
        return "colon in the general part"
    if prose and any(alike(runs(task), runs(each)) > SAME for each in earlier):
        return "repeated"
    wrong = wrong_lines([task, details], fixed, prose=prose)
    if wrong:
        return wrong
    return "" if clears(task) else "private in the general part"


def wrong_text(
    text: str, fixed: Sequence[str], earlier: Sequence[str], *, prose: bool = True
) -> str:
    """What is wrong with a text; "" if nothing.

    Args:
        text: what the model wrote.
        fixed: the fixed texts of the prompts.
        earlier: texts of the same person.
        prose: whether it must be prose that was not there before. Without, placeholders, remarks
            and an earlier text once more are looked for and nothing else: for a model that cannot
            write.
    """
    words = len(_WORD.findall(text))
    if len(text.split()) < SHORTEST or (prose and words < MIN_WORDS):
        return "too short"
    if words > MAX_WORDS:
        return "too long"
    found = leftovers(text)
    if found:
        return found[0].kind
    if any(alike(runs(text), runs(each)) > (SAME if prose else AGAIN) for each in earlier):
        return "repeated"
    if not prose:
        return ""
    if unfinished(text):
        return "unfinished"
    return "echo of the prompt" if echoes(text, fixed) else _no_prose(text)


def wrong_lines(lines: Sequence[str], fixed: Sequence[str], *, prose: bool = True) -> str:
    """What is wrong with short entries (of a portrait, a profile, an outline); "" if nothing.

    `prose` as in `wrong_text`.
    """
    if prose and any(echoes(each, fixed) for each in lines):
        return "echo of the prompt"
    # A short entry is no placeholder because it is short.
    if any(leftovers(f"{each}. One two three four five.") for each in lines):
        return "leftover"
    return _no_prose("\n".join(lines)) if prose else ""


def good_lines(
    lines: Sequence[str], fixed: Sequence[str], before: Sequence[str], *, prose: bool = True
) -> list[str]:
    """Short entries without those that are wrong, or say again what one `before` them says.

    `prose` as in `wrong_text`.
    """
    kept: list[str] = []
    for each in lines:
        others = [*before, *kept]
        if each not in others and not wrong_lines([*others, each], fixed, prose=prose):
            kept.append(each)
    return kept


def wrong_sample(sample: dict[str, Any]) -> str:
    """What is wrong with a finished sample; "" if nothing.

    The guard is asked once more, because it knows more now: the earlier texts, too.
    """
    row = row_of(1, sample)
    if not isinstance(row, Row):
        return "no sample"
    return "" if clearing(row.context)(row.general) else "private in the general part"


def echoes(text: str, fixed: Sequence[str]) -> bool:
    """Whether ECHO words in a row are the prompt's own."""
    wanted = {run for each in fixed for run in _runs(each)}
    return any(run in wanted for run in _runs(text))


def _runs(text: str) -> list[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return [tuple(words[at : at + ECHO]) for at in range(len(words) - ECHO + 1)]


def _no_prose(text: str) -> str:
    """Whether a text is made of loops, or of digits and signs, in one word; "" if it is prose."""
    words = _LETTERS_ONLY.findall(text.casefold())  # "1. I know. 2. I know." is a loop, too
    every = [tuple(words[at : at + 3]) for at in range(len(words) - 2)]
    if len(every) >= _FEW and len(set(every)) < DIFFERENT * len(every):
        return "loops"
    plain = sum(char.isalpha() or char.isspace() for char in text)
    strung = any(
        (len(word) > LONGEST or _JOINED.search(word)) and "://" not in word for word in text.split()
    )
    return "garbled" if strung or plain < LETTERS * len(text) else ""
