"""The order of runs, what counts, and the clock, without real models."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cogenesis.errors import ContextError, InputError
from cogenesis.evaluation.speed import TRIES, SpeedSettings, measure, steps_of, timed
from cogenesis.evaluation.speed_prompts import (
    DEMO_INSTRUCTIONS,
    speed_prompts,
    speed_tasks,
)
from cogenesis.evaluation.speed_rows import DECODINGS, DecodingName, Run, Way
from cogenesis.fusion.decoding import Decoding
from cogenesis.fusion.draft import DraftAndVerify
from cogenesis.fusion.lockstep import Lockstep
from cogenesis.fusion.target import Target
from cogenesis.models.scripted import ScriptedModel
from tests.unit.fusion.scripted_pair import END, MODEL, PROMPT, Kin, SameVocabularyCloud

SETTINGS = SpeedSettings(round_trips_ms=(0.0, 50.0), repeat=2)
Call = tuple[DecodingName, float, Way]


class FakeStage:
    """Remembers what was asked. `misses`: unknown prefixes of the next replayed runs."""

    def __init__(self, log: list[Call | str], misses: list[int] | None = None) -> None:
        self._log, self._misses = log, misses or []

    def fill(self) -> None:
        self._log.append("fill")

    def write(self, decoding: DecodingName, rtt_ms: float, way: Way) -> Run:
        self._log.append((decoding, rtt_ms, way))
        unknown = self._misses.pop(0) if way == "replayed" and self._misses else 0
        return Run((1, 2), 2, 0.1, 0.1 + (rtt_ms or 10.0) / 1000, unknown=unknown)


def test_what_is_compared_runs_next_to_each_other_for_every_prompt() -> None:
    log: list[Call | str] = []
    ticks: list[None] = []
    rows = measure("demo", (FakeStage(log) for _ in range(2)), SETTINGS, lambda: ticks.append(None))
    assert len(ticks) == steps_of(SETTINGS, 2) == len(log)
    assert log[0] == log[len(log) // 2] == "fill"
    calls = [each for each in log if not isinstance(each, str)]
    for at in range(0, len(calls), len(DECODINGS)):
        group = calls[at : at + len(DECODINGS)]
        assert tuple(decoding for decoding, _, _ in group) == DECODINGS
        assert len({(rtt_ms, way) for _, rtt_ms, way in group}) == 1
    assert len(set(calls)) * 4 == len(calls)  # two prompts, each twice
    assert [(each["rtt_ms"], each["decoding"]) for each in rows] == [
        (rtt_ms, decoding) for rtt_ms in (0.0, 50.0) for decoding in DECODINGS
    ]
    assert {each["texts"] for each in rows} == {4}
    assert rows[0]["tokens_per_s"] == 100.0
    assert rows[-1]["tokens_per_s"] == 20.0


def test_only_drafts_are_compared_with_lockstep() -> None:
    rows = measure("demo", [FakeStage([])], SETTINGS)
    compared = {each["decoding"] for each in rows if each["identical_to_lockstep"] is not None}
    assert compared == {"draft-and-verify"}


def test_a_replayed_run_that_met_unknown_prefixes_is_made_again() -> None:
    log: list[Call | str] = []
    one = SpeedSettings(round_trips_ms=(0.0,))
    first = measure("demo", [FakeStage(log, [5, 2, 0])], one)[0]
    assert log.count(("device-only", 0.0, "replayed")) == 3
    assert (first["unknown_prefixes"], first["replayed"]["runs_made_again"]) == (0, 2)


def test_what_stays_unknown_is_counted() -> None:
    log: list[Call | str] = []
    one = SpeedSettings(round_trips_ms=(0.0,))
    first = measure("demo", [FakeStage(log, [5, 4, 3, 0])], one)[0]
    assert log.count(("device-only", 0.0, "replayed")) == TRIES == 3
    assert first["unknown_prefixes"] == 3


def test_without_a_prompt_there_is_nothing_to_say() -> None:
    with pytest.raises(InputError, match="no prompt"):
        measure("demo", [], SETTINGS)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_tokens": 1}, "--max-tokens is at least 2"),
        ({"repeat": 0}, "--repeat is at least 1"),
        ({"round_trips_ms": ()}, "--rtt is a number"),
        ({"round_trips_ms": (-1.0,)}, "--rtt is a number"),
        ({"round_trips_ms": (5.0, 5.0)}, "given twice"),
    ],
)
def test_settings_that_measure_nothing_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SpeedSettings(**wrong)  # type: ignore[arg-type]


def test_the_clock_runs_from_asking_to_the_end() -> None:
    wait_s, count = 0.01, 12
    device = Kin(MODEL, ScriptedModel(seed=2))
    how = Decoding(seed=3, max_tokens=count, ends=frozenset({END}))

    def far() -> SameVocabularyCloud:
        return SameVocabularyCloud(Kin(MODEL, ScriptedModel(seed=3)), wait=lambda call: wait_s)

    lockstep = timed(Lockstep(device, far(), Target(), how), PROMPT)
    drafted = timed(DraftAndVerify(device, far(), Target(), how), PROMPT)
    alone = timed(Lockstep(device, None, Target(), how), PROMPT)
    assert lockstep.ids == drafted.ids
    assert lockstep.tokens == drafted.tokens == alone.tokens == count
    for run in (lockstep, drafted):
        assert wait_s <= run.first_s < run.total_s
    assert lockstep.total_s >= count * wait_s
    assert drafted.accepted + drafted.rejected > 0
    assert (lockstep.accepted, alone.accepted, alone.rejected) == (0, 0, 0)


def test_a_text_that_ends_at_once_took_its_time() -> None:
    device = ScriptedModel(seed=1)
    everything = frozenset(range(400))
    run = timed(Lockstep(device, None, Target(), Decoding(ends=everything)), PROMPT)
    assert (run.ids, run.tokens) == ((), 1)
    assert run.first_s == run.total_s > 0.0


def told_nothing(number: int, why: str) -> None:
    pytest.fail(f"{number}: {why}")


def test_the_sample_persons_tasks_are_released_and_differ() -> None:
    device, tasks = ScriptedModel(seed=1), speed_tasks(None, told_nothing)
    prompts = speed_prompts(device, tasks, 10, 20, told_nothing)
    assert len(prompts) == len(DEMO_INSTRUCTIONS)
    assert all(a.ids != b.ids for a, b in pairwise(prompts))
    assert "Anselm" not in " ".join(prompt.general.text for prompt in prompts)
    assert len(speed_prompts(device, tasks, 2, 20, told_nothing)) == 2


def test_samples_that_cannot_be_used_are_told_and_left_out(tmp_path: Path) -> None:
    """Refused by the guard, too long, no task: none of them ends the measurement."""

    def task(instruction: str) -> dict[str, Any]:
        turns = [{"from": "user", "value": instruction}, {"from": "assistant", "value": "Dear"}]
        return {"additional_profile": "Name: Tobias Merrin", "conversations": turns}

    some = [
        task("Tobias Merrin"),
        task("word " * 5_000),
        {"profile": 3},
        task(DEMO_INSTRUCTIONS[1]),
    ]
    path = tmp_path / "people.json"
    path.write_text(json.dumps(some))
    left: dict[int, str] = {}
    device, tell = ScriptedModel(seed=1), lambda number, why: left.update({number: why})
    tasks = speed_tasks(path, tell)
    assert list(left) == [3]
    assert len(speed_prompts(device, tasks, 1, 20, tell)) == 1
    assert "guard" in left[1] and "too long" in left[2]
    with pytest.raises(InputError, match="none of these instructions"):
        speed_prompts(device, list(tasks)[:2], 1, 20, tell)


def test_a_data_set_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ContextError):
        speed_tasks(tmp_path / "none.json", told_nothing)


def test_a_task_shows_nothing_private() -> None:
    assert repr(next(iter(speed_tasks(None, told_nothing)))) == "SpeedTask(hidden)"
