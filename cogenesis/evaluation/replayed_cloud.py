"""A far cloud that answers at once and takes no core: every answer was given before.

On one machine a demo cloud shares the cores with the device model, and llama-server scores a
draft one token after the other. A real cloud does neither. So a first run fills a table,
exact prefix -> what the real demo cloud said, and the timed runs get their answers from it,
after the round trip plus a flat time for the work over there. That can be done because the
coupled sampler's text does not depend on timing.

A prefix that is not in the table is asked for at the real cloud, kept, and counted: then the
real cloud did take a core, and the time is not what it should be. So are requests of other
kinds (a template, a list of ids), which are not timed.

Requests take as long as they would one by one: a far cloud serves them side by side. Not
imitated: bandwidth, loss, jitter, handshakes, and a cloud that slows down under load.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import selectors
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from cogenesis.delay_proxy import Connect, Streams

FLAT_MS: Final = 10.0
"""What a request costs over there, whatever it asks: a batch of prefixes on a real server."""

_COMPLETIONS: Final = "/v1/completions"
_HEAD_BYTES: Final = 1 << 16
_CLOSED: Final = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)


@dataclass(frozen=True, slots=True)
class Counts:
    """What was served so far.

    Attributes:
        requests: for distributions.
        prefixes: in them.
        unknown: prefixes that the real cloud had to be asked for.
        cpu_s: seconds of processor time of the whole process.
    """

    requests: int = 0
    prefixes: int = 0
    unknown: int = 0
    cpu_s: float = 0.0

    def since(self, before: Counts) -> Counts:
        """What was added to an earlier count."""
        return Counts(
            self.requests - before.requests,
            self.prefixes - before.prefixes,
            self.unknown - before.unknown,
            self.cpu_s - before.cpu_s,
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """One HTTP request; `target` has method and path."""

    target: str
    body: bytes


@dataclass(frozen=True, slots=True)
class _Answer:
    """One HTTP answer with a JSON body."""

    status: int
    body: bytes

    def written(self) -> bytes:
        head = (
            f"HTTP/1.1 {self.status} {'OK' if self.status == 200 else 'Error'}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


_NO_UPSTREAM: Final = _Answer(502, b'{"error": "the real cloud did not answer properly"}')


@dataclass(slots=True)
class _Table:
    """All that was ever answered. A choice is kept as bytes, without its index."""

    choices: dict[tuple[str, object], bytes] = field(default_factory=dict)
    others: dict[_Asked, _Answer] = field(default_factory=dict)


class ReplayedCloud:
    """Serves one table at any number of loopback ports, each with its own round trip.

    Runs in one asyncio loop; `precise_loop` is one that wakes up in time.
    """

    def __init__(self, connect: Connect, flat_ms: float = FLAT_MS) -> None:
        """Nothing listens yet.

        Args:
            connect: opens a connection to the real cloud.
            flat_ms: added to the round trip of every request for distributions.
        """
        self._connect, self._flat_s = connect, flat_ms / 1000
        self._table = _Table()
        self._counts = Counts()
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def counts(self) -> Counts:
        """What was served so far, at all ports together."""
        counts = self._counts
        return Counts(counts.requests, counts.prefixes, counts.unknown, time.process_time())

    async def listen(self, round_trip_ms: float) -> str:
        """Open one more port, as far away as this; its address."""
        listening = loopback_socket()
        delay_s = round_trip_ms / 1000

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                self._connections.add(task)
                task.add_done_callback(self._connections.discard)
            with contextlib.suppress(*_CLOSED, ValueError, asyncio.CancelledError):
                await self._serve(reader, writer, delay_s)
            writer.close()

        server = await asyncio.start_server(accept, sock=listening, limit=_HEAD_BYTES)
        self._servers.append(server)
        return address(listening)

    async def close(self) -> None:
        """Stop listening and drop open connections. Safe to call twice."""
        for server in self._servers:
            server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float
    ) -> None:
        """One connection, kept alive: its requests come one after the other."""
        loop = asyncio.get_running_loop()
        while True:
            start, headers = await _head(reader)
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            came = loop.time()
            method, path, *_ = start.split(" ")
            asked = _Asked(f"{method} {path}", body)
            prompts = _prompts(asked)
            try:
                if prompts is None:
                    answer = await self._other(asked)
                else:
                    answer = await self._completions(*prompts)
            except (*_CLOSED, ValueError, KeyError, TypeError):
                answer = _NO_UPSTREAM
            # A real cloud's work would come on top of its way; the table's is the flat time.
            work_s = loop.time() - came
            if prompts is not None:
                work_s = max(work_s, self._flat_s)
            await asyncio.sleep(max(0.0, came + delay_s + work_s - loop.time()))
            writer.write(answer.written())
            await writer.drain()

    async def _other(self, asked: _Asked) -> _Answer:
        """What is no request for distributions: the real cloud answers it once."""
        kept = self._table.others.get(asked)
        if kept is None:
            kept = await self._forward(asked.target, asked.body)
            if kept.status == 200:
                self._table.others[asked] = kept
        return kept

    async def _completions(self, settings: dict[str, Any], prompts: list[Any]) -> _Answer:
        """One choice for each prompt, in their order."""
        rest = json.dumps(settings, sort_keys=True)
        keys = [(rest, tuple(each) if isinstance(each, list) else each) for each in prompts]
        known = self._table.choices
        missing = {key: each for key, each in zip(keys, prompts, strict=True) if key not in known}
        counts = self._counts
        self._counts = Counts(
            counts.requests + 1, counts.prefixes + len(keys), counts.unknown + len(missing)
        )
        if missing:
            asked = {**settings, "prompt": list(missing.values())}
            told = await self._forward(f"POST {_COMPLETIONS}", json.dumps(asked).encode())
            if told.status != 200:
                return told
            known.update(zip(missing, _choices(told.body, len(missing)), strict=True))
            if len(missing) == len(keys):
                return told  # as it came, with all that the server tells beside the choices
        numbered = (b'{"index":%d,%b' % (at, known[key]) for at, key in enumerate(keys))
        return _Answer(200, b'{"object":"text_completion","choices":[%b]}' % b",".join(numbered))

    async def _forward(self, target: str, body: bytes) -> _Answer:
        """Ask the real cloud.

        Raises:
            OSError, ValueError: it does not answer, or not in a form that is read here.
        """
        reader, writer = await self._connect()
        try:
            writer.write(
                f"{target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            await writer.drain()
            start, headers = await _head(reader)
            if "chunked" in headers.get("transfer-encoding", ""):
                raise ValueError("a streamed answer cannot be replayed")
            length = headers.get("content-length")
            told = await (reader.read() if length is None else reader.readexactly(int(length)))
            return _Answer(int(start.split(" ")[1]), told)
        finally:
            writer.close()


def _prompts(asked: _Asked) -> tuple[dict[str, Any], list[Any]] | None:
    """Settings and prompts of a request for one token's distributions; None for any other."""
    if asked.target != f"POST {_COMPLETIONS}":
        return None
    try:
        settings = json.loads(asked.body)
        prompt = settings.pop("prompt")
    except (ValueError, AttributeError, KeyError, TypeError):
        return None
    if settings.get("max_tokens") != 1 or settings.get("stream"):
        return None
    # A single prompt: a text, or its ids.
    if isinstance(prompt, str) or (prompt and all(isinstance(each, int) for each in prompt)):
        prompt = [prompt]
    return (settings, prompt) if isinstance(prompt, list) and prompt else None


def _choices(body: bytes, count: int) -> list[bytes]:
    """The choices of an answer by their index, each as JSON that lacks `{"index":N,`.

    Raises:
        ValueError, KeyError, TypeError: they are not one for each prompt.
    """
    choices = sorted(json.loads(body)["choices"], key=lambda choice: int(choice["index"]))
    if [choice.pop("index") for choice in choices] != list(range(count)):
        raise ValueError("another number of choices than of prompts")
    return [json.dumps(choice, separators=(",", ":")).encode()[1:] for choice in choices]


async def _head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    """First line and headers, their names in lower case."""
    raw = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    start, *lines = raw.rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return start, {name.strip().lower(): value.strip() for name, _, value in pairs}


def loopback_socket() -> socket.socket:
    """A socket that listens on a free port of 127.0.0.1."""
    return socket.create_server(("127.0.0.1", 0))


def address(listening: socket.socket) -> str:
    """Where a socket listens, as `http://127.0.0.1:PORT`."""
    host, port = listening.getsockname()[:2]
    return f"http://{host}:{port}"


def connector(url: str) -> Connect:
    """Opens connections to a loopback server at `http://HOST:PORT`."""
    parts = urlsplit(url)

    async def connect() -> Streams:
        # A choice has 5 KB, and a long draft many: the default limit is for lines only.
        return await asyncio.open_connection(parts.hostname, parts.port, limit=_HEAD_BYTES)

    return connect


def precise_loop() -> asyncio.AbstractEventLoop:
    """A loop that wakes up within 0.1 ms: epoll, the default, rounds up to a millisecond."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())
