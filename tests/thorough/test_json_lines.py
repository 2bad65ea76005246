"""Every command over many samples reads JSON lines as it reads a list: to the same figures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cogenesis.cli import main
from cogenesis.cli.evaluate_human import _people
from cogenesis.evaluation.bits import BitsSettings
from cogenesis.evaluation.bits_pairing import Pair
from cogenesis.evaluation.generation import WrittenText, content_key, open_texts
from cogenesis.evaluation.human import Pairs
from cogenesis.evaluation.numbered_samples import first_samples
from cogenesis.evaluation.speed_prompts import speed_tasks
from cogenesis.training.device import TuneFiles, read_material
from cogenesis.training.examples import DataFile
from cogenesis.training.extract import Tuning
from cogenesis.training.settings import TuneSettings
from cogenesis.training.sketches_file import read_sketches
from tests.unit.data.people import write_lines, write_list
from tests.unit.evaluation.test_bits_work import Reading
from tests.unit.evaluation.test_leaks_report import TOPICS, person
from tests.unit.evaluation.test_text_cli import answer
from tests.unit.models.loopback import Loopback
from tests.unit.training.test_sketches import OUTLINE, chat

Both = list[Any]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six people and one without a task, as a list and as lines."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "home"))
    people = [person(*each) for each in TOPICS.items()]
    write([*people[:2], {"additional_profile": "Name: Bo"}, *people[2:]])


def write(people: list[Any]) -> None:
    write_list(Path("people.json"), people)
    write_lines(Path("people.jsonl"), people)


def both(read: Callable[[Path], Any]) -> Both:
    """What is read of the list, and of the lines."""
    return [read(Path(f"people.{ending}")) for ending in ("json", "jsonl")]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["cogenesis", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_train_sketches(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def outlines(path: Path) -> list[tuple[str, int, str]]:
        options = ["--cloud-url", server.url, "--cloud-model", "m", "--cloud-kind", "openai-chat"]
        named = ["--data", str(path), "--out", f"{path}.out", "--yes", "--json"]
        assert run(monkeypatch, "train", "sketches", *options, *named) == 0
        told = json.loads(capsys.readouterr().out)
        assert [each["number"] for each in told["unusable"]] == [3]
        found = read_sketches(Path(f"{path}.out")).values()
        return [(each.id, each.number, each.general) for each in found]

    with Loopback(chat(OUTLINE)) as server:
        of_list, of_lines = both(outlines)
    assert of_list == of_lines and [number for _, number, _ in of_list] == [1, 2, 4, 5, 6, 7]


def test_train_extract_and_evaluate_bits() -> None:
    """What the program that starts them reads, and what a worker makes of a sample."""
    model: Any = Reading()
    running: Any = None

    def read(path: Path) -> list[object]:
        left_out: dict[int, str] = {}
        samples = first_samples(path, 5, lambda number, why: left_out.update({number: why}))
        pair = Pair(samples, model, None, running, BitsSettings(max_tokens=20))
        found = pair.task(5)
        assert not isinstance(found, str)
        texts = [Tuning(folds=3).text(number, each) for number, each in samples.items()]
        return [texts, left_out, found[0].ids, found[1].general.text]

    of_list, of_lines = both(read)
    assert of_list == of_lines
    assert [each.sample for each in of_list[0]] == [1, 2, 4, 5] and list(of_list[1]) == [3]


def test_train_device() -> None:
    def read(path: Path) -> list[tuple[str, str]]:
        told: list[str] = []
        asked = TuneFiles((path,), None, None, Path("run"))
        found = read_material(asked, TuneSettings(), told.append)
        assert len(told) == 1 and "sample 3" in told[0]
        (file,) = found.files
        assert isinstance(file, DataFile) and len(file.sha256) == 64
        return [(each.instruction, each.reference) for each in (*found.learned, *found.held)]

    of_list, of_lines = both(read)
    assert of_list == of_lines and len(of_list) == 6


def test_evaluate_leaks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def figures(path: Path) -> dict[str, Any]:
        options = ["--data", str(path), "--text", "reference", "--mode", "sketch", "--json"]
        assert run(monkeypatch, "evaluate", "leaks", *options) == 0
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return {name: told[name] for name in ("attacks", "units", "samples", "skipped")}

    of_list, of_lines = both(figures)
    assert of_list == of_lines and of_list["samples"] == 6


def test_evaluate_text_and_judge(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sacrebleu")
    write([person(*each) for each in TOPICS.items()])  # a judge sees none that lacks a task

    def figures(path: Path) -> list[Any]:
        texts = Path(f"{path}.texts")
        with open_texts(texts, path) as file:
            for number in (1, 2, 3):
                for system in ("old", "new"):
                    said = f"I am {system}"
                    file.add(WrittenText(content_key(system, number), system, number, said))
        options = ["--data", str(path), "--texts", str(texts), "--limit", "3", "--json"]
        options += ["--system", "old", "--system", "new", "--baseline", "old"]
        judge = ["--judge-url", server.url, "--judge-model", "m", "--judge-kind", "openai-chat"]
        told = []
        for command in (["text"], ["judge", *judge, "--runs", "1", "--unsafe-send-context"]):
            assert run(monkeypatch, "evaluate", *command, *options) == 0
            report = json.loads(capsys.readouterr().out)
            told.append({name: report[name] for name in ("systems", "samples", "skipped")})
        return told

    with Loopback(answer) as server:
        of_list, of_lines = both(figures)
    assert of_list == of_lines and [each["samples"] for each in of_list] == [3, 3]


def test_evaluate_human_and_speed() -> None:
    wanted = SimpleNamespace(pairs=[SimpleNamespace(sample=number) for number in (5, 2, 3, 5)])
    told, of_lines = both(lambda path: _people(path, cast(Pairs, wanted)))
    assert told == of_lines and list(told) == [2, 5]  # the third is none
    write([person(*each) for each in TOPICS.items()])
    of_list, of_lines = both(lambda path: list(speed_tasks(path, lambda *_: None)))
    assert of_list == of_lines and len(of_list) == 6
