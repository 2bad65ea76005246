"""docs/train-your-own.md: its commands run as they stand, and every option it names exists."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from cogenesis.training.extract_file import extract_head
from tests.training.tiny import make_base, people, write_gguf

pytest.importorskip("torch")

PAGE = (Path(__file__).resolve().parents[2] / "docs/train-your-own.md").read_text("utf-8")
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.strip().splitlines()
]

# What the page leaves out, because it is of the demo's models.
MORE = {
    "write Rehearsal note: Tell the choir when we meet.": [
        "--device",
        "tiny.gguf",
        "--max-tokens",
        "8",
    ],
    "train export": ["--base", "tiny.gguf"],
    "train extract": ["--cloud", "tiny.gguf"],
    "train gate": ["--folds", "2"],
    "evaluate bits": ["--device", "tiny.gguf", "--cloud", "tiny.gguf"],
}
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


def test_the_page_runs_from_top_to_bottom(tmp_path: Path) -> None:
    """All commands in their order, as they stand, with a tiny model in place of both."""
    pytest.importorskip("xllamacpp")
    write_gguf(make_base(tmp_path / "hf"), tmp_path / "tiny.gguf")
    (tmp_path / "train.json").write_text(json.dumps([*SAMPLE, *people(6)]))
    (tmp_path / "me.json").write_text(json.dumps(SAMPLE[0]))
    for name in ("other", "validation"):
        (tmp_path / f"{name}.json").write_text(json.dumps(people(10)))
    for words in COMMANDS:
        line = [{"demo-device": "tiny.gguf", "demo-cloud": "tiny.gguf"}.get(w, w) for w in words]
        line = [sys.executable, "-m", *line, *MORE.get(" ".join(words[1:3]), ())]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, env=os.environ)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        if words[1:3] == ["train", "device"]:
            assert "left out" not in done.stderr
            assert "validation loss" in done.stdout
    for made in ("run/adapter/README.md", "adapter.gguf", "adapter.gguf.md", "gate.npz"):
        assert (tmp_path / made).stat().st_size
    # The gate is learned beside the reader's own adapter, not beside the one that is shipped.
    fitted_with = extract_head(tmp_path / "other.parquet")["about"]["device"]["adapter"]
    assert fitted_with == sha256((tmp_path / "adapter.gguf").read_bytes()).hexdigest()
