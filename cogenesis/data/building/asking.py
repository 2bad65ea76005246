"""One question of a build: asked, kept, checked, repaired once, asked anew, given up.

A reply is kept under all that it depends on before it is looked at, so nothing is paid twice,
whatever happens after. A reply that does not hold what it should goes back to the model once
with its mistakes; then the question is asked again with another seed; then the item is dropped
and counted. A server that stops answering ends the run instead: what it has answered is kept.
A question that it refuses among others that it answers (a filter of content, a prompt too long for
it) is one without an answer: nothing was paid for it, and the same command asks it again. Only a
refused repair is kept, as a reply that says nothing: what comes after must stay the same.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel

from cogenesis.data.building.forms import SCHEMAS, parse
from cogenesis.data.building.templates import Template
from cogenesis.data.cache import ReplyCache, question_key
from cogenesis.engines.cost import BYTES_A_TOKEN, Meter
from cogenesis.engines.pace import Pace
from cogenesis.errors import CloudError
from cogenesis.models.protocol import Message, Prompt, Sampling
from cogenesis.models.structured_chat import StructuredChat
from cogenesis.privacy.made_up import MadeUp
from cogenesis.privacy.released import PublicText, Released, made_up, public
from cogenesis.wire import Deadline

FormT = TypeVar("FormT", bound=BaseModel)

ATTEMPTS: Final = 3
"""Seeds that a question is asked with; the first one's reply may be repaired."""

MAX_TOKENS: Final = {"portrait": 500, "profile": 1200, "tasks": 1200, "text": 1400}

_HOPELESS: Final = frozenset({"unauthorised", "not-found", "bad-request", "redirect"})
_FAILURES_IN_A_ROW: Final = 5
_REFUSALS_IN_A_ROW: Final = 20
"""A filter refuses one or the other; a server that refuses all has changed, or wants money."""

_REPAIRED_CHARS: Final = 6_000

_BEFORE: Final = public("Your answer cannot be used:\n")
_AFTER: Final = public("\nAnswer again with the corrected JSON and nothing else.")
_LINE: Final = public("\n")
_DASH: Final = public("- ")


@dataclass(frozen=True, slots=True)
class Answer(Generic[FormT]):
    """A usable reply: its value, and for the record the key of the cache, its seed and time.

    `model` is the name that the server gave in it; None if it gave none.
    """

    value: FormT
    key: str
    seed: int
    at: str
    repaired: bool
    model: str | None


@dataclass(slots=True)
class Counts:
    """What became of questions: replies by what was wrong with them, and how many were kept."""

    events: Counter[str] = field(default_factory=Counter)
    kept: int = 0


class Failing:
    """What a worker knows of the server: whether it answers at all.

    Attributes:
        answered: whether it has ever answered a question of this build.
    """

    def __init__(self, *, answered: bool) -> None:
        self._lock = threading.Lock()
        self._silent = self._refused = 0
        self.answered = answered

    def more(self, *, refused: bool) -> bool:
        """One more question without an answer; whether there are too many in a row."""
        with self._lock:
            self._silent += not refused
            self._refused += refused
            return self._silent >= _FAILURES_IN_A_ROW or self._refused >= _REFUSALS_IN_A_ROW

    def none(self) -> None:
        """There was an answer, or it was there: those who never have one may come after it."""
        with self._lock:
            self._silent = self._refused = 0
            self.answered = True


class Server:
    """A cloud model, the cache before it, and a meter of what is asked through it."""

    def __init__(
        self,
        chat: StructuredChat,
        cache: ReplyCache,
        pace: Pace,
        *,
        model: str | None,
        deadline_s: float,
        failing: Failing,
    ) -> None:
        """Nothing is asked yet; `model` names the questions in the cache."""
        self.meter = Meter()
        self.model = model
        self._chat, self._cache, self._pace = chat, cache, pace
        self._deadline_s, self._failing = deadline_s, failing

    def reply(
        self,
        prompt: Prompt[Released],
        sampling: Sampling,
        schema: PublicText,
        told: Any,
        *,
        refusal_counts: bool = False,
    ) -> tuple[str, dict[str, Any], bool]:
        """The key, the reply as it is kept, and whether it was there before.

        With `refusal_counts`, a refusal is a reply that says nothing.

        Raises:
            GoneError: no further question has any hope.
            CloudError: this one had no answer.
            PrivacyError: nothing may be sent.
        """
        key = question_key(self.model, told)
        kept = self._cache.ask(
            key, lambda: self._call(prompt, sampling, schema, refusal_counts=refusal_counts)
        )
        if kept.hit:
            self._failing.none()
        return key, kept.reply, kept.hit

    def _call(
        self,
        prompt: Prompt[Released],
        sampling: Sampling,
        schema: PublicText,
        *,
        refusal_counts: bool,
    ) -> dict[str, Any]:
        size = sum(len(part.text.encode()) for m in prompt.messages for part in m.parts)
        about = math.ceil(size / BYTES_A_TOKEN)
        self._pace.wait(about + sampling.max_tokens)
        if self._pace.stopped:
            raise CloudError("timeout", "the build was stopped")
        begun = time.monotonic()
        made: dict[str, Any]
        try:
            found = self._chat.ask(prompt, sampling, schema, deadline=Deadline(self._deadline_s))
        except CloudError as error:
            self._failed(error, refusal_counts=refusal_counts)
            made = {"text": "", "whole": False, "wrong": error.reason}
            sent, received = about, sampling.max_tokens
        else:
            self._failing.none()
            made = {"text": found.text, "whole": found.whole, "held": found.held}
            if found.model is not None:
                made["model"] = found.model
            counted = math.ceil(len(found.text.encode()) / BYTES_A_TOKEN)
            sent = about if found.sent is None else found.sent
            received = counted if found.received is None else found.received
        self.meter.add(
            sent, received, time.monotonic() - begun, reserved=about + sampling.max_tokens
        )
        return made | {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}

    def _failed(self, error: CloudError, *, refusal_counts: bool) -> None:
        """Raise what is no reply at all."""
        if error.reason == "too-large":
            return  # it was paid for: a reply that says nothing
        # Among others that were answered it is this question that the server does not like.
        refused = error.reason == "bad-request" and self._failing.answered
        if error.reason in _HOPELESS and not refused:
            raise GoneError(error.reason, f"the cloud model refuses: {error}") from None
        if self._failing.more(refused=refused):
            raise GoneError(
                error.reason,
                f"too many questions in a row had no answer ({error}): look after the server, "
                "then go on with the same command. What was answered is kept",
            ) from None
        if not (refused and refusal_counts):
            raise error


class GoneError(CloudError):
    """No further question has any hope: the run ends."""


class Asking:
    """The questions about one person or group, with what was made up for them so far."""

    def __init__(self, server: Server, made: MadeUp, counts: Counts) -> None:
        self._server, self._made, self.counts = server, made, counts

    def learn(self, value: Any) -> None:
        """Take this for made up: what the plan drew, or what an earlier step made."""
        self._made.learn(value)

    def ask(
        self,
        form: type[FormT],
        template: Template,
        values: Mapping[str, tuple[str, ...]],
        seed: int,
        check: Callable[[FormT], FormT | str],
    ) -> Answer[FormT] | None:
        """A usable reply, or None where there was none after all attempts.

        Args:
            form: what the reply must be.
            template, values: the prompt; the values were made up in this build.
            seed: of the first attempt.
            check: of a value that has the right form, what of it is used; or what is wrong with
                it, in one word.
        """
        self._made.learn(template.fixed)
        parts = [made_up(self._made, part) for part in template.filled(values) if part]
        for attempt in range(ATTEMPTS):
            number = seed + attempt * 1_000_003
            found = self._attempt(form, template, parts, number, repair=attempt == 0)
            if found is not None:
                used = check(found.value)
                if not isinstance(used, str):
                    self._made.learn(used.model_dump())
                    return replace(found, value=used)
                self.counts.events[f"{template.step}: {used}"] += 1
        self.counts.events[f"{template.step}: given up"] += 1
        return None

    def _attempt(
        self,
        form: type[FormT],
        template: Template,
        parts: list[Any],
        seed: int,
        *,
        repair: bool,
    ) -> Answer[FormT] | None:
        messages: list[Message[Released]] = [Message("user", tuple(parts))]
        key, reply, parsed = self._parsed(form, template, messages, seed, again=not repair)
        if isinstance(parsed, list):
            self.counts.events[f"{template.step}: {_kind(reply)}"] += 1
            if not (repair and reply["text"].strip()):
                return None
            messages += self._repair(reply["text"], parsed)
            key, reply, parsed = self._parsed(form, template, messages, seed, again=not repair)
            if isinstance(parsed, list):
                self.counts.events[f"{template.step}: not repaired"] += 1
                return None
            self.counts.events[f"{template.step}: repaired"] += 1
        at, model = str(reply.get("at", "")), reply.get("model")
        return Answer(parsed, key, seed, at, len(messages) > 1, model)

    def _repair(self, text: str, mistakes: list[str]) -> list[Message[Released]]:
        reply = text[:_REPAIRED_CHARS]
        self._made.learn([reply, *mistakes])
        told: list[Released] = [_BEFORE]
        for each in mistakes:
            told += [_DASH, made_up(self._made, each), _LINE]
        return [
            Message("assistant", (made_up(self._made, reply),)),
            Message("user", (*told, _AFTER)),
        ]

    def _parsed(
        self,
        form: type[FormT],
        template: Template,
        messages: list[Message[Released]],
        seed: int,
        *,
        again: bool,
    ) -> tuple[str, dict[str, Any], FormT | list[str]]:
        sampling = Sampling(
            temperature=0.8,
            top_p=0.95,
            # A reply that is asked for again most often went round in circles.
            presence_penalty=1.5 if again else 0.5,
            max_tokens=MAX_TOKENS[template.step],
            seed=seed,
        )
        told = {
            "step": template.step,
            "messages": [[m.role, "".join(part.text for part in m.parts)] for m in messages],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "presence_penalty": sampling.presence_penalty,
            "max_tokens": sampling.max_tokens,
            "seed": seed,
            "schema": SCHEMAS[template.step].text,
        }
        prompt: Prompt[Released] = Prompt(messages=tuple(messages), completion=())
        # With the mistaken reply a repair may be too long for the server.
        key, reply, hit = self._server.reply(
            prompt, sampling, SCHEMAS[template.step], told, refusal_counts=len(messages) > 1
        )
        self.counts.kept += hit
        parsed = parse(form, str(reply.get("text", "")))
        return key, reply, parsed


def _kind(reply: dict[str, Any]) -> str:
    """Why a reply cannot be used, in a word or two."""
    if reply.get("wrong"):
        return str(reply["wrong"])
    return "wrong form" if reply.get("whole") else "cut off"
