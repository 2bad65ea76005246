"""`data build` as a process: killed in each of its steps, on Ray, against a real model server."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cogenesis.privacy.ledger import Ledger
from tests.unit.data.building.invented import good, server, step_of
from tests.unit.models.loopback import Handler, Loopback

STEPS = ("portrait", "profile", "tasks", "text")


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "home"))


def command(url: str, out: Path, *more: str) -> list[str]:
    found = [sys.executable, "-m", "cogenesis", "data", "build", "--cloud-url", url]
    found += ["--out", str(out), "--people", "6", "--tasks", "2", "--history", "2"]
    found += ["--group-size", "2", "--cloud-model", "m"]
    return [*found, "--at-a-time", "3", "--yes", "--json", *more]


def built(url: str, out: Path, *more: str) -> dict[str, Any]:
    done = subprocess.run(command(url, out, *more), capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def files(out: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in out.glob("*.json*") if path.stem != "report"}


def question(body: dict[str, Any]) -> str:
    return json.dumps([body["messages"], body["seed"]])


@pytest.mark.parametrize("step", STEPS)
def test_killed_in_each_step_nothing_that_was_answered_is_paid_again(
    step: str, tmp_path: Path
) -> None:
    answered: Counter[str] = Counter()
    there, hold, lock = threading.Event(), threading.Event(), threading.Lock()

    def handle(handler: Handler) -> None:
        body = handler.asked.body
        with lock:
            seen = sum(1 for each in cloud.asked if step_of(each.body) == step)
        if step_of(body) == step and seen >= 2 and not hold.is_set():
            there.set()
            hold.wait(30)  # the answer comes when nobody waits for it any more
            return handler.drop()
        server()(handler)
        with lock:
            answered[question(body)] += 1
        return None

    with Loopback(handle) as cloud:
        with subprocess.Popen(
            command(cloud.url, tmp_path / "out"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert there.wait(60)
            process.send_signal(signal.SIGKILL)
            assert process.wait(10) == -signal.SIGKILL
        hold.set()
        built(cloud.url, tmp_path / "out")
    # A reply may have been under way to the disk when the program was killed: three at a time.
    assert sum(count - 1 for count in answered.values()) <= 3
    with Loopback(server()) as other:
        built(other.url, tmp_path / "whole")
    assert files_without_address(tmp_path / "out") == files_without_address(tmp_path / "whole")
    with Ledger.open(tmp_path / "home" / "ledger.sqlite") as ledger:
        assert ledger.verify().ok


def files_without_address(out: Path) -> dict[str, str]:
    """The samples: the record names replies by a key in which the server's address is."""
    return {name: text for name, text in files(out).items() if name != "provenance.jsonl"}


def test_a_reply_that_cannot_be_kept_stops_the_run_which_goes_on_after_repair(
    tmp_path: Path,
) -> None:
    """While the first person is made, a file takes the place of the folder of replies.

    Whoever is root may write whatever the modes say, but not into a file as a folder.
    """
    out = tmp_path / "out"
    replies, away = out / "replies", tmp_path / "away"

    def handle(handler: Handler) -> None:
        if step_of(handler.asked.body) == "profile" and not away.exists():
            replies.rename(away)
            replies.write_text("no folder")
        server()(handler)

    with Loopback(handle) as cloud:
        one = command(cloud.url, out, "--at-a-time", "1")
        done = subprocess.run(one, capture_output=True, check=False, timeout=120)
        said = " ".join(done.stderr.decode().split())
        assert done.returncode == 2, said
        assert "the reply cannot be kept in" in said
        assert "go on with the same command" in said and "Traceback" not in said
        # Three portraits and the profile: not one question more was paid for.
        assert len(cloud.asked) == 4
        assert not list(out.glob("train.json"))
        replies.unlink()
        away.rename(replies)
        away.mkdir()
        told = built(cloud.url, out, "--at-a-time", "1")
    assert told["now"]["questions"] == 39 - 3
    assert sum(told["samples"].values()) == 12


def test_replies_that_were_cut_off_are_asked_for_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Loopback(server()) as cloud:
        built(cloud.url, out)
        for folder in (out / "replies").iterdir():
            for path in folder.iterdir():
                path.write_bytes(path.read_bytes()[:40])  # cut off: asked for again
        told = built(cloud.url, out)
    assert told["now"]["questions"] == 39


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra scale")
def test_on_two_nodes_of_ray_the_same_comes_out_also_when_a_worker_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.ray_nodes import two_nodes

    with Loopback(server()) as cloud, two_nodes() as address:
        options = ["--engine", "ray", "--ray-address", address, "--workers", "2"]
        here = built(cloud.url, tmp_path / "here")
        asked = len(cloud.asked)
        there = built(cloud.url, tmp_path / "there", *options)
        assert len(cloud.asked) == 2 * asked
        assert files_without_address(tmp_path / "here") == files_without_address(tmp_path / "there")
        assert {**here, "now": 0, "folder": 0, "machine": 0, "command": 0} == {
            **there,
            "now": 0,
            "folder": 0,
            "machine": 0,
            "command": 0,
        }
        killed = kill_a_worker(cloud, tmp_path / "killed", options)
    assert killed
    assert files_without_address(tmp_path / "here") == files_without_address(tmp_path / "killed")


def kill_a_worker(cloud: Loopback, out: Path, options: list[str]) -> bool:
    """Build while one worker process of Ray is killed in the middle."""
    before = len(cloud.asked)
    with subprocess.Popen(command(cloud.url, out, *options), stdout=subprocess.DEVNULL) as process:
        killed = False
        while process.poll() is None:
            if not killed and len(cloud.asked) > before + 12:
                for each in workers_of_ray():
                    os.kill(each, signal.SIGKILL)
                    killed = True
                    break
            threading.Event().wait(0.02)
        assert process.returncode == 0
    return killed


def workers_of_ray() -> list[int]:
    """Processes of this cluster that do the work: Ray writes the actor's name into their line.

    The cluster's token tells them from those of another one on this machine.
    """
    found, token = [], os.environ["RAY_AUTH_TOKEN"].encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            ours = token in (path.parent / "environ").read_bytes()
        except OSError:
            continue
        if ours and line.startswith("ray::Worker"):
            found.append(int(path.parent.name))
    return found


def test_good_replies_are_all_different(tmp_path: Path) -> None:
    """The server of these tests would hide a mix-up of replies if it said the same to all."""
    texts = {good("text", "", number)["text"] for number in range(200)}
    assert len(texts) == 200
