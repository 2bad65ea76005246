"""Asking a language model to judge texts, with retries: in workers, scheduled by an engine.

The judge sees profiles, so it takes a `PublishedData`, which exists for marked files and with
the user's flag only. A proof is not handed on: each worker opens the file itself, with the flag
that the user gave. Everything goes through the egress and the ledger.

The judge is untrusted: its answers are bounded, parsed strictly, and are numbers and words for
the report; nothing of them reaches a system's prompt.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, cast

from cogenesis.engines.cloud import CloudAddress
from cogenesis.engines.cost import BYTES_A_TOKEN
from cogenesis.engines.engine import Place
from cogenesis.engines.known_file import KnownFile
from cogenesis.engines.pace import Pace
from cogenesis.errors import CloudError, CloudReason
from cogenesis.evaluation.judge import PAIR, Answer, JudgeSettings, Question, prompt_of
from cogenesis.evaluation.judge_prompts import (
    MAX_REPLY_CHARS,
    Choice,
    parse_choice,
    parse_rating,
)
from cogenesis.models.protocol import CloudModel, Prompt, Sampling, hang_up
from cogenesis.privacy.published import PublishedData
from cogenesis.privacy.released import Released
from cogenesis.untrusted import clean
from cogenesis.wire import Deadline

ASKS: Final = 3
"""How often an answer that cannot be read is asked for, each time with another seed."""

DEADLINE_S: Final = 120.0

_STOPS: Final = frozenset(
    {
        "unreachable",
        "timeout",
        "unauthorised",
        "rate-limited",
        "server-error",
        "not-found",
        "redirect",
    }
)
"""Errors that the next question would meet, too: the run ends, and can be gone on with."""

REFUSED_SAMPLES: Final = 3
"""So many samples in a row without a word of the judge: the server refuses all. One sample may be
a matter of its content, and all questions about it come one after another."""


@dataclass(frozen=True, slots=True)
class Judging:
    """How a worker gets ready: the published data, opened anew, and an egress of its own.

    Attributes:
        data: that the texts were written from.
        unsafe_send_context: the user's flag, as it was given.
        cloud: the judge.
        settings: how it is asked.
    """

    data: KnownFile
    unsafe_send_context: bool
    cloud: CloudAddress
    settings: JudgeSettings

    @contextmanager
    def open(self, place: Place) -> Iterator[Callable[[Question], Answer]]:
        """Open the data and the egress. Sends nothing yet.

        Raises:
            InputError: the flag is missing, or the file is not marked, or is another one.
        """
        path = self.data.at(place)
        data = PublishedData(path, unsafe_send_context=self.unsafe_send_context)
        self.data.check(data.sha256, place)  # it may have been changed in between
        with self.cloud.open(place) as (connection, _):
            judge = Judge(connection, data, self.data.sha256, self.settings, place.pace)
            try:
                yield judge.ask
            finally:
                judge.stop()


class Refusals:
    """Sees all answers of a run, and ends it where the server refuses whatever it is asked."""

    def __init__(self, before: Container[str] = ()) -> None:
        """`before` are keys of questions that were refused in an earlier run: they tell nothing,
        and when only they are left the run must come to its end."""
        self._before = before
        self._samples: set[int] = set()

    def look_at(self, answer: Answer) -> None:
        """An answer, in the order in which they come.

        Raises:
            CloudError: going on makes no sense.
        """
        if answer.is_final:
            self._samples.clear()
            return
        if answer.key in self._before:
            return
        self._samples.add(answer.sample)
        if len(self._samples) >= REFUSED_SAMPLES:
            raise CloudError(
                cast(CloudReason, answer.reason),
                f"the judge answered no question about {REFUSED_SAMPLES} samples in a row "
                f"({answer.reason}): look after the server, then give the same command again",
            )


class Judge:
    """Asks one model. Safe to use from several threads if the model is."""

    def __init__(
        self,
        model: CloudModel,
        data: PublishedData,
        made_from: str,
        settings: JudgeSettings,
        pace: Pace,
    ) -> None:
        """Nothing is sent yet.

        Args:
            model: behind the egress.
            data: the proof that it may be sent.
            made_from: SHA-256 of the data that the texts were written from.
            settings: how it is asked.
            pace: of this worker.
        """
        self._model, self._data, self._made_from = model, data, made_from
        self._settings, self._pace = settings, pace
        self._lock = threading.Lock()
        self._asking: set[Deadline] = set()
        self._stopped = False

    def stop(self) -> None:
        """Hang up whatever is on its way, and send nothing more. Safe to call twice."""
        with self._lock:
            self._stopped = True
            asking = list(self._asking)
        for deadline in asking:
            deadline.call_off()

    def ask(self, question: Question) -> Answer:
        """One answer; without a rating or choice if there was none in ASKS replies.

        Raises:
            CloudError: the judge cannot be reached any more.
            PrivacyError: nothing may be sent.
        """
        chat = self._model.capabilities.chat
        prompt = prompt_of(self._data, self._made_from, question)
        reply, reason = "", "unreadable"
        for ask in range(ASKS):
            seed = self._settings.seed + 1_000 * question.run + ask
            try:
                reply = self._reply(prompt, seed, chat=chat)
            except CloudError as error:
                if error.reason in _STOPS:
                    raise
                reason = error.reason
                if reason != "bad-reply":  # too long a prompt, say: it stays too long
                    return self._answer(question, ask + 1, reply, reason)
                continue
            if question.kind == PAIR:
                choice = parse_choice(reply, chat=chat)
                if choice is not None:
                    return self._answer(question, ask + 1, reply, None, choice=choice)
            else:
                rating = parse_rating(reply, chat=chat)
                if rating is not None:
                    return self._answer(question, ask + 1, reply, None, rating=rating)
            reason = "unreadable"
        return self._answer(question, ASKS, reply, reason)

    def _reply(self, prompt: Prompt[Released], seed: int, *, chat: bool) -> str:
        sampling = Sampling(temperature=0.7, top_p=0.95, max_tokens=400 if chat else 8, seed=seed)
        messages = (part for message in prompt.messages for part in message.parts)
        size = sum(len(part.text.encode()) for part in (messages if chat else prompt.completion))
        self._pace.wait(math.ceil(size / BYTES_A_TOKEN) + sampling.max_tokens)
        text = ""
        with self._deadline() as deadline:
            steps = self._model.generate(prompt, sampling, deadline=deadline)
            try:
                for piece in steps:
                    text += piece.text
                    if len(text) > MAX_REPLY_CHARS:
                        break
            finally:
                hang_up(steps)
        return clean(text[:MAX_REPLY_CHARS])

    @contextmanager
    def _deadline(self) -> Iterator[Deadline]:
        """Of one reply; called off when the judge is stopped."""
        deadline = Deadline(DEADLINE_S)
        with self._lock:
            if self._stopped or self._pace.stopped:
                raise CloudError("timeout", "the judging was stopped")
            self._asking.add(deadline)
        try:
            yield deadline
        finally:
            with self._lock:
                self._asking.discard(deadline)

    @staticmethod
    def _answer(
        question: Question,
        asks: int,
        reply: str,
        reason: str | None,
        *,
        rating: int | None = None,
        choice: Choice | None = None,
    ) -> Answer:
        return Answer(
            key=question.key,
            kind=question.kind,
            system=question.system,
            sample=question.sample,
            run=question.run,
            other=question.other,
            swapped=question.swapped,
            rating=rating,
            choice=choice,
            asks=asks,
            reason=reason,
            reply=reply,
        )
