"""`evaluate report`: what the files say, with its range and its source, and nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cogenesis.cli import main
from cogenesis.cli.circumstances import command
from cogenesis.errors import InputError
from cogenesis.evaluation import report_paper
from cogenesis.evaluation.bits import Cost, TextCost
from cogenesis.evaluation.bits_file import SavedSamples
from cogenesis.evaluation.bits_report import SampleCost, bits_report
from cogenesis.evaluation.report import report
from cogenesis.evaluation.report_blocks import Cell, Listed, Paragraph, Table, as_html, as_markdown
from cogenesis.evaluation.report_inputs import KINDS, Figure, Source, figures, read_sources
from cogenesis.evaluation.report_points import (
    Gap,
    Lines,
    Plane,
    against_leakage,
    against_round_trips,
    speed_lines,
    weights_along,
)
from cogenesis.evaluation.report_tables import systems_tables, written
from tests.unit.evaluation.test_human import HOSTILE

BITS: dict[str, Any] = {
    "samples": 20,
    "systems": [
        {"name": "fusion:mixture", "bits_per_byte": 0.9, "low": 0.8, "high": 1.0}
        | {"ratio_to_device": 0.95, "ratio_low": 0.94, "ratio_high": 0.96},
        {"name": "device", "bits_per_byte": 0.95, "low": 0.85, "high": 1.05},
    ],
    "settings": {"pair": "demo", "weights": [0.5], "max_tokens": 600},
    "models": {"device": "demo-device", "cloud": "demo-cloud"},
    "date": "2026-11-23",
}
TEXT: dict[str, Any] = {
    "evaluation": "text",
    "samples": 8,
    "systems": [
        {"name": "sketch", "chrf": {"value": 31.5, "low": 30.0, "high": 33.0}},
        {"name": "device", "chrf": {"value": 29.25, "low": 28.0, "high": 30.0}, "mystery": 4},
    ],
    "models": {"device": "demo-device"},
    "command": "cogenesis evaluate text --data v.json",
}
JUDGE: dict[str, Any] = {
    "evaluation": "judge",
    "samples": 8,
    "systems": [
        {"name": "device", "overall_with": 6.5, "overall_with_low": 6, "overall_with_high": 7}
    ],
    "models": {"device": "another"},
}


def attack(mode: str, top1: float, **more: Any) -> dict[str, Any]:
    row = {"attacker": "bm25", "setting": "sent", "mode": mode, "zipf": 4.5, "top1": top1}
    row |= {"low": top1 - 0.1, "high": top1 + 0.1, "top5": 0.6, "top5_low": 0.5, "top5_high": 0.7}
    return row | {"mrr": 0.4, "mrr_low": 0.3, "mrr_high": 0.5} | more


LEAKS: dict[str, Any] = {
    "attacks": [
        attack("sketch", 0.2),
        attack("fusion", 0.3),
        attack("fusion", 0.4, attacker="lm"),
        attack("fusion", 0.9, setting="ceiling"),
        attack("fusion", 0.8, zipf=3.5),
    ],
    "chance_top1": 0.004,
    "candidates": 250,
    "samples": 20,
    "units_sent": 2,
    "units_total": 900,
}


def timed(
    decoding: str, rtt: float, rate: float, trips: float, pair: str = "demo"
) -> dict[str, Any]:
    row = {"decoding": decoding, "pair": pair, "rtt_ms": rtt, "tokens_per_s": rate, "texts": 2}
    return row | {"replayed_tokens_per_s": None, "round_trips_per_token": trips, "acceptance": None}


SPEED: dict[str, Any] = {
    "rows": [
        timed("device-only", 0.0, 50.0, 0.0),
        timed("lockstep", 50.0, 12.0, 0.9),
        timed("lockstep", 0.0, 30.0, 0.8),
        timed("draft-and-verify", 0.0, 35.0, 0.3),
        timed("paper-schedule", 0.0, 40.0, 0.2),
        timed("lockstep", 0.0, 41.0, 0.7, "smollm2-smollm2"),
    ]
}
HUMAN: dict[str, Any] = {
    "comparisons": [
        {"question": "better", "systems": ["device", "sketch"], "pairs": 12}
        | {n: {"value": 0.5, "low": 0.25, "high": 0.75} for n in ("win", "tie", "loss", "net")}
    ],
    "raters": [{"rater": "Ann"}],
    "agreement": [{"question": "better", "alpha": None}, {"question": "personal", "alpha": 0.5}],
}
WEIGHTS: dict[str, Any] = {
    "text": "Hi all",
    "tokens": [{"text": "Hi", "weight": 1.0}, {"text": " all", "weight": 0.25}, {"text": "x"}],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def sources(folder: Path, **told: dict[str, Any]) -> list[Source]:
    for name, value in told.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return read_sources(folder / f"{name}.json" for name in told)


def test_files_are_known_by_what_they_hold(folder: Path) -> None:
    found = sources(folder, a=BITS, b=TEXT, c=JUDGE, d=LEAKS, e=SPEED, f=HUMAN, g=WEIGHTS)
    assert tuple(each.kind for each in found) == KINDS
    assert found[1].command == "cogenesis evaluate text --data v.json"
    assert (found[1].rebuilt, found[0].rebuilt) == (False, True)
    assert found[0].command == (
        "cogenesis evaluate bits --data FILE --pair demo --max-tokens 600 --weight 0.5 --json"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}", "no result of an evaluation"),
        (b"[1]", "no result of an evaluation"),
        (b'{"systems": [{"name": "device", "bits_per_byte": NaN}]}', "no JSON file"),
        (b'{"systems": [3]}', "no result of an evaluation"),
        (b"what", "no JSON file"),
        (b"\xff\xfe", "no JSON file"),
        (b"[" * 100_000, "no JSON file"),
        (b'{"measurement": "leaks", "about": {}}\n{}\n', "single samples"),
    ],
)
def test_other_files_are_refused(content: bytes, message: str, folder: Path) -> None:
    Path("x.json").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_sources([Path("x.json")])


def test_the_same_file_twice_is_a_mistake(folder: Path) -> None:
    sources(folder, a=BITS)
    with pytest.raises(InputError, match="same file"):
        read_sources([Path("a.json"), Path("a.json")])


def test_saved_samples_give_the_figures_of_the_report(folder: Path) -> None:
    costs = [
        SampleCost(
            n, str(n), False, TextCost(10, 40, {"on": Cost({"device": 30.0 + n, "cloud": 33.0})})
        )
        for n in range(1, 6)
    ]
    about = {"data": "0", "device": "demo-device", "cloud": "demo-cloud"}
    with SavedSamples(Path("bits.jsonl"), lambda: about, resume=False) as saved:
        for each in costs:
            saved.add(each)
    (found,) = read_sources([Path("bits.jsonl")])
    assert found.told["systems"] == bits_report(costs)["systems"]
    assert found.told["models"] == {"device": "demo-device", "cloud": "demo-cloud"}


def test_every_figure_has_its_range_or_says_that_it_has_none() -> None:
    assert figures(BITS["systems"][0]) == {
        "bits_per_byte": Figure(0.9, 0.8, 1.0),
        "ratio_to_device": Figure(0.95, 0.94, 0.96),
    }
    assert figures({"a": {"value": 1, "low": 0, "high": None}, "b": True, "c": "3"}) == {
        "a": Figure(1.0)
    }
    assert written(Figure(0.12345, 0.1, 0.2)) == "0.123 (0.100–0.200)"
    assert written(Figure(31.5, 30.0, 33.0)) == "31.50 (30.00–33.00)"
    assert written(Figure(4.0)) == "4.000 (no interval)"
    assert written(None) == "—"


def test_measures_of_the_same_work_share_a_table_and_others_do_not(folder: Path) -> None:
    found = sources(folder, bits=BITS, text=TEXT, judge=JUDGE)
    same, other = systems_tables(list(enumerate(found, start=1)))
    assert same.columns[1:] == (
        "bits per byte, 20 texts",
        "ratio to device, 20 texts",
        "chrF, 8 texts",
        "mystery, 8 texts",
    )
    assert [row[0].text for row in same.rows] == ["device", "sketch", "fusion:mixture"]
    device, sketch, fused = same.rows
    assert device[3] == Cell("29.25 (28.00–30.00)", (2,))
    assert device[4] == Cell("4.000 (no interval)", (2,))
    assert [cell.text for cell in sketch[1:3]] == ["—", "—"]
    assert fused[1] == Cell("0.900 (0.800–1.000)", (1,))
    assert "another" in other.caption and len(other.rows) == 1
    another = TEXT | {"data_sha256": "b" * 64}
    assert (
        len(
            systems_tables(
                list(enumerate(sources(folder, a=BITS | {"data_sha256": "a" * 64}, b=another)))
            )
        )
        == 2
    )


def test_figures_of_a_gates_training_stand_with_the_same_data_and_models(folder: Path) -> None:
    models = {"device": "demo-device", "cloud": "demo-cloud", "adapter": "d" * 64}
    bits = BITS | {"data_sha256": "a" * 64, "models": models}
    device = {"name": "demo-device", "sha256": ["e" * 64], "adapter": "d" * 64}
    gate = {name: BITS[name] for name in ("samples", "systems")} | {
        "data": [{"name": "a.json", "sha256": "a" * 64}] * 2,
        "device": device,
        "cloud": {"name": "demo-cloud"},
    }
    bare = {name: value for name, value in device.items() if name != "adapter"}
    others = {
        "data": gate | {"data": [*gate["data"], {"name": "b.json", "sha256": "b" * 64}]},
        "cloud": gate | {"cloud": {"name": "another"}},
        "bare": gate | {"device": bare},
        "folds": gate | {"device": device | {"adapter": ["d" * 64, "f" * 64]}},
    }
    (one,) = systems_tables(list(enumerate(sources(folder, a=bits, b=gate))))
    assert "aaaaaaaaaaaa…" in one.caption and "bbbb" not in one.caption
    for name, other in others.items():
        found = systems_tables(list(enumerate(sources(folder, a=bits, b=other))))
        assert len(found) == 2, name
    assert (
        "adapter none"
        in systems_tables(list(enumerate(sources(folder, b=others["bare"]))))[0].caption
    )


def test_leakage_is_that_of_the_best_attacker_on_what_was_sent(folder: Path) -> None:
    plane = against_leakage(sources(folder, bits=BITS, leaks=LEAKS))
    assert isinstance(plane, Plane) and not plane.up_is_better
    points = {point.name: (point.x.value, point.y.value) for point in plane.points}
    assert points == {"fusion:mixture": (0.4, 0.9), "device": (0.004, 0.95)}
    better = against_leakage(sources(folder, bits=BITS, text=TEXT, leaks=LEAKS))
    assert isinstance(better, Plane) and better.y_label == "chrf"
    assert {point.name for point in better.points} == {"sketch", "device"}
    assert isinstance(against_leakage(sources(folder, bits=BITS)), Gap)
    assert isinstance(against_leakage(sources(folder, leaks=LEAKS)), Gap)


@pytest.mark.parametrize(
    ("leaks", "told"),
    [
        ({}, None),  # nothing is said, nothing is compared
        ({"models": {"device": "demo-device"}}, "adapter none in leaks: leaks, an adapter in"),
        ({"models": {"device": "demo-device", "adapter": "a" * 64}}, None),
        ({"models": {"device": "mine", "adapter": "a" * 64}}, "device mine in leaks: leaks, demo"),
        ({"data_sha256": "b" * 64}, "data bbbbbbbbbbbb… in leaks: leaks, cccccccccccc… in text"),
        ({"data_sha256": "c" * 64}, None),
    ],
)
def test_a_point_of_two_systems_says_so(
    leaks: dict[str, Any], told: str | None, folder: Path
) -> None:
    settings = {"device": "demo-device", "adapter": None, "cloud": "demo-cloud"}
    text = {name: each for name, each in TEXT.items() if name != "models"}
    text |= {"settings": settings, "data": "c" * 64}
    plane = against_leakage(sources(folder, text=text, leaks=LEAKS | leaks))
    assert isinstance(plane, Plane)
    if told is None:
        assert "not of one system" not in plane.caption
    else:
        assert "not of one system" in plane.caption and told in plane.caption


def test_exact_decodings_share_a_quality_and_the_papers_schedule_has_none(folder: Path) -> None:
    plane = against_round_trips(sources(folder, bits=BITS, speed=SPEED))
    assert isinstance(plane, Plane)
    assert {point.name: (point.x.value, point.y.value) for point in plane.points} == {
        "device": (0.0, 0.95),
        "fusion:mixture, lockstep": (0.8, 0.9),
        "fusion:mixture, draft-and-verify": (0.3, 0.9),
    }
    assert isinstance(against_round_trips(sources(folder, speed=SPEED)), Gap)


def test_round_trips_of_written_texts_are_preferred(folder: Path) -> None:
    def row(name: str, trips: int, chrf: float | None) -> dict[str, Any]:
        figure = {"value": chrf, "low": None, "high": None, "samples": 8}
        return {"name": name, "texts": 8, "round_trips": trips, "measures": {"chrf": figure}}

    rows = [row("reference", 0, None), row("device", 0, 30.0), row("sketch", 12, 31.0)]
    text = {"samples": 8, "systems": [*rows, row("fusion:gate", 400, 33.0)], "data": "c" * 64}
    found = sources(folder, text=text, bits=BITS, speed=SPEED)
    plane = against_round_trips(found)
    assert isinstance(plane, Plane) and plane.x_label == "round trips a text"
    assert {point.name: (point.x.value, point.y.value) for point in plane.points} == {
        "device": (0.0, 30.0),
        "sketch": (1.5, 31.0),
        "fusion:gate": (50.0, 33.0),
    }
    (table, *_) = systems_tables(list(enumerate(found, start=1)))
    # Counts of a row that has measures are no measures.
    assert table.columns[-1] == "chrF, 8 texts"
    # A system without a single measure has no row.
    assert [row[-1].text for row in table.rows][:2] == [
        "30.00 (no interval)",
        "31.00 (no interval)",
    ]


def test_lines_of_speed_go_by_round_trip_time(folder: Path) -> None:
    lines = speed_lines(sources(folder, speed=SPEED))
    assert isinstance(lines, Lines)
    assert lines.pairs["demo"]["lockstep"] == ((0.0, 30.0, None), (50.0, 12.0, None))
    assert list(lines.pairs) == ["demo", "smollm2-smollm2"]


def test_weights_are_those_of_the_text(folder: Path) -> None:
    found = weights_along(sources(folder, fused=WEIGHTS))
    assert not isinstance(found, Gap)
    assert found[0].tokens == (("Hi", 1.0), (" all", 0.25))


def test_what_was_not_measured_is_named_and_no_figure_is_made_up(folder: Path) -> None:
    blocks = report(sources(folder, bits=BITS), plots=False)
    said = [block.text for block in blocks if isinstance(block, Paragraph)]
    for kind in ("text", "judge", "leaks", "human"):
        assert any(f"cogenesis evaluate {kind}" in text for text in said)
    assert not any("evaluate bits" in text for text in said)
    tables = [block for block in blocks if isinstance(block, Table)]
    assert len(tables) == 2  # the systems, and the paper's own
    for row in tables[0].rows:
        assert all(cell.sources == (1,) for cell in row[1:] if cell.text != "—")


def test_the_papers_table_is_whole_and_said_to_be_the_papers(folder: Path) -> None:
    rows = report_paper.rows()
    assert len(rows) == 16 and {len(row) for row in rows} == {10}
    assert all(3.0 < float(score) < 9.0 for _, *scores in rows for score in scores)
    # Checked against what was computed from the table: the gains of sketch in the first column.
    by_name = {name: float(score) for name, score, *_ in rows}
    gains = [
        by_name[f"{m}, tuned, sketch"] - by_name[f"{m}, tuned"]
        for m in ("TinyLlama", "Qwen-1.8B", "Qwen1.5-1.8B")
    ]
    assert gains == pytest.approx([0.24, 0.36, 0.10])
    shown = as_markdown("Results", report(sources(folder, bits=BITS), plots=False), "r")
    assert "GPT-4 as the judge, up to 50 samples a cell, no intervals" in shown


def test_all_kinds_make_one_report(folder: Path) -> None:
    found = sources(folder, a=BITS, b=TEXT, c=JUDGE, d=LEAKS, e=SPEED, f=HUMAN, g=WEIGHTS)
    blocks = report(found, plots=False)
    shown = as_markdown("Results", blocks, "r")
    assert "Not measured" not in shown
    assert "device against sketch: better" in shown and "personal 0.50" in shown
    assert "0.400 (0.300–0.500) [4]" in shown
    (origins,) = [block for block in blocks if isinstance(block, Listed)]
    assert len(origins.items) == 7


def test_nothing_in_a_file_becomes_markup(folder: Path) -> None:
    systems = [{"name": bad, "bits_per_byte": 1.0} for bad in HOSTILE]
    told = BITS | {"systems": systems, "models": {HOSTILE[0]: HOSTILE[1]}, "notes": list(HOSTILE)}
    told |= {"command": f"cogenesis `{HOSTILE[0]}` `` |", "date": HOSTILE[2]}
    blocks = report(sources(folder, bits=told), plots=False)
    page = as_html(HOSTILE[0], blocks)
    for bad in HOSTILE:
        assert bad not in page
    assert page.count("<script") == page.count("<img") == page.count("<h1") - 1 == 0
    text = as_markdown(HOSTILE[0], blocks, "r")
    for line in text.splitlines():
        outside = line.split("```")[0]
        assert "<script" not in outside.replace("\\<", "")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    counts = {line.replace("\\|", "").count("|") for line in rows[:7]}
    assert len(counts) == 1  # no name opens a column


def test_malformed_rows_are_gaps_and_no_crash(folder: Path) -> None:
    odd: dict[str, Any] = {"rows": [{"decoding": 3, "rtt_ms": "x"}, 4, {"pair": "demo"}]}
    leaks: dict[str, Any] = {"attacks": [{"attacker": None, "top1": "high"}, "x"]}
    human: dict[str, Any] = {"comparisons": [{"systems": 3}], "raters": 3}
    found = sources(folder, a=odd, b=leaks, c=human)
    assert as_markdown("R", report(found, plots=False), "r")
    assert isinstance(speed_lines(found), Gap)
    assert isinstance(against_leakage(found), Gap)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["cogenesis", "evaluate", "report", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_the_command_writes_both_forms(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources(folder, bits=BITS, leaks=LEAKS)
    files = ["bits.json", "leaks.json"]
    assert run(monkeypatch, *files, "--out", "r.md", "--html", "r.html", "--no-plots") == 0
    assert "0.900 (0.800–1.000) [1]" in Path("r.md").read_text()
    page = Path("r.html").read_text()
    assert '0.900 (0.800–1.000) <sup><a href="#source-1">1</a></sup>' in page
    assert '<li id="source-2">leaks: leaks' in page
    capsys.readouterr()
    assert run(monkeypatch, *files, "--json") == 0
    assert [each["kind"] for each in json.loads(capsys.readouterr().out)["sources"]] == [
        "bits",
        "leaks",
    ]
    assert run(monkeypatch, *files) == 2
    assert "say where it goes" in capsys.readouterr().err
    assert run(monkeypatch, *files, "--out", "nowhere/r.md") == 2


def test_a_told_command_names_no_folder() -> None:
    told = command(
        [
            "/usr/bin/x",
            "evaluate",
            "bits",
            "--data",
            "/home/ann/v.json",
            "--save=/a/b.jsonl",
            "rel/x",
            "~/y z",
        ]
    )
    assert told == "cogenesis evaluate bits --data v.json --save=b.jsonl rel/x 'y z'"
