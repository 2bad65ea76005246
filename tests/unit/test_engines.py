"""The engine of threads, and the pace at which a server is asked."""

from __future__ import annotations

import contextlib
import pickle
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cogenesis.engines.cost import Measured, Prices, Tokens, forecast
from cogenesis.engines.engine import Done, Machine, Place, Plain, open_engine
from cogenesis.engines.pace import Limits, Pace
from cogenesis.errors import CloudError, EngineError, InputError


@dataclass
class Recorded:
    """An opening that says what happened to it."""

    told: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def open(self, place: Place) -> Iterator[Callable[[int], int]]:
        self.told.append("open")
        try:
            yield lambda item: item * item
        finally:
            self.told.append("close")


def numbered(count: int) -> list[tuple[str, int]]:
    return [(str(number), number) for number in range(count)]


def test_each_item_is_worked_on_once_and_the_place_is_opened_once() -> None:
    opening = Recorded()
    with open_engine(at_a_time=3) as engine:
        found = list(engine.map(opening, numbered(20)))
    assert {each.key: each.result for each in found if isinstance(each, Done)} == {
        str(number): number * number for number in range(20)
    }
    assert opening.told == ["open", "close"]


def test_no_more_is_begun_than_is_taken() -> None:
    begun: list[str] = []

    def items() -> Iterator[tuple[str, int]]:
        for key, item in numbered(100):
            begun.append(key)
            yield key, item

    with open_engine(at_a_time=4) as engine:
        same: Plain[int, int] = Plain(lambda item: item)
        outcomes = engine.map(same, items())
        for _ in range(3):
            next(outcomes)
        assert len(begun) <= 3 + 4
        outcomes.close()  # type: ignore[attr-defined]


def test_so_many_at_a_time() -> None:
    together, most, lock = 0, 0, threading.Lock()

    def work(item: int) -> int:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        time.sleep(0.005)
        with lock:
            together -= 1
        return item

    with open_engine(at_a_time=3) as engine:
        assert len(list(engine.map(Plain(work), numbered(12)))) == 12
    assert most == 3


def test_an_error_of_the_work_ends_the_run_and_closes_the_place() -> None:
    opening = Recorded()

    class Failing(Recorded):
        @contextlib.contextmanager
        def open(self, place: Place) -> Iterator[Callable[[int], int]]:
            with opening.open(place):
                yield self.work

        def work(self, item: int) -> int:
            raise CloudError("unauthorised", "the key is wrong")

    with open_engine() as engine, pytest.raises(CloudError, match="the key is wrong"):
        list(engine.map(Failing(), numbered(9)))
    assert opening.told == ["open", "close"]


def test_what_is_done_beside_a_failure_is_not_lost() -> None:
    last, ended = threading.Event(), threading.Semaphore(0)

    def work(item: int) -> int:
        if item == 0:
            return 0
        assert last.wait(20)
        ended.release()
        if item == 1:
            raise CloudError("unreachable", "gone")
        return item

    found: list[str] = []
    with open_engine(at_a_time=3) as engine, pytest.raises(CloudError, match="gone"):
        for outcome in engine.map(Plain(work), numbered(3)):
            found.append(outcome.key)
            if outcome.key == "0":
                last.set()
                assert ended.acquire(timeout=20) and ended.acquire(timeout=20)
                time.sleep(0.1)  # both have left the work: their results are there in a moment
    assert found == ["0", "2"]


def test_options_that_do_not_go_together_are_told() -> None:
    with pytest.raises(InputError, match="--engine ray"):
        open_engine("local", ray_address="127.0.0.1:6379")
    with pytest.raises(InputError, match="local or ray"):
        open_engine("slurm")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least one"):
        open_engine(at_a_time=0)
    with pytest.raises(InputError, match="more than 0"):
        Limits(requests_per_minute=0)


class Clock:
    """Seconds that pass only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def paced(limits: Limits) -> tuple[Pace, Clock]:
    clock = Clock()
    return Pace(limits, clock=clock, sleep=clock.sleep), clock


def test_requests_are_spread_evenly() -> None:
    pace, clock = paced(Limits(requests_per_minute=30))
    assert [pace.wait() for _ in range(4)] == [0.0, 2.0, 2.0, 2.0]
    clock.now += 60  # a pause earns no burst
    assert [pace.wait(), pace.wait()] == [0.0, 2.0]


def test_tokens_hold_back_what_comes_after_them() -> None:
    pace, _ = paced(Limits(requests_per_minute=600, tokens_per_minute=6000))
    assert [pace.wait(1000), pace.wait(10), pace.wait(10)] == pytest.approx([0.0, 10.0, 0.1])
    pace.also(tokens=500)
    assert pace.wait(0) == pytest.approx(0.1 + 5.0)
    pace.also(requests=10)
    assert pace.wait() == pytest.approx(1.1)


def test_shares_keep_the_whole_limit() -> None:
    share = Limits(requests_per_minute=90, tokens_per_minute=None).share(3)
    assert share == Limits(requests_per_minute=30, tokens_per_minute=None)


def test_without_limits_nobody_waits_and_a_stop_wakes() -> None:
    pace, clock = paced(Limits())
    assert [pace.wait(10**9) for _ in range(3)] == [0.0] * 3
    assert clock.now == 100.0
    slow = Pace(Limits(requests_per_minute=0.1))
    slow.wait()
    thread = threading.Thread(target=slow.wait)
    thread.start()
    slow.stop()
    thread.join(5)
    assert not thread.is_alive()


def test_another_machine_writes_a_file_of_its_own() -> None:
    place, path = Place.here(), Path("folder/ledger.sqlite")
    assert place.own(path) == path
    other = replace(place, machine=Machine("node 2/../x", "another boot"))
    twin = replace(place, machine=Machine("node 2/../x", "a third boot"))
    assert other.own(path).parent == path.parent
    assert other.own(path).name.startswith("ledger-node-2----x-")
    assert len({path, other.own(path), twin.own(path)}) == 3


def test_machines_tell_themselves_apart_after_pickling() -> None:
    assert pickle.loads(pickle.dumps(Machine.here())) == Machine.here()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no Ray engine there")
def test_a_cluster_that_is_not_there_is_told_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    engine = open_engine("ray", ray_address=address)
    with pytest.raises(EngineError, match="no Ray cluster answers"), engine:
        pass


def test_whoever_stops_in_the_middle_leaves_nothing_open() -> None:
    """A traceback keeps the iterator alive; what is on its way is hung up all the same."""
    opening = Recorded()
    with pytest.raises(KeyboardInterrupt), open_engine("local", at_a_time=1) as engine:
        results = engine.map(opening, numbered(5))
        next(results)
        raise KeyboardInterrupt
    assert opening.told == ["open", "close"]
    assert next(results, None) is None


@pytest.mark.parametrize(
    ("limits", "seconds", "bound"),
    [
        (Limits(), 2.0 * 1000 / 4, "calls at a time"),
        (Limits(requests_per_minute=60), 1000.0, "requests per minute"),
        # 400 sent and 600 that the reply might have had, not the 100 that it had.
        (Limits(60, 30_000), 1000 * 1000 / 30_000 * 60, "tokens per minute"),
    ],
)
def test_a_forecast_names_what_bounds_it(limits: Limits, seconds: float, bound: str) -> None:
    ten = Measured(10, Tokens(4_000, 1_000), 20.0, reserved=10_000)
    found = forecast(ten, 1000, at_a_time=4, prices=Prices(1.0, 2.0), limits=limits)
    assert found.seconds == pytest.approx(seconds)
    assert found.bound == bound
    assert found.tokens == Tokens(400_000, 100_000)
    assert found.cost == pytest.approx(0.4 + 0.2)
