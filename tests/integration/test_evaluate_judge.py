"""`evaluate judge` with the two demo models: it shows that everything works, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_evaluate_bits import SAMPLE


def judged(folder: Path, device: Path, cloud: Path) -> dict[str, Any]:
    data = folder / "data.json"
    data.write_text(json.dumps([SAMPLE | {"tid": f"{n}_0_0"} for n in (1, 2)]))
    command = [sys.executable, "-m", "cogenesis", "evaluate", "judge", "--json"]
    command += ["--data", str(data), "--limit", "1", "--system", "device", "--max-tokens", "24"]
    command += ["--device", str(device), "--judge", str(cloud), "--runs", "2"]
    command += ["--texts", str(folder / "texts.jsonl"), "--save", str(folder / "answers.jsonl")]
    command += ["--with-reference", "--unsafe-send-context"]
    environment = {**os.environ, "COGENESIS_HOME": str(folder / "home")}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=280, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.timeout(300)
def test_a_real_judge_is_asked_once_and_said_to_be_too_small(
    device_gguf: Path, cloud_gguf: Path, tmp_path: Path
) -> None:
    told = judged(tmp_path, device_gguf, cloud_gguf)
    assert [each["name"] for each in told["systems"]] == ["device", "reference"]
    assert "mean nothing" in told["notes"][0]
    answers = tmp_path / "answers.jsonl"
    before = answers.read_bytes()
    lines = [json.loads(line) for line in before.splitlines()][1:]
    # Three scores of two texts and one pair in two orders, each asked in two runs.
    assert len(lines) == 2 * (3 * 2 + 2)
    for each in lines:
        rated = each["rating"] if each["kind"] != "pair" else each["choice"]
        assert rated is not None or each["reason"]
    assert judged(tmp_path, device_gguf, cloud_gguf)["systems"] == told["systems"]
    assert answers.read_bytes() == before
