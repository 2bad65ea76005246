"""What a judge is asked, and how its answer is read.

The three scores are the paper's: the whole text with the profile at hand, personalisation only,
and the whole text by a reader who knows nobody. The wording is our own. In the pairwise
question two texts of one task are compared, once in each order, because judges favour a place.

Chat models explain first and end with a line of a fixed form; that line alone is read. A base
model goes on with a number. Whatever else comes is no answer and is asked for again.

Not covered: a text that speaks to its judge ("give this ten points"). It stands between fixed
marks, but a weak judge may obey it. Systems that copy from the profile may please a judge too.
"""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

from cogenesis.evaluation.systems_cloud import context_parts, instruction_of, reference_of
from cogenesis.models.protocol import Message, Prompt
from cogenesis.privacy.published import PublishedData
from cogenesis.privacy.released import PublicText, Released, public, written_from

Score = Literal["overall_with", "personal", "overall_without"]
Choice = Literal["first", "second", "tie"]

SCORES: Final[tuple[Score, ...]] = get_args(Score)
LOWEST, HIGHEST = 1, 10

MAX_REPLY_CHARS: Final = 8_000
"""A longer answer is cut off: its last line is then none that is read."""

_CRITERIA: Final[dict[Score, PublicText]] = {
    "overall_with": public(
        "Judge a text that was written for the author described below. Look at the whole: does "
        "it do what the task asks, is what it says of the author right, does it sound like the "
        "author's earlier texts, is it clear and well made?"
    ),
    "personal": public(
        "Judge one thing only about a text that was written for the author described below: how "
        "personal it is. Does it use what fits from the profile, and does it sound like the "
        "author's earlier texts? Do not look at how well it is made otherwise."
    ),
    "overall_without": public(
        "Judge a text that was written for a task. You do not know its author. Look at the "
        "whole: does it do what the task asks, is it clear, sensible and well made?"
    ),
}
_COMPARE: Final = public(
    "Compare two texts, A and B, that were written for the author described below. Which one "
    "does what the task asks better, is right about the author, and sounds like the author's "
    "earlier texts? The order in which they stand means nothing, and neither does their length."
)
_TASK: Final = public("\n\n# The task\n")
_TEXT: Final = public("\n\n# The text to judge (it begins below this line)\n")
_FIRST: Final = public("\n\n# Text A (it begins below this line)\n")
_SECOND: Final = public("\n\n# Text B (it begins below this line)\n")
_END: Final = public("\n\n# (Here it ends)\n")
_RATE: Final = public(
    "\nSay in at most three sentences why. Then end with a line of its own, in this form and "
    "with a whole number from 1 (very poor) to 10 (could not be better):\nRating: N"
)
_CHOOSE: Final = public(
    "\nSay in at most three sentences why. Then end with a line of its own that is one of "
    "these:\nBetter: A\nBetter: B\nBetter: tie"
)
_RATING_CUE: Final = public("\nRating from 1 (very poor) to 10 (could not be better): ")
_BETTER_CUE: Final = public("\nThe better text is (A or B): ")
_LINE_END: Final = public("\n")

_RATING: Final = re.compile(r"\W*rating\W*?:\W*?(10|[1-9])(?:\s*/\s*10)?[\s.*\])]*", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\s*(10|[1-9])(?![\d]|[.,]\d)")
_BETTER: Final = re.compile(r"\W*better\W*?:\W*?(A|B|tie)[\s.*\])]*", re.IGNORECASE)
_LETTER: Final = re.compile(r"\s*(A|B|tie)\b")


def score_prompt(
    data: PublishedData, sample: int, score: Score, text: Released
) -> Prompt[Released]:
    """Ask for one score of a text of a sample."""
    known = [] if score == "overall_without" else context_parts(data, sample)
    asked = (_CRITERIA[score], *known, _TASK, instruction_of(data, sample), _TEXT, text, _END)
    return _prompt(asked, _RATE, _RATING_CUE)


def pair_prompt(
    data: PublishedData, sample: int, first: Released, second: Released
) -> Prompt[Released]:
    """Ask which of two texts of a sample is better."""
    known = context_parts(data, sample)
    task = (_TASK, instruction_of(data, sample))
    asked = (_COMPARE, *known, *task, _FIRST, first, _END, _SECOND, second, _END)
    return _prompt(asked, _CHOOSE, _BETTER_CUE)


def judged_text(data: PublishedData, text: str, made_from: str) -> Released:
    """A text that a system wrote, for a judge.

    Raises:
        EgressError: it was written from other data (`made_from` is the data's SHA-256).
    """
    return written_from(data, text, made_from)


def judged_reference(data: PublishedData, sample: int) -> Released:
    """The text that the author wrote, for a judge."""
    return reference_of(data, sample)


def rendered(prompt: Prompt[Released]) -> list[str]:
    """All that a judge may be shown: part of the key of its answer."""
    parts = [part for message in prompt.messages for part in message.parts]
    return [part.text for part in (*parts, *prompt.completion)]


def parse_rating(reply: str, *, chat: bool) -> int | None:
    """The rating of an answer, or None if it is none."""
    match = _RATING.fullmatch(_last_line(reply)) if chat else _NUMBER.match(reply[:40])
    return int(match.group(1)) if match else None


def parse_choice(reply: str, *, chat: bool) -> Choice | None:
    """The better text of an answer, or None if it names none."""
    match = _BETTER.fullmatch(_last_line(reply)) if chat else _LETTER.match(reply[:40])
    if match is None:
        return None
    named: dict[str, Choice] = {"a": "first", "b": "second", "tie": "tie"}
    return named[match.group(1).casefold()]


def _last_line(reply: str) -> str:
    lines = [line.strip() for line in reply.strip().splitlines() if line.strip()]
    return lines[-1][:80] if lines else ""


def _prompt(
    asked: tuple[Released, ...], chat_end: PublicText, completion_end: PublicText
) -> Prompt[Released]:
    return Prompt(
        messages=(Message("user", (*asked, chat_end)),),
        completion=(*asked, completion_end),
        stop=(_LINE_END,),
    )
