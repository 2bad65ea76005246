"""The egress keeps its deadlines, waits included."""

from __future__ import annotations

import threading
import time

import pytest

from cogenesis.errors import CloudError
from cogenesis.privacy.ledger import Ledger
from cogenesis.wire import Deadline
from tests.unit.models.loopback import Handler, Loopback
from tests.unit.privacy.test_egress import BODY, CHAT, egress
from tests.unit.privacy.test_egress import ledger as ledger


def test_the_deadline_holds_for_a_head_that_drips(ledger: Ledger) -> None:
    done = threading.Event()

    def answer(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not done.is_set():
            handler.wfile.write(b"x-more: please wait\r\n")
            done.wait(0.05)
        handler.drop()

    with Loopback(answer) as server, egress(server, ledger) as out:
        for _ in range(2):  # on a new connection, and after one was shut
            begun = time.monotonic()
            with pytest.raises(CloudError) as failed:
                out.get("/props", deadline=Deadline(0.3))
            assert failed.value.reason == "timeout"
            assert 0.25 < time.monotonic() - begun < 2
        done.set()
    assert len(list(ledger.entries())) == 2


def test_retry_after_is_kept(ledger: Ledger) -> None:
    times: list[float] = []

    def answer(handler: Handler) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            handler.send_json({}, 429, {"Retry-After": "0.4"})
        else:
            handler.send_json({"ok": True})

    with Loopback(answer) as server, egress(server, ledger) as out:
        out.post(CHAT, BODY)
    assert times[1] - times[0] >= 0.4


@pytest.mark.parametrize("pace", [0.0, 0.02])
def test_the_deadline_holds_for_a_silent_and_for_a_dripping_server(
    pace: float, ledger: Ledger
) -> None:
    done = threading.Event()

    def answer(handler: Handler) -> None:
        handler.begin_events()
        while not done.is_set():
            if pace:
                handler.send_event({"n": 1})
            done.wait(pace or 0.05)

    with Loopback(answer) as server, egress(server, ledger) as out:
        begun = time.monotonic()
        with pytest.raises(CloudError) as failed:
            list(out.stream(CHAT, BODY, deadline=Deadline(0.3)))
        done.set()
    assert failed.value.reason == "timeout"
    assert 0.25 < time.monotonic() - begun < 2
