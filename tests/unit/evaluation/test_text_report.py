"""From the measures of single texts to the figures of `evaluate text`."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from cogenesis.cli.evaluate_text import _TABLES, table
from cogenesis.context.private_context import PrivateContext, Writing
from cogenesis.context.reader import Sample
from cogenesis.errors import InputError
from cogenesis.evaluation.generation import WrittenText
from cogenesis.evaluation.text_intervals import FEW
from cogenesis.evaluation.text_report import (
    MEASURES,
    Values,
    _others,
    notes,
    style_control,
    text_report,
)


def values(chrf: float | None, coverage: float | None = None) -> Values:
    return {**dict.fromkeys(MEASURES), "chrf": chrf, "coverage": coverage}


def text(system: str, sample: int, degraded: str | None = None, sent: int = 0) -> WrittenText:
    said = None if degraded == "refused" else "Hello"
    return WrittenText(
        f"{system}{sample}",
        system,
        sample,
        said,
        degraded=degraded,
        bytes=100 * sent,
        round_trips=sent,
    )


FOUND = {
    "reference": {1: values(None, 1.0), 2: values(None), 3: values(None, 1.0)},
    "device": {1: values(20.0, 0.0), 2: values(30.0), 3: values(40.0, 0.5)},
    "sketch": {1: values(22.0, 0.5), 3: values(44.0, 0.5)},
}
TEXTS = {
    "device": {number: text("device", number) for number in (1, 2, 3)},
    "sketch": {
        1: text("sketch", 1, sent=1),
        2: text("sketch", 2, "refused"),
        3: text("sketch", 3, "timeout", sent=2),
    },
}


def test_means_are_over_samples_and_differences_over_pairs() -> None:
    told = text_report([1, 2, 3], FOUND, TEXTS, "device")
    reference, device, sketch = told["systems"]
    assert [row["name"] for row in told["systems"]] == ["reference", "device", "sketch"]
    assert device["measures"]["chrf"]["value"] == 30.0
    assert device["measures"]["coverage"] == {
        "value": 0.25,
        "low": 0.0,
        "high": 0.5,
        "samples": 2,
    }
    assert sketch["measures"]["chrf"]["value"] == 33.0
    # Over the two samples that both have, not 33 - 30.
    assert sketch["over_baseline"]["chrf"]["value"] == 3.0
    assert sketch["over_baseline"]["chrf"]["samples"] == 2
    assert reference["measures"]["chrf"]["value"] is None
    assert device["over_baseline"] == {} and device["is_baseline"]
    assert (sketch["texts"], sketch["without_text"]) == (2, 1)
    assert sketch["degraded"] == {"refused": 1, "timeout": 1}
    assert (sketch["bytes_sent"], sketch["round_trips"]) == (300, 3)
    assert json.loads(json.dumps(told)) == told


def test_without_samples_or_baseline_nothing_is_told() -> None:
    with pytest.raises(InputError, match="no sample"):
        text_report([], FOUND, TEXTS, "device")
    with pytest.raises(InputError, match="--baseline"):
        text_report([1], FOUND, TEXTS, "cloud")


def test_the_tables_fit_a_narrow_terminal_and_mark_what_is_sure() -> None:
    told = text_report([1, 2, 3], FOUND, TEXTS, "device")
    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system="standard")
    for title, columns in _TABLES:
        console.print(table(told, title, columns))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "…" not in shown and "(3 samples)" in shown
    # 22 over 20 and 44 over 40 are above in every draw, but three samples prove nothing.
    assert "\x1b[36m" not in shown
    console.print(table(told | {"samples": FEW}, *_TABLES[0]))
    assert console.file.getvalue().count("\x1b[36m") == 1
    nearness = shown[: shown.index("Length and repetition")]
    assert "reference" not in nearness


def test_notes_say_what_the_figures_are_not() -> None:
    told = text_report([1, 2, 3], FOUND, TEXTS, "device")
    control = {"own_minus_others": {"value": 0.1, "low": -0.1, "high": 0.3}}
    told["style_control"] = {"style_js": control}
    said = " ".join(notes(told))
    assert "Only 3 samples" in said and "style_js cannot tell" in said
    told |= {"samples": 50, "style_control": {"style_js": {"own_minus_others": {"high": -0.1}}}}
    assert "Only" not in " ".join(notes(told)) and "cannot tell" not in " ".join(notes(told))


def test_the_control_tells_own_history_from_others() -> None:
    habits = ["the of which", "and so then", "but or nor"]
    people = [
        Sample(PrivateContext([], [], [Writing("", f"{habit} " * 20)]), "A", f"{habit} x", str(n))
        for n, habit in enumerate(habits)
    ]
    everybody = dict(enumerate(people, start=1))
    found = style_control(everybody, everybody)
    for name in ("style_delta", "style_js"):
        assert found[name]["own_minus_others"]["high"] < 0.0
    assert found["style_js"]["own"]["value"] == pytest.approx(0.0, abs=0.01)
    assert found["style_js"]["others"]["value"] == pytest.approx(1.0)
    alone = style_control({1: people[0]}, {1: people[0]})
    assert alone["style_js"]["others"]["value"] is None


@pytest.mark.parametrize("people", [1, 2, 3, 11, 40])
def test_the_others_are_ten_people_who_come_next(people: int) -> None:
    """As if all others stood in a circle: each number begins at another one."""
    whose = np.array([place % 7 if place % 3 else 0 for place in range(people)], np.int64)
    for number in range(1, 2 * people + 1):
        for own in (0, 1, 99):
            crowd = [place for place in range(people) if whose[place] != own]
            first = number % max(1, len(crowd))
            assert _others(whose, own, number) == [*crowd[first:], *crowd[:first]][:10]
