"""`cogenesis evaluate leaks --text reference`: the whole command, and its picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.evaluation.test_leaks_cli import data, run

__all__ = ["data"]


def test_references_need_no_model(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", str(data), "--text", "reference", "--mode", "fusion", "--limit", "2"]
    assert run(monkeypatch, *options, "--zipf", "4.5", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["units_sent"], told["candidates"], told["text"]) == (0, 6, "reference")
    assert told["units_total"] == sum(row["total"] for row in told["units"]) > 10
    assert run(monkeypatch, *options) == 0
    shown = capsys.readouterr().out
    assert "fusion, private under Zipf 4.5" in shown
    assert "sent nowhere" in shown
    assert "…" not in shown


def test_a_picture_is_drawn(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    options = ["--data", str(data), "--text", "reference", "--mode", "sketch", "--json"]
    assert run(monkeypatch, *options, "--plot", "leaks.png") == 0
    assert Path("leaks.png").read_bytes().startswith(b"\x89PNG")
    assert run(monkeypatch, *options, "--plot", "none/leaks.png") == 2
    assert "cannot be used for --plot" in capsys.readouterr().err
