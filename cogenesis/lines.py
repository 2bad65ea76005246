"""Connections that belong to one exchange at a time: ending one leaves the others alone.

The HTTP library does not tell which of its connections a request has taken until the reply
begins, and a server that keeps silent never begins one. So each exchange has a client of its
own while it lasts, with one connection, and the client waits for the next exchange afterwards.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from cogenesis.wire import Deadline

if TYPE_CHECKING:
    import httpx2  # noqa: TID251  (its type only)

MOST_READ_ON: Final = 3
"""Replies of one server that nobody wants any more and that are read to their end."""

_CONNECTED: Final = {
    "connection.connect_tcp.complete",
    "connection.connect_unix_socket.complete",
    "connection.start_tls.complete",
}


class Line:
    """An HTTP client that one exchange has for itself. Pass `trace` with its request."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self.ended = False

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """A trace extension of the HTTP library: called at every step of a request."""
        if event in _CONNECTED:
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
                if self.ended:  # while it connected: nothing is sent any more
                    _shut_down(self._socket)

    def hang_up(self) -> None:
        """Wake up whoever connects, sends or reads here. The line is not used again."""
        with self._lock:
            self.ended = True
            _shut_down(self._socket)


class Lines:
    """The lines to one server. Safe to use from several threads."""

    def __init__(self, client: Callable[[], httpx2.Client]) -> None:
        """Nothing is connected yet. `client` makes a client for one line."""
        self._new = client
        self._idle: list[Line] = []
        self._taken: set[Line] = set()
        self._reading_on: set[Line] = set()
        self._lock = threading.Lock()
        self._closed = False

    @contextlib.contextmanager
    def one(self) -> Iterator[Line]:
        """A line for one exchange, the one that was used last if it can be."""
        with self._lock:
            line = self._idle.pop() if self._idle else Line(self._new())
            self._taken.add(line)
            if self._closed:
                line.hang_up()
        try:
            yield line
        finally:
            with self._lock:
                self._taken.discard(line)
                self._reading_on.discard(line)
                kept = not (self._closed or line.ended)
                if kept:
                    self._idle.append(line)
            if not kept:
                line.client.close()

    def reads_on(self, line: Line) -> bool:
        """Let an exchange that was called off go on, unless MOST_READ_ON do already."""
        with self._lock:
            if len(self._reading_on) >= MOST_READ_ON:
                return False
            self._reading_on.add(line)
            return True

    def close(self) -> None:
        """Hang up everywhere. Safe to call twice."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            taken = list(self._taken)
        for line in taken:
            line.hang_up()
        for line in idle:
            line.client.close()


class Alarm:
    """Ends an exchange at its deadline, also if the server drips a byte a second.

    Timeouts of the HTTP library hold for each read alone.

    A deadline that is *called off* ends it at once, too, where `hangs_up`: then the server
    stops computing. Otherwise what is on its way is read to its end, within the time that
    there was, so that the connection can be used again.

    Leave it only when the reply is read or given up, and close the reply after that.

    Attributes:
        rang: it has ended the exchange: what comes now is no reply.
    """

    def __init__(
        self, deadline: Deadline | None, lines: Lines, line: Line, *, hangs_up: bool = True
    ) -> None:
        self._deadline, self._lines, self._line = deadline, lines, line
        self._hangs_up = hangs_up
        self._stack = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._over = False
        self.rang = False

    def __enter__(self) -> Alarm:
        if self._deadline is not None:
            timer = threading.Timer(self._deadline.remaining(), self._ring)
            timer.daemon = True
            self._stack.enter_context(self._deadline.on_call_off(self._called_off))
            self._stack.callback(timer.cancel)
            timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()
        with self._lock:  # a late ring must not end the next exchange on this line
            self._over = True

    def _called_off(self) -> None:
        if self._hangs_up or not self._lines.reads_on(self._line):
            self._ring()

    def _ring(self) -> None:
        with self._lock:
            if not self._over:
                self.rang = True
                self._line.hang_up()


def _shut_down(one: socket.socket | None) -> None:
    if one is not None:
        with contextlib.suppress(OSError):  # it may be closed already
            # Not `SSLSocket.shutdown`: that takes the encryption away first, and what another
            # thread sends before the connection is shut would go out in plain text.
            socket.socket.shutdown(one, socket.SHUT_RDWR)
