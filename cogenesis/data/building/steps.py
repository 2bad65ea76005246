"""The four steps: a portrait, a profile, tasks, and texts written one after another.

A portrait is made for a group, all else for one person, in this order, because each step reads
what the steps before it made up. What comes out is plain data that can go from worker to worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic import ValidationError

from cogenesis.data.building.asking import Answer, Asking, Counts, Server
from cogenesis.data.building.forms import FormT, Portrait, Profile, Tasks, WritingTask, Written
from cogenesis.data.building.plan import Group, Person, Wanted
from cogenesis.data.building.samples import (
    PersonTexts,
    WrittenText,
    context_of,
    fact_found,
    samples_of,
)
from cogenesis.data.building.screening import (
    good_lines,
    wrong_lines,
    wrong_sample,
    wrong_task,
    wrong_text,
)
from cogenesis.data.building.templates import StepName, Template
from cogenesis.data.leaks import clearing
from cogenesis.data.repeats import alike, runs
from cogenesis.privacy.made_up import MadeUp

NONE_YET: Final = "(none yet)"
EARLIER_CHARS: Final = 1_500
"""Of each earlier text in the prompt for the next: enough for the voice."""

EARLIER_SHOWN: Final = 4
SAME_PORTRAIT: Final = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a group or a person, and what it took.

    Attributes:
        made: `PersonTexts.told()` or the portrait's fields; None if it was dropped.
        record: of each question that was used: step, key, seed, time, repaired, and the model as
            the server names it.
        events: replies that could not be used, by step and kind.
        kept: replies that were there before.
        verdicts: of a person: what is wrong with each of their samples, in the order of
            `samples_of`; "" if nothing.
    """

    made: dict[str, Any] | None = field(repr=False)
    record: list[dict[str, Any]] = field(repr=False)
    events: dict[str, int]
    kept: int
    verdicts: list[str] = field(default_factory=list)


class Maker:
    """Makes up groups and people, as they are wanted."""

    def __init__(
        self, server: Server, templates: Mapping[StepName, Template], *, wanted: Wanted, source: str
    ) -> None:
        self._server, self._templates = server, templates
        self._wanted, self._seed, self._source = wanted, wanted.seed, source
        self._prose = wanted.screening == "full"
        # An echo is one of whichever step: a model tells of tasks in a text.
        self._fixed = tuple(part for each in templates.values() for part in each.fixed)

    def portrait(self, group: Group, others: Sequence[str], twins: int = 0) -> Outcome:
        """A group's portrait, unlike these others (one line each).

        `twins` are groups of the same question before it: its seed is another one.
        """
        asking, record = self._begin(), list[dict[str, Any]]()
        low, high = group.ages
        values = {
            "field": (group.field,),
            "ages": (f"{low} to {high}",),
            "region": (group.region,),
            "others": _lines(others),
        }
        asking.learn(values)

        def check(found: Portrait) -> Portrait | str:
            wrong = wrong_lines(
                [found.occupation, found.description], self._fixed, prose=self._prose
            )
            if wrong:
                return wrong
            line = portrait_line(found.model_dump())
            same = any(alike(runs(line), runs(each)) > SAME_PORTRAIT for each in others)
            if self._prose and same:
                return "repeated"
            return self._tidied(found, "traits")

        answer = asking.ask(
            Portrait, self._templates["portrait"], values, self._seed + 1_009 * twins, check
        )
        _note(record, "portrait", answer)
        return _outcome(None if answer is None else answer.value.model_dump(), record, asking)

    def person(self, person: Person, portrait: dict[str, Any]) -> Outcome:
        """A person of a group: profile, tasks and texts. Fewer texts than tasks may come out."""
        asking, record = self._begin(), list[dict[str, Any]]()
        asking.learn([portrait, person.told(), person.lines()])
        profile = self._profile(asking, person, portrait, record)
        if profile is None:
            return _outcome(None, record, asking)
        found = PersonTexts(person, portrait["occupation"], profile)
        asking.learn([found.profile_lines(), found.fact_lines()])
        tasks = self._tasks(asking, found, record)
        for number, task in enumerate(tasks):
            text = self._text(asking, found, task, number, record)
            if text is not None:
                found.texts.append(text)
        if not found.texts:
            return _outcome(None, record, asking)
        samples = samples_of(found, self._wanted.history, self._seed)
        verdicts = [wrong_sample(sample) for sample in samples]
        return replace(_outcome(found.told(), record, asking), verdicts=verdicts)

    def _tidied(self, found: FormT, *names: str) -> FormT | str:
        """A reply without those entries of its lists that are wrong; or why too few are left."""
        lists: dict[str, list[str]] = {}
        for name in names:
            before = [line for lines in lists.values() for line in lines]
            lists[name] = good_lines(getattr(found, name), self._fixed, before, prose=self._prose)
        try:
            return type(found).model_validate(found.model_dump() | lists)
        except ValidationError:
            every = [line for name in names for line in getattr(found, name)]
            return wrong_lines(every, self._fixed, prose=self._prose) or "repeated"

    def _begin(self) -> Asking:
        return Asking(self._server, MadeUp(self._source), Counts())

    def _profile(
        self,
        asking: Asking,
        person: Person,
        portrait: dict[str, Any],
        record: list[dict[str, Any]],
    ) -> Profile | None:
        values = {
            "portrait": (portrait["occupation"], ". ", portrait["description"]),
            "identity": _lines(person.lines()),
        }
        asking.learn(values)

        def check(found: Profile) -> Profile | str:
            return self._tidied(
                found,
                "private_facts",
                "device_activity",
                "personal_traits",
                "writing_style",
                "ai_assistant",
            )

        seed = self._seed + person.number
        answer = asking.ask(Profile, self._templates["profile"], values, seed, check)
        _note(record, "profile", answer)
        return None if answer is None else answer.value

    def _tasks(
        self, asking: Asking, found: PersonTexts, record: list[dict[str, Any]]
    ) -> list[WritingTask]:
        """One of each kind, if the model gives a good one in two questions; in the kinds' order.

        A reply's first task is taken for the first kind that was asked for, and so on.
        """
        clears = clearing(context_of(found))
        taken: dict[int, WritingTask] = {}
        wrong: Counter[str] = asking.counts.events
        for round_ in range(2):
            still = [at for at in range(len(found.person.kinds)) if at not in taken]
            if not still:
                break
            kinds = [found.person.kinds[at] for at in still]
            values = {
                "profile": _lines(found.profile_lines()),
                "count": (str(len(kinds)),),
                "kinds": _lines([f"{at}. {kind}" for at, kind in enumerate(kinds, start=1)]),
            }
            asking.learn(values)
            seed = self._seed + found.person.number * 2 + round_ + 7_919
            answer = asking.ask(Tasks, self._templates["tasks"], values, seed, lambda each: each)
            _note(record, "tasks", answer)
            for at, task in zip(still, [] if answer is None else answer.value.tasks, strict=False):
                earlier = [each.task for each in taken.values()]
                why = wrong_task(
                    task.task, task.details, clears, self._fixed, earlier, prose=self._prose
                )
                if why:
                    wrong[f"tasks: {why}"] += 1
                else:
                    taken[at] = task
        short = len(found.person.kinds) - len(taken)
        if short:
            wrong["tasks: too few"] += short
        return [taken[at] for at in sorted(taken)]

    def _text(
        self,
        asking: Asking,
        found: PersonTexts,
        task: WritingTask,
        number: int,
        record: list[dict[str, Any]],
    ) -> WrittenText | None:
        earlier = found.texts[-EARLIER_SHOWN:]
        shown = [f"{each.task}\n{each.text[:EARLIER_CHARS]}\n" for each in earlier]
        values = {
            "profile": _lines(found.profile_lines()),
            "facts": _lines(found.fact_lines()),
            "earlier": _lines(shown),
            "task": (task.task,),
            "details": (task.details,),
        }
        asking.learn(values)
        template = self._templates["text"]

        def check(reply: Written) -> Written | str:
            earlier = [each.text for each in found.texts]
            wrong = wrong_text(reply.text, self._fixed, earlier, prose=self._prose)
            return wrong or self._tidied(reply, "outline")

        seed = self._seed + found.person.number * 100 + number + 104_729
        answer = asking.ask(Written, template, values, seed, check)
        _note(record, "text", answer, text=number)
        if answer is None:
            return None
        facts = found.profile.private_facts
        told = [at for at in dict.fromkeys(answer.value.facts_used) if 1 <= at <= len(facts)]
        seen = [at for at, fact in enumerate(facts, start=1) if fact_found(fact, answer.value.text)]
        return WrittenText(
            task.task, task.details, answer.value.text, answer.value.outline, told, seen
        )


def portrait_line(portrait: Mapping[str, Any]) -> str:
    """A portrait as later ones are told of it."""
    return f"{portrait['occupation']}: {portrait['description'][:160]}"


def _lines(lines: Sequence[str]) -> tuple[str, ...]:
    """A gap's value: one text of all lines."""
    return ("\n".join(lines) or NONE_YET,)


def _note(
    record: list[dict[str, Any]], step: StepName, answer: Answer[Any] | None, **more: int
) -> None:
    if answer is not None:
        told = {"seed": answer.seed, "time": answer.at, "repaired": answer.repaired}
        named = {} if answer.model is None else {"model": answer.model}
        record.append({"step": step, **more, "reply": answer.key, **told, **named})


def _outcome(made: dict[str, Any] | None, record: list[dict[str, Any]], asking: Asking) -> Outcome:
    return Outcome(made, record, dict(asking.counts.events), asking.counts.kept)
