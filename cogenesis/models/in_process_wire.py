"""The short way to a llama.cpp in this process, for one token after a prefix that it knows.

Fusion asks for one token at a time, so what surrounds the computing counts. Without the HTTP
library and llama.cpp's HTTP server a token of the demo device model takes 1.5 ms less (of
15 ms, measured as CPU time).

Such a call cannot be interrupted, neither by Ctrl-C nor by closing a connection. So it is
taken only where it is short: no deadline, and a prefix that llama.cpp has just read, but for
its last few tokens. All else goes over the socket, also what llama.cpp refuses (there each
refusal becomes the proper error).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from cogenesis.errors import ModelError
from cogenesis.models.llama_bodies import NEXT_ENDPOINT
from cogenesis.models.local_wire import LocalWire
from cogenesis.privacy.released import Released
from cogenesis.wire import Body, Deadline, Reply, to_plain

Ids: TypeAlias = tuple[Any, ...]
"""Token ids: a tuple in a body for one prompt is always of them."""

NEW_TOKENS: Final = 16
"""Tokens at the end of a prefix that may be new: a fraction of a second for small models."""


class InProcessWire:
    """Implements `Wire[str | Released]` for a llama.cpp that runs in this process.

    Safe to use from several threads; `close` waits for short calls to end.
    """

    def __init__(self, llama: Any, wire: LocalWire, *, slots: int) -> None:
        """Take the short way to `llama` (an `xllamacpp.Server`), and `wire` for all else."""
        self._llama: Any = llama
        self._wire = wire
        # What the slots were last asked about. A wrong guess costs patience, nothing else.
        self._known: tuple[Ids, ...] = ()
        self._slots = slots
        self._closed = False
        self._calls = 0
        self._ended = threading.Condition()

    @property
    def server(self) -> str:
        """How messages call it."""
        return self._wire.server

    @property
    def released_only(self) -> bool:
        """Never: a device model may read everything."""
        return False

    def __repr__(self) -> str:
        return "InProcessWire()"

    def get(self, endpoint: str, *, deadline: Deadline | None = None) -> Reply:
        """Fetch a JSON object."""
        return self._wire.get(endpoint, deadline=deadline)

    def post(
        self, endpoint: str, body: Body[str | Released], *, deadline: Deadline | None = None
    ) -> Reply:
        """Send a body, receive one JSON object."""
        if endpoint != NEXT_ENDPOINT:
            return self._wire.post(endpoint, body, deadline=deadline)
        prefix = body["prompt"]
        if not isinstance(prefix, tuple):
            return self._wire.post(endpoint, body, deadline=deadline)
        reply = None
        if deadline is None and self._is_known(prefix):
            reply = self._ask({**body, "prompt": ()}, prefix)
        if reply is None:
            reply = self._wire.post(endpoint, body, deadline=deadline)
        self._note(prefix)
        return reply

    def stream(
        self, endpoint: str, body: Body[str | Released], *, deadline: Deadline | None = None
    ) -> Iterator[Reply]:
        """Send a body, receive events. Closing the iterator closes the connection."""
        self._known = ()  # it may take any slot
        return self._wire.stream(endpoint, body, deadline=deadline)

    def close(self) -> None:
        """Wait for the calls in flight, then let go of llama.cpp. Safe to call twice."""
        with self._ended:
            self._closed = True
            self._ended.wait_for(lambda: self._calls == 0)
            self._llama = None
        self._wire.close()

    def _is_known(self, prefix: Ids) -> bool:
        return any(_continues(prefix, known) for known in self._known)

    def _note(self, prefix: Ids) -> None:
        others = [known for known in self._known if not _continues(prefix, known)]
        self._known = (*others, prefix)[-self._slots :]

    def _ask(self, body: Body[str | Released], prefix: Ids) -> Reply | None:
        """The answer, None where llama.cpp gave none.

        The ids are put in here because they are plain already, and many.
        """
        asked = {**to_plain(body), "prompt": prefix}
        with self._ended:
            if self._closed:
                raise ModelError(f"the connection to {self.server} is closed")
            self._calls += 1
        try:
            reply = self._llama.handle_completions(asked)
        except (RuntimeError, ValueError):
            return None
        finally:
            with self._ended:
                self._calls -= 1
                self._ended.notify_all()
        return reply if isinstance(reply, dict) and "error" not in reply else None


def _continues(prefix: Ids, known: Ids) -> bool:
    old = prefix[:-NEW_TOKENS]
    return known[: len(old)] == old
