"""A language model as the judge of texts: what it is asked, and what its answers are.

The questions tell a worker all that it needs, and nothing in them is released: `judge_asking`
makes what is sent from them and from the published data, which each worker opens for itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, cast

from cogenesis.errors import InputError
from cogenesis.evaluation.generation import content_key
from cogenesis.evaluation.judge_prompts import (
    HIGHEST,
    LOWEST,
    SCORES,
    Choice,
    Score,
    judged_reference,
    judged_text,
    pair_prompt,
    rendered,
    score_prompt,
)
from cogenesis.evaluation.text_report import REFERENCE
from cogenesis.models.protocol import Prompt
from cogenesis.privacy.published import PublishedData
from cogenesis.privacy.released import Released

FORM: Final = 1
MEANINGFUL_BILLIONS: Final = 30.0
"""Parameters of the smallest judge whose scores we would look at at all. Our own line, not a
measurement: small models rate by length, place and chance. Look at the agreement of its runs."""

PAIR: Final = "pair"

_FINAL: Final = frozenset({None, "unreadable", "too-large"})
"""Reasons after which asking again makes no sense: the judge wrote something, or more than fits."""

_SIZE: Final = re.compile(
    r"(?<![a-z0-9.])(?:(\d{1,3})x)?(\d{1,4}(?:\.\d{1,3})?)([bm])(?![a-z0-9])", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to ask the judge. It can be pickled: `prompt_of` makes what is sent.

    Attributes:
        key: content hash: judge, prompt, run.
        kind: a score, or PAIR.
        system, sample, run: what it is about.
        texts: that are judged, as they are shown; None for the text that the author wrote.
        size: characters that a chat judge reads.
        other: the system that is compared with, for pairs.
        swapped: whether the other system's text stands first.
    """

    key: str
    kind: str
    system: str
    sample: int
    run: int
    texts: tuple[str | None, ...] = field(repr=False)
    size: int = 0
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

    @property
    def is_final(self) -> bool:
        """Whether it stays; else the judge wrote nothing, and the server may be mended by now."""
        return self.reason in _FINAL or bool(self.reply)

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

    def add(
        kind: str, system: str, sample: int, shown: tuple[str | None, ...], **more: Any
    ) -> None:
        first = Question("", kind, system, sample, 0, shown, **more)
        prompt = prompt_of(data, made_from, first)
        told = rendered(prompt)
        size = sum(len(part.text) for message in prompt.messages for part in message.parts)
        for run in range(settings.runs):
            key = content_key(FORM, judge, kind, told, settings.seed, run)
            found.append(replace(first, key=key, run=run, size=size))

    for sample in sorted({number for by in texts.values() for number in by}):
        for system in (each for each in texts if sample in texts[each]):
            text = None if system == REFERENCE else texts[system][sample]
            for score in SCORES:
                add(score, system, sample, (text,))
            if not settings.pairs or system == baseline or sample not in texts.get(baseline, {}):
                continue
            other = None if baseline == REFERENCE else texts[baseline][sample]
            for swapped in (False, True):
                both = (other, text) if swapped else (text, other)
                add(PAIR, system, sample, both, other=baseline, swapped=swapped)
    return found


def prompt_of(data: PublishedData, made_from: str, question: Question) -> Prompt[Released]:
    """What the judge is shown.

    Raises:
        EgressError: the texts are of other data (`made_from` is the SHA-256 of theirs).
    """
    sample = question.sample
    shown = [
        judged_reference(data, sample) if text is None else judged_text(data, text, made_from)
        for text in question.texts
    ]
    if question.kind == PAIR:
        first, second = shown
        return pair_prompt(data, sample, first, second)
    return score_prompt(data, sample, cast(Score, question.kind), shown[0])


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


def size_in_name(name: str) -> float | None:
    """Billions of parameters that a model's name tells ("qwen2.5-72b", "8x7b"), if any."""
    sizes = []
    for experts, number, unit in _SIZE.findall(name):
        size = float(number) * (int(experts) if experts else 1)
        sizes.append(size / 1_000 if unit in "mM" else size)
    return max(sizes, default=None)
