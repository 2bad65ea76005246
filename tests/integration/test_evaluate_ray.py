"""`evaluate text` and `leaks` on two Ray workers, with the two demo models: as on one."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

if importlib.util.find_spec("ray") is None:  # not imported: Ray reads its settings then
    pytest.skip("needs the extra scale", allow_module_level=True)

from tests.unit.evaluation.test_leaks_report import TOPICS, person

ROOT: Final = Path(__file__).resolve().parents[2]
RAY: Final = ("--engine", "ray", "--workers", "2")


class Command:
    """Runs `cogenesis evaluate` on two people."""

    def __init__(self, folder: Path, device: Path, cloud: Path) -> None:
        self.folder = folder
        people = [person(*each) for each in TOPICS.items()]
        (folder / "people.json").write_text(json.dumps(people))
        self._models = ["--device", str(device), "--cloud", str(cloud)]

    def run(self, *options: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "cogenesis", "evaluate", *options, *self._models]
        command += ["--data", "people.json", "--limit", "2", "--json"]
        ours = {"PYTHONPATH": str(ROOT), "COGENESIS_HOME": str(self.folder / "home")}
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | ours
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
            cwd=self.folder,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def lines(self, name: str) -> list[dict[str, Any]]:
        """What was saved, by sample: lines are in the order of their ends."""
        found = [json.loads(each) for each in (self.folder / name).read_text().splitlines()[1:]]
        return sorted(found, key=lambda each: int(each["sample"]))


@pytest.fixture
def command(tmp_path: Path, device_gguf: Path, cloud_gguf: Path) -> Command:
    return Command(tmp_path, device_gguf, cloud_gguf)


@pytest.mark.timeout(300)
def test_the_same_texts_are_written(command: Command) -> None:
    options = ["text", "--system", "device", "--system", "sketch", "--max-tokens", "24"]
    here = command.run(*options, "--texts", "here.jsonl")
    there = command.run(*options, "--texts", "there.jsonl", *RAY)
    assert [(row["name"], row["texts"]) for row in there["systems"][1:]] == [
        ("device", 2),
        ("sketch", 2),
    ]
    texts = command.lines("there.jsonl")
    for one, other in zip(command.lines("here.jsonl"), texts, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert there["systems"] == here["systems"]
    assert [each["requests"] for each in texts] == [0, 1, 0, 1]


@pytest.mark.timeout(300)
def test_the_same_leaks_are_measured(command: Command) -> None:
    options = ["leaks", "--mode", "sketch"]
    here = command.run(*options, "--save", "here.jsonl")
    there = command.run(*options, "--save", "there.jsonl", *RAY)
    assert command.lines("here.jsonl") == command.lines("there.jsonl")
    for changing in ("command", "machine", "date"):
        here.pop(changing, None)
        there.pop(changing, None)
    assert here == there
