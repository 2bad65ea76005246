"""`cogenesis evaluate bits` with the two demo models: one short text, so it shows form only."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cogenesis.evaluation.bits import systems

TOKENS = 24
NAMES = [each.name for each in systems((0.6,))]
SAMPLE = {
    "additional_profile": (
        "Name: Marit Solvang\nOccupation: leads the Lantern Choir\n"
        "Writing style: warm, short sentences\n"
        "Smart device usage: set a reminder for the rehearsal in Tidewell Hall"
    ),
    "profile": [
        {
            "title": "A note to the choir",
            "text": "Dear all, what a concert. Anselm held the low notes, and the roof held, too.",
        }
    ],
    "conversations": [
        {
            "from": "user",
            "value": "Write a note to my choir: rehearsal in Tidewell Hall, Anselm has the music",
        },
        {
            "from": "assistant",
            "value": "Dear all, we meet on Thursday in Tidewell Hall. Anselm has the music, so "
            "please come a little early and take your part. I look forward to seeing you.",
        },
    ],
    "tid": "choir",
}


class Command:
    """Runs the command on one good sample and a bad one."""

    def __init__(self, folder: Path, device: Path, cloud: Path) -> None:
        self.data, self.saved = folder / "data.json", folder / "bits.jsonl"
        self.data.write_text(json.dumps([SAMPLE, {"additional_profile": "Name: Bo"}]))
        self._models = ["--device", str(device), "--cloud", str(cloud)]

    def run(self, *options: str) -> tuple[dict[str, Any], str]:
        command = [sys.executable, "-m", "cogenesis", "evaluate", "bits", "--json"]
        command += ["--data", str(self.data), *self._models, "--max-tokens", str(TOKENS), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found, done.stderr

    def both_states(self) -> tuple[dict[str, Any], str]:
        return self.run(
            "--shield", "off", "--unsafe-send-context", "--weight", "0.6",
            "--save", str(self.saved), "--resume",
        )  # fmt: skip


@pytest.fixture(scope="module")
def command(
    device_gguf: Path, cloud_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> Command:
    return Command(tmp_path_factory.mktemp("bits"), device_gguf, cloud_gguf)


@pytest.fixture(scope="module")
def report(command: Command) -> dict[str, Any]:
    return command.both_states()[0]


@pytest.mark.timeout(300)
def test_every_system_has_its_figures(report: dict[str, Any]) -> None:
    assert (report["samples"], report["tokens"], report["texts_cut"]) == (1, TOKENS, 1)
    for part in (report, report["unshielded"]):
        assert [each["name"] for each in part["systems"]] == NAMES
        for each in part["systems"]:
            assert 0.2 < each["bits_per_byte"] < 4.0
            assert each["low"] == each["bits_per_byte"] == each["high"]
        device = part["systems"][0]
        assert device["ratio_to_device"] == 1.0
        assert device == report["systems"][0]
        assert 0.0 <= part["held_back"]["share_of_positions"] < 0.5
    assert [each["name"] for each in report["shield_cost"]] == NAMES[1:]


def test_a_mixture_is_never_much_worse_than_the_better_model(report: dict[str, Any]) -> None:
    """At an even weight it costs one bit a token more at most."""
    bits = {each["name"]: each["bits_per_byte"] for each in report["systems"]}
    assert bits["fusion:mixture"] <= min(bits["device"], bits["cloud"]) + TOKENS / report["bytes"]


def test_what_was_measured_is_told(report: dict[str, Any]) -> None:
    assert [each["sample"] for each in report["skipped"]] == [2]
    assert report["settings"]["shields"] == ["on", "off"]
    assert (report["settings"]["pair"], report["settings"]["device_k"]) == ("demo", 1024)
    assert report["machine"]["cores"] >= 1
    assert any("sent" in note or "went" in note for note in report["notes"])


@pytest.mark.timeout(300)
def test_what_is_saved_is_not_measured_again(command: Command, report: dict[str, Any]) -> None:
    before = command.saved.read_bytes()
    assert b"Tidewell" not in before
    again, told = command.both_states()
    assert command.saved.read_bytes() == before
    assert again["systems"] == report["systems"]
    assert again["shield_cost"] == report["shield_cost"]
    assert "sample 2 is left out" in told


@pytest.mark.timeout(300)
def test_one_vocabulary(command: Command) -> None:
    found, _ = command.run("--pair", "smollm2-smollm2", "--limit", "1")
    assert found["models"]["cloud"] == found["models"]["device"]
    ratios = {each["name"]: each["ratio_to_device"] for each in found["systems"]}
    assert ratios["cloud"] > 1.0  # it is the same model, without the context
    assert 0.8 < ratios["fusion:mixture"] < ratios["cloud"]
    assert found["skipped"] == []
