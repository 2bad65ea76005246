"""`train sketches` as a process that is killed while outlines are on their way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cogenesis.training.sketches_file import read_sketches
from tests.unit.evaluation.test_leaks_report import TOPICS, person
from tests.unit.models.loopback import Handler, Loopback
from tests.unit.training.test_sketches import OUTLINE, chat


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "home"))
    path = tmp_path / "people.json"
    path.write_text(json.dumps([person(name, topic) for name, topic in TOPICS.items()]))
    return path


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_loses_what_was_on_its_way_only(data: Path, how: signal.Signals) -> None:
    asked = threading.Semaphore(0)
    hold = threading.Event()

    def slow_after_three(handler: Handler) -> None:
        posts = [each for each in server.asked if each.method == "POST"]
        if len(posts) > 3:
            asked.release()
            hold.wait(20)
        chat(OUTLINE)(handler)

    with Loopback(slow_after_three) as server:
        command = [sys.executable, "-m", "cogenesis", "train", "sketches", "--data", "people.json"]
        command += ["--cloud-url", server.url, "--cloud-model", "m", "--out", "out.jsonl", "--yes"]
        command += ["--cloud-kind", "openai-chat", "--at-a-time", "2"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            assert asked.acquire(timeout=20)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and len(lines()) < 3:
                time.sleep(0.02)
            process.send_signal(how)
            assert process.wait(10) in {-how, 128 + how}
        hold.set()
    assert len(read_sketches(Path("out.jsonl"))) == 3


def lines() -> list[bytes]:
    path = Path("out.jsonl")
    return path.read_bytes().splitlines() if path.exists() else []
