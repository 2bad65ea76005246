"""`evaluate bits` and `train extract` on two workers of Ray: what comes out is that of one process.

Two short texts: one after the other in one process, side by side on Ray.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("ray") is None:  # not imported: Ray reads its settings then
    pytest.skip("needs the extra scale", allow_module_level=True)

from tests.integration.test_evaluate_bits import SAMPLE

RAY = ("--engine", "ray", "--workers", "2")
TEXTS = (
    "Dear all, we meet on Thursday in Tidewell Hall.",
    "Anselm is ill, so we sing without the low notes.",
)


def sample(number: int, text: str) -> dict[str, Any]:
    asked, _ = SAMPLE["conversations"]
    turns = [asked, {"from": "assistant", "value": text}]
    return {**SAMPLE, "conversations": turns, "tid": f"{number}_1"}


@dataclass(frozen=True)
class Commands:
    """Runs commands on two good samples and a bad one, and gives what they print as JSON."""

    folder: Path
    models: tuple[str, ...]

    def run(self, *command: str) -> dict[str, Any]:
        data = ("--data", "people.json", *self.models, "--max-tokens", "8", "--json")
        done = subprocess.run(
            [sys.executable, "-m", "cogenesis", *command, *data],
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
            cwd=self.folder,
        )
        assert done.returncode == 0, done.stderr
        assert "sample 2 is left out" in done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        for name in ("command", "machine", "date", "out", "seconds_per_text"):
            found.pop(name, None)  # what two runs may differ in
        return found


@pytest.fixture(scope="module")
def commands(
    device_gguf: Path, cloud_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> Commands:
    folder = tmp_path_factory.mktemp("ray")
    people = [sample(number, text) for number, text in enumerate(TEXTS)]
    people.insert(1, {"additional_profile": "Name: Bo"})
    (folder / "people.json").write_text(json.dumps(people))
    return Commands(folder, ("--device", str(device_gguf), "--cloud", str(cloud_gguf)))


@pytest.mark.timeout(300)
def test_the_bits_are_those_of_one_process(commands: Commands) -> None:
    here = commands.run("evaluate", "bits", "--save", "here.jsonl")
    there = commands.run("evaluate", "bits", "--save", "there.jsonl", *RAY)
    assert there == here
    assert there["samples"] == 2
    saved = [(commands.folder / f"{name}.jsonl").read_text() for name in ("here", "there")]
    assert sorted(saved[0].splitlines()) == sorted(saved[1].splitlines())


@pytest.mark.timeout(300)
@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="needs the extra train")
def test_the_extracted_file_is_that_of_one_process(commands: Commands) -> None:
    here = commands.run("train", "extract", "--out", "here.parquet")
    there = commands.run("train", "extract", "--out", "there.parquet", *RAY)
    assert there == here
    assert there["texts"] == 2
    files = [(commands.folder / f"{name}.parquet").read_bytes() for name in ("here", "there")]
    assert files[0] == files[1]
