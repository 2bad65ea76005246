"""`train device` with --recompute, --precision bfloat16 and --full."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cogenesis.training.settings import TuneSettings
from tests.training.test_device import HARDWARE, SETTINGS, command, fill, tune, weights

torch = pytest.importorskip("torch")

HALF = 0.001
"""Of a loss, relative, between float32 and bfloat16; measured: 0.0002."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("options"))


def test_recomputing_learns_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is done: what a layer gives is computed once more for the gradients."""
    from transformers.models.llama.modeling_llama import LlamaMLP

    calls = 0
    plain: Any = LlamaMLP.forward

    def counted(self: Any, x: Any) -> Any:
        nonlocal calls
        calls += 1
        return plain(self, x)

    monkeypatch.setattr(LlamaMLP, "forward", counted)
    settings = replace(SETTINGS, epochs=1)
    tune(folder, folder / "kept", settings=settings)
    kept, calls = calls, 0
    hardware = replace(HARDWARE, recompute=True)
    tune(folder, folder / "recomputed", settings=settings, hardware=hardware)
    assert calls > kept
    theirs = weights(folder / "kept")
    for name, each in weights(folder / "recomputed").items():
        torch.testing.assert_close(each, theirs[name], atol=1e-6, rtol=1e-5)


def test_half_precision_learns_nearly_the_same(folder: Path) -> None:
    """By the command: one process computes in one precision."""
    out = folder / "half"
    line = command(folder, out, "--precision", "bfloat16", "--recompute")
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    hardware = json.loads((out / "run.json").read_text())["hardware"]
    assert (hardware["precision"], hardware["recompute"]) == ("bfloat16", True)
    told, whole = json.loads(done.stdout), tune(folder, folder / "whole")
    for name in ("validation_loss_base", "validation_loss"):
        assert told[name] != whole[name]
        assert told[name] == pytest.approx(whole[name], rel=HALF)
    assert told["validation_ratio"] < 0.96
    assert {each.dtype for each in weights(out).values()} == {torch.float32}


def test_all_weights_can_be_tuned(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    settings = TuneSettings(
        full=True, epochs=1, learning_rate=1e-2, batch=2, context_tokens=1024, max_tokens=200,
        hold_out=0.3,
    )  # fmt: skip
    found = tune(folder, folder / "full", settings=settings)
    assert found["validation_ratio"] < 1.0
    assert "shards" not in capfd.readouterr().err, "a bar of transformers"
    model: Any = AutoModelForCausalLM.from_pretrained(folder / "full" / "model")
    assert model.config.hidden_size == 32
    assert AutoTokenizer.from_pretrained(folder / "full" / "model").chat_template
