from __future__ import annotations

import os

import pytest

from cogenesis.models.threads import default_threads, is_suspicious, start_with_threads

MB = 1_000_000


class Machine:
    """Models that take a given time a token with a given number of threads."""

    def __init__(self, token_s: dict[int, float]) -> None:
        self.token_s = token_s
        self.started: list[int] = []
        self.open: list[Loaded] = []

    def start(self, count: int) -> Loaded:
        self.started.append(count)
        loaded = Loaded(self, count)
        self.open.append(loaded)
        return loaded


class Loaded:
    def __init__(self, machine: Machine, count: int) -> None:
        self.machine, self.count = machine, count

    def close(self) -> None:
        self.machine.open.remove(self)


def _time(loaded: Loaded) -> float:
    return loaded.machine.token_s[loaded.count]


def _cores(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)), raising=False)


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (3, 2), (16, 15)])
def test_one_core_is_left_to_others(
    monkeypatch: pytest.MonkeyPatch, cores: int, expected: int
) -> None:
    _cores(monkeypatch, cores)
    assert default_threads() == expected


def test_the_measured_case_is_suspicious_and_the_idle_one_is_not() -> None:
    # SmolLM2 on the target machine: beside a busy process, and alone.
    assert is_suspicious(2.050, 97 * MB)
    assert not is_suspicious(0.021, 97 * MB)


@pytest.mark.parametrize(
    ("token_s", "started", "kept"),
    [
        ({3: 0.01}, [3], 3),
        ({3: 2.0, 1: 0.02}, [3, 1], 1),
        ({3: 2.0, 1: 3.0}, [3, 1, 3], 3),
    ],
)
def test_what_is_measured_decides(
    monkeypatch: pytest.MonkeyPatch, token_s: dict[int, float], started: list[int], kept: int
) -> None:
    _cores(monkeypatch, 4)
    machine = Machine(token_s)
    loaded = start_with_threads(machine.start, _time, model_bytes=97 * MB)
    assert (machine.started, loaded.count) == (started, kept)
    assert machine.open == [loaded]


def test_a_chosen_number_and_a_single_thread_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    _cores(monkeypatch, 2)
    machine = Machine({})
    assert start_with_threads(machine.start, _time, model_bytes=MB, threads=8).count == 8
    assert start_with_threads(machine.start, _time, model_bytes=MB).count == 1


def test_a_model_that_cannot_be_timed_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    _cores(monkeypatch, 4)
    machine = Machine({})
    with pytest.raises(KeyError):
        start_with_threads(machine.start, _time, model_bytes=MB)
    assert machine.open == []
