"""The private context: what the device model may read and no cloud model ever sees.

The classes here are hand-written instead of dataclasses so that nothing shows a value by
accident: `repr`, `str`, f-strings, logging, `pprint`, `vars`, `dataclasses.asdict`, `json`
and `pickle` show counts or refuse. Values are reached only by naming the attribute.

Not covered: code that reads an attribute on purpose and prints it, local variables that
hold such a plain string (a traceback with locals shows those), debuggers, core dumps, swap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NoReturn, TypeVar

ContextKind = Literal["field", "activity", "writing-title", "writing"]

SelfT = TypeVar("SelfT", bound="Private")

# fmt: off
_PLAIN_WORDS = frozenset((
    "address", "age", "ai", "app", "assistant", "birthday", "calendar", "device", "email",
    "family", "info", "language", "location", "mail", "message", "messages", "name", "note",
    "notes", "occupation", "personal", "phone", "privacy", "pronouns", "purchase", "search",
    "smart", "style", "traits", "usage", "writing",
))
# fmt: on
"""Words of field names and sources that say nothing about one person."""


class Private:
    """A value that hides what it holds. Immutable, comparable, never pickled."""

    __slots__: tuple[str, ...] = ()

    def _set(self, **values: object) -> None:
        for slot, value in values.items():
            object.__setattr__(self, slot, value)

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in type(self).__slots__)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is type(self)
            and isinstance(other, Private)
            and other._values() == self._values()
        )

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(hidden)"

    def __copy__(self: SelfT) -> SelfT:
        return self  # immutable: a copy would only be a second place to clean up

    def __deepcopy__(self: SelfT, memo: dict[int, Any]) -> SelfT:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is private and is never pickled")

    def __getstate__(self) -> NoReturn:
        # Python's own version returns every slot, which some serialisers call directly.
        raise TypeError(f"{type(self).__name__} is private and is never serialised")


class ProfileField(Private):
    """One line of the profile, such as name "Occupation", value "Nurse"."""

    __slots__ = ("name", "value")
    name: str
    value: str

    def __init__(self, name: str, value: str) -> None:
        self._set(name=name, value=value)

    def __repr__(self) -> str:
        return f"ProfileField({len(self.value)} characters)"


class Activity(Private):
    """One thing that happened: a calendar entry, a mail, a search.

    `source` is a short word ("calendar"), `when` free text ("2026-03-12 18:30") or None.
    """

    __slots__ = ("source", "text", "when")
    source: str
    text: str
    when: str | None

    def __init__(self, source: str, text: str, when: str | None = None) -> None:
        self._set(source=source, text=text, when=when)

    def __repr__(self) -> str:
        return f"Activity({len(self.text)} characters)"


class Writing(Private):
    """A text that the person wrote before: the sample of their voice."""

    __slots__ = ("text", "title")
    title: str
    text: str

    def __init__(self, title: str, text: str) -> None:
        self._set(title=title, text=text)

    def __repr__(self) -> str:
        return f"Writing({len(self.text)} characters)"


class ContextText(Private):
    """One private string, for the lexicon.

    `label` says where it comes from: the field's name, the activity's source, or
    "writing 2". A field's name may be the user's own word, so labels are private too.
    """

    __slots__ = ("kind", "label", "text")
    kind: ContextKind
    label: str
    text: str

    def __init__(self, kind: ContextKind, label: str, text: str) -> None:
        self._set(kind=kind, label=label, text=text)

    def __repr__(self) -> str:
        return f"ContextText({self.kind}, {len(self.text)} characters)"


class PrivateContext(Private):
    """Profile, activities and earlier writings of one person. May be empty."""

    __slots__ = ("activities", "fields", "writings")
    fields: tuple[ProfileField, ...]
    activities: tuple[Activity, ...]
    writings: tuple[Writing, ...]

    def __init__(
        self,
        fields: Iterable[ProfileField] = (),
        activities: Iterable[Activity] = (),
        writings: Iterable[Writing] = (),
    ) -> None:
        self._set(fields=tuple(fields), activities=tuple(activities), writings=tuple(writings))

    def __repr__(self) -> str:
        return (
            f"PrivateContext({_count(len(self.fields), 'field')}, "
            f"{_count(len(self.activities), 'activity')}, "
            f"{_count(len(self.writings), 'writing')})"
        )

    def field(self, name: str) -> str | None:
        """The value of a profile field; case, spaces and underscores do not matter."""
        wanted = normal_name(name)
        for item in self.fields:
            if normal_name(item.name) == wanted:
                return item.value
        return None

    def texts(self) -> Iterator[ContextText]:
        """Every private string, exactly as it was read.

        Field names and sources that are the user's own words ("Insulin pump") come as
        texts too; ordinary ones ("Name", "calendar") say nothing about the person and do not.
        """
        for item in self.fields:
            if not _is_plain(item.name):
                yield ContextText("field", "field name", item.name)
            yield ContextText("field", item.name, item.value)
        for activity in self.activities:
            if not _is_plain(activity.source):
                yield ContextText("activity", "source", activity.source)
            yield ContextText("activity", activity.source, activity.text)
            if activity.when is not None:
                yield ContextText("activity", "when", activity.when)
        for number, writing in enumerate(self.writings, start=1):
            yield ContextText("writing-title", f"writing {number}", writing.title)
            yield ContextText("writing", f"writing {number}", writing.text)


def normal_name(name: str) -> str:
    """A field's name without what people vary: case, spaces, underscores."""
    return " ".join(name.replace("_", " ").casefold().split())


def _is_plain(name: str) -> bool:
    return all(word in _PLAIN_WORDS for word in normal_name(name).split())


def _count(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}s"
