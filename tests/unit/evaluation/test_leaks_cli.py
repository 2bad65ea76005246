"""`cogenesis evaluate leaks` without a model: mistakes, and what people see."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from cogenesis.cli import main
from cogenesis.context.reader import Sample
from cogenesis.evaluation.leaks import LeaksSample
from cogenesis.evaluation.leaks_received import Received, SentMode
from cogenesis.models.adapters import find_adapter
from cogenesis.models.fetch import sha256_of
from tests.unit.evaluation.test_leaks_report import TOPICS, person


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["cogenesis", "evaluate", "leaks", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "people.json"
    path.write_text(json.dumps([person(name, topic) for name, topic in TOPICS.items()]))
    Path("notes.txt").write_text("do not lose me\n")
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing option '--data'"),
        (["--data", "none.json"], "none.json"),
        (["--data", "people.json", "--mode", "device"], "--mode"),
        (["--data", "people.json", "--resume"], "name it with --save"),
        (["--data", "people.json", "--zipf", "4"], "--zipf is for --text reference"),
        (["--data", "people.json", "--text", "reference", "--save", "new"], "references take"),
        (["--data", "people.json", "--save", "notes.txt"], "notes.txt exists: add --resume"),
        (["--data", "people.json", "--save", "notes.txt", "--resume"], "name another one"),
        (["--data", "people.json", "--max-tokens", "0"], "--max-tokens"),
    ],
)
def test_mistakes_are_told_before_a_model_is_loaded(
    arguments: list[str],
    message: str,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert Path("notes.txt").read_text() == "do not lose me\n"


def test_what_is_saved_is_what_was_received_and_no_more(data: Path) -> None:
    received = Received("Task: A note", ("Dear [person 1]",), ("seed 7",), ("De",))
    sample = LeaksSample(1, "one", "fusion", "fusion", None, 3, 2, 80, received)
    assert LeaksSample.from_json(json.loads(json.dumps(sample.to_json()))) == sample
    with pytest.raises(ValueError, match="sends nothing"):
        LeaksSample.from_json({**sample.to_json(), "mode": "device"})


class Stage:
    """Instead of two models: what came of a text that sent nothing."""

    def __init__(self, device: object, *_: object) -> None:
        pass

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def measure(self, number: int, sample: Sample, mode: SentMode) -> LeaksSample:
        return LeaksSample(number, sample.id, mode, "device", "refused", 3, 0, 0, Received())


def test_the_device_model_has_the_adapter_of_write_and_the_file_knows_it(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[Path | None] = []

    def device(path: Path, *, threads: int, adapter: Path | None) -> AbstractContextManager[None]:
        opened.append(adapter)
        return nullcontext()

    monkeypatch.setattr("cogenesis.cli.models.fetch_model", lambda name, **_: Path(name))
    monkeypatch.setattr("cogenesis.models.LlamaCpp", device)
    monkeypatch.setattr("cogenesis.evaluation.leaks.LeaksStage", Stage)
    shipped = find_adapter("demo-device", None)
    assert shipped is not None
    about, arguments = {}, ["--data", str(data), "--mode", "sketch", "--limit", "2", "--json"]
    for name, more in {"shipped": [], "none": ["--adapter", "none"]}.items():
        assert run(monkeypatch, *arguments, *more, "--save", name) == 0
        models = json.loads(capsys.readouterr().out)["models"]
        about[name] = json.loads(Path(name).read_text().splitlines()[0])["about"]
        assert models == {key: about[name][key] for key in models}
    assert opened == [shipped, None]
    assert about["shipped"].pop("adapter") == sha256_of(shipped)
    assert about["shipped"] == about["none"]  # files of runs without an adapter stay good
    assert run(monkeypatch, *arguments, "--save", "none", "--resume") == 2
    assert "measured with another adapter" in " ".join(capsys.readouterr().err.split())
    assert run(monkeypatch, *arguments, "--adapter", "nowhere.gguf") == 4
