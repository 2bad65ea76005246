"""What left for one text, read from the ledger and checked once more against the lexicon.

The check is `Guard.audit`, which finds private matter in a whole text; the guard and the
shield decided word by word. It reads every string of every body, with these exceptions only:

* the words of the general instruction, as everywhere;
* fixed text of several words that ships with the program, as part of a string. Fixed text of
  one word ("Title: ") or none stays in: taking that out everywhere could hide something;
* a string that is, whole, a question that is the same for everybody (some name real places);
* a string that a longer one of the same body begins with: the longer one is read.

Placeholders are read as they stand.

Not covered: token ids, which are numbers. They are the server's own for a string that it was
sent before, and that string is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from cogenesis.cli.ledger import text_fields
from cogenesis.fused_writing import SAMPLES
from cogenesis.fusion.opening import fusion_prompt
from cogenesis.models.scoring_probe import PROBE_TEXTS
from cogenesis.privacy.normal import words
from cogenesis.privacy.released import Finding, PublicText
from cogenesis.sketch.prompt import EXAMPLE_TASKS, outline_prompt

if TYPE_CHECKING:
    from cogenesis.privacy.guard import Guard
    from cogenesis.privacy.ledger import Row
    from cogenesis.privacy.released import GeneralInstruction

_QUESTIONS: Final = PROBE_TEXTS | {each.text for each in SAMPLES}
"""What finds out how a server can be asked, and whether both models have one vocabulary."""

_PROMPT: Final = re.compile(r"(?:^|\.)(?:prompt|content|text)(?:\[\d+\])?$")
"""Where a body says what the model shall read."""

_TOPIC: Final = re.compile(r"\b(?:Task|Title): ([^\n<]+)")
"""Where the fixed prompts put the general instruction: one line, up to a template's next mark."""

_PLACEHOLDER: Final = re.compile(r"\[[a-z]+ \d+\]")


@dataclass(frozen=True, slots=True)
class Left:
    """What one text sent.

    Attributes:
        asking: requests that hold the general instruction, in order.
        others: requests that do not: finding out what the server can do.
        found: private matter that the check found in any of them.
        grown: the longest text that stood in a request beside the general instruction and
            fixed text; empty if there was none.
    """

    asking: tuple[Row, ...]
    others: tuple[Row, ...]
    found: tuple[Finding, ...]
    grown: str

    @property
    def size(self) -> int:
        """Bytes of all bodies."""
        return bytes_of(self.asking) + bytes_of(self.others)

    def kind(self) -> str:
        """What kind of thing left, in a few words."""
        if not self.asking:
            return "nothing about this text"
        if not self.grown:
            return "the general instruction inside fixed text, and nothing else"
        count = len(set(_PLACEHOLDER.findall(self.grown)))
        spans = f"{count} placeholder{'s' * (count != 1)} for private spans"
        return (
            "the general instruction inside fixed text, and the shielded text as it grew: "
            f"{len(self.grown):,} characters at most, with {spans}"
        )


def what_left(
    rows: Sequence[Row],
    guard: Guard,
    general: GeneralInstruction | None,
    mode: Literal["sketch", "fusion"],
) -> Left:
    """Read the requests of one text, written in this mode."""
    fixed = [] if general is None else fixed_parts(general, mode)
    topic = None if general is None else general.text
    asking = [row for row in rows if topic and any(topic in t for _, t in _texts(row))]
    grown = [
        rest
        for row in asking
        for place, text in _texts(row)
        if _PROMPT.search(place) and (rest := _beyond(text, topic or "", fixed))
    ]
    return Left(
        asking=tuple(asking),
        others=tuple(row for row in rows if row not in asking),
        found=tuple(f for row in rows for f in private_in(row.entry.body, guard, general, fixed)),
        grown=max(grown, key=len, default=""),
    )


def earlier_instructions(rows: Iterable[Row]) -> list[str]:
    """The general instructions of these requests (newest first), each once, oldest first.

    For the memory of rule R11. Text of the same form in a text that grew comes along: what left
    is remembered, whoever wrote it.
    """
    found: dict[str, None] = {}
    for row in rows:
        told = [m for _, text in _texts(row) for m in _TOPIC.findall(text)]
        found.update(dict.fromkeys(reversed(told)))
    return [text for text in reversed(found) if text not in EXAMPLE_TASKS]


def private_in(
    body: bytes,
    guard: Guard,
    general: GeneralInstruction | None,
    fixed: Sequence[PublicText],
) -> Iterator[Finding]:
    """Private matter in one body, by the rules above."""
    long = [part for part in fixed if len(words(part.text)) > 1]
    texts = {text for _, text in text_fields(body)} - _QUESTIONS
    for text in texts:
        if not any(other != text and other.startswith(text) for other in texts):
            yield from guard.audit(text, general, long)


def fixed_parts(general: GeneralInstruction, mode: Literal["sketch", "fusion"]) -> list[PublicText]:
    """The text that a mode puts around the general instruction: it ships with the program."""
    prompt = fusion_prompt(general) if mode == "fusion" else outline_prompt(general)
    parts = [*prompt.completion, *(part for m in prompt.messages for part in m.parts)]
    return [part for part in parts if isinstance(part, PublicText)]


def bytes_of(rows: Sequence[Row]) -> int:
    """Bytes of their bodies."""
    return sum(len(row.entry.body) for row in rows)


def _texts(row: Row) -> Iterator[tuple[str, str]]:
    return text_fields(row.entry.body)


def _beyond(text: str, topic: str, fixed: Sequence[PublicText]) -> str:
    """What a string holds beside the general instruction and the text around it."""
    text = text.replace(topic, "", 1)
    for part in sorted((part.text for part in fixed), key=len, reverse=True):
        text = text.replace(part, "")
    return text.strip()
