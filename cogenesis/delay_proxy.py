"""A TCP proxy that makes a local server feel far away, without slowing its stream.

Every chunk is passed on half the round-trip time after it came, in each direction. Order is
kept and chunks are in flight together, so a stream arrives later, not slower. Not
imitated: the extra round trips of a TCP or TLS handshake, bandwidth, loss and jitter.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]

_CHUNK = 1 << 16
_IN_FLIGHT = 1024
"""Chunks held at most in each direction, so that a reader who stops does not fill the memory."""


class DelayProxy:
    """Listens on a bound socket and passes connections on, delayed.

    Args:
        connect: opens a connection to the real server.
        round_trip_ms: delay of both directions together.
    """

    def __init__(self, connect: Connect, round_trip_ms: float) -> None:
        if round_trip_ms < 0:
            raise ValueError("a delay cannot be negative")
        self._connect = connect
        self._delay_s = round_trip_ms / 2000
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, listening: socket.socket) -> None:
        """Begin to accept connections on a bound socket; the proxy owns it from here."""
        self._server = await asyncio.start_server(self._accept, sock=listening)

    async def close(self) -> None:
        """Stop listening and drop open connections. Safe to call twice."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        # A peer that goes away in mid-stream is ordinary; closing both sides tells the other.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._pass_on(reader, writer)
        with contextlib.suppress(OSError):
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await self._connect()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._shift(reader, far_writer))
                both.create_task(self._shift(far_reader, writer))
        except* OSError:
            pass
        finally:
            far_writer.close()

    async def _shift(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, until the end of its stream; then close that half only."""
        in_flight: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_IN_FLIGHT)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take(reader, in_flight))
            group.create_task(_deliver(in_flight, writer))

    async def _take(
        self, reader: asyncio.StreamReader, in_flight: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            chunk = await reader.read(_CHUNK)
            await in_flight.put((loop.time() + self._delay_s, chunk))
            if not chunk:
                return


async def _deliver(
    in_flight: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due, chunk = await in_flight.get()
        await asyncio.sleep(max(0.0, due - loop.time()))
        if not chunk:
            if writer.can_write_eof():
                writer.write_eof()
            return
        writer.write(chunk)
        await writer.drain()
