"""What the model answers in each step: a schema for the server, and our own check of the reply.

Servers hold a reply to the schema, or they do not: so each reply is parsed and validated here,
with limits of length that a schema for a grammar cannot have. Sentences around the JSON and a
fence of code are cut away; anything else is a mistake, told by its place and never by its value.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from cogenesis.data.building.templates import StepName
from cogenesis.privacy.released import PublicText, public

MAX_REPLY_CHARS: Final = 40_000

_FENCE: Final = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)


def _tidied(value: Any) -> Any:
    """One line without control characters; half characters become question marks."""
    if not isinstance(value, str):
        return value
    return " ".join(value.encode("utf-8", "replace").decode("utf-8").split()).lstrip("-•* ")


def _text(value: Any) -> Any:
    """Lines stay, control characters go."""
    if not isinstance(value, str):
        return value
    whole = value.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n")
    return "".join(c for c in whole if c == "\n" or c.isprintable()).strip()


Short = Annotated[str, BeforeValidator(_tidied), Field(min_length=2, max_length=160)]
Sentence = Annotated[str, BeforeValidator(_tidied), Field(min_length=8, max_length=400)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class Portrait(_Form):
    """A kind of person."""

    occupation: Short
    description: Annotated[str, BeforeValidator(_tidied), Field(min_length=40, max_length=1500)]
    traits: Annotated[list[Short], Field(min_length=1, max_length=8)]


class Profile(_Form):
    """What the model invents of one person; the name and all contact details are not its own."""

    personal_traits: Annotated[list[Short], Field(min_length=1, max_length=8)]
    writing_style: Annotated[list[Short], Field(min_length=1, max_length=8)]
    private_facts: Annotated[list[Sentence], Field(min_length=3, max_length=12)]
    device_activity: Annotated[list[Sentence], Field(min_length=2, max_length=12)]
    ai_assistant: Annotated[list[Short], Field(max_length=8)]


class WritingTask(_Form):
    """An occasion for writing, in its two parts."""

    task: Annotated[str, BeforeValidator(_tidied), Field(min_length=8, max_length=160)]
    details: Sentence


class Tasks(_Form):
    """The occasions of one person."""

    tasks: Annotated[list[WritingTask], Field(min_length=1, max_length=40)]


class Written(_Form):
    """A text, and what it was made from."""

    outline: Annotated[list[Short], Field(max_length=16)]
    text: Annotated[str, BeforeValidator(_text), Field(min_length=80, max_length=8000)]
    facts_used: Annotated[list[int], Field(max_length=24)]


FORMS: Final[dict[StepName, type[BaseModel]]] = {
    "portrait": Portrait,
    "profile": Profile,
    "tasks": Tasks,
    "text": Written,
}

# The lengths keep a weak model from answering with one letter, or with one endless sentence.
# They are moderate, because llama.cpp's grammar writes each of the characters out.
SCHEMAS: Final[dict[StepName, PublicText]] = {
    "portrait": public(
        '{"type":"object","properties":{"occupation":{"type":"string","minLength":4,"maxLengt'
        'h":60},"description":{"type":"string","minLength":120,"maxLength":600},"traits":{"ty'
        'pe":"array","items":{"type":"string","minLength":4,"maxLength":40},"minItems":3,"max'
        'Items":5}},"required":["occupation","description","traits"],"additionalProperties":f'
        "alse}"
    ),
    "profile": public(
        '{"type":"object","properties":{"personal_traits":{"type":"array","items":{"type":"st'
        'ring","minLength":4,"maxLength":60},"minItems":3,"maxItems":5},"writing_style":{"typ'
        'e":"array","items":{"type":"string","minLength":10,"maxLength":90},"minItems":3,"max'
        'Items":5},"private_facts":{"type":"array","items":{"type":"string","minLength":30,"m'
        'axLength":160},"minItems":5,"maxItems":8},"device_activity":{"type":"array","items":'
        '{"type":"string","minLength":16,"maxLength":120},"minItems":4,"maxItems":8},"ai_assi'
        'stant":{"type":"array","items":{"type":"string","minLength":10,"maxLength":100},"min'
        'Items":1,"maxItems":4}},"required":["personal_traits","writing_style","private_facts'
        '","device_activity","ai_assistant"],"additionalProperties":false}'
    ),
    "tasks": public(
        '{"type":"object","properties":{"tasks":{"type":"array","items":{"type":"object","pro'
        'perties":{"task":{"type":"string","minLength":24,"maxLength":110},"details":{"type":'
        '"string","minLength":40,"maxLength":240}},"required":["task","details"],"additionalP'
        'roperties":false},"minItems":1,"maxItems":12}},"required":["tasks"],"additionalPrope'
        'rties":false}'
    ),
    "text": public(
        '{"type":"object","properties":{"outline":{"type":"array","items":{"type":"string","m'
        'inLength":6,"maxLength":60},"minItems":3,"maxItems":8},"text":{"type":"string","minL'
        'ength":400,"maxLength":1900},"facts_used":{"type":"array","items":{"type":"integer"}'
        ',"minItems":0,"maxItems":8}},"required":["outline","text","facts_used"],"additionalP'
        'roperties":false}'
    ),
}

FormT = TypeVar("FormT", bound=BaseModel)


def parse(form: type[FormT], reply: str) -> FormT | list[str]:
    """The validated reply, or its mistakes: places and what is wrong, no values."""
    if len(reply) > MAX_REPLY_CHARS:
        return [f"the reply has more than {MAX_REPLY_CHARS} characters"]
    value = _json_in(reply)
    if value is None:
        return ["the reply is no JSON object"]
    try:
        return form.model_validate(value)
    except ValidationError as error:
        told = error.errors(include_url=False, include_context=False, include_input=False)
        return [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in told[:8]]


def _json_in(reply: str) -> dict[str, Any] | None:
    """The outermost object in a reply, with whatever stands around it cut away."""
    fenced = _FENCE.search(reply)
    for text in (fenced[1] if fenced else reply, reply):
        start, end = text.find("{"), text.rfind("}")
        if 0 <= start < end:
            try:
                value = json.loads(text[start : end + 1], strict=False)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                return value
    return None
