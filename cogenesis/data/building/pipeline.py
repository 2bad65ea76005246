"""A build from end to end: portraits in waves, people side by side, samples at the end.

    built = Build(settings, engine)
    for step, done, total in built.run(): ...
    built.report

The engine schedules groups and people; all their questions go through the cache, so a run that
is killed and begun again asks nothing twice and makes the same people. A wave of portraits is
told of those before it with the same field or region; within a wave they are made side by side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from cogenesis.data.building.asking import Failing, GoneError, Server
from cogenesis.data.building.folder import REPLIES
from cogenesis.data.building.plan import Group, Person, Wanted, group_of, groups_of, person_of
from cogenesis.data.building.steps import Maker, Outcome, portrait_line
from cogenesis.data.building.templates import StepName, Template
from cogenesis.data.cache import ReplyCache
from cogenesis.engines.cloud import CloudAddress
from cogenesis.engines.cost import Measured
from cogenesis.engines.engine import Done, Engine, Lost, Place
from cogenesis.errors import CloudError

WAVE: Final = 16
"""Portraits that do not know of each other."""

OTHERS: Final = 6
"""Earlier portraits that a new one is told of."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What to build, with which server, and where the replies are kept."""

    wanted: Wanted
    cloud: CloudAddress
    templates: Mapping[StepName, Template] = field(repr=False)
    folder: Path
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Item:
    """A group with lines of other portraits, or a person with the group's portrait."""

    group: Group | None = None
    others: tuple[str, ...] = ()
    person: Person | None = None
    portrait: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Worked:
    """What a worker gives back: an outcome, or why there was no answer; and what it took."""

    outcome: Outcome | None
    failed: str
    measured: Measured


@dataclass(frozen=True, slots=True)
class Making:
    """How a worker gets ready: an egress, a cache and a maker of its own."""

    settings: Settings

    @contextmanager
    def open(self, place: Place) -> Iterator[Callable[[Item], Worked]]:
        """Connections of this process; the cache is shared by all."""
        chosen = self.settings
        cache = ReplyCache(chosen.folder / REPLIES)
        versions = ", ".join(f"{s} {t.version}" for s, t in chosen.templates.items())
        failing = Failing()
        with chosen.cloud.open(place) as (connection, _):

            def work(item: Item) -> Worked:
                server = Server(
                    connection.structured(),
                    cache,
                    place.pace,
                    url=chosen.cloud.url,
                    model=chosen.cloud.model,
                    deadline_s=chosen.deadline_s,
                    failing=failing,
                )
                maker = Maker(
                    server,
                    chosen.templates,
                    seed=chosen.wanted.seed,
                    source=f"data build, templates {versions}",
                )
                return _worked(maker, server, item)

            yield work


def _worked(maker: Maker, server: Server, item: Item) -> Worked:
    outcome, failed = None, ""
    try:
        if item.group is not None:
            outcome = maker.portrait(item.group, item.others)
        elif item.person is not None and item.portrait is not None:
            outcome = maker.person(item.person, item.portrait)
    except GoneError:
        raise
    except CloudError as error:
        failed = error.reason
    return Worked(outcome, failed, server.meter.measured)


@dataclass(slots=True)
class Made:
    """What came of all groups and people.

    Attributes:
        people: outcomes that were made, by person.
        portraits: by group.
        events: replies that could not be used, by step and kind.
        dropped: groups and people that came to nothing, by reason.
        failed: groups and people without an answer: the same command asks again.
        measured: what was asked now.
        kept: replies that were there before.
    """

    portraits: dict[int, Outcome] = field(default_factory=dict)
    people: dict[int, Outcome] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    measured: Measured = field(default_factory=Measured)
    kept: int = 0

    def take(self, worked: Worked) -> Outcome | None:
        """Count it; the outcome if something was made."""
        self.measured = self.measured.plus(worked.measured)
        if worked.outcome is None:
            self.failed[worked.failed] += 1
            return None
        self.events.update(worked.outcome.events)
        self.kept += worked.outcome.kept
        return worked.outcome if worked.outcome.made is not None else None


def batched(groups: Iterable[Group], size: int) -> Iterator[list[Group]]:
    """So many at a time."""
    waiting = iter(groups)
    while wave := list(islice(waiting, size)):
        yield wave


class Build:
    """Makes the people; use `portraits`, then `people`."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        """Nothing is asked yet."""
        self.settings, self.made = settings, Made()
        self._engine, self._making = engine, Making(settings)

    def portraits(self) -> Iterator[int]:
        """Make them, wave by wave; gives how many are done.

        Raises:
            CogenesisError: as the engine and the server raise.
        """
        done = 0
        for wave in batched(groups_of(self.settings.wanted), WAVE):
            for _ in self._wave(wave):
                done += 1
                yield done

    def _wave(self, wave: Sequence[Group]) -> Iterator[None]:
        items = [(f"g{group.number:08d}", self._asked(group)) for group in wave]
        found: dict[str, Outcome] = {}
        for each in self._engine.map(self._making, items):
            outcome = self._took(each)
            if outcome is not None:
                found[each.key] = outcome
            elif isinstance(each, Done) and not each.result.failed:
                self.made.dropped["no portrait"] += 1
            yield
        for group in wave:  # in their order, whichever came first: the next wave reads them
            if f"g{group.number:08d}" in found:
                self.made.portraits[group.number] = found[f"g{group.number:08d}"]

    def _asked(self, group: Group) -> Item:
        """A group with the earlier portraits nearest to it: of its field, then of its region."""
        near: list[tuple[int, int]] = []
        for number in self.made.portraits:
            other = group_of(self.settings.wanted, number)
            near.append((2 * (other.field == group.field) + (other.region == group.region), number))
        chosen = sorted(near, reverse=True)[:OTHERS]
        lines = [self.made.portraits[number].made for _, number in chosen]
        return Item(group, tuple(f"- {portrait_line(each)}" for each in lines if each))

    def people(self) -> Iterator[int]:
        """Make the people of all groups that have a portrait; gives how many are done."""
        for done, each in enumerate(self._engine.map(self._making, self._people()), start=1):
            outcome = self._took(each)
            if outcome is not None:
                self.made.people[int(each.key[1:])] = outcome
            elif isinstance(each, Done) and not each.result.failed:
                self.made.dropped["no text"] += 1
            yield done

    def _people(self) -> Iterator[tuple[str, Item]]:
        wanted = self.settings.wanted
        for number in range(wanted.people):
            outcome = self.made.portraits.get(number // wanted.group)
            if outcome is None or outcome.made is None:
                self.made.dropped["no portrait of the group"] += 1
                continue
            person = person_of(wanted, number)
            yield person.key, Item(person=person, portrait=outcome.made)

    def _took(self, each: Done[Worked] | Lost) -> Outcome | None:
        if isinstance(each, Lost):
            self.made.failed["worker died"] += 1
            return None
        return self.made.take(each.result)
