"""`train device`: what is learned, that it is learned, and that a kill changes nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cogenesis.context.prompt import Window, fitted_prompt
from cogenesis.context.reader import Sample
from cogenesis.errors import InputError, MissingExtraError
from cogenesis.training.base import find_base
from cogenesis.training.batches import IGNORED, collate, in_turn, shares, updates
from cogenesis.training.card import Ingredient, ModelCard
from cogenesis.training.device import TuneFiles, tune_device
from cogenesis.training.encoders import open_encoder
from cogenesis.training.examples import (
    Example,
    hold_out,
    make_examples,
    parse_forms,
    read_data,
)
from cogenesis.training.extra import need_training_libraries
from cogenesis.training.run_folder import RunFolder
from cogenesis.training.settings import Hardware, TuneSettings, rate_at
from cogenesis.training.sketches_file import read_sketches
from tests.training.tiny import make_base, write_people, write_sketches

torch = pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[2]
WINDOW = Window(1024, 200)
HARDWARE = Hardware(precision="float32")
SETTINGS = TuneSettings(
    forms=("with-context", "with-sketch"), rank=4, epochs=4, learning_rate=2e-2, batch=2,
    context_tokens=1024, max_tokens=200, hold_out=0.3, patience=0,
)  # fmt: skip
OPTIONS = (  # noqa: SIM905  (as one types them)
    "--forms with-context,with-sketch --rank 4 --epochs 4 --learning-rate 2e-2 --batch 2 "
    "--context-tokens 1024 --max-tokens 200 --hold-out 0.3 --patience 0 --precision float32 "
    "--threads 1 --save-minutes 0 --json"
).split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("tiny"))


def fill(path: Path) -> Path:
    """A base model, people and outlines for four of the six."""
    torch.set_num_threads(1)
    make_base(path / "base")
    write_people(path / "people.json")
    write_sketches(path / "sketches.jsonl", 4)
    return path


def files(folder: Path, out: Path) -> TuneFiles:
    return TuneFiles((folder / "people.json",), None, folder / "sketches.jsonl", out)


def tune(folder: Path, out: Path, **changed: Any) -> dict[str, Any]:
    settings = changed.pop("settings", SETTINGS)
    found = tune_device(
        find_base(str(folder / "base")), files(folder, out), settings,
        changed.pop("hardware", HARDWARE),
        resume=changed.pop("resume", False), report=lambda told: None, left_out=lambda why: None,
    )  # fmt: skip
    assert found is not None
    return found


def weights(run: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    loaded: dict[str, Any] = load_file(run / "adapter" / "adapter_model.safetensors")
    return loaded


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    """One whole run."""
    tune(folder, folder / "run")
    return folder / "run"


def samples(folder: Path) -> tuple[Sample, ...]:
    return read_data(folder / "people.json", pytest.fail).samples


def test_examples_are_what_the_model_reads_when_it_writes(folder: Path) -> None:
    outlines = read_sketches(folder / "sketches.jsonl")
    told: list[str] = []
    with open_encoder(find_base(str(folder / "base"))) as encoder:
        made = make_examples(
            encoder, samples(folder), ("with-context", "without-context", "with-sketch"),
            outlines, WINDOW, told.append,
        )  # fmt: skip
        text = [encoder.tokenizer.decode(each.prompt) for each in made]  # type: ignore[attr-defined]
        first = samples(folder)[0]
        written = fitted_prompt(encoder.encode, first.context, first.instruction, WINDOW)
        assert made[0].prompt == encoder.encode(written.prompt).ids
        outline = written.with_sketch(outlines[first.id].sketch)
        assert made[2].prompt == encoder.encode(outline.prompt).ids
        assert made[0].target == (*encoder.ids(first.reference), encoder.end)
        assert encoder.end == 2, "the end of the turn, not of the text"
    assert [each.form for each in made[:4]] == [
        "with-context", "without-context", "with-sketch", "with-context"
    ]  # fmt: skip
    assert len(made) == 6 * 2 + 4
    assert told == ["the form with-sketch of 2 samples that have no outline"]
    assert "Singer" in text[0]
    assert "Singer" not in text[1]
    assert "Say when" in text[2]
    assert text[0].endswith("<|im_start|>assistant\n")
    assert "song" not in "".join(text), "the text itself is in no prompt"


def test_a_text_that_is_cut_does_not_teach_to_end(folder: Path) -> None:
    with open_encoder(find_base(str(folder / "base"))) as encoder:
        made = make_examples(
            encoder, samples(folder), ("without-context",), {}, Window(1024, 10), pytest.fail
        )
        assert {len(each.target) for each in made} == {10}
        assert encoder.end not in {each.target[-1] for each in made}


def test_people_of_one_group_are_never_on_both_sides(folder: Path) -> None:
    found = samples(folder)
    for seed in range(5):
        learned, held = hold_out(found, 0.3, seed)
        assert len(held) == 2
        assert len(learned) == 4
        groups = [{each.id.rsplit("_", 1)[0] for each in side} for side in (learned, held)]
        assert not groups[0] & groups[1]


def examples(lengths: list[int]) -> list[Example]:
    draw = torch.Generator().manual_seed(0)
    made = []
    for number, length in enumerate(lengths):
        ids = torch.randint(3, 259, (length,), generator=draw).tolist()
        at = max(1, length // 2 - number)
        made.append(Example(number, "with-context", tuple(ids[:at]), tuple(ids[at:])))
    return made


def test_an_epoch_has_every_sample_once_in_forms_that_take_turns() -> None:
    several = [
        Example(number, form, (1,) * (number + 1), (2,))
        for number in range(5)
        for form in ("with-context", "without-context")
    ]  # fmt: skip
    assert [several[at].form for at in in_turn(several, 0)[:2]] == [
        "with-context", "without-context"
    ]  # fmt: skip
    seen: set[int] = set()
    for epoch in range(2):
        groups = updates(several, batch=2, seed=3, epoch=epoch)
        assert groups == updates(several, batch=2, seed=3, epoch=epoch)
        flat = [at for group in groups for at in group]
        assert sorted(several[at].sample for at in flat) == list(range(5))
        seen |= set(flat)
    assert seen == set(range(10))


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_pieces_fit_the_memory_and_every_process_has_as_many(processes: int) -> None:
    lengths = [900, 100, 120, 130, 3000, 500]
    found = shares(range(6), lengths, most_tokens=1024, processes=processes)
    assert len(found) == processes
    assert len({len(each) for each in found}) == 1
    pieces = [piece for each in found for piece in each]
    assert sorted(at for each in pieces if each.counts for at in each.examples) == list(range(6))
    for each in pieces:
        wide = max(lengths[at] for at in each.examples) * len(each.examples)
        assert wide <= 1024 or len(each.examples) == 1


def test_batches_cost_what_their_examples_cost_alone(folder: Path) -> None:
    """Filling up, and the lack of a mask, change nothing; prompts cost nothing."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder / "base")
    model.eval()
    several = examples([40, 70, 33])

    def losses(some: list[Example]) -> float:
        batch = collate(some)
        assert batch.ids.shape[1] % 64 == 0
        logits = model(input_ids=batch.ids, logits_to_keep=batch.kept, use_cache=False).logits
        return float(
            torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED, reduction="sum"
            )
        )

    def alone(one: Example) -> float:
        ids = torch.tensor([(*one.prompt, *one.target)])
        scores = model(input_ids=ids).logits[0].log_softmax(-1)
        return -sum(
            float(scores[len(one.prompt) - 1 + at, token]) for at, token in enumerate(one.target)
        )

    with torch.inference_mode():
        assert losses(several) == pytest.approx(sum(map(alone, several)), rel=1e-4)
    assert not (collate(several, counts=False).labels != IGNORED).any()


def test_the_rate_rises_then_falls_to_zero() -> None:
    rates = [rate_at(step, 100, 1.0) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.0)


def test_a_run_learns_and_says_what_it_did(folder: Path, run: Path) -> None:
    found = json.loads((run / "result.json").read_text())
    assert found["validation_ratio"] < 0.95
    assert found["updates"] == 4 * 2
    assert (found["examples"], found["validation_examples"]) in {(7, 3), (6, 4), (8, 2)}
    assert found["tuned_parameters"] == sum(each.numel() for each in weights(run).values())
    config = json.loads((run / "run.json").read_text())
    assert config["asked"]["data"] == [read_data(folder / "people.json", pytest.fail).sha256]
    assert config["asked"]["base"] == find_base(str(folder / "base")).sha256()
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [each["step"] for each in metrics if "loss" in each] == list(range(1, 9))
    assert sum("validation" in each for each in metrics) == 1 + 4
    assert {"with-context", "with-sketch"} >= set(metrics[0]["forms"])
    assert oct(run.stat().st_mode & 0o777) == "0o700"
    left = {each.name for each in run.iterdir()}
    assert {"run.json", "metrics.jsonl", "result.json", "adapter"} <= left
    assert not {"checkpoint.pt", "best.pt"} & left


def test_the_adapter_gives_the_loss_that_was_told(
    folder: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loaded as anybody would load it, on the people who were held back."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base: Any = AutoModelForCausalLM.from_pretrained(folder / "base")
    # `peft` asks for an old name of `transformers`.
    monkeypatch.setattr(type(base), "is_gradient_checkpointing", False)
    model: Any = PeftModel.from_pretrained(base, str(run / "adapter"))
    model.eval()
    _, held = hold_out(samples(folder), SETTINGS.hold_out, SETTINGS.seed)
    with open_encoder(find_base(str(folder / "base"))) as encoder:
        made = make_examples(
            encoder, held, SETTINGS.forms, read_sketches(folder / "sketches.jsonl"), WINDOW,
            lambda why: None,
        )  # fmt: skip
    nats = tokens = 0.0
    with torch.inference_mode():
        for each in made:
            batch = collate([each])
            logits = model(input_ids=batch.ids, logits_to_keep=batch.kept).logits
            nats += float(
                torch.nn.functional.cross_entropy(logits[0], batch.labels[0], reduction="sum")
            )
            tokens += len(each.target)
    told = json.loads((run / "result.json").read_text())["validation_loss"]
    assert nats / tokens == pytest.approx(told, rel=1e-4)


def test_the_card_names_base_data_and_figures_but_no_folder(folder: Path, run: Path) -> None:
    card = (run / "adapter" / "README.md").read_text("utf-8")
    for part in ("apache-2.0", "people.json", "validation_loss", "peak_memory_mb", "## Limits"):
        assert part in card
    assert read_data(folder / "people.json", pytest.fail).sha256 in card
    assert str(folder) not in (run / "adapter" / "adapter_config.json").read_text()
    assert folder.name not in card  # not even the last one: it may be called after a person


def test_a_card_keeps_its_tables_whatever_is_written() -> None:
    card = ModelCard(
        "t", "s", [Ingredient("data", "a|b\nc", "0", "l")], "c", {"x": None}, {"y": 0.12345678}, ()
    )
    assert "| data | a\\|b c | `0` | l |" in card.markdown()
    assert "| y | 0.1235 |" in card.markdown()


def command(folder: Path, out: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "cogenesis", "train", "device",
        "--data", str(folder / "people.json"), "--sketches", str(folder / "sketches.jsonl"),
        "--base", str(folder / "base"), "--out", str(out), *OPTIONS, *more,
    ]  # fmt: skip


def test_a_run_that_ends_while_it_draws_has_lost_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = folder / "drawing"
    short = replace(SETTINGS, epochs=1)

    def killed(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("cogenesis.training.results.plot_losses", killed)
    with pytest.raises(KeyboardInterrupt):
        tune(folder, out, settings=short)
    assert (out / "checkpoint.pt").exists()
    told = json.loads((out / "result.json").read_text())
    assert told["validation_loss"] > 0 and told["plot"] is False
    assert weights(out)
    with pytest.raises(InputError, match="is finished"):
        tune(folder, out, settings=short, resume=True)
    assert not (out / "checkpoint.pt").exists() and not (out / "best.pt").exists()


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_killed_run_ends_as_if_nobody_had_killed_it(folder: Path, run: Path) -> None:
    out = folder / "killed"
    running = subprocess.Popen(command(folder, out), stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    metrics = out / "metrics.jsonl"
    try:
        while not metrics.exists() or metrics.read_bytes().count(b'"loss"') < 3:
            time.sleep(0.005)
            assert running.poll() is None, running.communicate()
    finally:
        running.kill()
        running.communicate()
    assert running.returncode == -signal.SIGKILL
    assert not (out / "result.json").exists()
    with pytest.raises(InputError, match="--resume"):
        tune(folder, out)
    with pytest.raises(InputError, match="rank was 4, now is 5"):
        tune(folder, out, resume=True, settings=TuneSettings(rank=5))
    done = subprocess.run(
        command(folder, out, "--resume"), capture_output=True, text=True, check=True
    )
    assert "going on after update" in done.stderr
    told = json.loads(done.stdout)
    whole = json.loads((run / "result.json").read_text())
    assert told["validation_loss"] == pytest.approx(whole["validation_loss"], rel=1e-5)
    mine, theirs = weights(out), weights(run)
    assert mine.keys() == theirs.keys()
    for name, each in mine.items():
        torch.testing.assert_close(each, theirs[name], atol=1e-6, rtol=1e-5)
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [each["step"] for each in lines if "loss" in each] == list(range(1, 9))
    again = subprocess.run(command(folder, out, "--resume"), capture_output=True, text=True)
    assert again.returncode != 0
    assert "is finished" in again.stderr


def test_it_stops_when_nothing_is_gained(folder: Path) -> None:
    settings = TuneSettings(
        rank=2, epochs=9, learning_rate=1e-9, batch=4, context_tokens=1024, max_tokens=200,
        hold_out=0.3, patience=1,
    )  # fmt: skip
    assert tune(folder, folder / "still", settings=settings)["updates"] < 9


def test_what_cannot_be_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="Choose of: with-context"):
        parse_forms("with-contxt")
    (tmp_path / "note").touch()
    with pytest.raises(InputError, match="new or empty"):
        RunFolder(tmp_path, {"asked": {}}, resume=False)
    (tmp_path / "short.json").write_text('[{"conversations": []}]')
    with pytest.raises(InputError, match="holds no text to learn from"):
        read_data(tmp_path / "short.json", lambda why: None)
    monkeypatch.setattr("cogenesis.training.extra.LIBRARIES", ("torch", "no_such_library"))
    with pytest.raises(MissingExtraError, match="no_such_library"):
        need_training_libraries()


def test_the_help_shows_how() -> None:
    from typer.testing import CliRunner

    from cogenesis.cli.train import train_app

    shown = CliRunner().invoke(train_app, ["device", "--help"], env={"COLUMNS": "200"})
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.output)
    assert "cogenesis train device --data train.json --out run --resume" in text


@pytest.mark.skipif(os.name != "posix", reason="gloo, and a launcher that forks")
def test_two_processes_that_share_the_weights_learn_what_one_learns(
    folder: Path, run: Path, tmp_path: Path
) -> None:
    """The FSDP configuration of the package, as it is but on processors."""
    import cogenesis.training

    shipped = Path(cogenesis.training.__file__).with_name("fsdp.yaml").read_text("utf-8")
    config = tmp_path / "fsdp.yaml"
    config.write_text(shipped.replace("mixed_precision: bf16", 'mixed_precision: "no"\nuse_cpu: 1'))
    launch = [
        sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch",
        "--config_file", str(config), *command(folder, folder / "shards")[1:],
    ]  # fmt: skip
    done = subprocess.run(
        launch, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    told = json.loads((folder / "shards" / "result.json").read_text())
    assert told["processes"] == 2
    whole = json.loads((run / "result.json").read_text())
    assert told["validation_loss"] == pytest.approx(whole["validation_loss"], rel=1e-3)
    assert told["tuned_parameters"] == whole["tuned_parameters"]
    assert weights(folder / "shards").keys() == weights(run).keys()
