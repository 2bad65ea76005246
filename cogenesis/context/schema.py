"""The two JSON forms of a context, and how their mistakes are told.

Mistakes name places ("writings[2].text"), never values: a wrong value may be a secret in
the wrong place. Keys that are not ours are told by number, for the same reason.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from cogenesis.context.private_context import Activity, PrivateContext, ProfileField, Writing
from cogenesis.errors import ContextError

FormT = TypeVar("FormT", bound=BaseModel)

MAX_MISTAKES = 20
"""Mistakes listed in one message; the rest are counted."""

_ACTIVITY_FIELDS = {"smart_device_usage": "smart device", "ai_assistant_usage": "AI assistant"}
"""Lines of the published profile that are logs of what somebody did, with their source."""

_KEY_LINE = re.compile(r"([^\W\d_][\w ./()-]{0,59}):[ \t]*(.*)")

_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a key of this form",
    "string_type": "must be a text in quotes",
    "list_type": "must be a list [...]",
    "dict_type": "must be an object {...}",
    "model_type": "must be an object {...}",
    "string_too_short": "is empty",
}


def _plain_value(value: Any) -> Any:
    """Accept what people write: a number as it stands, a list as its items."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "; ".join(value)
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class _Loose(BaseModel):
    # A published data set may grow keys that are none of our business.
    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)


class OwnActivity(_Strict):
    """A thing that happened."""

    source: Annotated[str, Field(min_length=1)]
    text: Annotated[str, Field(min_length=1)]
    when: str | None = None


class OwnWriting(_Strict):
    """A text that the person wrote."""

    title: str = ""
    text: Annotated[str, Field(min_length=1)]


class OwnForm(_Strict):
    """`docs/context-format.md`, version 1."""

    cogenesis: Literal[1]
    profile: dict[str, Annotated[str, BeforeValidator(_plain_value)]] = Field(default_factory=dict)
    activities: list[OwnActivity] = Field(default_factory=list)
    writings: list[OwnWriting] = Field(default_factory=list)

    def context(self) -> PrivateContext:
        """The context that this form describes."""
        return PrivateContext(
            (ProfileField(name.strip(), value) for name, value in self.profile.items()),
            (Activity(item.source, item.text, item.when) for item in self.activities),
            (Writing(item.title, item.text) for item in self.writings),
        )


class PublishedText(_Loose):
    """An earlier text of the published form: the instruction it answered, and the text."""

    title: str = ""
    text: str


class PublishedTurn(_Loose):
    """A turn of the task: who, and what."""

    speaker: Annotated[str, Field(alias="from")]
    value: str


class PublishedForm(_Loose):
    """One sample of the CoGenesis data set. `conversations` is the task, not the context."""

    additional_profile: str = ""
    profile: list[PublishedText] = Field(default_factory=list)
    conversations: list[PublishedTurn] = Field(default_factory=list)
    tid: str | int | None = None

    def context(self) -> PrivateContext:
        """The context that this sample describes."""
        fields, activities = [], []
        for item in split_profile(self.additional_profile):
            source = _ACTIVITY_FIELDS.get(item.name.casefold().replace(" ", "_"))
            if source is None:
                fields.append(item)
            else:
                entries = (entry.strip() for entry in item.value.split(";"))
                activities += [Activity(source, entry) for entry in entries if entry]
        return PrivateContext(
            fields, activities, (Writing(item.title, item.text) for item in self.profile)
        )

    def turn(self, *speakers: str) -> str | None:
        """The first thing that one of these speakers says."""
        for turn in self.conversations:
            if turn.speaker in speakers and turn.value.strip():
                return turn.value
        return None


class PublishedSample(PublishedForm):
    """The same as one of many, with our own keys (docs/data-files.md)."""

    group: str | int | None = None
    origin: str | None = None


def split_profile(text: str) -> list[ProfileField]:
    """Split "Key: value" lines. An indented line, or one without a key, goes on the last."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        match = _KEY_LINE.fullmatch(line)
        if match:
            found.append((match[1].strip(), match[2].strip()))
        elif line.strip():
            name, value = found.pop() if found else ("About", "")
            found.append((name, f"{value} {line.strip()}".strip()))
    return [ProfileField(name, value) for name, value in found if value]


def validate(form: type[FormT], value: object) -> FormT | list[str]:
    """The validated form, or every mistake in it as one line each."""
    try:
        return form.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        return [_mistake(value, detail["loc"], detail["type"]) for detail in details]


def refuse(name: str, mistakes: Sequence[str]) -> ContextError:
    """One error that tells all mistakes."""
    shown = [f"  {mistake}" for mistake in mistakes[:MAX_MISTAKES]]
    if len(mistakes) > MAX_MISTAKES:
        shown.append(f"  and {len(mistakes) - MAX_MISTAKES} more")
    things = "1 thing" if len(mistakes) == 1 else f"{len(mistakes)} things"
    return ContextError(f"{name}: {things} to correct:\n" + "\n".join(shown))


def show_key(key: str) -> str:
    """A key for a message: by name if it is one of ours, else by its length only."""
    return f'"{key}"' if key in _KNOWN else f"of {len(key)} characters"


def _mistake(value: object, loc: tuple[int | str, ...], kind: str) -> str:
    words = _WORDS.get(kind, "must be 1" if kind == "literal_error" else "cannot be used")
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(loc[-1]), _KNOWN, n=1)
        words += f' (did you mean "{near[0]}"?)' if near else ""
    return f"{_path(value, loc)} {words}"


def _path(value: object, loc: tuple[int | str, ...]) -> str:
    """A path such as `writings[2].text`, counted from 1; keys that are not ours by number."""
    shown = ""
    for step in loc:
        if isinstance(step, int):
            shown += f"[{step + 1}]"
            value = value[step] if isinstance(value, list) and step < len(value) else None
            continue
        free = shown == "profile" or step not in _KNOWN
        if free and isinstance(value, dict) and step in value:
            shown += f"{' ' if shown else ''}entry {list(value).index(step) + 1}"
        else:
            shown += f"{'.' if shown else ''}{step}"
        value = value.get(step) if isinstance(value, dict) else None
    return shown or "it"


_KNOWN = {
    field.alias or name
    for form in (OwnForm, OwnActivity, OwnWriting, PublishedSample, PublishedText, PublishedTurn)
    for name, field in form.model_fields.items()
}
