"""What `data build` writes is what `train device` reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cogenesis.cli.app import app
from tests.training.tiny import make_base
from tests.unit.data.building.invented import server
from tests.unit.models.loopback import Loopback

torch = pytest.importorskip("torch")
pytest.importorskip("datasketch")
pytest.importorskip("faker")


def command(*args: str) -> str:
    done = CliRunner().invoke(app, args, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_model_is_tuned_on_a_file_that_was_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "home"))
    out, run = tmp_path / "built", tmp_path / "run"
    with Loopback(server()) as cloud:
        options = "--people 4 --tasks 2 --history 1 --group-size 2 --cloud-model m --yes"
        options += " --splits train=1,validation=1"
        command("data", "build", "--cloud-url", cloud.url, "--out", str(out), *options.split())
    torch.set_num_threads(1)
    base = make_base(tmp_path / "base")
    options = "--rank 2 --epochs 1 --batch 2 --context-tokens 2048 --max-tokens 600 --json"
    options += " --forms with-context,without-context --precision float32 --threads 1"
    files = ["--data", str(out / "train.json"), "--validation", str(out / "validation.json")]
    told = json.loads(
        command("train", "device", *files, "--base", str(base), "--out", str(run), *options.split())
    )
    # Two people of one portrait in each file, two samples of each, both forms.
    assert (told["examples"], told["validation_examples"]) == (8, 8)
    assert told["updates"] == 2
    assert (run / "adapter" / "adapter_model.safetensors").is_file()
