"""What a worker of `evaluate bits` opens: the same files as where the run began, or nothing."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cogenesis.engines.cloud import CloudAddress
from cogenesis.engines.engine import Done, ItemT, Lost, Opening, Place, Plain, ResultT, open_engine
from cogenesis.engines.known_file import KnownFile
from cogenesis.engines.known_model import KnownModel
from cogenesis.errors import ContextError, InputError
from cogenesis.evaluation.bits import BitsSettings
from cogenesis.evaluation.bits_pairing import GateFile, Pair, Pairing
from cogenesis.evaluation.bits_work import BitsWork, Worked, worked
from cogenesis.evaluation.numbered_samples import known_samples, numbered_samples
from cogenesis.fusion.gate_file import load_gate
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import TokenIds
from cogenesis.models.scripted import ScriptedModel
from tests.unit.evaluation.test_bits_samples import PERSON, Cuts, sample
from tests.unit.models.tiny_gguf import tiny_gguf

ELSEWHERE = replace(Place.here(), machine=replace(Place.here().machine, name="node7"))


@pytest.fixture
def data(tmp_path: Path) -> KnownFile:
    path = tmp_path / "people.json"
    path.write_text(json.dumps([sample(), PERSON, sample()]))
    return KnownFile.of(path)


def quiet(number: int, why: str) -> None:
    """Nothing is told."""


def test_a_worker_reads_the_file_that_the_run_was_started_with(data: KnownFile) -> None:
    assert list(numbered_samples(data.at(ELSEWHERE), quiet=True)) == [1, 3]
    data.path.write_text(json.dumps([sample()]))
    with pytest.raises(InputError, match="node7 is not the file that the run was started with"):
        data.at(ELSEWHERE)


def test_what_a_worker_looks_samples_up_in_is_what_was_looked_at_before(data: KnownFile) -> None:
    """Marks and all: in the bytes that it read itself, and in each sample that it reads again."""
    opened = known_samples(data, ELSEWHERE)
    assert list(opened) == [1, 3]
    for other in (json.dumps([sample(), sample()]), "[{", ""):
        data.path.write_text(other)
        with pytest.raises(InputError, match="node7 is not the file that the run was started with"):
            known_samples(data, ELSEWHERE)
    with pytest.raises(ContextError, match="was changed"):
        opened[1]
    data.path.unlink()
    with pytest.raises(InputError, match=r"on node7: .* a folder that all machines"):
        known_samples(data, ELSEWHERE)


def test_a_file_that_a_worker_cannot_see_is_told(data: KnownFile) -> None:
    data.path.unlink()
    with pytest.raises(InputError, match=r"on node7: .* a folder that all machines"):
        data.at(ELSEWHERE)
    with pytest.raises(InputError, match="cannot be read"):
        KnownFile.of(data.path)


def test_a_model_is_the_same_one_by_name_path_and_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("small.gguf")
    path.write_bytes(tiny_gguf())
    told = KnownModel.of("small.gguf", path)
    assert told.name == str(tmp_path / "small.gguf")
    assert KnownModel.of("demo-cloud", path).name == "demo-cloud"
    assert told.at(ELSEWHERE) == (tmp_path / "small.gguf", None)
    path.write_bytes(tiny_gguf()[:-1] + b"x")
    with pytest.raises(InputError, match=r"small\.gguf on node7 is not the file"):
        told.at(ELSEWHERE)


def test_an_adapter_is_the_same_one_by_its_sum(tmp_path: Path) -> None:
    path, lora = tmp_path / "small.gguf", tmp_path / "lora.gguf"
    path.write_bytes(tiny_gguf())
    lora.write_bytes(b"one")
    told = KnownModel.of(str(path), path, str(lora))
    assert told.at(ELSEWHERE) == (path, lora)
    lora.write_bytes(b"two")
    with pytest.raises(InputError, match=r"lora\.gguf on node7 is not the file"):
        told.at(ELSEWHERE)
    with pytest.raises(InputError, match=r"the adapter of .* is not there on node7"):
        replace(told, adapter=None).at(ELSEWHERE)


def test_a_gate_is_the_same_one_by_its_sum() -> None:
    gate = GateFile("fusion:gate", Path("demo"), load_gate(Path("demo")).digest)
    assert gate.load(ELSEWHERE).digest == gate.digest
    with pytest.raises(InputError, match="is not the file"):
        replace(gate, digest="0" * 64).load(ELSEWHERE)


def test_what_goes_to_a_worker_holds_neither_texts_nor_keys(
    data: KnownFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "secret-1")
    cloud = CloudAddress.of("http://127.0.0.1:9", "m", key_env="A_KEY", ledger=tmp_path / "l")
    gate = GateFile("fusion:gate", Path("demo"), "0")
    work = BitsWork(Pairing(data, "http://127.0.0.1:8", cloud, BitsSettings()), (gate,))
    sent = pickle.dumps(work)
    assert pickle.loads(sent) == work
    for private in (b"Ashdown", b"Marigold", b"secret-1"):
        assert private not in sent


class Reading(ScriptedModel, Cuts):
    """A device model that notes what it is asked about."""

    def __init__(self) -> None:
        ScriptedModel.__init__(self, seed=1)
        Cuts.__init__(self)
        self.read: list[bytes] = []

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        self.read.append(self.decode(prefix))
        return super().next_distribution(prefix, k)


def test_each_sample_finds_the_same_cache_whatever_came_before(data: KnownFile) -> None:
    model: Any = Reading()
    running: Any = None
    samples = numbered_samples(data.path)
    pair = Pair(samples, model, None, running, BitsSettings(max_tokens=20))
    for number in (3, 1):
        found = pair.task(number)
        assert not isinstance(found, str)
        assert (found[0].number, len(found[0].ids)) == (number, 20)
    assert [b"brown fox" in each for each in model.read] == [True, True]


def test_a_sample_that_cannot_be_measured_says_why(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    path.write_text(json.dumps([sample("Wren Ashdown"), sample()]))
    running: Any = None
    model: Any = Reading()
    pair = Pair(numbered_samples(path), model, None, running, BitsSettings())
    told = pair.task(1)
    assert isinstance(told, str)
    assert told.startswith("the guard releases no general instruction")
    model._extra = b" "
    told = pair.task(2)
    assert isinstance(told, str)
    assert "do not spell" in told


class Dying:
    """An engine in which workers die at item 2; the last item is done first."""

    at_a_time = 1

    def map(
        self, opening: Opening[ItemT, ResultT], items: Iterable[tuple[str, ItemT]]
    ) -> Iterator[Done[ResultT] | Lost]:
        with opening.open(Place.here()) as work:
            for key, item in reversed(list(items)):
                yield Lost(key, 3) if item == 2 else Done(key, work(item), 0.5)


def test_a_lost_sample_is_told_and_left_out() -> None:
    told: dict[int, str] = {}
    plain: Plain[int, float | str] = Plain(lambda number: "no" if number == 3 else number * 2.0)
    found = list(worked(Dying(), plain, [1, 2, 3], lambda number, why: told.update({number: why})))
    assert found == [Worked(3, None, 0.5), Worked(2, None), Worked(1, 2.0, 0.5)]
    assert told == {2: "3 workers died at it: their machine may lack memory", 3: "no"}


def test_one_at_a_time_is_what_a_pair_of_models_takes(data: KnownFile) -> None:
    with open_engine("local", at_a_time=None) as engine:
        assert engine.at_a_time == 1
        plain: Plain[int, float | str] = Plain(float)
        numbers = numbered_samples(data.path)
        assert [each.result for each in worked(engine, plain, numbers, quiet)] == [1.0, 3.0]
