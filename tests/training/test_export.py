"""`train export`: a tuned adapter says in llama.cpp what it says in the training framework.

With a tiny Llama of random weights, so that it takes seconds: the same comparison on the demo's
device model, 500 positions, is `python -m benchmarks.adapter_distance`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.tiny import make_base, write_gguf, write_people

pytest.importorskip("torch")
pytest.importorskip("xllamacpp")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of transformers, in peft

IDS = tuple(range(40, 90))


@dataclass(frozen=True)
class Tuned:
    """A folder with the tiny base as a GGUF, and an adapter that was tuned on it."""

    folder: Path
    base: Path
    adapter: Path


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    folder = tmp_path_factory.mktemp("export")
    write_gguf(make_base(folder / "hf"), folder / "base.gguf")
    write_people(folder / "train.json")
    options = ["--base", "base.gguf", "--data", "train.json", "--out", "run", "--epochs", "2"]
    done = cogenesis(folder, "train", "device", *options, "--learning-rate", "0.02")
    assert done.returncode == 0, done.stderr
    stronger(folder / "run" / "adapter")
    return Tuned(folder, folder / "base.gguf", folder / "run" / "adapter")


def stronger(adapter: Path) -> None:
    """Two epochs on six texts hardly move it: enlarge what was learnt, so that a mistake shows."""
    from safetensors.torch import load_file, save_file

    path = adapter / "adapter_model.safetensors"
    weights = load_file(path)
    for name, each in weights.items():
        if "lora_B" in name:
            weights[name] = each * 30
    save_file(weights, path, metadata={"format": "pt"})


def cogenesis(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "cogenesis", *arguments]
    return subprocess.run(
        line, cwd=folder, capture_output=True, text=True, env=os.environ, check=False
    )


def framework(base: Path, adapter: Path | None) -> Any:
    """What torch says after the ids: probabilities."""
    import torch
    from peft import PeftModel

    from cogenesis.training.base import gguf_base, load_model

    model: Any = load_model(gguf_base(str(base), base), half=False)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter)
    with torch.inference_mode():
        logits = model.eval()(input_ids=torch.tensor([IDS])).logits[0, -1]
    return torch.softmax(logits.float(), -1).numpy()


def llama(base: Path, adapter: Path | None, size: int) -> Any:
    """What llama.cpp says."""
    from cogenesis.models import LlamaCpp, TokenIds

    found = np.zeros(size)
    with LlamaCpp(base, threads=1, adapter=adapter) as model:
        told = model.next_distribution(TokenIds(IDS), size)
    found[told.ids] = np.exp(told.logprobs)
    return found


def apart(one: Any, other: Any) -> float:
    """Total variation."""
    return float(np.abs(one - other).sum() / 2)


def test_an_exported_adapter_says_in_llama_cpp_what_it_says_in_the_framework(tuned: Tuned) -> None:
    done = cogenesis(
        tuned.folder, "train", "export", "run", "--base", "base.gguf", "--out", "a.gguf", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tensors"] > 0
    plain, wanted = framework(tuned.base, None), framework(tuned.base, tuned.adapter)
    assert apart(plain, wanted) > 0.05
    assert apart(llama(tuned.base, None, plain.size), plain) < 0.005
    assert apart(llama(tuned.base, tuned.folder / "a.gguf", plain.size), wanted) < 0.005
    card = (tuned.folder / "a.gguf.md").read_text()
    assert "base.gguf" in card and "sha256" in card and "apache" not in card.split("## Made by")[1]


@pytest.mark.parametrize(("kind", "most"), [("f32", 0.005), ("f16", 0.01), ("q8_0", 0.05)])
def test_a_merged_model_says_the_same(tuned: Tuned, kind: str, most: float) -> None:
    out = f"{kind}.gguf"
    done = cogenesis(
        tuned.folder, "train", "export", "run", "--base", "base.gguf", "--out", out, "--merge", kind
    )
    assert done.returncode == 0, done.stderr
    wanted = framework(tuned.base, tuned.adapter)
    assert apart(llama(tuned.folder / out, None, wanted.size), wanted) < most


def test_what_is_no_adapter_of_this_base_is_refused(tuned: Tuned, tmp_path: Path) -> None:
    make_base(tmp_path / "other", seed=3)
    write_gguf(tmp_path / "other", tmp_path / "other.gguf")
    cogenesis(tuned.folder, "train", "export", "run", "--base", "base.gguf", "--out", "b.gguf")
    shutil.copy(tuned.folder / "b.gguf", tmp_path / "b.gguf")
    (tmp_path / "me.json").write_text('{"cogenesis": 1, "profile": {"Name": "Anna"}}')
    line = ["write", "Write a note: to all", "--context", "me.json", "--device", "other.gguf"]
    done = cogenesis(tmp_path, *line, "--adapter", "b.gguf", "--max-tokens", "4")
    assert done.returncode == 4 and "another model" in done.stderr
    again = cogenesis(
        tuned.folder, "train", "export", "run", "--base", "base.gguf", "--out", "b.gguf"
    )
    assert again.returncode == 2 and "--force" in again.stderr
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "result.json").write_text("{}")
    empty = cogenesis(tmp_path, "train", "export", "run", "--base", "other.gguf", "--out", "c.gguf")
    assert empty.returncode == 2 and "not finished" in empty.stderr
