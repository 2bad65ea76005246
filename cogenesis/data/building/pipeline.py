"""A build from end to end: portraits in waves, people side by side.

    with Made.opened(folder) as made:
        build = Build(settings, engine, made)
        for done in build.portraits(): ...
        for done in build.people(): ...
        finish(settings, made, shares)

The engine schedules groups and people; all their questions go through the cache, so a run that
is killed and begun again asks nothing twice and makes the same people. A wave of portraits is
told of those before it with the same field or region; within a wave they are made side by side.
One that had no answer in time is never told of to later ones, whenever its answer comes: they
would not be the same, and all that hangs on them would be paid again.
Waves grow with what was made before them, so that many groups do not wait for one another.

Memory grows by 8 bytes for each person and group: what was made is on the disk (`shelf`), and
what was sent and received in the cache. `finish` adds what it says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cogenesis.data.building.asking import Failing, GoneError, Server
from cogenesis.data.building.folder import BEGUN, REPLIES, Late
from cogenesis.data.building.nearest import Nearest
from cogenesis.data.building.plan import Group, Person, Wanted, group_of, person_of
from cogenesis.data.building.shelf import Shelf
from cogenesis.data.building.steps import Maker, Outcome, portrait_line
from cogenesis.data.building.templates import StepName, Template
from cogenesis.data.cache import ReplyCache
from cogenesis.engines.cloud import CloudAddress
from cogenesis.engines.cost import Measured
from cogenesis.engines.engine import Done, Engine, Lost, Place
from cogenesis.errors import CloudError, CloudReason, InputError

WAVE: Final = 16
"""Portraits that do not know of each other, at the beginning."""

MAX_WAVE: Final = 4096
"""As many as the most that can be worked on at once."""


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
    """A group with lines of other portraits, or a person with the group's portrait.

    `twins` are the groups before it in its wave of the same field, age and region: they are
    told the same, so each is asked with a seed of its own.
    """

    group: Group | None = None
    others: tuple[str, ...] = ()
    twins: int = 0
    person: Person | None = None
    portrait: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Worked:
    """What a worker gives back: an outcome, or why there was no answer; and what it took."""

    outcome: Outcome | None
    failed: CloudReason | None
    measured: Measured


@dataclass(frozen=True, slots=True)
class Making:
    """How a worker gets ready: an egress, a cache and a maker of its own."""

    settings: Settings

    @contextmanager
    def open(self, place: Place) -> Iterator[Callable[[Item], Worked]]:
        """Connections of this process; the cache is shared by all.

        Raises:
            InputError: the folder of the build is not there, on another machine perhaps.
        """
        chosen = self.settings
        if not (chosen.folder / BEGUN).is_file():
            raise InputError(
                f"{chosen.folder} on {place.machine.name} is not the folder of this build: it must "
                "lie where all machines of the cluster see it, under the same path"
            )
        cache = ReplyCache(chosen.folder / REPLIES)
        versions = ", ".join(f"{s} {t.version}" for s, t in chosen.templates.items())
        failing = Failing(answered=bool(cache))
        with chosen.cloud.open(place) as (connection, _):
            # One for all items: what the server refuses is found out once.
            chat = connection.structured()

            def work(item: Item) -> Worked:
                server = Server(
                    chat,
                    cache,
                    place.pace,
                    model=chosen.cloud.model,
                    deadline_s=chosen.deadline_s,
                    failing=failing,
                )
                maker = Maker(
                    server,
                    chosen.templates,
                    wanted=chosen.wanted,
                    source=f"data build, templates {versions}",
                )
                return _worked(maker, server, item)

            yield work


def _worked(maker: Maker, server: Server, item: Item) -> Worked:
    outcome: Outcome | None = None
    failed: CloudReason | None = None
    try:
        if item.group is not None:
            outcome = maker.portrait(item.group, item.others, item.twins)
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
        portraits: outcomes that were made, by group.
        people: by person.
        events: replies that could not be used, by step and kind.
        dropped: groups and people that came to nothing, by reason.
        failed: groups and people without an answer: the same command asks again.
        measured: what was asked now.
        kept: replies that were there before.
    """

    portraits: Shelf
    people: Shelf
    events: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    measured: Measured = field(default_factory=Measured)
    kept: int = 0

    @classmethod
    @contextmanager
    def opened(cls, folder: Path) -> Iterator[Made]:
        """Nothing yet; what is made lies in the folder as long as the block lasts.

        Raises:
            InputError: the folder cannot be written.
        """
        with Shelf.opened(folder) as portraits, Shelf.opened(folder) as people:
            yield cls(portraits, people)

    def take(self, worked: Worked) -> Outcome | None:
        """Count it; the outcome if something was made."""
        self.measured = self.measured.plus(worked.measured)
        if worked.failed is not None:
            self.failed[worked.failed] += 1
        if worked.outcome is None:
            return None
        self.events.update(worked.outcome.events)
        self.kept += worked.outcome.kept
        return worked.outcome if worked.outcome.made is not None else None


def waves(groups: int) -> Iterator[range]:
    """The groups in waves. Where one begins does not depend on how many groups there are."""
    begun = 0
    while begun < groups:
        size = max(WAVE, min(MAX_WAVE, begun // 8 // WAVE * WAVE))
        yield range(begun, min(begun + size, groups))
        begun += size


class Build:
    """Makes the people; use `portraits`, then `people`."""

    def __init__(self, settings: Settings, engine: Engine, made: Made) -> None:
        """Nothing is asked yet."""
        self.settings, self.made = settings, made
        self._engine, self._making = engine, Making(settings)
        self._nearest = Nearest()

    def portraits(self) -> Iterator[int]:
        """Make them, wave by wave; gives how many are done.

        Raises:
            CogenesisError: as the engine and the server raise.
        """
        done, late = 0, Late(self.settings.folder)
        for wave in waves(self.settings.wanted.groups):
            unanswered: set[int] = set()
            for each in self._engine.map(self._making, self._groups(wave)):
                self._keep(each, self.made.portraits, "no portrait")
                if isinstance(each, Lost) or each.result.failed is not None:
                    unanswered.add(int(each.key[1:]))
                done += 1
                yield done
            late.add(unanswered)  # on the disk before the next wave depends on it
            for number in wave:  # in their order, whichever came first: the next wave reads them
                outcome = self.made.portraits.get(number)
                if outcome is not None and outcome.made is not None and number not in late:
                    group = group_of(self.settings.wanted, number)
                    self._nearest.add(group, portrait_line(outcome.made))

    def _groups(self, wave: range) -> Iterator[tuple[str, Item]]:
        seen: Counter[tuple[Any, ...]] = Counter()
        for number in wave:
            group = group_of(self.settings.wanted, number)
            given = (group.field, group.ages, group.region)
            others = tuple(f"- {line}" for line in self._nearest.of(group))
            yield f"g{number:08d}", Item(group, others, seen[given])
            seen[given] += 1

    def people(self) -> Iterator[int]:
        """Make the people of all groups that have a portrait; gives how many are done."""
        for done, each in enumerate(self._engine.map(self._making, self._people()), start=1):
            self._keep(each, self.made.people, "no text")
            yield done

    def _people(self) -> Iterator[tuple[str, Item]]:
        wanted = self.settings.wanted
        for group in range(wanted.groups):
            outcome = self.made.portraits.get(group)
            first = group * wanted.group
            for number in range(first, min(first + wanted.group, wanted.people)):
                if outcome is None:
                    self.made.dropped["no portrait of the group"] += 1
                else:
                    person = person_of(wanted, number)
                    yield person.key, Item(person=person, portrait=outcome.made)

    def _keep(self, each: Done[Worked] | Lost, shelf: Shelf, nothing: str) -> None:
        """Count what was done and put it away; `nothing` is why it was dropped if it is empty."""
        if isinstance(each, Lost):
            self.made.failed["worker died"] += 1
            return
        outcome = self.made.take(each.result)
        if outcome is not None:
            shelf.put(int(each.key[1:]), outcome)
        elif each.result.failed is None:
            self.made.dropped[nothing] += 1
