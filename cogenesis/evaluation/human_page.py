"""The page on which people compare texts: one HTML file that works without a network.

Its texts were written by models: they go through `pages.plain`, and the page's content security
policy lets nothing run but its own script, named by hash. Answers stay in the browser's own
store until the rater saves them to a file.

Not covered: the page holds the texts and, if it was asked for, what the person told of
themselves; whoever gets the page can read and copy it. Some browsers keep no store for files.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Final, NamedTuple

from cogenesis.evaluation.human import FORM, RATINGS_KIND, Pair, Pairs
from cogenesis.pages import PALETTE, content_policy, plain


class Question(NamedTuple):
    """What people are asked about a pair."""

    name: str
    text: str


OVERALL: Final = Question("better", "Which text is better, all in all?")
PERSONAL: Final = Question("personal", "Which text fits this person better?")
"""Only asked where the page tells of the person."""

CHOICES: Final = (("left", "Text A"), ("tie", "No difference"), ("right", "Text B"))


def human_page(found: Pairs, people: Mapping[int, str] | None = None) -> str:
    """The whole page.

    Args:
        found: the pairs.
        people: for each sample what is told of its person; None to tell nothing.
    """
    style = PALETTE + _part("css")
    script = _part("js")
    shown = (
        _pair(number, len(found.pairs), pair, None if people is None else people.get(pair.sample))
        for number, pair in enumerate(found.pairs, start=1)
    )
    # `substitute` puts in each value once: a "$" in one of them means nothing.
    return Template(_part("html")).substitute(
        policy=content_policy(style, script),
        style=style,
        script=script,
        page=found.page,
        kind=RATINGS_KIND,
        form=FORM,
        pairs="".join(shown),
    )


def _part(ending: str) -> str:
    text = files("cogenesis.evaluation").joinpath(f"human_page.{ending}").read_text("utf-8")
    return text.replace("\r\n", "\n")  # as an editor may leave it: the hash is of what is written


def _pair(number: int, count: int, pair: Pair, person: str | None) -> str:
    questions = [OVERALL] if person is None else [OVERALL, PERSONAL]
    about = (
        ""
        if person is None
        else f'<details><summary>Who writes</summary><div class="own">{plain(person)}</div>'
        "</details>\n"
    )
    return (
        f'<section class="pair" id="{pair.item}" aria-labelledby="h-{pair.item}" hidden>\n'
        f'<h2 id="h-{pair.item}" tabindex="-1">Pair {number} of {count}</h2>\n'
        f'<div class="task">{plain(pair.task)}</div>\n{about}<div class="sides">\n'
        f"{_side('Text A', pair.left.text)}{_side('Text B', pair.right.text)}</div>\n"
        + "".join(_question(pair.item, each) for each in questions)
        + "</section>\n"
    )


def _side(name: str, text: str | None) -> str:
    return f'<article><h3>{name}</h3><div class="text">{plain(text or "")}</div></article>\n'


def _question(item: str, question: Question) -> str:
    name = f"{item}-{question.name}"
    choices = "".join(
        f'<span class="choice"><input type="radio" id="{name}-{value}" name="{name}" '
        f'value="{value}"> <label for="{name}-{value}">{label}</label></span>\n'
        for value, label in CHOICES
    )
    return (
        f'<fieldset data-question="{question.name}"><legend>{question.text}</legend>\n'
        f"{choices}</fieldset>\n"
    )
