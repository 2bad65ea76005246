"""A language model as the judge of texts: asking, with retries, and keeping its answers.

The judge sees profiles, so it takes a `PublishedData`, which exists for marked files and with
the user's flag only. Everything goes through the egress and the ledger.

The judge is untrusted: its answers are bounded, parsed strictly, and are numbers and words for
the report; nothing of them reaches a system's prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from cogenesis.errors import CloudError, InputError
from cogenesis.evaluation.generation import content_key
from cogenesis.evaluation.judge_prompts import (
    HIGHEST,
    LOWEST,
    MAX_REPLY_CHARS,
    SCORES,
    Choice,
    judged_reference,
    judged_text,
    pair_prompt,
    parse_choice,
    parse_rating,
    rendered,
    score_prompt,
)
from cogenesis.evaluation.text_report import REFERENCE
from cogenesis.models.protocol import CloudModel, Prompt, Sampling, hang_up
from cogenesis.privacy.published import PublishedData
from cogenesis.privacy.released import Released
from cogenesis.untrusted import clean
from cogenesis.wire import Deadline

FORM: Final = 1
ASKS: Final = 3
"""How often an answer that cannot be read is asked for, each time with another seed."""

MEANINGFUL_BILLIONS: Final = 30.0
"""Parameters of the smallest judge whose scores we would look at at all. Our own line, not a
measurement: small models rate by length, place and chance. Look at the agreement of its runs."""

DEADLINE_S: Final = 120.0
PAIR: Final = "pair"

_STOPS: Final = frozenset(
    {"unreachable", "timeout", "unauthorised", "rate-limited", "server-error"}
)
"""Errors that the next question would meet, too: the run ends, and can be gone on with."""

_SIZE: Final = re.compile(
    r"(?<![a-z0-9.])(?:(\d{1,3})x)?(\d{1,4}(?:\.\d{1,3})?)([bm])(?![a-z0-9])", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to ask the judge.

    Attributes:
        key: content hash: judge, prompt, run.
        kind: a score, or PAIR.
        system, sample, run: what it is about.
        other: the system that is compared with, for pairs.
        swapped: whether the other system's text stands first.
    """

    key: str
    kind: str
    system: str
    sample: int
    run: int
    prompt: Prompt[Released] = field(repr=False)
    other: str | None = None
    swapped: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the judge said: a line of the file of answers.

    Attributes:
        rating: from 1 to 10, for scores.
        choice: the place of the better text, for pairs.
        asks: questions it took.
        reason: one word, where there is no answer: "unreadable" or the server's error.
        reply: the last reply, cleaned and cut.
    """

    key: str
    kind: str
    system: str
    sample: int
    run: int
    other: str | None = None
    swapped: bool = False
    rating: int | None = None
    choice: Choice | None = None
    asks: int = 1
    reason: str | None = None
    reply: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.rating is not None and not LOWEST <= self.rating <= HIGHEST:
            raise ValueError("no rating")
        if self.choice not in {None, "first", "second", "tie"}:
            raise ValueError("no choice")

    def to_json(self) -> dict[str, Any]:
        """The line of the file."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Answer:
        """What `to_json` gave. Raises KeyError, TypeError or ValueError if it is not that."""
        return cls(**value)


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """How the judge is asked.

    Attributes:
        runs: how often each question is asked; two tell how far the judge agrees with itself.
        pairs: whether texts are also compared with the baseline's.
        seed: of the first question.
    """

    runs: int = 2
    pairs: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise InputError("--runs is at least 1")


def questions(
    data: PublishedData,
    texts: dict[str, dict[int, str]],
    made_from: str,
    baseline: str,
    judge: dict[str, Any],
    settings: JudgeSettings,
) -> list[Question]:
    """All that is to be asked: for each text three scores, and both orders beside the baseline's.

    Args:
        data: the proof that it may be sent.
        texts: by system and sample. REFERENCE as a system stands for the authors' own texts.
        made_from: SHA-256 of the data that they were written from.
        baseline: the system with which the others are compared.
        judge: what tells the judge from any other model.
        settings: how often, and whether pairs are asked.

    Raises:
        EgressError: the texts are of other data.
    """
    found = []

    def add(kind: str, system: str, sample: int, prompt: Prompt[Released], **more: Any) -> None:
        for run in range(settings.runs):
            key = content_key(FORM, judge, kind, rendered(prompt), settings.seed, run)
            found.append(Question(key, kind, system, sample, run, prompt, **more))

    def text_of(system: str, sample: int) -> Released:
        if system == REFERENCE:
            return judged_reference(data, sample)
        return judged_text(data, texts[system][sample], made_from)

    for sample in sorted({number for by in texts.values() for number in by}):
        for system in (each for each in texts if sample in texts[each]):
            text = text_of(system, sample)
            for score in SCORES:
                add(score, system, sample, score_prompt(data, sample, score, text))
            if not settings.pairs or system == baseline or sample not in texts.get(baseline, {}):
                continue
            other = text_of(baseline, sample)
            for swapped in (False, True):
                first, second = (other, text) if swapped else (text, other)
                prompt = pair_prompt(data, sample, first, second)
                add(PAIR, system, sample, prompt, other=baseline, swapped=swapped)
    return found


def answered(asked: Sequence[Question], known: Mapping[str, Answer]) -> list[Answer]:
    """The answers to these questions, as far as they are known.

    Two systems that wrote the same text have the same question, which is asked once.
    """
    return [
        replace(
            known[each.key],
            kind=each.kind,
            system=each.system,
            sample=each.sample,
            run=each.run,
            other=each.other,
            swapped=each.swapped,
        )
        for each in asked
        if each.key in known
    ]


class Judge:
    """Asks one model. Safe to use from several threads if the model is."""

    def __init__(self, model: CloudModel, settings: JudgeSettings) -> None:
        """Nothing is sent yet."""
        self._model, self._settings = model, settings

    def ask_all(self, asked: Sequence[Question], *, parallel: int = 1) -> Iterator[Answer]:
        """The answers as they come, not in order.

        Raises:
            CloudError: the judge cannot be reached any more; what was answered is yielded first.
            PrivacyError: nothing may be sent.
        """
        left = iter(asked)
        with ThreadPoolExecutor(parallel, thread_name_prefix="judge") as pool:
            running: set[Future[Answer]] = set()
            try:
                while True:
                    # No more than can run: what has not begun need not be called off.
                    while len(running) < parallel and (question := next(left, None)) is not None:
                        running.add(pool.submit(self.ask, question))
                    if not running:
                        return
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    good = [each for each in done if each.exception() is None]
                    yield from (each.result() for each in good)
                    for each in done - set(good):
                        each.result()
            finally:
                for each in running:
                    each.cancel()

    def ask(self, question: Question) -> Answer:
        """One answer; without a rating or choice if there was none in ASKS replies."""
        chat = self._model.capabilities.chat
        reply, reason = "", "unreadable"
        for ask in range(ASKS):
            seed = self._settings.seed + 1_000 * question.run + ask
            try:
                reply = self._reply(question, seed, chat=chat)
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

    def _reply(self, question: Question, seed: int, *, chat: bool) -> str:
        sampling = Sampling(temperature=0.7, top_p=0.95, max_tokens=400 if chat else 8, seed=seed)
        text = ""
        steps = self._model.generate(question.prompt, sampling, deadline=Deadline(DEADLINE_S))
        try:
            for piece in steps:
                text += piece.text
                if len(text) > MAX_REPLY_CHARS:
                    break
        finally:
            hang_up(steps)
        return clean(text[:MAX_REPLY_CHARS])

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


def size_in_name(name: str) -> float | None:
    """Billions of parameters that a model's name tells ("qwen2.5-72b", "8x7b"), if any."""
    sizes = []
    for experts, number, unit in _SIZE.findall(name):
        size = float(number) * (int(experts) if experts else 1)
        sizes.append(size / 1_000 if unit in "mM" else size)
    return max(sizes, default=None)
