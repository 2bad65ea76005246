"""What of a private context goes into a window of so many tokens.

Priority, first to last:

1. the instruction, whole (the prompt builder refuses one that does not fit);
2. the reserve for the sketch, a fixed number, so that the choice is made before the cloud
   answers and never depends on what it says;
3. the profile's name and writing style, then its other fields in their order;
4. activities, nearest to the instruction first: at most `max_activities` of them, and at most
   ACTIVITY_SHARE of what is left, because a past text teaches more than a tenth entry;
5. past texts, nearest to the instruction first and of equals the latest: at most
   `max_writings`, each at most half of what is left while another waits, cut at the end of a
   sentence if it is longer.

An item is taken whole or left out; only past texts are cut. A kind of item is looked through
until hardly anything is left for it (MIN_ROOM_TOKENS) or MISSES items in a row did not fit;
what comes after is left out uncounted, because each count may be a request to a model server.

Fields and activities keep their order. Of the past texts the nearest to the instruction comes
first: as the last one, right before the task, the small demo model copied it in one of eight
texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from cogenesis.context.private_context import (
    Activity,
    Private,
    PrivateContext,
    ProfileField,
    Writing,
    normal_name,
)
from cogenesis.context.relevance import bm25
from cogenesis.context.rendering import show_activity, show_field, show_writing

ACTIVITY_SHARE = 0.4
MIN_EXCERPT_TOKENS = 48
"""A shorter piece of a past text shows no voice."""
MIN_ROOM_TOKENS = 16
"""With less room left for a kind of item, no more of them are looked at."""
MISSES = 12
"""After so many items in a row that did not fit, the rest of their kind is not looked at."""
FIELDS_AT_ONCE = 32
"""Fields counted by one call, while all of them fit."""

_FIRST_FIELDS = ("name", "writing style")
_MAX_TOKEN_CHARS = 16
"""Texts with more characters than this for each free token are not even counted."""
_LINE_TOKENS = 2
_TURNS_TOKENS = 16
"""For what stands around an item: line breaks, or the marks of the two turns of a past text."""

_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)]*\s+|(?<=[。！？])|\n+")

Count = Callable[[str], int]
"""Number of tokens of a text, by the device model's own vocabulary."""

OmissionKind = Literal["field", "activity", "writing", "sketch point"]
OmissionReason = Literal["window", "relevance", "shortened"]


@dataclass(frozen=True, slots=True)
class Window:
    """How much a prompt may hold. The first four numbers are tokens.

    Attributes:
        context_tokens: the model's window.
        max_tokens: kept free for the text that is written.
        sketch_reserve: kept free for the sketch (15 points of 12 words need about 280, the
            usual 10 of 5 words about 100).
        margin: kept free for the chat template and rounding.
        max_activities: more did not help the small demo model, and every token takes time
            to read. A larger model can use more.
        max_writings: likewise.
    """

    context_tokens: int
    max_tokens: int
    sketch_reserve: int = 280
    margin: int = 64
    max_activities: int = 4
    max_writings: int = 3

    @property
    def room(self) -> int:
        """Tokens for the instruction and the context."""
        return self.context_tokens - self.max_tokens - self.sketch_reserve - self.margin


@dataclass(frozen=True, slots=True)
class Omission:
    """Something that the prompt lacks; it names no private text.

    `number` counts from 1 within `total` items of this kind. `reason`: it did not fit
    ("window"), enough others were nearer to the instruction ("relevance"), or its end was
    cut off ("shortened").
    """

    kind: OmissionKind
    number: int
    total: int
    reason: OmissionReason

    @property
    def label(self) -> str:
        """Such as "writing 3 of 5"."""
        return f"{self.kind} {self.number} of {self.total}"


class Selection(Private):
    """What was chosen, and what was not."""

    __slots__ = ("activities", "fields", "omitted", "writings")
    fields: tuple[ProfileField, ...]
    activities: tuple[Activity, ...]
    writings: tuple[Writing, ...]
    omitted: tuple[Omission, ...]

    def __init__(
        self,
        fields: Sequence[ProfileField],
        activities: Sequence[Activity],
        writings: Sequence[Writing],
        omitted: Sequence[Omission],
    ) -> None:
        self._set(
            fields=tuple(fields),
            activities=tuple(activities),
            writings=tuple(writings),
            omitted=tuple(omitted),
        )


def select(
    context: PrivateContext, instruction: str, *, count: Count, room: int, window: Window
) -> Selection:
    """Choose what fits `room` tokens, by the priority in the module's docstring.

    `room` is what `window.room` leaves beside the instruction and the fixed wording.

    A large context is ranked first and counted only near the top, as the module's docstring
    says. Fields are counted together where they fit together; a text that is cut is counted
    a few times; every other item once or never.
    """
    chooser = _Chooser(count, room, window)
    fields = chooser.fields(context.fields)
    activities = chooser.activities(context.activities, instruction)
    writings = chooser.writings(context.writings, instruction)
    return Selection(fields, activities, writings, chooser.omitted)


class _Chooser:
    def __init__(self, count: Count, room: int, window: Window) -> None:
        self._count = count
        self._window = window
        self._left = room
        self.omitted: list[Omission] = []

    def fields(self, items: Sequence[ProfileField]) -> list[ProfileField]:
        def place(index: int) -> tuple[int, int]:
            name = normal_name(items[index].name)
            return (_FIRST_FIELDS.index(name) if name in _FIRST_FIELDS else 9, index)

        order = sorted(range(len(items)), key=place)
        taken: set[int] = set()
        misses = _Misses()
        for start in range(0, len(order), FIELDS_AT_ONCE):
            if self._left < MIN_ROOM_TOKENS or misses.enough:
                break
            lines = {index: show_field(items[index]) for index in order[start:][:FIELDS_AT_ONCE]}
            taken.update(self._take_fields(list(lines.items()), misses))
        for index in order:
            if index not in taken:
                self._omit("field", index, len(items), "window")
        return [items[index] for index in sorted(taken)]

    def _take_fields(self, lines: Sequence[tuple[int, str]], misses: _Misses) -> list[int]:
        """The fields that fit, in this order: all by one count, else half after half."""
        if self._left < MIN_ROOM_TOKENS or misses.enough:
            return []
        fits = self._take("\n".join(line for _, line in lines), self._left, lines=len(lines))
        if fits or len(lines) == 1:
            misses.note(fits)
            return [index for index, _ in lines] if fits else []
        half = len(lines) // 2
        first = self._take_fields(lines[:half], misses)
        return first + self._take_fields(lines[half:], misses)

    def activities(self, items: Sequence[Activity], instruction: str) -> list[Activity]:
        order = _ranked(instruction, [item.text for item in items])
        share = int(self._left * ACTIVITY_SHARE)
        taken: list[int] = []
        misses = _Misses()
        for index in order:
            if len(taken) == self._window.max_activities:
                self._omit("activity", index, len(items), "relevance")
                continue
            before = self._left
            looked = share >= MIN_ROOM_TOKENS and not misses.enough
            if looked and misses.note(self._take(show_activity(items[index]), share)):
                share -= before - self._left
                taken.append(index)
            else:
                self._omit("activity", index, len(items), "window")
        return [items[index] for index in sorted(taken)]

    def writings(self, items: Sequence[Writing], instruction: str) -> list[Writing]:
        order = _ranked(instruction, [f"{item.title}\n{item.text}" for item in items])
        taken: list[Writing] = []
        misses = _Misses()
        for rank, index in enumerate(order):
            if len(taken) == self._window.max_writings:
                self._omit("writing", index, len(items), "relevance")
                continue
            waiting = rank + 1 < len(order) and len(taken) + 1 < self._window.max_writings
            limit = self._left // 2 if waiting else self._left
            fitting = None if misses.enough else self._fit(items[index], limit)
            misses.note(fitting is not None)
            if fitting is None:
                self._omit("writing", index, len(items), "window")
                continue
            if fitting is not items[index]:
                self._omit("writing", index, len(items), "shortened")
            taken.append(fitting)
        return taken

    def _fit(self, writing: Writing, limit: int) -> Writing | None:
        """The writing, or its beginning up to the end of a sentence, or None."""
        limit = min(limit, self._left) - _TURNS_TOKENS
        if limit < MIN_EXCERPT_TOKENS:
            return None
        if self._take(show_writing(writing), limit):
            self._left -= _TURNS_TOKENS
            return writing
        head = writing.text[: limit * _MAX_TOKEN_CHARS]
        ends = [match.start() for match in _SENTENCE_END.finditer(head)]
        low, high = 0, len(ends)  # the first `low` ends are known to fit
        while low < high:
            middle = (low + high + 1) // 2
            part = show_writing(Writing(writing.title, head[: ends[middle - 1]]))
            if self._cost(part) <= limit:
                low = middle
            else:
                high = middle - 1
        if low == 0:
            return None
        cut = Writing(writing.title, head[: ends[low - 1]])
        cost = self._cost(show_writing(cut))
        if cost < MIN_EXCERPT_TOKENS:
            return None
        self._left -= cost + _TURNS_TOKENS
        return cut

    def _take(self, text: str, limit: int, *, lines: int = 1) -> bool:
        limit = min(limit, self._left)
        if limit <= _LINE_TOKENS * lines or len(text) > limit * _MAX_TOKEN_CHARS:
            return False
        cost = self._cost(text, lines)
        if cost > limit:
            return False
        self._left -= cost
        return True

    def _cost(self, text: str, lines: int = 1) -> int:
        return self._count(text) + _LINE_TOKENS * lines

    def _omit(self, kind: OmissionKind, index: int, total: int, reason: OmissionReason) -> None:
        self.omitted.append(Omission(kind, index + 1, total, reason))


class _Misses:
    """Items in a row that did not fit; once there were enough, it stays so."""

    def __init__(self) -> None:
        self._number = 0

    @property
    def enough(self) -> bool:
        return self._number >= MISSES

    def note(self, fits: bool) -> bool:
        if not self.enough:
            self._number = 0 if fits else self._number + 1
        return fits


def _ranked(instruction: str, texts: Sequence[str]) -> list[int]:
    """Indexes, nearest to the instruction first; of equals the latest."""
    scores = bm25(instruction, texts)
    return sorted(range(len(texts)), key=lambda index: (-scores[index], -index))


_PLURAL = {
    "field": "profile fields",
    "activity": "activities",
    "writing": "writings",
    "sketch point": "sketch points",
}


def explain(omitted: Sequence[Omission], window: Window) -> tuple[str, ...]:
    """One line for each kind and reason, fit for the screen: numbers only."""
    groups: dict[tuple[OmissionKind, OmissionReason], int] = {}
    totals: dict[OmissionKind, int] = {}
    for omission in omitted:
        key = (omission.kind, omission.reason)
        groups[key] = groups.get(key, 0) + 1
        totals[omission.kind] = omission.total
    return tuple(
        _line(kind, reason, number, totals[kind], window)
        for (kind, reason), number in groups.items()
    )


def _line(
    kind: OmissionKind, reason: OmissionReason, number: int, total: int, window: Window
) -> str:
    things = f"{number} of {total} {_PLURAL[kind]}"
    if reason == "relevance":
        return f"left out {things}: others are nearer to the instruction"
    verb = "shortened" if reason == "shortened" else "left out"
    return f"{verb} {things}: the window holds {window.context_tokens} tokens"
