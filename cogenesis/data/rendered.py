"""Prompts of title-to-text sets that were put together already, taken apart again.

The published sets of paper abstracts and of e-mails hold one prompt with everything in it:

    (words for the model) ## History Paper Abstracts
    Title: ...
    Content: ...

    ## Task
    Compose an abstract for the title '...' that matches the author's ...

Only the form is fixed here, not the words: any heading that begins with "History", any task
with one title in quotation marks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from cogenesis.context.private_context import PrivateContext, Writing

_HISTORY: Final = re.compile(r"^## History\b[^\n]*$", re.MULTILINE)
_TASK: Final = re.compile(r"^## Task[ \t]*$", re.MULTILINE)
_TITLE: Final = re.compile(
    r"(?:title|titled|subject)[ :]*(['\"“‘])(?P<title>.+)(?:['\"”’])(?=[ .,]|$)", re.DOTALL
)
_ITEM: Final = re.compile(r"^(?:Title|Subject): ?(?P<title>.*)\n(?:Content|Text|Body): ?", re.M)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What was in such a prompt."""

    title: str = field(repr=False)
    history: tuple[Writing, ...] = field(repr=False)
    kind: str = ""
    """What the texts are, as the heading calls them ("Paper Abstracts")."""

    def context(self) -> PrivateContext:
        """The earlier texts as a context: such sets have no profile."""
        return PrivateContext(writings=self.history)


def parse_rendered(prompt: str) -> Rendered | None:
    """The parts of a prompt of that form; None for any other text."""
    heading = _HISTORY.search(prompt)
    tasks = list(_TASK.finditer(prompt))
    if heading is None or not tasks or tasks[-1].start() < heading.end():
        return None
    task = prompt[tasks[-1].end() :].strip()
    title = _TITLE.search(task)
    if title is None:
        return None
    body = prompt[heading.end() : tasks[-1].start()]
    starts = list(_ITEM.finditer(body))
    ends = [m.start() for m in starts[1:]] + [len(body)]
    history = tuple(
        Writing(m["title"].strip(), body[m.end() : end].strip())
        for m, end in zip(starts, ends, strict=True)
    )
    kind = heading.group().removeprefix("## History").strip()
    return Rendered(title["title"].strip(), history, kind)
