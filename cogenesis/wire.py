"""What an adapter says to a server, independent of who carries it.

An adapter builds a `Body` and reads a reply; it never opens a connection. A device model's
wire (`models.local_wire`) reaches a UNIX socket or loopback only. A cloud model's wire
(`privacy.egress`) takes nothing but released parts and writes the ledger first.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, Union

from cogenesis.privacy.released import PublicText, Released, ReleasedIds, Setting

T = TypeVar("T", bound=str | Released)
T_co = TypeVar("T_co", bound=str | Released, covariant=True)
T_contra = TypeVar("T_contra", bound=str | Released, contravariant=True)

_LONGEST_S = 7 * 86_400.0
"""A week: the clocks of sockets and locks overflow with very large numbers."""

MAX_REPLY_BYTES = 1_000_000
"""No honest reply of a text model is longer; a larger one is cut off and refused."""


@dataclass(frozen=True, slots=True)
class Text(Generic[T_co]):
    """A string of a body: its parts are joined without a separator."""

    parts: tuple[T_co | PublicText | Setting, ...]

    def __repr__(self) -> str:
        return f"Text({len(self.parts)} parts)"


@dataclass(frozen=True, slots=True)
class FixedJson:
    """JSON that ships with the program: the schema that a reply must have. Sent as it stands."""

    text: PublicText


# Tuples, not Sequence: a str is itself a Sequence of str, so it would type-check.
Json: TypeAlias = Union[  # noqa: UP007  (a string inside `|` fails at run time)
    bool,
    int,
    float,
    Text[T],
    FixedJson,
    ReleasedIds,
    tuple["Json[T]", ...],
    Mapping[str, "Json[T]"],
    None,
]
Body: TypeAlias = Mapping[str, "Json[T]"]
Reply: TypeAlias = dict[str, Any]
"""A decoded JSON object from a server: untrusted, every field is checked where it is read."""


class Deadline:
    """A point in time by which work must be done; passed down, never restarted.

    It can be called off: then no time is left at once, and whoever waits by it wakes up.
    """

    __slots__ = ("_at", "_callbacks", "_called_off", "_lock")

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + min(seconds, _LONGEST_S)
        self._called_off = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def remaining(self) -> float:
        """Seconds left, never negative."""
        if self._called_off.is_set():
            return 0.0
        return max(0.0, self._at - time.monotonic())

    def passed(self) -> bool:
        """Whether no time is left."""
        return self.remaining() <= 0.0

    def wait(self, seconds: float) -> None:
        """Sleep, but not beyond the deadline."""
        self._called_off.wait(min(seconds, self.remaining()))

    def call_off(self) -> None:
        """Leave no time from now on. Safe to call twice, from any thread."""
        with self._lock:
            self._called_off.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    @contextmanager
    def on_call_off(self, callback: Callable[[], None]) -> Iterator[None]:
        """Within the block, `call_off` calls this too, from its own thread."""
        with self._lock:
            called_off = self._called_off.is_set()
            if not called_off:
                self._callbacks.append(callback)
        if called_off:
            callback()
        try:
            yield
        finally:
            with self._lock:
                if callback in self._callbacks:
                    self._callbacks.remove(callback)


class Wire(Protocol[T_contra]):
    """Carries bodies to one server.

    Endpoints are given relative to the server: `/v1/chat/completions`, `/tokenize`, ...

    Raises, from every method: `ModelError` on a device wire, `CloudError` or
    `PrivacyError` on a cloud wire.
    """

    @property
    def server(self) -> str:
        """Where it leads, fit for a message: no secrets, no private path."""
        ...

    @property
    def released_only(self) -> bool:
        """Whether it carries nothing but released parts, and records it: the egress.

        Adapters in the cloud's role refuse any other wire. Types cannot tell: a wire that
        takes any text takes released text too.
        """
        ...

    def get(self, endpoint: str, *, deadline: Deadline | None = None) -> Reply:
        """Fetch a JSON object."""
        ...

    def post(
        self, endpoint: str, body: Body[T_contra], *, deadline: Deadline | None = None
    ) -> Reply:
        """Send a body, receive one JSON object of at most MAX_REPLY_BYTES."""
        ...

    def stream(
        self, endpoint: str, body: Body[T_contra], *, deadline: Deadline | None = None
    ) -> Iterator[Reply]:
        """Send a body, receive server-sent events as JSON objects until `[DONE]` or the end.

        Closing the iterator closes the connection. A connection that ends without
        `[DONE]` just ends here: the adapter knows whether its last event was the last.
        """
        ...

    def close(self) -> None:
        """Close connections. Safe to call twice."""
        ...


def to_plain(value: Json[Any]) -> Any:
    """The JSON value with every `Text` joined to a plain string (device side only)."""
    if isinstance(value, Text):
        return "".join(p.text if isinstance(p, Released) else p for p in value.parts)
    if isinstance(value, FixedJson):
        return json.loads(value.text.text)
    if isinstance(value, ReleasedIds):
        return list(value.ids)
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    return value


def to_bytes(body: Body[Any]) -> bytes:
    """The exact bytes of a body: compact UTF-8 JSON in the order of its keys."""
    return json.dumps(to_plain(body), ensure_ascii=False, separators=(",", ":")).encode()
