"""A real HTTP server on loopback that answers what a test tells it to."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from cogenesis.models.local_wire import LocalWire


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Handler(BaseHTTPRequestHandler):
    """One request; `send_*` are the ways to answer it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: 40 ms else
    server: _Server

    def send_json(
        self, value: object, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_raw(json.dumps(value).encode(), "application/json", status, headers)

    def send_raw(
        self,
        data: bytes,
        kind: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        claimed: int | None = None,
    ) -> None:
        """`claimed` bytes are announced, which may be more than are sent."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data) if claimed is None else claimed))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = self.close_connection or claimed is not None

    def begin_events(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

    def send_event(self, value: object) -> None:
        data = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        self.wfile.write(f"data: {data}\n\n".encode())
        self.wfile.flush()

    def send_events(self, *values: object) -> None:
        self.begin_events()
        for value in values:
            self.send_event(value)

    def drop(self) -> None:
        """Close the connection without a word."""
        self.close_connection = True

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        data = self.rfile.read(length)
        if len(data) == length:
            self._answer(json.loads(data))
        else:
            self.close_connection = True  # it was called off while it was sent

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def _answer(self, body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.asked = Asked(self.command, self.path, headers, body)
        self.server.asked.append(self.asked)
        try:
            self.server.answer(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client hung up, as some tests mean it to


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: Callable[[Handler], None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.asked: list[Asked] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent where the client hung up, as some tests mean it to."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Loopback:
    """The server, as a context manager; `asked` lists what it was asked."""

    def __init__(self, answer: Callable[[Handler], None]) -> None:
        self._server = _Server(answer)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def asked(self) -> list[Asked]:
        return self._server.asked

    def __enter__(self) -> Loopback:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class ReleasedWire(LocalWire):
    """Stands in for the egress where an adapter's reading is tested, not what it may send."""

    @property
    def released_only(self) -> bool:
        return True
