"""Writing texts as the work of an engine, with a scripted device model: what goes where."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cogenesis.cli.evaluate_texts import TextOptions, find_texts
from cogenesis.cli.evaluate_writing import TextItem, TextWork, chosen_systems, model_names
from cogenesis.engines.engine import Done, Lost, Place
from cogenesis.engines.known_file import KnownFile
from cogenesis.errors import EgressError, InputError
from cogenesis.evaluation.generation import WrittenText, content_key, open_texts, read_texts
from cogenesis.models.scripted import ScriptedModel
from tests.unit.evaluation.test_leaks_report import TOPICS, person

HERE = "http://127.0.0.1:1"
"""A device model served on this device: nothing is fetched. It is not asked either."""


@pytest.fixture(autouse=True)
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The device models that were opened, in a folder with the data of six people."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "home"))
    Path("people.json").write_text(json.dumps([person(*each) for each in TOPICS.items()]))
    found: list[str] = []

    def open_device(_stack: object, device: str, **_: object) -> ScriptedModel:
        found.append(device)
        return ScriptedModel(lambda prompt: f"{len(prompt)} {device[-1]}")

    monkeypatch.setattr("cogenesis.cli.evaluate_writing.open_device", open_device)
    return found


def options(**more: Any) -> TextOptions:
    given: dict[str, Any] = {
        "data": Path("people.json"),
        "limit": 3,
        "systems": ("device", "device:zero-shot"),
        "texts": Path("texts.jsonl"),
        "unsafe": False,
        "device": HERE,
        "adapter": None,
        "zero_shot": "http://127.0.0.1:2",
        "cloud": "demo-cloud",
        "cloud_url": None,
        "cloud_model": None,
        "cloud_kind": "auto",
        "cloud_key_env": "",
        "gate": None,
        "max_tokens": 6,
        "window": 4096,
        "seed": 0,
    }
    return TextOptions(**(given | more))


class Elsewhere:
    """An engine whose worker gets everything pickled, works backwards, and dies of sample 2."""

    at_a_time = 1

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.items: list[TextItem] = []

    def __enter__(self) -> Elsewhere:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(
        self, opening: TextWork, items: Iterable[tuple[str, TextItem]]
    ) -> Iterator[Done[tuple[WrittenText, ...]] | Lost]:
        self.sent.append(pickle.dumps(opening))
        with pickle.loads(self.sent[0]).open(Place.here()) as work:
            for key, item in reversed(list(items)):
                self.items.append(item)
                if item.number == 2:
                    yield Lost(key, 3)
                    continue
                self.sent += [pickle.dumps(item), pickle.dumps(work(item))]
                yield Done(key, pickle.loads(self.sent[-1]), 0.1)


def test_texts_from_elsewhere_are_those_from_here(
    opened: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = find_texts(options(texts=Path("here.jsonl")))
    assert opened == [HERE, "http://127.0.0.1:2"]  # each once, the one before tuning at last
    engine = Elsewhere()
    monkeypatch.setattr("cogenesis.cli.evaluate_texts.chosen_engine", lambda *_, **__: engine)
    there = find_texts(options())
    assert "sample 2 is not written (device): 3 workers died" in capsys.readouterr().err
    assert [(each["sample"], each["systems"]) for each in there.skipped] == [
        (2, ["device:zero-shot"]),
        (2, ["device"]),
    ]
    assert [(each.number, each.systems) for each in engine.items[-2:]] == [
        (2, ("device",)),
        (1, ("device",)),
    ]
    for system in ("device", "device:zero-shot"):
        found = there.written[system]
        assert list(found) == [1, 3]
        for number, text in found.items():
            assert replace(text, seconds=0.0) == replace(here.written[system][number], seconds=0.0)
    # What a person wrote and was asked stays in the file that every worker reads for itself.
    assert not any(b"orchids" in each or b"Dear all" in each for each in engine.sent)


def test_what_was_lost_is_written_the_next_time_and_nothing_else(
    opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        engine = Elsewhere()
        monkeypatch.setattr(
            "cogenesis.cli.evaluate_texts.chosen_engine", lambda *_, e=engine, **__: e
        )
        find_texts(options(systems=("device",)))
    assert [each.number for each in engine.items] == [2]
    assert [each.sample for each in read_texts(Path("texts.jsonl"))] == [3, 1]


def work_of(chosen: TextOptions) -> TextWork:
    names = model_names(chosen, chosen_systems(chosen))
    return TextWork.of(chosen, KnownFile.of(chosen.data), names, [])


def test_a_worker_with_other_data_or_models_writes_nothing(opened: list[str]) -> None:
    work = work_of(options())
    other = replace(work, options=replace(work.options, window=2048))
    with pytest.raises(InputError, match="not the one that the run"), other.open(Place.here()):
        pass
    Path("people.json").write_text(json.dumps([person("Ada Bellamy", "stamps")] * 2))
    with pytest.raises(InputError, match="is not the file"), work.open(Place.here()):
        pass
    Path("people.json").unlink()
    with pytest.raises(InputError, match="cannot be read"), work.open(Place.here()):
        pass
    assert opened == []


def test_ours_are_written_beside_those_of_another_program(opened: list[str]) -> None:
    with open_texts(Path("texts.jsonl"), Path("people.json")) as file:
        for number in (1, 2):
            file.add(WrittenText(content_key("gpt4", number), "gpt4", number, "Hello"))
    found = find_texts(options(limit=2, systems=("gpt4", "device")))
    assert [list(found.written[name]) for name in ("gpt4", "device")] == [[1, 2], [1, 2]]
    assert opened == [HERE]


def test_a_worker_that_comes_to_another_text_writes_nothing(opened: list[str]) -> None:
    item = TextItem(1, ("device",), ("another key",))
    with (
        work_of(options()).open(Place.here()) as work,
        pytest.raises(InputError, match="not the one that the run was started with"),
    ):
        work(item)
    assert opened == []


def test_a_worker_proves_anew_that_the_data_is_published(tmp_path: Path) -> None:
    """The flag goes to the worker, not the proof."""
    Path("own.json").write_text(json.dumps([person("Ada Bellamy", "stamps")]))
    work = work_of(options(data=Path("own.json"), unsafe=True, systems=("device",)))
    with pytest.raises(InputError, match="one person's own"), work.open(Place.here()):
        pass


def test_paths_do_not_depend_on_the_workers_folder(tmp_path: Path) -> None:
    for name in ("device.gguf", "lora.gguf", "gate.npz"):
        Path(name).write_text("x")
    chosen = options(device="device.gguf", adapter="lora.gguf", cloud="none/there.gguf")
    given = TextWork.of(
        replace(chosen, gate=Path("gate.npz")),
        KnownFile.of(chosen.data),
        model_names(chosen, []),
        [],
    ).options
    assert (given.device, given.adapter) == (f"{tmp_path}/device.gguf", f"{tmp_path}/lora.gguf")
    assert (given.data, given.gate) == (tmp_path / "people.json", tmp_path / "gate.npz")
    assert (given.cloud, given.zero_shot) == ("none/there.gguf", "http://127.0.0.1:2")


def test_a_bad_address_is_told_before_a_worker_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Elsewhere()
    monkeypatch.setattr("cogenesis.cli.evaluate_texts.chosen_engine", lambda *_, **__: engine)
    with pytest.raises(EgressError):
        find_texts(options(systems=("cloud",), cloud_url="ftp://example.com"))
    with pytest.raises(InputError, match="NO_SUCH_KEY is empty"):
        find_texts(options(systems=("cloud",), cloud_url=HERE, cloud_key_env="NO_SUCH_KEY"))
    assert engine.items == []
