"""`cogenesis evaluate` without a model: help and mistakes."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.console import Console

from cogenesis.cli import main
from cogenesis.cli.evaluate_speed import _table, _warnings
from cogenesis.evaluation.speed_rows import DECODINGS, Run, Way, row


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
