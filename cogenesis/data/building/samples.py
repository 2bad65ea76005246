"""A person's texts as samples in the published form, with what that form leaves out.

Beside the published keys a sample has `group`, `origin`, `general_instruction`, `details` (see
`docs/data-files.md`), and `facts`: the person's private facts, with those that the text uses,
as the writing model told (`told`) and as they are found in the text (`found`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from cogenesis.context.private_context import PrivateContext
from cogenesis.context.schema import PublishedForm
from cogenesis.data.building.forms import Profile
from cogenesis.data.building.plan import Person

FOUND: Final = 0.5
"""A fact is in a text that has this share of its longer words."""

_LONGER: Final = re.compile(r"\w{4,}")


@dataclass(slots=True)
class WrittenText:
    """A task and its text.

    Attributes:
        told, found: numbers of the private facts that it uses, from 1: as the model told, and
            as a comparison of words finds.
    """

    task: str
    details: str
    text: str
    outline: list[str]
    told: list[int]
    found: list[int]

    @property
    def title(self) -> str:
        """The instruction whole."""
        return f"{self.task}: {self.details}"


@dataclass(slots=True)
class PersonTexts:
    """A person, and what they wrote so far."""

    person: Person
    occupation: str
    profile: Profile
    texts: list[WrittenText] = field(default_factory=list)

    def profile_lines(self) -> list[str]:
        """The profile in the published form, line by line."""
        person, made = self.person, self.profile
        return [
            f"Age: {person.age}",
            f"Name: {person.name}",
            f"Occupation: {self.occupation}",
            f"Location: {person.city}, {person.region}",
            f"Personal_traits: {'; '.join(made.personal_traits)}",
            f"Writing_style: {'; '.join(made.writing_style)}",
            f"Privacy_info: {'; '.join(made.private_facts)}; {person.mail}; {person.phone}",
            f"Smart_device_usage: {'; '.join(made.device_activity)}",
            f"Ai_assistant_usage: {'; '.join(made.ai_assistant)}",
        ]

    def fact_lines(self) -> list[str]:
        """The private facts, numbered."""
        return [f"{at}. {fact}" for at, fact in enumerate(self.profile.private_facts, start=1)]

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "person": self.person.told(),
            "occupation": self.occupation,
            "profile": self.profile.model_dump(),
            "texts": [asdict(each) for each in self.texts],
        }

    @classmethod
    def of(cls, told: dict[str, Any]) -> PersonTexts:
        """What `told` gave."""
        return cls(
            Person(**told["person"]),
            told["occupation"],
            Profile.model_validate(told["profile"]),
            [WrittenText(**each) for each in told["texts"]],
        )


def context_of(person: PersonTexts) -> PrivateContext:
    """The person's context, without any texts, as the guard knows it."""
    return PublishedForm(additional_profile="\n".join(person.profile_lines())).context()


def samples_of(person: PersonTexts, history: int, seed: int) -> Iterator[dict[str, Any]]:
    """Each text that has `history` texts before it, as a sample of the build of this seed."""
    group = group_name(person.person.group, seed)
    for at in range(history, len(person.texts)):
        text = person.texts[at]
        earlier = person.texts[at - history : at]
        number = person.person.number
        yield {
            # BATCH_GROUP_NUMBER as in the published data: readers find the group in it.
            "tid": f"{group}_{number * 12 + at}",
            "group": group,
            "origin": "synthetic",
            "general_instruction": text.task,
            "details": text.details,
            "conversations": [
                {"from": "user", "value": text.title},
                {"from": "assistant", "value": text.text},
            ],
            "profile": [
                {"title": each.title, "text": each.text, "id": str(place)}
                for place, each in enumerate(earlier)
            ],
            "additional_profile": "\n".join(person.profile_lines()),
            "outline": text.outline,
            "facts": {
                "private": person.profile.private_facts,
                "told": text.told,
                "found": text.found,
            },
        }


def group_name(number: int, seed: int) -> str:
    """A group as its samples name it: another one in a build of another seed."""
    return f"{seed}_{number}"


def fact_found(fact: str, text: str) -> bool:
    """Whether at least half of the longer words of a fact are in the text."""
    wanted = set(_LONGER.findall(fact.casefold()))
    have = set(_LONGER.findall(text.casefold()))
    return bool(wanted) and len(wanted & have) >= FOUND * len(wanted)
