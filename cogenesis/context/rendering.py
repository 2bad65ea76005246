"""How private texts look inside a prompt.

Mail and calendar entries come from anybody, so every text is cleaned here, and none can
open a section of the prompt: entries are one line each, and no line begins with `#`.
"""

from __future__ import annotations

import re

from cogenesis.context.private_context import Activity, ProfileField, Writing
from cogenesis.untrusted import clean

_HEADING = re.compile(r"^[ \t]*#+[ \t]*", re.MULTILINE)


def one_line(text: str) -> str:
    """The text cleaned, on one line."""
    return " ".join(clean(text).split())


def several_lines(text: str) -> str:
    """The text cleaned, its line breaks kept, without headings."""
    return _HEADING.sub("", clean(text)).strip()


def show_field(field: ProfileField) -> str:
    """A line of the profile."""
    return f"{one_line(field.name).replace('_', ' ')}: {one_line(field.value)}"


def show_activity(activity: Activity) -> str:
    """A line of the activities."""
    when = f", {one_line(activity.when)}" if activity.when else ""
    return f"- {one_line(activity.source)}{when}: {one_line(activity.text)}"


def show_title(writing: Writing) -> str:
    """The title of an earlier text, never empty."""
    return one_line(writing.title) or "Without a title"


def show_writing(writing: Writing) -> str:
    """An earlier text with its title, as it is counted."""
    return f"{show_title(writing)}\n{several_lines(writing.text)}"
