"""What a server on this machine receives, byte for byte: a relay in front of it that listens.

It sits where an observer of the cloud side would, behind everything that is ours: what it
has is what was sent, whatever the egress or the ledger say about it.

    with RecordingRelay(cloud.url) as relay:
        ...  # let something send to relay.url
        for request in relay.take():
            print(request.target, request.body)

Not seen: how the bytes were cut into packets, when they came, and what was answered.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, cast

from cogenesis.delay_proxy import DelayProxy, Streams
from cogenesis.errors import ModelError
from cogenesis.evaluation.replayed_cloud import address, connector, loopback_socket

_START_S: Final = 30.0
_HEAD_ENDS: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came. A broken one has all of it in `body`.

    Attributes:
        target: method and path.
        headers: lines, as they came.
        body: without the marks of a chunked transfer.
    """

    target: str
    headers: tuple[str, ...]
    body: bytes = field(repr=False)


class RecordingRelay:
    """Passes a loopback server's connections on, and keeps what goes to it."""

    def __init__(self, url: str) -> None:
        """Nothing listens yet. `url` is the server's, as `http://127.0.0.1:PORT`."""
        self._connect = connector(url)
        self._lock = threading.Lock()
        self._streams: list[bytearray] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recording-relay", daemon=True)
        self.url = ""

    def __enter__(self) -> RecordingRelay:
        self._thread.start()
        if not self._ready.wait(_START_S) or not self.url:
            raise ModelError("the relay in front of the cloud did not start; its error is above")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_START_S)

    def take(self) -> list[Request]:
        """What came since the last call, connection by connection.

        Call it when nothing is being sent: a request that is under way is cut in two.
        """
        with self._lock:
            taken = [bytes(stream) for stream in self._streams]
            for stream in self._streams:
                stream.clear()
        return [request for data in taken for request in requests_in(data)]

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        proxy = DelayProxy(self._recorded, 0.0)
        listening = loopback_socket()
        self.url = address(listening)
        await proxy.start(listening)
        self._ready.set()
        await self._stop.wait()
        await proxy.close()

    async def _recorded(self) -> Streams:
        reader, writer = await self._connect()
        record = bytearray()
        with self._lock:
            self._streams.append(record)
        recording = _Recording(writer, record, self._lock)
        return reader, cast("asyncio.StreamWriter", recording)


class _Recording:
    """The part of a StreamWriter that `DelayProxy` uses; what is written is kept, too."""

    def __init__(
        self, writer: asyncio.StreamWriter, record: bytearray, lock: threading.Lock
    ) -> None:
        self._writer, self._record, self._lock = writer, record, lock

    def write(self, data: bytes) -> None:
        with self._lock:
            self._record += data
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    def can_write_eof(self) -> bool:
        return self._writer.can_write_eof()

    def write_eof(self) -> None:
        self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()


def requests_in(data: bytes) -> list[Request]:
    """The requests that came over one connection; a broken rest is one, too."""
    found: list[Request] = []
    while data:
        head, ends, rest = data.partition(_HEAD_ENDS)
        if not ends:
            found.append(Request("", (), data))
            break
        start, *lines = head.decode("latin-1").split("\r\n")
        told = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        if "chunked" in told.get("transfer-encoding", "").lower():
            body, data = _chunks(rest)
        else:
            length = told.get("content-length", "0")
            size = int(length) if length.isdigit() else len(rest)
            body, data = rest[:size], rest[size:]
        found.append(Request(start.rpartition(" ")[0], tuple(lines), body))
    return found


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    """The body of a chunked transfer, and what follows it; what is no chunk belongs to it."""
    body = b""
    while True:
        line, ends, rest = data.partition(b"\r\n")
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            return body + data, b""
        if not ends:
            return body + data, b""
        body, data = body + rest[:size], rest[size + 2 :]
        if size == 0:
            return body, data
