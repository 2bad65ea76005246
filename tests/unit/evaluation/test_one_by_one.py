"""Models in this process: one item at a time, and nothing half done at the end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cogenesis.errors import EngineError
from cogenesis.evaluation.one_by_one import OneByOne


def test_two_items_never_meet() -> None:
    busy, met = threading.Lock(), []

    def work(item: int, stop: threading.Event) -> int:
        met.append(not busy.acquire(blocking=False))
        stop.wait(0.01)
        busy.release()
        return -item

    alone = OneByOne(work)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(alone, range(8))) == [-each for each in range(8)]
    assert met == [False] * 8


def test_what_is_stopped_gives_nothing_and_is_waited_for() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work(item: str, stop: threading.Event) -> str:
        begun.set()
        assert stop.wait(10)
        ended.set()
        return "half of it"

    alone = OneByOne(work)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(alone, "a")
        assert begun.wait(10)
        alone.stop()
        alone.wait()
        assert ended.is_set()
        with pytest.raises(EngineError, match="stopped"):
            running.result()
        with pytest.raises(EngineError, match="stopped"):
            alone("b")
