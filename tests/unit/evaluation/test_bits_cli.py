"""`cogenesis evaluate bits` without a model: mistakes, and what people see."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from cogenesis.cli import main
from cogenesis.cli.evaluate_bits import _notes, _Run, bits_table
from cogenesis.evaluation.bits import EVEN, BitsSettings, Cost, TextCost, systems
from cogenesis.evaluation.bits_file import SavedSamples
from cogenesis.evaluation.bits_report import SampleCost, bits_report
from tests.unit.evaluation.test_leaks_report import person
from tests.unit.models.tiny_gguf import tiny_gguf


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["cogenesis", "evaluate", "bits", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing option '--data'"),
        (["--data", "none.json"], "none.json"),
        (["--data", "one.json", "--resume"], "name it with --save"),
        (["--data", "one.json", "--shield", "off"], "Add --unsafe-send-context"),
        (
            ["--data", "one.json", "--shield", "off", "--unsafe-send-context"],
            "no list of two samples",
        ),
        (
            ["--data", "merged.json", "--shield", "off", "--unsafe-send-context"],
            "sample 2 is marked as private texts",
        ),
        (["--data", "one.json", "--pair", "gpt"], "--pair"),
        (["--data", "one.json", "--weight", "2"], "--weight"),
        (["--data", "one.json", "--save", "one.json"], "one.json exists: add --resume"),
        (["--data", "one.json", "--save", "one.json", "--resume"], "name another one"),
        (["--data", "broken.json"], "not JSON"),
        (["--data", "one.json", "--workers", "2"], "are for --engine ray"),
    ],
)
def test_mistakes_are_told_before_a_model_is_loaded(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    one = '{"additional_profile": "Name: Wren", "conversations": []}\n'
    Path("one.json").write_text(one)
    Path("merged.json").write_text(f'[{one}, {{"profile": "{"x" * 5_000}", "origin": "own"}}]')
    Path("broken.json").write_text("[{]")
    assert run(monkeypatch, *arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert Path("one.json").read_text() == one


def test_a_file_is_not_gone_on_with_by_another_model_of_the_same_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("people.json").write_text(json.dumps([person("Wren Aldous", "orchids")]))
    for name in ("device", "cloud"):
        Path(f"{name}.gguf").write_bytes(tiny_gguf())
    models = {"device": "device.gguf", "cloud": "cloud.gguf"}
    measured = _Run(
        Path("people.json"), BitsSettings(weights=(EVEN,)), models, {}, adapter="none", quiet=True
    )
    with SavedSamples(Path("bits.jsonl"), measured._about, resume=False) as saved:
        saved.add(sample(1))
    arguments = ["--data", "people.json", "--device", "device.gguf", "--cloud", "cloud.gguf"]
    arguments += ["--adapter", "none", "--save", "bits.jsonl", "--resume", "--json"]
    assert run(monkeypatch, *arguments) == 0
    Path("device.gguf").write_bytes(tiny_gguf(bytes(128)))
    capsys.readouterr()
    assert run(monkeypatch, *arguments) == 2
    assert "with another device_sha256: use" in " ".join(capsys.readouterr().err.split())


def test_the_help_names_all_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out
    for option in ("data", "limit", "shield", "unsafe-send-context", "weight", "pair", "device"):
        assert f"--{option}" in shown
    for option in ("engine", "ray-address", "workers"):
        assert f"--{option}" in shown
    for option in ("cloud", "max-tokens", "device-k", "cloud-k", "save", "resume", "json"):
        assert f"--{option}" in shown


NAMES = [each.name for each in systems((0.5, 0.65))]


def sample(number: int, cut: bool = False) -> SampleCost:
    on = Cost({name: 90.0 + at for at, name in enumerate(NAMES)}, 3, 9.0)
    off = Cost({name: 90.0 + at / 2 for at, name in enumerate(NAMES)}, 1, 2.0)
    return SampleCost(number, str(number), cut, TextCost(30, 120, {"on": on, "off": off}))


def test_the_table_fits_a_narrow_terminal() -> None:
    told = bits_report([sample(1), sample(2)])
    console = Console(width=80, file=io.StringIO())
    console.print(bits_table(told))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert "2 texts, 240 bytes, 60 tokens" in lines[0]
    shown = {line.split()[0]: line.split()[1:] for line in lines if "–" in line}
    assert list(shown) == NAMES
    assert shown["device"] == ["0.750", "0.750–0.750", "1.000", "1.000–1.000", "0.750"]
    assert shown["cloud"][-2:] == ["0.754", "+0.004"]
    assert "…" not in console.file.getvalue()


def test_the_notes_say_what_the_figures_are_not() -> None:
    told = bits_report([sample(1), sample(2, cut=True)])
    notes = " ".join(_notes(told, BitsSettings(max_tokens=30)))
    assert "held back 10.0% of the positions, with 10.0% of the device's bits" in notes
    assert "1 of 2 texts had more than 30 tokens" in notes
    assert "looks like an identifier by its shape" in notes
    assert json.loads(json.dumps(told))["samples"] == 2
    shielded = bits_report([sample(1)])
    del shielded["unshielded"], shielded["shield_cost"]
    assert "Shield off" not in " ".join(_notes(shielded, BitsSettings()))
