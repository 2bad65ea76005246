"""`train sketches` against a server on loopback: what leaves, what is kept, what it costs."""

from __future__ import annotations

import json
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cogenesis.cli import main
from cogenesis.context.reader import read_samples
from cogenesis.engines.cloud import CloudAddress
from cogenesis.engines.cost import Prices, Tokens
from cogenesis.engines.engine import Done, ItemT, Lost, Machine, Opening, Place, ResultT
from cogenesis.engines.local import LocalEngine
from cogenesis.engines.pace import Limits, Pace
from cogenesis.errors import CloudError, EngineError, InputError, LedgerError
from cogenesis.evaluation.numbered_samples import numbered_samples
from cogenesis.models.protocol import Piece
from cogenesis.models.scripted import ScriptedModel
from cogenesis.privacy.egress import Traffic
from cogenesis.privacy.released import GeneralInstruction
from cogenesis.training.sketches import (
    SketchTask,
    released_of,
    sketch_tasks,
    to_ask,
)
from cogenesis.training.sketches_asking import Asked, Asker, Failed, Outlines, Outlining
from cogenesis.training.sketches_file import SketchFile, SketchLine, read_sketches
from cogenesis.training.sketches_meter import estimate
from cogenesis.wire import Deadline
from tests.unit.evaluation.test_leaks_report import TOPICS, person
from tests.unit.models.loopback import Handler, Loopback

OUTLINE = (
    "1. A warm hello\n2. Why this note comes\n3. The first small story\n4. What went wrong\n"
    "5. Thanks to all\n6. Plans for summer\n7. See you soon"
)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six people; a seventh whose title is his own name; an eighth that is no sample."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "home"))
    people = [person(name, topic) for name, topic in TOPICS.items()]
    own = person("Bertrand Okafor", "kites and wind")
    own["conversations"][0]["value"] = "Bertrand Okafor, okafor@example.com: a note"
    path = tmp_path / "people.json"
    path.write_text(json.dumps([*people, own, {"profile": 3}]))
    return path


def chat(reply: Callable[[Any], str] | str) -> Callable[[Handler], None]:
    """A chat server that is no llama.cpp server."""

    def answer(handler: Handler) -> None:
        if handler.asked.method == "GET":
            handler.send_json({"error": {"message": "not here"}}, status=404)
            return
        text = reply if isinstance(reply, str) else reply(handler.asked.body)
        pieces = text.splitlines(keepends=True)
        events: list[Any] = [{"choices": [{"delta": {"content": piece}}]} for piece in pieces]
        events.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        handler.send_events(*events, "[DONE]")

    return answer


def run(monkeypatch: pytest.MonkeyPatch, server: str, *arguments: str) -> int | str | None:
    wanted = ["--cloud-url", server, "--cloud-model", "large-1", "--cloud-kind", "openai-chat"]
    argv = ["cogenesis", "train", "sketches", "--data", "people.json", "--out", "out.jsonl"]
    monkeypatch.setattr(sys, "argv", [*argv, *wanted, *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_outlines_come_for_all_that_the_guard_lets_go(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Loopback(chat(OUTLINE)) as server:
        code = run(
            monkeypatch, server.url, "--yes", "--json", "--price-in", "2", "--price-out", "8"
        )
    output = capsys.readouterr()
    assert code == 0, output.err
    told = json.loads(output.out)
    found = read_sketches(Path("out.jsonl"))
    assert list(found) == list(TOPICS)  # in the file's order, whoever answered first
    line = found["Wren Aldous"]
    assert (line.general, line.sketch[0], line.model) == ("Write a note", "A warm hello", "large-1")
    assert (told["samples"], told["outlines"], told["asked_now"]) == (8, 6, 6)
    assert [each["id"] for each in told["refused"]] == ["Bertrand Okafor"]
    assert [each["number"] for each in told["unusable"]] == [8]
    assert told["cost_about"] == pytest.approx(
        (2 * told["tokens_about"]["sent"] + 8 * told["tokens_about"]["received"]) / 1e6
    )
    assert told["estimate"]["samples"] == 5
    assert "For 5 more" in output.err and "Cost: about" in output.err
    # Nothing of any person left: neither those that were asked about nor the one refused.
    sent = json.dumps([asked.body for asked in server.asked])
    for word in ("Okafor", "Aldous", "orchids", "kites", "Spends evenings", "Dear all"):
        assert word not in sent
    assert sent.count("Write a note") == 6


def test_a_run_goes_on_where_the_last_one_ended(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Loopback(chat(OUTLINE)) as server:
        # Nobody can agree here, so the first outline alone is paid for.
        monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
        assert run(monkeypatch, server.url) == 2
        assert "--resume and --yes" in " ".join(capsys.readouterr().err.split())
        assert len(read_sketches(Path("out.jsonl"))) == 1
        with Path("out.jsonl").open("ab") as file:
            file.write(b'{"id": "half a li')  # as after SIGKILL
        assert run(monkeypatch, server.url, "--yes") == 2  # the file is there
        assert run(monkeypatch, server.url, "--yes", "--resume", "--json") == 0
        assert json.loads(capsys.readouterr().out)["asked_now"] == 5
        assert run(monkeypatch, server.url, "--yes", "--resume", "--json") == 0
        assert json.loads(capsys.readouterr().out)["asked_now"] == 0
        assert run(monkeypatch, server.url, "--yes", "--resume", "--seed", "3") == 2
        assert "seed 0" in capsys.readouterr().err
    texts = [asked for asked in server.asked if asked.method == "POST"]
    assert len(texts) == len(read_sketches(Path("out.jsonl"))) == 6


def test_a_model_that_writes_no_outlines_is_named_and_costs_no_run(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replies = iter(["I would rather not.", "Nor now.", *[OUTLINE] * 5])
    with Loopback(chat(lambda _: next(replies))) as server:
        assert run(monkeypatch, server.url, "--yes", "--at-a-time", "1") == 0
    shown = capsys.readouterr().out
    assert "5 of 8 samples have an outline" in shown
    assert "No outline came for 1: Wren Aldous (no-sketch)" in shown


def test_a_wrong_key_ends_the_run_at_once(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Loopback(lambda handler: handler.send_json({"error": {}}, status=401)) as server:
        assert run(monkeypatch, server.url, "--yes") == 4
        assert len([each for each in server.asked if each.method == "POST"]) == 1
    assert "the cloud model refuses" in " ".join(capsys.readouterr().err.split())


@dataclass
class Scripted:
    """Outlines of a model without a server, by the guard of this process."""

    model: ScriptedModel
    file: Path
    deadline_s: float = 5.0
    asker: Asker | None = None

    @contextmanager
    def open(self, place: Place) -> Iterator[Callable[[SketchTask], Asked]]:
        samples = numbered_samples(self.file)

        def released(task: SketchTask) -> GeneralInstruction:
            found = released_of(samples[task.number], task.number)
            assert isinstance(found, GeneralInstruction)
            return found

        self.asker = Asker(
            self.model,
            released,
            traffic=Traffic,
            pace=place.pace,
            seed=0,
            deadline_s=self.deadline_s,
        )
        try:
            yield self.asker.ask
        finally:
            self.asker.stop()


def tasks_of(data: Path, limit: int | None = None) -> list[SketchTask]:
    return sketch_tasks(LocalEngine(), data, limit=limit)[1]


def test_a_dead_server_is_left_alone_after_some_samples(data: Path) -> None:
    dead = ScriptedModel(fail=CloudError("unreachable", "nobody there"), role="cloud")
    found = Outlines(LocalEngine(at_a_time=1), Scripted(dead, data)).ask(tasks_of(data))
    outcomes = []
    with pytest.raises(CloudError, match="5 samples in a row"):
        for outcome in found:
            outcomes.append(outcome)  # noqa: PERF402  (those before the end count)
    assert len(outcomes) == 5 and all(isinstance(each, Failed) for each in outcomes)
    assert len(dead.asked) == 5


def test_a_model_that_writes_no_outline_still_answers(data: Path) -> None:
    """Four silent samples, one without an outline, one silent: not five in a row."""
    asked = 0

    class Sulking(ScriptedModel):
        def generate(self, *args: Any, **more: Any) -> Iterator[Piece]:
            nonlocal asked
            asked += 1
            if asked in {5, 6}:  # the fifth sample, which is asked about twice
                return super().generate(*args, **more)
            raise CloudError("timeout", "no time is left")

    outlines = Outlines(LocalEngine(at_a_time=1), Scripted(Sulking(["no"] * 2, role="cloud"), data))
    found = list(outlines.ask(tasks_of(data)))
    reasons = [each.reason for each in found if isinstance(each, Failed)]
    assert reasons == ["timeout"] * 4 + ["no-sketch", "timeout"]


def test_what_may_not_leave_ends_everything(data: Path) -> None:
    closed = ScriptedModel(fail=LedgerError("the disk is full"), role="cloud")
    outlines = Outlines(LocalEngine(at_a_time=2), Scripted(closed, data))
    with pytest.raises(LedgerError):
        list(outlines.ask(tasks_of(data)))


def test_stopping_hangs_up(data: Path) -> None:
    slow = ScriptedModel([OUTLINE] * 9, piece_s=0.2, role="cloud")
    begun = time.monotonic()
    opening = Scripted(slow, data, deadline_s=60)
    with opening.open(Place.here()) as ask, ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask, task) for task in tasks_of(data)]
        while len(slow.asked) < 3:
            time.sleep(0.005)
        assert opening.asker is not None
        opening.asker.stop()
        outcomes = [each.result().outcome for each in asked]
    assert time.monotonic() - begun < 3
    assert len(slow.asked) == 3
    assert all(isinstance(each, Failed) for each in outcomes)


def test_leaving_early_hangs_up_what_is_on_its_way(data: Path) -> None:
    first = threading.Lock()

    class Silent(ScriptedModel):
        def generate(self, *args: Any, **more: Any) -> Iterator[Piece]:
            if first.acquire(blocking=False):
                return super().generate(*args, **more)
            deadline: Deadline = more["deadline"]
            deadline.wait(60)
            raise CloudError("timeout", "no time is left")

    begun = time.monotonic()
    opening = Scripted(Silent([OUTLINE], role="cloud"), data, deadline_s=60)
    found: Any = Outlines(LocalEngine(at_a_time=2), opening).ask(tasks_of(data))
    assert isinstance(next(found), SketchLine)
    found.close()
    assert time.monotonic() - begun < 10


def test_the_limit_of_what_is_asked_at_a_time_is_kept(data: Path) -> None:
    now, most, lock = 0, 0, threading.Lock()

    class Busy(ScriptedModel):
        def generate(self, *args: Any, **more: Any) -> Iterator[Piece]:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.03)
            with lock:
                now -= 1
            return super().generate(*args, **more)

    outlines = Outlines(LocalEngine(at_a_time=3), Scripted(Busy([OUTLINE] * 6, role="cloud"), data))
    found = list(outlines.ask(tasks_of(data)))
    assert len(found) == 6 and most == 3
    assert outlines.taken.asks == 6
    assert outlines.taken.tokens.sent > 6 * 100  # the prompt has its two examples


def test_asks_keep_the_limits_also_where_one_is_asked_again(data: Path) -> None:
    pace = Paced()
    place = Place("worker", pace, Machine.here(), Machine.here())
    model = ScriptedModel(["no outline", *[OUTLINE] * 2], role="cloud")
    with Scripted(model, data).open(place) as ask:
        for task in tasks_of(data, limit=2):
            assert isinstance(ask(task).outcome, SketchLine)
    assert [requests for requests, _ in pace.told] == [1, 1, 1, 0]
    assert all(tokens > 200 for requests, tokens in pace.told if requests)


class Paced(Pace):
    """Writes down what was waited for, and what was more."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, int]] = []

    def wait(self, tokens: int = 0) -> float:
        self.told.append((1, tokens))
        return 0.0

    def also(self, requests: int = 0, tokens: int = 0) -> None:
        self.told.append((requests, tokens))


class Deadly:
    """An engine whose workers die on one sample, whatever is to be done with it."""

    at_a_time = 1

    def __init__(self, key: str) -> None:
        self._key = key

    def map(
        self, opening: Opening[ItemT, ResultT], items: Iterable[tuple[str, ItemT]]
    ) -> Iterator[Done[ResultT] | Lost]:
        with opening.open(Place.here()) as work:
            for key, item in items:
                yield Lost(key, 3) if key == self._key else Done(key, work(item), 0.1)


def test_a_sample_on_which_workers_die_is_told_and_the_others_are_done(data: Path) -> None:
    _, tasks, left_out = sketch_tasks(Deadly("000000002"), data)
    assert [(each.number, each.why) for each in left_out] == [
        (2, "lost"),
        (7, "refused"),
        (8, "unusable"),
    ]
    assert [each.number for each in tasks] == [1, 3, 4, 5, 6]
    model = ScriptedModel([OUTLINE] * 9, role="cloud")
    found = list(Outlines(Deadly("000000004"), Scripted(model, data)).ask(tasks))
    assert [each.number for each in found if isinstance(each, SketchLine)] == [1, 3, 5, 6]
    (lost,) = [each for each in found if isinstance(each, Failed)]
    assert (lost.id, lost.reason) == (list(TOPICS)[3], "worker-died")


def test_a_worker_with_another_file_or_guard_sends_nothing(data: Path) -> None:
    file, tasks, _ = sketch_tasks(LocalEngine(), data, limit=1)
    with Loopback(chat(OUTLINE)) as server:
        opening = Outlining(
            file, CloudAddress.of(server.url, "m", "openai-chat", ledger=Path("l.db")), 0, 5.0
        )
        assert pickle.loads(pickle.dumps(opening)) == opening
        with pytest.raises(EngineError, match="the guard decides otherwise about sample 1"):
            list(Outlines(LocalEngine(), opening).ask([replace(tasks[0], general="Orchids")]))
        data.write_text(data.read_text() + " ")
        with pytest.raises(InputError, match="not the file that the run was started with"):
            list(Outlines(LocalEngine(), opening).ask(tasks))
        data.unlink()
        with pytest.raises(InputError, match="all machines of the cluster see"):
            list(Outlines(LocalEngine(), opening).ask(tasks))
        assert server.asked == []


def test_an_outline_of_other_data_is_not_gone_on_with(data: Path) -> None:
    tasks = tasks_of(data, limit=2)
    line = SketchLine(tasks[0].id, 1, "Something else", ("a b",), "m", 0, 1, 0.1)
    with pytest.raises(InputError, match="another file"):
        to_ask(tasks, {line.id: line}, model="m", seed=0)


def test_twins_are_refused(data: Path) -> None:
    people = json.loads(data.read_text())
    data.write_text(json.dumps([people[0], people[0]]))
    assert len(read_samples(data)) == 2
    with pytest.raises(InputError, match="id of an earlier one"):
        tasks_of(data)


@pytest.mark.parametrize(
    "line", ['{"id": "1"}', "[]", '{"id": 1, "general": "", "sketch": [], "model": ""}', "what"]
)
def test_a_file_of_something_else_is_refused_and_kept(line: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(f"{line}\n")
    with pytest.raises(InputError, match="line 1 is no line of train sketches"):
        SketchFile(path, resume=True)
    assert path.read_text() == f"{line}\n"


def test_a_second_run_loses_no_outline_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "sketches.jsonl"
    lines = [SketchLine(str(n), n, "Orchids", ("a b",), "m", 0, 1, 0.1) for n in (3, 2, 1)]
    with SketchFile(path, resume=True) as file:
        file.add(lines[0])
        with pytest.raises(InputError, match="another run is writing to"):
            SketchFile(path, resume=True)
        file.add(lines[1])
    with SketchFile(path, resume=True) as file:
        file.add(lines[2])
        file.sort()
    assert list(read_sketches(path)) == ["1", "2", "3"]


def test_the_estimate_counts_what_is_left() -> None:
    found = estimate(
        Tokens(600, 80), 4.0, 2, samples=10, at_a_time=4, prices=Prices(1_000_000, 0.0)
    )
    assert found.likely == Tokens(6000, 800)
    assert found.most == Tokens(300 * 2 * 10, 200 * 2 * 10)
    assert found.seconds == pytest.approx(4.0 * 3)  # ten, four at a time
    assert (found.cost, found.most_cost) == (6000.0, 6000.0)
    limited = estimate(
        Tokens(600, 80),
        4.0,
        2,
        samples=10,
        at_a_time=4,
        prices=Prices(),
        limits=Limits(requests_per_minute=10, tokens_per_minute=1700),
    )
    assert limited.seconds == pytest.approx(
        (300 + 200) * 2 * 10 / 1700 * 60
    )  # longer than 20 requests
    assert Prices(1.0).of(Tokens(1, 1)) is None
