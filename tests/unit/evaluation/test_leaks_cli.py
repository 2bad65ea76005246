"""`cogenesis evaluate leaks` without a model: mistakes, and what people see."""

from __future__ import annotations

import json
import pickle
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import ClassVar, cast

import pytest

from cogenesis.assistant import Assistant
from cogenesis.cli import main
from cogenesis.context.reader import Sample, read_samples
from cogenesis.engines.engine import Done, Lost, Place
from cogenesis.engines.known_file import KnownFile
from cogenesis.engines.known_model import KnownModel
from cogenesis.engines.local import LocalEngine
from cogenesis.errors import InputError
from cogenesis.evaluation.leaks import LeaksSample, LeaksSettings, LeaksStage
from cogenesis.evaluation.leaks_received import Received, SentMode
from cogenesis.evaluation.leaks_work import LeaksItem, LeaksWork
from cogenesis.evaluation.recording_relay import Request
from cogenesis.models import LlamaCpp
from cogenesis.models.adapters import find_adapter
from cogenesis.models.fetch import sha256_of
from cogenesis.models.scripted import ScriptedModel
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
        (
            ["--data", "people.json", "--text", "reference", "--engine", "ray"],
            "--engine ray is for --text written",
        ),
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

    said: ClassVar[dict[tuple[SentMode, int], tuple[str, ...]]] = {}

    def __init__(self, device: object, *_: object) -> None:
        pass

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def measure(
        self,
        number: int,
        sample: Sample,
        mode: SentMode,
        said: tuple[str, ...],
        stop: threading.Event,
    ) -> LeaksSample:
        self.said[mode, number] = said
        return LeaksSample(number, sample.id, mode, "device", "refused", 3, 0, 0, Received())


@pytest.fixture
def opened(data: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    """The adapters of the device models that were opened; no model is loaded."""
    found: list[Path | None] = []

    def device(path: Path, *, threads: int, adapter: Path | None) -> AbstractContextManager[None]:
        found.append(adapter)
        return nullcontext()

    def get_model(name: str, **_: object) -> Path:
        path = Path(f"{name}.gguf")
        path.write_text(name)
        return path

    monkeypatch.setattr("cogenesis.cli.models.fetch_model", get_model)
    monkeypatch.setattr("cogenesis.engines.known_model.get_model", get_model)
    monkeypatch.setattr("cogenesis.evaluation.leaks_work.LlamaCpp", device)
    monkeypatch.setattr("cogenesis.evaluation.leaks_work.LeaksStage", Stage)
    monkeypatch.setattr(Stage, "said", {})
    return found


def test_the_device_model_has_the_adapter_of_write_and_the_file_knows_it(
    opened: list[Path | None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = find_adapter("demo-device", None)
    assert shipped is not None
    about, arguments = {}, ["--data", "people.json", "--mode", "sketch", "--limit", "2", "--json"]
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


def test_a_file_is_not_gone_on_with_by_another_model_of_the_same_name(
    opened: list[Path | None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", "people.json", "--mode", "sketch", "--limit", "1", "--json"]
    arguments += ["--adapter", "none", "--save", "leaks.jsonl", "--resume"]
    assert run(monkeypatch, *arguments) == run(monkeypatch, *arguments) == 0
    assert len(opened) == 1

    def another(name: str, **_: object) -> Path:
        path = Path(f"{name}.gguf")
        path.write_text("another one" if name == "demo-cloud" else name)
        return path

    monkeypatch.setattr("cogenesis.cli.models.fetch_model", another)
    capsys.readouterr()
    before = Path("leaks.jsonl").read_text()
    assert run(monkeypatch, *arguments) == 2
    assert "with another cloud_sha256: use" in " ".join(capsys.readouterr().err.split())
    assert Path("leaks.jsonl").read_text() == before
    # A file of before the sums were noted.
    head, *rest = before.splitlines()
    told = json.loads(head)
    for role in ("device", "cloud"):
        del told["about"][f"{role}_sha256"]
    Path("leaks.jsonl").write_text("\n".join([json.dumps(told), *rest]) + "\n")
    assert run(monkeypatch, *arguments) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "another device_sha256, cloud_sha256 or before that was noted" in said
    assert "name another file" in said


def with_one_too_long() -> None:
    """The second person's instruction fits no window."""
    people = json.loads(Path("people.json").read_text())
    people[1]["conversations"][0]["value"] = "Write a note: " + "word " * 5_000
    Path("people.json").write_text(json.dumps(people))


def test_an_instruction_that_cannot_be_used_ends_no_measurement_of_references(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_one_too_long()
    arguments = ["--data", "people.json", "--text", "reference", "--mode", "sketch"]
    assert run(monkeypatch, *arguments, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["data_sha256"] == sha256_of(data)
    (mode,) = told["modes"]
    assert (mode["texts"], mode["without_cloud"]) == (6, {"too-long": 1})


def test_an_instruction_that_cannot_be_used_is_no_text_of_a_stage(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Relay:
        def take(self) -> list[Request]:
            return []

    with_one_too_long()
    device, cloud = ScriptedModel(seed=1), ScriptedModel(["- one\n- two"] * 9, role="cloud")
    stage = LeaksStage(cast(LlamaCpp, device), Path("none.gguf"), LeaksSettings())
    monkeypatch.setattr(stage, "_assistant", Assistant(device, cloud=cloud))
    monkeypatch.setattr(stage, "_connection", cloud)
    monkeypatch.setattr(stage, "_relay", Relay())
    sample = read_samples(data)[1]
    found = stage.measure(2, sample, "sketch")
    assert (found.written, found.degraded, found.tokens) == ("none", "too-long", 0)
    assert LeaksSample.from_json(json.loads(json.dumps(found.to_json()))) == found


class Losing:
    """An engine whose workers die of one item, and that gives the others the last one first."""

    at_a_time = 1

    def __enter__(self) -> Losing:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(
        self, opening: LeaksWork, items: Iterable[tuple[str, LeaksItem]]
    ) -> Iterator[Done[LeaksSample] | Lost]:
        with pickle.loads(pickle.dumps(opening)).open(Place.here()) as work:
            for key, item in reversed(list(items)):
                yield Lost(key, 3) if item[1] == 2 else Done(key, work(item), 0.1)


def test_what_is_measured_elsewhere_is_told_in_its_order_and_what_is_lost_is_told(
    opened: list[Path | None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The twin of the first person comes last: what the first one said is known to its worker."""
    people = json.loads(Path("people.json").read_text())
    people.append({**people[0], "tid": "twin"})
    Path("people.json").write_text(json.dumps(people))
    monkeypatch.setattr("cogenesis.cli.evaluate_leaks.chosen_engine", lambda *_, **__: Losing())
    arguments = ["--data", "people.json", "--mode", "fusion", "--save", "leaks.jsonl", "--json"]
    assert run(monkeypatch, *arguments) == 0
    told = capsys.readouterr()
    assert "sample 2 is not measured in fusion mode: 3 workers died" in told.err
    report = json.loads(told.out)
    assert [(each["sample"], each["mode"]) for each in report["skipped"]] == [(2, "fusion")]
    assert report["modes"][0]["texts"] == 6
    assert Stage.said["fusion", 7] == ("Write a note",)
    assert Stage.said["fusion", 1] == Stage.said["fusion", 3] == ()
    # Only what was lost is missing the next time.
    Stage.said.clear()
    monkeypatch.setattr(
        "cogenesis.cli.evaluate_leaks.chosen_engine", lambda *_, **__: LocalEngine(at_a_time=1)
    )
    assert run(monkeypatch, *arguments, "--resume") == 0
    assert list(Stage.said) == [("fusion", 2)]
    assert json.loads(capsys.readouterr().out)["modes"][0]["texts"] == 7


@pytest.mark.parametrize("changed", ["people.json", "demo-device", "lora.gguf"])
def test_a_worker_with_another_file_measures_nothing(
    changed: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogenesis.engines.known_model.get_model", Path)
    for name in ("demo-device", "demo-cloud", "lora.gguf"):
        Path(name).write_text(name)
    device = KnownModel.of("demo-device", Path("demo-device"), "lora.gguf")
    cloud = KnownModel.of("demo-cloud", Path("demo-cloud"))
    work = LeaksWork(LeaksSettings(), KnownFile.of(data), device, cloud)
    Path(changed).write_text(Path(changed).read_text() + " ")
    with pytest.raises(InputError, match="started with"), work.open(Place.here()):
        pass
