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

from cogenesis.cli.train_export import FileType, export
from cogenesis.errors import InputError
from cogenesis.training.base import gguf_base
from cogenesis.training.device import TuneFiles, tune_device
from cogenesis.training.export_quantise import find_quantiser
from cogenesis.training.settings import Hardware, TuneSettings
from tests.training.tiny import make_base, write_gguf, write_people

pytest.importorskip("torch")
pytest.importorskip("xllamacpp")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of transformers, in peft

IDS = tuple(range(40, 90))
BOTH: tuple[FileType | None, ...] = (None, "f16")
"""As an adapter, and merged."""


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


@dataclass(frozen=True)
class Wide:
    """A whole model with rows of 256 weights, and a GGUF of one with the same shapes.

    What is exported brings its own weights, so the GGUF lends its form and tokenizer only.
    """

    folder: Path
    wanted: Any

    def export(self, kind: FileType | None) -> tuple[Path, Any]:
        """The file of the exported model, and what llama.cpp says with it."""
        out = self.folder / f"{kind}.gguf"
        export(self.folder, out, base=str(self.folder / "base.gguf"), merge=kind)
        return out, llama(out, None, self.wanted.size)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Wide:
    folder = tmp_path_factory.mktemp("wide")
    make_base(folder / "model", width=256, spread=0.05)
    make_base(folder / "other", width=256, spread=0.05, seed=1)
    for name, place in (("model", "true"), ("other", "base")):
        write_gguf(folder / name, folder / f"{place}.gguf")
    wanted = framework(folder / "true.gguf", None)
    assert apart(wanted, framework(folder / "base.gguf", None)) > 0.4
    return Wide(folder, wanted)


@pytest.mark.parametrize(
    ("kind", "most", "types"),
    [
        (None, 0.001, {"F16", "F32"}),  # measured: 0.0003
        ("q4_0", 0.12, {"Q4_0", "Q6_K", "F32"}),  # 0.069
        ("q4_1", 0.15, {"Q4_1", "Q6_K", "F32"}),  # 0.095
        ("q4_k_m", 0.12, {"Q4_K", "Q6_K", "F32"}),  # 0.075
    ],
)
def test_a_whole_model_says_the_same_in_every_type(
    wide: Wide, kind: FileType | None, most: float, types: set[str]
) -> None:
    import gguf

    if kind is not None and find_quantiser().chunk is None:
        pytest.skip("this xllamacpp shows no quantiser")
    out, said = wide.export(kind)
    assert {each.tensor_type.name for each in gguf.GGUFReader(out).tensors} == types
    assert apart(said, wide.wanted) < most


def test_a_model_that_was_tuned_as_a_whole_says_the_same(tuned: Tuned, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    settings = TuneSettings(full=True, epochs=1, learning_rate=0.02, batch=2, hold_out=0.3)
    data = TuneFiles((tuned.folder / "train.json",), None, None, tmp_path / "run")
    base = gguf_base("base.gguf", tuned.base)
    tune_device(
        base, data, settings, Hardware("float32"),
        resume=False, report=lambda told: None, left_out=pytest.fail,
    )  # fmt: skip
    export(tmp_path / "run", tmp_path / "full.gguf", base=str(tuned.base), name="mine")
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "model")
    with torch.inference_mode():
        wanted = torch.softmax(model(input_ids=torch.tensor([IDS])).logits[0, -1], -1).numpy()
    assert apart(wanted, framework(tuned.base, None)) > 0.05
    assert apart(llama(tmp_path / "full.gguf", None, wanted.size), wanted) < 0.005
    assert "the whole model" in (tmp_path / "full.gguf.md").read_text("utf-8").casefold()


def test_an_adapter_is_for_the_very_file_that_it_was_tuned_on(tuned: Tuned, tmp_path: Path) -> None:
    """Another file of the same shapes would pass every other check."""
    make_base(tmp_path / "other", seed=3)
    write_gguf(tmp_path / "other", tmp_path / "other.gguf")
    run, out = tuned.folder / "run", tmp_path / "a.gguf"
    for folder in (run, run / "adapter"):
        for merge in BOTH:
            with pytest.raises(InputError, match=r"tuned on “base.gguf”.*other.gguf is another"):
                export(folder, out, base=str(tmp_path / "other.gguf"), merge=merge)
    assert not out.exists()
    # The same under another name is the same; and another program's adapter says nothing.
    shutil.copy(tuned.base, tmp_path / "same.gguf")
    export(run, out, base=str(tmp_path / "same.gguf"))
    shutil.copytree(tuned.adapter, tmp_path / "elsewhere")
    export(tmp_path / "elsewhere", out, base=str(tmp_path / "other.gguf"), force=True)
    assert "word of whoever exported" in (tmp_path / "a.gguf.md").read_text("utf-8")


def test_a_base_is_not_replaced_by_what_was_made_of_it(tuned: Tuned, tmp_path: Path) -> None:
    base = tmp_path / "base.gguf"
    shutil.copy(tuned.base, base)
    (tmp_path / "link.gguf").symlink_to(base)
    before = base.read_bytes()
    for out in (base, tmp_path / "link.gguf"):
        for merge in BOTH:
            with pytest.raises(InputError, match="is the base itself"):
                export(tuned.folder / "run", out, base=str(base), merge=merge, force=True)
    assert base.read_bytes() == before


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
