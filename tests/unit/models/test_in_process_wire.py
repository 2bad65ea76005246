"""The short way into llama.cpp: when it is taken, and what happens when it fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cogenesis.errors import ModelError
from cogenesis.models.in_process_wire import NEW_TOKENS, InProcessWire
from cogenesis.models.llama_bodies import NEXT_ENDPOINT, next_token_body
from cogenesis.models.local_wire import LocalWire
from cogenesis.wire import Deadline
from tests.unit.models.loopback import Handler, Loopback

LONG = tuple(range(100))


class FakeLlama:
    """Answers in this process; `asked` are the prompts."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.answer: Callable[[], Any] = lambda: {"way": "short"}

    def handle_completions(self, body: dict[str, Any]) -> Any:
        self.asked.append(body)
        return self.answer()


@contextmanager
def opened(slots: int = 1) -> Iterator[tuple[InProcessWire, FakeLlama, Loopback]]:
    def answer(handler: Handler) -> None:
        if handler.asked.body is not None and handler.asked.body.get("stream"):
            handler.send_events({"way": "socket"})
        else:
            handler.send_json({"way": "socket"})

    llama = FakeLlama()
    with Loopback(answer) as server:
        wire = InProcessWire(llama, LocalWire.loopback(server.url), slots=slots)
        try:
            yield wire, llama, server
        finally:
            wire.close()


def ask(wire: InProcessWire, prefix: tuple[int, ...], deadline: Deadline | None = None) -> str:
    reply = wire.post(NEXT_ENDPOINT, next_token_body(prefix, 5, 7), deadline=deadline)
    return str(reply["way"])


def test_only_what_was_just_read_takes_the_short_way() -> None:
    with opened() as (wire, llama, _):
        assert ask(wire, LONG) == "socket"  # all new
        assert ask(wire, LONG) == "short"
        assert ask(wire, (*LONG, 7)) == "short"
        assert ask(wire, LONG[:50]) == "short"  # a draft that was rejected
        assert ask(wire, (*LONG[:50], *[7] * NEW_TOKENS)) == "short"
        assert ask(wire, (*LONG[:50], *[8] * (NEW_TOKENS + 1))) == "socket"
        assert ask(wire, (9, *LONG[1:])) == "socket"
        assert len(llama.asked) == 4


def test_both_ways_carry_the_same_body() -> None:
    with opened() as (wire, llama, server):
        ask(wire, LONG)
        ask(wire, LONG)
        (long_way,) = server.asked
    short = llama.asked[0]
    assert {**short, "prompt": list(short["prompt"])} == long_way.body
    assert long_way.path == NEXT_ENDPOINT


def test_a_deadline_needs_the_way_that_can_be_broken_off() -> None:
    with opened() as (wire, llama, _):
        ask(wire, LONG)
        assert ask(wire, LONG, Deadline(5)) == "socket"
        assert llama.asked == []


def test_slots_are_known_side_by_side() -> None:
    other = tuple(range(200, 300))
    with opened(slots=2) as (wire, _, _server):
        assert [ask(wire, LONG), ask(wire, other)] == ["socket", "socket"]
        for end in range(3):
            assert ask(wire, (*LONG, *range(end))) == "short"
            assert ask(wire, (*other, *range(end))) == "short"
        assert ask(wire, tuple(range(300, 400))) == "socket"  # takes the older one's place
        assert ask(wire, other) == "short"
        assert ask(wire, LONG) == "socket"
    with opened(slots=1) as (wire, _, _server):
        assert [ask(wire, LONG), ask(wire, other), ask(wire, LONG)] == ["socket"] * 3


def test_a_text_in_between_may_have_taken_any_slot() -> None:
    with opened() as (wire, _, _server):
        ask(wire, LONG)
        assert list(wire.stream("/completion", {"stream": True})) == [{"way": "socket"}]
        assert ask(wire, LONG) == "socket"
        assert ask(wire, LONG) == "short"


def test_other_endpoints_go_over_the_socket() -> None:
    with opened() as (wire, llama, server):
        ask(wire, LONG)
        assert wire.post("/tokenize", {"prompt": LONG}) == {"way": "socket"}
        assert wire.get("/props") == {"way": "socket"}
        assert [asked.path for asked in server.asked][1:] == ["/tokenize", "/props"]
        assert llama.asked == []
        assert not wire.released_only


@pytest.mark.parametrize(
    "fault", [RuntimeError("no"), ValueError("no"), {"error": {"code": 400}}, None, "text"]
)
def test_what_fails_on_the_short_way_is_asked_again_over_the_socket(fault: object) -> None:
    def fail() -> Any:
        if isinstance(fault, Exception):
            raise fault
        return fault

    with opened() as (wire, llama, _):
        ask(wire, LONG)
        llama.answer = fail
        assert ask(wire, LONG) == "socket"
        assert len(llama.asked) == 1


def test_closing_waits_for_a_call_and_refuses_later_ones() -> None:
    with opened() as (wire, llama, _):
        ask(wire, LONG)
        begun, ended = threading.Event(), threading.Event()

        def slowly() -> Any:
            begun.set()
            time.sleep(0.1)
            ended.set()
            return {"way": "short"}

        llama.answer = slowly
        found: list[str] = []
        caller = threading.Thread(target=lambda: found.append(ask(wire, LONG)))
        caller.start()
        begun.wait()
        wire.close()
        assert ended.is_set()
        caller.join()
        assert found == ["short"]
        wire.close()
        with pytest.raises(ModelError, match="closed"):
            ask(wire, LONG)
        with pytest.raises(ModelError, match="closed"):
            wire.get("/props")
