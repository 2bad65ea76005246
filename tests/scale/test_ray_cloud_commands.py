"""`train sketches` and `evaluate judge` on two Ray nodes: as in one process, also with a death."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("ray") is None:  # not imported: Ray reads its settings then
    pytest.skip("needs the extra scale", allow_module_level=True)

from benchmarks.ray_nodes import ROOT, two_nodes
from cogenesis.evaluation.generation import WrittenText, content_key, open_texts
from cogenesis.privacy.ledger import Ledger
from tests.thorough.test_data_build import workers_of_ray
from tests.unit.evaluation.test_leaks_report import TOPICS, person
from tests.unit.evaluation.test_text_cli import answer
from tests.unit.models.loopback import Handler, Loopback
from tests.unit.training.test_sketches import OUTLINE, chat

PEOPLE = 24


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with two_nodes() as found:
        yield found


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times six people, then one whose title is his own name, and one that is no sample."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    topics = list(TOPICS.items())
    people = [person(*topics[number % 6]) | {"tid": str(number)} for number in range(PEOPLE)]
    own = person("Bertrand Okafor", "kites and wind")
    own["conversations"][0]["value"] = "Bertrand Okafor, okafor@example.com: a note"
    Path("people.json").write_text(json.dumps([*people, own, {"profile": 3}]))
    Path("published.json").write_text(json.dumps(people[:6]))


def on(address: str) -> list[str]:
    return ["--engine", "ray", "--ray-address", address, "--workers", "2"]


def done(command: list[str]) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, "-m", "cogenesis", *command], capture_output=True, timeout=200
    )
    assert ended.returncode == 0, ended.stderr.decode()
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


def sketches(url: str, out: str, *more: str) -> list[str]:
    found = ["train", "sketches", "--data", "people.json", "--cloud-url", url, "--out", out]
    found += ["--cloud-model", "m", "--cloud-kind", "openai-chat", "--at-a-time", "4"]
    return [*found, "--price-in", "2", "--price-out", "8", "--yes", "--json", *more]


def lines(out: str) -> list[dict[str, Any]]:
    """All of them but for their seconds."""
    return [json.loads(line) | {"seconds": 0} for line in Path(out).read_text().splitlines()]


def same(told: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on when, how quickly and by which command it was done."""
    found = told | dict.fromkeys(("date", "command", "machine"))
    if found.get("estimate"):
        found["estimate"] = found["estimate"] | {"seconds": 0}
    return found


def test_sketches_are_those_of_local_also_when_a_worker_is_killed(address: str) -> None:
    with Loopback(chat(OUTLINE)) as server:
        here = done(sketches(server.url, "here.jsonl"))
        there = done(sketches(server.url, "there.jsonl", *on(address)))
        assert (here["outlines"], here["asked_now"]) == (PEOPLE, PEOPLE)
        assert [each["number"] for each in here["refused"]] == [PEOPLE + 1]
        assert [each["number"] for each in here["unusable"]] == [PEOPLE + 2]
        assert same(here) == same(there)
        assert here["egress"]["requests"] == PEOPLE == len(server.asked) / 2
        assert lines("here.jsonl") == lines("there.jsonl")
        sent = json.dumps([asked.body for asked in server.asked])
        assert not any(word in sent for word in ("Okafor", "Aldous", "orchids", "kites"))
    asked, killed = 0, threading.Event()

    def slowly(handler: Handler) -> None:
        nonlocal asked
        asked += 1
        time.sleep(0.2)
        if asked > 9 and not killed.is_set():
            killed.wait(20)
        chat(OUTLINE)(handler)

    with Loopback(slowly) as server:
        command = [sys.executable, "-m", "cogenesis"]
        command += sketches(server.url, "killed.jsonl", *on(address))
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            while asked <= 9:
                assert process.poll() is None
                time.sleep(0.02)
            os.kill(workers_of_ray()[0], signal.SIGKILL)
            killed.set()
            output, _ = process.communicate(timeout=200)
        assert process.returncode == 0
        told = json.loads(output)
        assert (told["outlines"], told["failed"], told["lost"]) == (PEOPLE, [], [])
        assert lines("killed.jsonl") == lines("here.jsonl")
        # What the dead worker had on its way (two at a time) was asked again.
        assert PEOPLE <= len(server.asked) <= PEOPLE + 2
    with Ledger.open(Path("home") / "ledger.sqlite") as ledger:
        assert ledger.verify().ok
        assert ledger.totals().requests >= 3 * PEOPLE


def test_a_wrong_key_ends_the_run_from_any_worker(address: str) -> None:
    with Loopback(lambda handler: handler.send_json({"error": {}}, status=401)) as server:
        command = [sys.executable, "-m", "cogenesis"]
        command += sketches(server.url, "out.jsonl", *on(address))
        ended = subprocess.run(command, capture_output=True, timeout=200)
        assert ended.returncode == 4
        assert len(server.asked) == 1
    assert b"the cloud model refuses" in b" ".join(ended.stderr.split())


def test_the_judge_says_the_same_from_two_nodes(address: str) -> None:
    with open_texts(Path("texts.jsonl"), Path("published.json")) as file:
        for system, said in {"old": "Hello all.", "new": "Hello, I am {}."}.items():
            for number, name in enumerate(TOPICS, start=1):
                key = content_key(system, number)
                file.add(WrittenText(key, system, number, said.format(name)))
    with Loopback(answer) as server:
        command = ["evaluate", "judge", "--data", "published.json", "--texts", "texts.jsonl"]
        command += ["--system", "old", "--system", "new", "--baseline", "old", "--runs", "1"]
        command += ["--with-reference", "--unsafe-send-context", "--judge-url", server.url]
        command += ["--judge-model", "judge-70b", "--judge-kind", "openai-chat"]
        command += ["--parallel", "4", "--json", "--save"]
        here = done([*command, "here.jsonl"])
        asked = sorted(json.dumps(each.body) for each in server.asked)
        server.asked.clear()
        there = done([*command, "there.jsonl", *on(address)])
        assert sorted(json.dumps(each.body) for each in server.asked) == asked
    # Three texts of six people with three scores, and two of them beside the baseline's, twice.
    assert here["answers"] == len(asked) == 6 * (3 * 3 + 2 * 2)
    assert same(here) == same(there)
    assert here["lost"] == 0
    assert set(Path("here.jsonl").read_text().splitlines()) == set(
        Path("there.jsonl").read_text().splitlines()
    )
