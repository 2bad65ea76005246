"""Streams of events at the limits of size, from servers that mean no good or just write much."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from cogenesis.errors import CloudError
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.released import Released, public
from cogenesis.replies import ReplyError, read_events
from cogenesis.wire import MAX_REPLY_BYTES, Body, Text
from tests.unit.models.loopback import Handler, Loopback

CHAT = "/v1/chat/completions"
BODY: Body[Released] = {"prompt": Text((public("Hello"),)), "stream": True}
ONE_READ = 1 << 17
"""More than the HTTP library takes from the network at once."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


def events_from(data: bytes, ledger: Ledger) -> Iterator[object]:
    def answer(handler: Handler) -> None:
        handler.begin_events()
        handler.wfile.write(data)

    with Loopback(answer) as server, Egress(CloudEndpoint.parse(server.url), ledger) as out:
        yield from out.stream(CHAT, BODY)


@pytest.mark.parametrize(
    "data",
    [
        b'data: {"n": 1}\n\n' + b'data: {"text": "aaaaaaaaaaaaaaaa"}\n\n' * 150_000,
        b'data: {"n": 1}\n\ndata: {"text": "' + b"a" * 5_000_000 + b'"}\n\n',
        b'data: {"n": 1}\n\n' + b": still there\n" * 400_000,  # comments alone
        b'data: {"n": 1}\n\n' + b"\n" * 5_000_000,
    ],
    ids=["many", "one", "comments", "nothing"],
)
def test_five_megabytes_are_cut_off(data: bytes, ledger: Ledger) -> None:
    assert len(data) >= 5_000_000
    events = events_from(data, ledger)
    assert next(events) == {"n": 1}
    with pytest.raises(CloudError) as failed:
        list(events)
    assert failed.value.reason == "too-large"
    (row,) = ledger.entries()  # it is not asked for once more
    assert row.outcome is not None
    assert row.outcome.error == "too-large"
    assert MAX_REPLY_BYTES < row.outcome.received <= MAX_REPLY_BYTES + ONE_READ


def in_pieces(data: bytes, size: int) -> httpx2.Response:
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=pieces)


def test_one_large_event_is_read_in_linear_time() -> None:
    text = "a" * 900_000
    data = f"data: {json.dumps({'text': text})}\n\n".encode()
    begun = time.monotonic()
    # 100,000 pieces. Adding each to all before it would copy 45 GB.
    assert list(read_events(in_pieces(data, 9), None)) == [{"text": text}]
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_events_are_the_same_in_any_pieces(size: int) -> None:
    data = 'event: x\ndata: {"a": "\u00e9"}\r\n\n:\ndata:{"b": 2}\n\ndata: {"c": 3}'.encode()
    assert list(read_events(in_pieces(data, size), None)) == [{"a": "\u00e9"}, {"b": 2}, {"c": 3}]


def test_nothing_is_read_after_the_limit() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 1000

    response = httpx2.Response(
        200, headers={"content-type": "text/event-stream"}, content=endless()
    )
    with pytest.raises(ReplyError) as refused:
        list(read_events(response, None))
    assert refused.value.reason == "too-large"
    assert taken == MAX_REPLY_BYTES // 1000 + 1
