"""Chat replies that are JSON of a given form, from any OpenAI-style server.

Servers differ in what they take. llama.cpp, vLLM, SGLang and OpenAI hold a reply to a schema
(`response_format` of type `json_schema`); some know `json_object` only; some neither. Newer
models of OpenAI want the length by another name and no temperature. What a server refuses as a
bad request is left out, step by step, and it is asked in the way that worked from then on. A way
that a schema has worked in is not left for one request that is refused: it is the request then.

A schema is a promise of the server, not ours: whoever asks checks the reply.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from cogenesis.errors import CloudError
from cogenesis.models.llama_bodies import messages_of
from cogenesis.models.protocol import Prompt, Sampling
from cogenesis.models.reply_reader import ReplyReader, check_wire
from cogenesis.privacy.released import PublicText, Released, Setting, public
from cogenesis.wire import Deadline, FixedJson, Json, Text, Wire

ENDPOINT: Final = "/v1/chat/completions"

Held = Literal["schema", "object", "nothing"]
"""What a server holds a reply to."""

_WAYS: Final[tuple[tuple[Held, bool], ...]] = (
    ("schema", True),
    ("schema", False),
    ("object", True),
    ("nothing", True),
    ("nothing", False),
)
"""What the reply is held to, and whether the sampling is told."""

_MODEL_CHARS: Final = 200
_NAME: Final = public("reply")
_SCHEMA: Final = public("json_schema")
_OBJECT: Final = public("json_object")


@dataclass(frozen=True, slots=True)
class Structured:
    """A reply.

    Attributes:
        text: as it came; it should be JSON.
        whole: whether the model ended it by itself.
        sent, received: tokens as the server counted them; None where it did not.
        held: what the server held it to.
        model: as the server names it; None where it does not.
    """

    text: str = field(repr=False)
    whole: bool
    sent: int | None
    received: int | None
    held: Held
    model: str | None


class StructuredChat:
    """Asks a cloud model for JSON. Safe to use from several threads."""

    def __init__(self, wire: Wire[Released], model: Setting | None) -> None:
        """Nothing is sent yet. `model` may be None for a server with one model."""
        check_wire(wire, "cloud")
        self._wire, self._model = wire, model
        self._reader = ReplyReader("cloud", wire.server)
        self._way = 0
        self._worked: set[tuple[str, int]] = set()

    def __repr__(self) -> str:
        return f"StructuredChat({self._wire.server!r})"

    def ask(
        self,
        prompt: Prompt[Released],
        sampling: Sampling,
        schema: PublicText,
        *,
        deadline: Deadline | None = None,
    ) -> Structured:
        """One reply. `Prompt.completion` is not used: a base model writes no JSON on demand.

        Raises:
            CloudError: the server does not answer, or refuses every way of asking.
            PrivacyError: nothing may be sent.
        """
        for way in range(self._way, len(_WAYS)):
            try:
                reply = self._wire.post(
                    ENDPOINT, self._body(prompt, sampling, schema, way), deadline=deadline
                )
            except CloudError as error:
                last = way + 1 == len(_WAYS) or (schema.text, way) in self._worked
                if error.reason != "bad-request" or last:
                    raise
                continue
            self._way = way
            self._worked.add((schema.text, way))
            return self._read(reply, _WAYS[way][0])
        raise AssertionError("the last way returns or raises")

    def _body(
        self, prompt: Prompt[Released], sampling: Sampling, schema: PublicText, way: int
    ) -> dict[str, Json[Released]]:
        held, told = _WAYS[way]
        body: dict[str, Json[Released]] = {}
        if self._model is not None:
            body["model"] = Text((self._model,))
        body |= {"messages": messages_of(prompt), "stream": False}
        if told:
            body |= {
                "max_tokens": sampling.max_tokens,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "presence_penalty": sampling.presence_penalty,
                "seed": sampling.seed,
            }
        else:
            body["max_completion_tokens"] = sampling.max_tokens
        if held == "schema":
            named: dict[str, Json[Released]] = {
                "name": Text((_NAME,)),
                "strict": True,
                "schema": FixedJson(schema),
            }
            body["response_format"] = {"type": Text((_SCHEMA,)), "json_schema": named}
        elif held == "object":
            body["response_format"] = {"type": Text((_OBJECT,))}
        return body

    def _read(self, reply: dict[str, Any], held: Held) -> Structured:
        choices = self._reader.items(reply.get("choices"), "choices")
        if not choices:
            raise self._reader.fault("answered without a choice")
        choice = self._reader.mapping(choices[0], "choices[0]")
        message = self._reader.mapping(choice.get("message"), "message")
        # Null where all was spent on thinking, or the model declined: it was paid for.
        content = message.get("content")
        text = "" if content is None else self._reader.text(content, "content")
        told, model = reply.get("usage"), reply.get("model")
        usage = told if isinstance(told, dict) else {}
        return Structured(
            text,
            choice.get("finish_reason") in (None, "stop"),
            _count(usage.get("prompt_tokens")),
            _count(usage.get("completion_tokens")),
            held,
            model[:_MODEL_CHARS] if isinstance(model, str) and model else None,
        )


def _count(told: object) -> int | None:
    return told if type(told) is int and told >= 0 else None
