"""`cogenesis evaluate` without a model: help and mistakes."""

from __future__ import annotations

import sys

import pytest

from cogenesis.cli import main


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
