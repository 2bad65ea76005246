"""docs/train-your-own.md: its tuning runs as it stands, and every option that it names exists.

Not covered here: `export`, `extract` and `gate` are not run from the page, as they need a GGUF
and a cloud model; their own tests run them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.training.tiny import make_base, people

pytest.importorskip("torch")

PAGE = (Path(__file__).resolve().parents[2] / "docs/train-your-own.md").read_text("utf-8")
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.strip().splitlines()
]
SAMPLE = json.loads(re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0])


def known(words: list[str]) -> tuple[Any, set[str]]:
    """The command that a line calls, and all of its options."""
    import typer

    from cogenesis.cli.app import app

    found: Any = typer.main.get_command(app)
    for word in words[1:]:
        if not hasattr(found, "commands"):
            break
        found = found.commands[word]
    return found, {name for each in found.params for name in each.opts}


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[1:3]))
def test_every_command_and_option_exists(words: list[str]) -> None:
    _, options = known(words)
    assert {word for word in words if word.startswith("--")} <= options


def test_options_in_the_text_exist() -> None:
    _, options = known(["cogenesis", "train", "device"])
    tune = PAGE.split("## Tune")[1].split("Several GPUs")[0]
    named = set(re.findall(r"--[a-z-]+", tune))
    assert len(named) >= 9
    assert named <= options


def test_the_tuning_of_the_page_runs(tmp_path: Path) -> None:
    (words,) = (each for each in COMMANDS if each[1:3] == ["train", "device"])
    make_base(tmp_path / "base")
    (tmp_path / "train.json").write_text(json.dumps([*SAMPLE, *people(6)]))
    line = [sys.executable, "-m", *words]
    line[line.index("demo-device")] = "base"
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert "left out" not in done.stderr
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").exists()
    assert "validation loss" in done.stdout
