"""What is shown of a text: colours on a terminal only, everything to programs."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
from rich.console import Console

from cogenesis.assistant import Assistant, Degraded, Event, Started, Task
from cogenesis.cli.decided import who_decided
from cogenesis.cli.screen import Screen, result_json
from cogenesis.cli.write import run
from tests.unit.cli.results import TOKENS, general, result

ESCAPE = re.compile(r"\x1b\[[\d;]*m")
TEXT = "Dear Tobias,\ncome!"


class Told:
    """An assistant that has its events ready."""

    def __init__(self, *events: Event) -> None:
        self._events = events

    def stream(self, task: Task, **options: Any) -> Iterator[Event]:
        yield from self._events


def told(mode: str = "fusion") -> Assistant:
    given = general()
    end = result(mode=cast(Any, mode))
    return cast(Assistant, Told(Started(given, ()), *TOKENS, end))


def shown(screen: Screen, **console: Any) -> tuple[io.StringIO, io.StringIO]:
    """Let a screen print into memory; `console` makes stdout a terminal or not."""
    out, err = io.StringIO(), io.StringIO()
    screen.out = Console(file=out, highlight=False, **console)
    screen.err = Console(file=err, highlight=False, width=200)
    return out, err


TERMINAL = {"force_terminal": True, "color_system": "truecolor", "width": 80}


def test_on_a_terminal_each_source_has_a_colour_of_its_own() -> None:
    screen = Screen()
    out, err = shown(screen, **TERMINAL)
    run(told(), Task("x", mode="fusion"), screen)
    coloured = {
        match[2]: match[1]
        for match in re.finditer(r"\x1b\[([\d;]+)m([^\x1b]+)\x1b\[0m", out.getvalue())
    }
    colours = {coloured["Dear"], coloured[" Tobias"], coloured[","]}
    assert len(colours) == 3
    assert coloured["come"] == coloured[" Tobias"]
    assert ESCAPE.sub("", out.getvalue()).strip() == TEXT
    assert "in the colour of the model that decided it" in err.getvalue()


def test_into_a_pipe_the_text_goes_plain_and_without_a_legend(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(told(), Task("x", mode="fusion"), Screen())
    captured = capsys.readouterr()
    assert captured.out == f"{TEXT}\n"
    assert "colour" not in captured.err


@pytest.mark.parametrize("mode", ["sketch", "device"])
def test_other_modes_stay_without_colour(mode: str) -> None:
    screen = Screen()
    out, err = shown(screen, **TERMINAL)
    run(told(mode), Task("x", mode=cast(Any, mode)), screen)
    assert out.getvalue() == f"{TEXT}\n"
    assert "colour" not in err.getvalue()
    assert "decided by" not in err.getvalue()


def test_a_terminal_without_colours_gets_no_legend() -> None:
    screen = Screen()
    out, err = shown(screen, force_terminal=True, no_color=True)
    run(told(), Task("x", mode="fusion"), screen)
    assert "colour" not in err.getvalue()
    assert ESCAPE.sub("", out.getvalue()).strip() == TEXT


def test_for_json_no_text_is_printed_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    run(told(), Task("x", mode="fusion"), Screen(quiet=True, text=False))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_the_summary_of_fusion_says_who_decided_and_what_went_wrong() -> None:
    screen = Screen()
    _, err = shown(screen)
    screen.summary(result())
    last = err.getvalue().splitlines()[-1]
    assert "the device 60%, the cloud 20%, both 20%" in last
    assert "0.40 round trips a token  88% of the drafts right  25% held back" in last
    assert "2 tokens without the cloud (2 timeout)" in last


def test_a_text_without_faults_or_tokens_has_a_summary_too() -> None:
    assert "never failed" in who_decided(result(TOKENS[:3])).line()
    assert "round trips" not in who_decided(result((), traffic=None)).line()
    one = who_decided(result(TOKENS[:4]))
    assert one.without_cloud() == "1 token without the cloud (1 timeout)"


def test_what_goes_wrong_in_the_running_text_is_told_below_it() -> None:
    screen = Screen()
    out, err = shown(screen)
    broken = Degraded("device-failed", "the device model stopped")
    told_by_summary = Degraded("timeout", "2 of 5 tokens")
    events = (TOKENS[0], broken, *TOKENS[1:], told_by_summary, result())
    run(cast(Assistant, Told(Started(general(), ()), *events)), Task("x", mode="fusion"), screen)
    assert out.getvalue() == f"{TEXT}\n"
    assert "Not all went well: the device model stopped" in err.getvalue()
    assert "2 of 5" not in err.getvalue()
    assert "writes alone" not in err.getvalue()
    first = Told(Degraded("unreachable", "nothing answers"), TOKENS[0], result(mode="device"))
    run(cast(Assistant, first), Task("x", mode="fusion"), screen)
    assert "The device writes alone: nothing answers" in err.getvalue()


def test_json_tells_weight_source_and_a_fallback_where_there_is_one() -> None:
    told_to_programs = json.loads(result_json(result()))
    assert told_to_programs["mode"] == "fusion"
    assert told_to_programs["fusion"] == {
        "same_vocabulary": False,
        "acceptance": 0.875,
        "held": 0.25,
        "fallbacks": 2,
    }
    assert told_to_programs["tokens"][0] == {"text": "Dear", "weight": 0.5, "source": "both"}
    assert told_to_programs["tokens"][3] == {
        "text": "come",
        "weight": 1.0,
        "source": "device",
        "fallback": "timeout",
    }
