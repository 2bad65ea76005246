"""The delay of the demo cloud, measured."""

from __future__ import annotations

import asyncio
import time

from tests.unit.test_delay_proxy import _ROUND_TRIP_S, _SLACK_S, _proxied


def test_a_stream_arrives_later_not_slower() -> None:
    chunks, gap_s = 50, 0.004

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        for number in range(chunks):
            writer.write(f"{number}\n".encode())
            await writer.drain()
            await asyncio.sleep(gap_s)
        writer.close()

    async def run() -> tuple[float, float]:
        async with _proxied(stream) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            started = time.monotonic()
            writer.write(b"go\n")
            first = 0.0
            for number in range(chunks):
                assert await reader.readline() == f"{number}\n".encode()
                first = first or time.monotonic() - started
            writer.close()
            return first, time.monotonic() - started

    first, last = asyncio.run(run())
    assert _ROUND_TRIP_S <= first < _ROUND_TRIP_S + _SLACK_S
    # One delay a chunk would be 5 s; the chunks themselves need 0.2 s.
    assert last - first < chunks * gap_s * 2 + _SLACK_S
