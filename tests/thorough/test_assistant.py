"""The front door where the cloud or the reader takes its time."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from cogenesis.assistant import (
    Assistant,
)
from cogenesis.models.cloud_connection import CloudConnection
from cogenesis.models.protocol import hang_up
from cogenesis.models.scripted import ScriptedModel
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from tests.unit.models.loopback import Handler, Loopback
from tests.unit.test_assistant import OUTLINE, TEXT, cloud, device, task


def test_a_slow_cloud_is_not_waited_for_beyond_the_deadline() -> None:
    begun = time.monotonic()
    slow = cloud(OUTLINE, first_piece_s=5.0)
    result = Assistant(device(), cloud=slow).write(task(cloud_deadline_s=0.3))
    assert time.monotonic() - begun < 3
    assert result.degraded is not None
    assert (result.degraded.reason, result.text) == ("timeout", TEXT)


def test_closing_hangs_up_on_the_cloud_and_ends_its_retries(tmp_path: Path) -> None:
    def answer(handler: Handler) -> None:
        handler.send_json({}, 503)

    with (
        Loopback(answer) as server,
        Ledger.open(tmp_path / "l.sqlite") as ledger,
        Egress(CloudEndpoint.parse(server.url), ledger, first_wait_s=0.3) as egress,
    ):
        assistant = Assistant(device(), cloud=CloudConnection(egress, "some-model"))
        events = assistant.stream(task())
        next(events)
        while not server.asked:
            time.sleep(0.01)
        hang_up(events)
        asked = len(server.asked)
        time.sleep(0.8)
        assert len(server.asked) == asked


def test_cancelling_the_async_iterator_stops_the_model() -> None:
    writer = ScriptedModel(["word " * 500], piece_s=0.01)

    async def read() -> None:
        async for _ in Assistant(writer).astream(task()):
            pass

    async def impatient() -> None:
        await asyncio.wait_for(read(), 0.4)

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    assert 0 < writer.written < 100
