"""The proxy shifts a stream in time; it neither slows nor changes it."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from cogenesis.delay_proxy import DelayProxy, Streams

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_ROUND_TRIP_S = 0.2
_SLACK_S = 0.15
"""For a busy machine; the delay under test is larger."""


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(1 << 16):
        writer.write(chunk)
        await writer.drain()
    writer.close()


def _free_socket() -> socket.socket:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    return listening


@asynccontextmanager
async def _proxied(handler: Handler, delay_s: float = _ROUND_TRIP_S) -> AsyncIterator[int]:
    """Yields the port of a proxy in front of a server that does what `handler` does."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    far_port = server.sockets[0].getsockname()[1]

    async def connect() -> Streams:
        return await asyncio.open_connection("127.0.0.1", far_port)

    proxy = DelayProxy(connect, delay_s * 1000)
    listening = _free_socket()
    await proxy.start(listening)
    try:
        yield listening.getsockname()[1]
    finally:
        await proxy.close()
        server.close()


def test_a_round_trip_takes_the_delay_once() -> None:
    async def run() -> list[float]:
        times = []
        async with _proxied(_echo) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(2):
                started = time.monotonic()
                writer.write(b"ping")
                assert await reader.readexactly(4) == b"ping"
                times.append(time.monotonic() - started)
            writer.close()
        return times

    for took in asyncio.run(run()):
        assert _ROUND_TRIP_S <= took < _ROUND_TRIP_S + _SLACK_S


def test_bytes_arrive_whole_and_in_order() -> None:
    sent = random.Random(1).randbytes(3_000_000)

    async def run() -> bytes:
        async with _proxied(_echo, 0.02) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)

            async def send() -> None:
                at = 0
                rng = random.Random(2)
                while at < len(sent):
                    size = rng.randint(1, 50_000)
                    writer.write(sent[at : at + size])
                    await writer.drain()
                    at += size
                writer.write_eof()

            task = asyncio.create_task(send())
            got = await reader.read()
            await task
            writer.close()
            return got

    assert asyncio.run(run()) == sent


def test_the_answer_still_comes_after_the_question_was_closed() -> None:
    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(str(len(await reader.read())).encode())
        writer.close()

    async def run() -> bytes:
        async with _proxied(count, 0.02) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"x" * 1000)
            writer.write_eof()
            got = await reader.read()
            writer.close()
            return got

    assert asyncio.run(run()) == b"1000"


def test_a_client_that_leaves_is_felt_by_the_server() -> None:
    async def run() -> bool:
        left = asyncio.Event()

        async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            left.set()
            writer.close()

        async with _proxied(wait, 0.02) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello")
            await writer.drain()
            writer.transport.abort()
            await asyncio.wait_for(left.wait(), 5)
            return left.is_set()

    assert asyncio.run(run())


def test_a_server_that_is_down_closes_the_connection() -> None:
    async def refuse() -> Streams:
        raise ConnectionRefusedError

    async def run() -> bytes:
        proxy = DelayProxy(refuse, 20)
        listening = _free_socket()
        await proxy.start(listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        got = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await proxy.close()
        return got

    assert asyncio.run(run()) == b""


def test_closing_drops_open_connections_and_frees_the_port() -> None:
    async def run() -> None:
        async with _proxied(_echo, 0.02) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hi")
            assert await reader.readexactly(2) == b"hi"
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(run())


def test_a_negative_delay_is_refused() -> None:
    async def never() -> Streams:
        raise AssertionError

    with pytest.raises(ValueError, match="negative"):
        DelayProxy(never, -1)
