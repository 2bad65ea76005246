"""One sample of any of the forms, as the checks see it.

Forms: `context-aware` (the published one: profile, earlier texts, task), `context-free` (the
task and its text alone), `title-to-text` (a prompt that was put together already, with earlier
titles and texts and one new title in it: paper abstracts, e-mails).

Groups come from the file itself: the key `group`, else a published id ("3_7_4" is a person of
portrait "3_7"). A plain number is a place in a file, no group; people of such sets are known
again by their earlier texts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from cogenesis.context.private_context import PrivateContext
from cogenesis.context.schema import PublishedForm, validate
from cogenesis.data.rendered import parse_rendered
from cogenesis.training.folds import group_of

Form = Literal["context-aware", "context-free", "title-to-text"]

ORIGINS: Final = frozenset({"synthetic", "published", "licensed", "own"})
"""Where a text may come from; only the first two may ever be sent with their context."""

_TASK: Final = (
    "conversations needs a turn of the user (the instruction) and one of the assistant (the text)"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One sample.

    Attributes:
        number: in its file, from 1.
        id: as the file names it, else its number.
        group: people who were made from one description; None where the file does not say.
        form: which of the three it is.
        instruction: what is asked, without a context that was put into the prompt.
        general: the part that a cloud model would get, before any guard has seen it.
        text: what was written; "" if there is none.
        context: profile, activities and earlier texts.
        person: what makes the person known again: the profile as it stands, "" without one.
        origin: one of ORIGINS, "" where the file does not say.
    """

    number: int
    id: str
    group: str | None
    form: Form
    instruction: str = field(repr=False)
    general: str = field(repr=False)
    text: str = field(repr=False)
    context: PrivateContext = field(repr=False)
    person: str = field(repr=False)
    origin: str = ""

    @property
    def name(self) -> str:
        """The person's name, "" where the profile does not say."""
        return self.context.field("Name") or ""

    @property
    def details(self) -> str:
        """What the instruction says beside its general part; it stays on the device."""
        if self.general and self.general in self.instruction:
            return self.instruction.replace(self.general, " ", 1).lstrip(" :")
        return "" if self.instruction == self.general else self.instruction


def row_of(number: int, value: dict[str, Any]) -> Row | list[str]:
    """The sample, or every mistake in it: places, no values.

    A text that is empty is no mistake of the form: the check of texts tells it.
    """
    form = validate(PublishedForm, value)
    if isinstance(form, list):
        return form
    mistakes = _wrong_keys(value)
    instruction = form.turn("user", "human")
    speakers = {turn.speaker for turn in form.conversations}
    if instruction is None or not speakers & {"assistant", "gpt"}:
        mistakes.append(_TASK)
    if mistakes or instruction is None:
        return mistakes
    identity = str(number) if form.tid is None else str(form.tid)
    context, kind, general = form.context(), "context-aware", _general(value, instruction)
    person = form.additional_profile.strip()
    rendered = parse_rendered(instruction)
    if rendered is not None:
        context, kind = rendered.context(), "title-to-text"
        instruction = general = rendered.title
    elif value.get("form") == "title-to-text":
        kind = "title-to-text"
    elif not person and not form.profile:
        kind = "context-free"
        general = str(value.get("general_instruction") or instruction)
    return Row(
        number=number,
        id=identity,
        group=_group(value, identity, number),
        form=kind,  # type: ignore[arg-type]
        instruction=instruction,
        general=general,
        text=form.turn("assistant", "gpt") or "",
        context=context,
        person=person,
        origin=str(value.get("origin") or ""),
    )


def _general(value: dict[str, Any], instruction: str) -> str:
    """The field of its own, else what stands before the first ": "."""
    named = value.get("general_instruction")
    return named if isinstance(named, str) and named.strip() else instruction.partition(": ")[0]


def _wrong_keys(value: dict[str, Any]) -> list[str]:
    """Mistakes in the keys that the published form does not have."""
    wrong = [
        f"{key} must be a text in quotes"
        for key in ("general_instruction", "details", "group", "origin")
        if value.get(key) is not None and not isinstance(value[key], str)
    ]
    origin = value.get("origin")
    if isinstance(origin, str) and origin not in ORIGINS:
        wrong.append(f"origin must be one of {', '.join(sorted(ORIGINS))}")
    return wrong


def _group(value: dict[str, Any], identity: str, number: int) -> str | None:
    named = value.get("group")
    if isinstance(named, str) and named:
        return named
    found = group_of(identity, number)
    return None if found == identity else found
