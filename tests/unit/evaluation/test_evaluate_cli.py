"""`cogenesis evaluate` without a model: help and mistakes."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from rich.console import Console

from cogenesis.cli import main
from cogenesis.cli.evaluate_speed import _table, _warnings
from cogenesis.evaluation.speed_rows import DECODINGS, Run, Way, row
from cogenesis.models.adapters import find_adapter
from cogenesis.models.fetch import sha256_of


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["cogenesis", "evaluate", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pair", "gpt"], "there is no pair 'gpt': choose smollm2-smollm2 or demo"),
        (["--rtt", "5", "--rtt", "5"], "an --rtt was given twice"),
        (["--data", "nowhere.json"], "nowhere.json"),
    ],
)
def test_mistakes_are_told_before_a_model_is_loaded(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "speed", *arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_the_help_names_all_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(monkeypatch, "speed", "--help") == 0
    shown = capsys.readouterr().out
    for option in ("--rtt", "--pair", "--data", "--limit", "--max-tokens", "--repeat", "--json"):
        assert option in shown


def test_the_table_fits_a_narrow_terminal_and_says_what_went_wrong() -> None:
    text = Run((1, 2), 2, 0.1, 0.2, accepted=8, rejected=2, bytes=900, round_trips=1, fallbacks=1)
    runs: dict[Way, Sequence[Run]] = {"real": [text], "replayed": [replace(text, unknown=3)]}
    rows = [row(decoding, "demo", 50.0, runs, runs) for decoding in DECODINGS]
    console = Console(width=80, file=io.StringIO())
    console.print(_table("demo", rows))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    line = next(line for line in shown.splitlines() if "draft-and-verify" in line)
    assert line.split() == ["draft-and-verify", "10.0", "10.0", "0.50", "450", "0.80", "2/2"]
    assert shown.count("50 ms") == 1
    assert _warnings(rows[0]) == [
        "device-only at 50 ms: 2 tokens without the cloud, which was late or failed",
        "device-only at 50 ms: 3 prefixes were not in the replayed table",
    ]


class Pair:
    """Instead of two models: which file is the cloud's."""

    clouds: ClassVar[list[Path]] = []

    def __init__(self, _device: object, cloud: Path, _settings: object) -> None:
        self.clouds.append(cloud)

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def stages(self, prompts: object) -> list[object]:
        return []


@pytest.mark.parametrize("more", [[], ["--adapter", "none"]])
def test_the_device_has_the_adapter_of_write_and_its_copy_as_the_cloud_has_none(
    more: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[Path | None] = []

    def device(path: Path, *, threads: int, adapter: Path | None) -> AbstractContextManager[None]:
        opened.append(adapter)
        return nullcontext()

    monkeypatch.setattr("cogenesis.cli.models.fetch_model", lambda name, **_: Path(name))
    monkeypatch.setattr("cogenesis.models.LlamaCpp", device)
    monkeypatch.setattr("cogenesis.fused_writing.DeviceTokens", lambda model: model)
    monkeypatch.setattr("cogenesis.evaluation.speed_prompts.speed_prompts", lambda *_: [])
    monkeypatch.setattr("cogenesis.evaluation.speed_pairs.SpeedPair", Pair)
    monkeypatch.setattr("cogenesis.evaluation.speed.measure", lambda *_: [])
    monkeypatch.setattr(Pair, "clouds", [])
    assert run(monkeypatch, "speed", "--json", *more) == 0
    shipped = find_adapter("demo-device", None)
    assert shipped is not None
    assert opened == [None if more else shipped]
    assert Pair.clouds == [Path("demo-device"), Path("demo-cloud")]
    models = json.loads(capsys.readouterr().out)["models"]
    assert models.pop("adapter", None) == (None if more else sha256_of(shipped))
    assert models["cloud"] == {"smollm2-smollm2": "demo-device", "demo": "demo-cloud"}
