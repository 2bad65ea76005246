"""Fitting gates: the loss is that of the fused distribution, and what is learned is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from cogenesis.errors import InputError
from cogenesis.fusion.gate_file import TrainedGate, load_gate
from cogenesis.fusion.gate_input import FEATURES, SEEN, most_probable
from cogenesis.fusion.gates import FixedWeight, PaperGate, SmallGate
from cogenesis.fusion.mixing import RULES
from cogenesis.fusion.target import Target
from cogenesis.training.gate import GateTraining
from cogenesis.training.gate_data import GateData, Positions, read_gate_data
from cogenesis.training.gate_fit import (
    FitSettings,
    best_fixed,
    fit_paper,
    fit_small,
    nats_at,
    paper_logits,
    small_logits,
)
from cogenesis.training.gate_rules import TORCH_RULES
from tests.training.texts import ABOUT, SIZE, WORDS, along, write

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gate") / "found.parquet"
    write(path)
    return path


@pytest.fixture(scope="module")
def data(file: Path) -> GateData:
    return read_gate_data([file])


@pytest.mark.parametrize("rule", sorted(TORCH_RULES))
def test_the_rules_are_those_of_decoding(rule: str) -> None:
    random = np.random.default_rng(0)
    a, b = (np.log(random.dirichlet(np.full(66, 0.1), size=500) + 1e-30) for _ in range(2))
    z = random.normal(size=500) * 4.0
    mine = TORCH_RULES[rule](*map(torch.from_numpy, (a, b, z))).numpy()
    for at in range(500):
        theirs = RULES[rule](a[at], b[at], float(1.0 / (1.0 + np.exp(-z[at]))))
        np.testing.assert_allclose(mine[at], theirs, atol=1e-6)


@pytest.mark.parametrize("rule", sorted(TORCH_RULES))
@pytest.mark.parametrize("weight", [0.1, 0.5, 0.9])
def test_a_position_costs_what_the_target_says(data: GateData, rule: str, weight: float) -> None:
    """Exact for the mixture. For logits, tokens outside the list are one lump: nearly."""
    z = np.full(len(data.positions), np.log(weight / (1.0 - weight)))
    mine = np.bincount(data.positions.text, nats_at(rule, data.positions, z))
    target = Target(rule=RULES[rule], gate=FixedWeight(weight))
    for at, words in enumerate(WORDS):
        found = [each for each in along(words) if each.row is not None]
        theirs = -sum(
            target.score(
                each.device, each.row.onto(each.device), each.step, each.gold, each.logprob
            )
            for each in found
            if each.row is not None
        )
        assert mine[at] == pytest.approx(theirs, rel=1e-3 if rule == "mixture" else 0.02)


def test_the_gate_never_sees_the_token_that_came(data: GateData) -> None:
    """Features are those that decoding computes, which does not know what comes."""
    rows, found = data.positions, along(WORDS[0])
    asked = [each for each in found if each.row is not None]
    gate = random_gate()
    z = small_logits(gate, rows)
    paper = fit_paper(rows, rows, FitSettings(paper_epochs=1), SIZE)
    paper_z = paper_logits(paper, rows)
    for at, each in enumerate(asked):
        device = most_probable(each.device, SEEN)
        assert each.row is not None
        for one, logits, tolerance in ((gate, z, 0.02), (paper, paper_z, 2e-3)):
            shaped = Target(gate=one).at(device, each.row.onto(device), each.step, ())
            assert shaped.weight == pytest.approx(1.0 / (1.0 + np.exp(-logits[at])), abs=tolerance)


def random_gate() -> SmallGate:
    random, n = np.random.default_rng(1), len(FEATURES)
    return SmallGate(
        random.normal(size=(4, n)) / 5.0, np.zeros(4), random.normal(size=4), np.zeros(n), 0.1
    )


def invented(count: int, seed: int, texts: int = 20) -> Positions:
    """The device is right where feature 0 is positive, the cloud elsewhere."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, len(FEATURES))).astype(np.float32)
    right, wrong = np.log([0.8, 0.1, 0.1]), np.log([0.1, 0.8, 0.1])
    good = (x[:, 0] > 0.0)[:, None]
    entries = np.concatenate(
        [np.where(good, 3, 4) * np.ones((1, 10), int), np.full((count, 10), 25)], 1
    )
    return Positions(
        text=np.sort(random.integers(0, texts, size=count)),
        device=np.where(good, right, wrong).astype(np.float32),
        cloud=np.where(good, wrong, right).astype(np.float32),
        gold=np.zeros(count, dtype=np.int64),
        x=x,
        entries=entries.astype(np.int64),
        values=np.ones((count, 20), dtype=np.float32),
    )


@pytest.mark.parametrize("rule", sorted(TORCH_RULES))
def test_both_networks_learn_whom_to_trust(rule: str) -> None:
    train, kept, test = (invented(600, seed) for seed in range(3))
    settings = FitSettings(rule=rule, epochs=60, batch=128, paper_epochs=8)
    fixed = nats_at(rule, test, np.zeros(len(test))).mean()
    small = fit_small(train, kept, settings)
    paper = fit_paper(train, kept, settings, 20)
    assert nats_at(rule, test, small_logits(small, test)).mean() < 0.6 * fixed
    assert nats_at(rule, test, paper_logits(paper, test)).mean() < 0.6 * fixed
    assert small.parameters * 10 < paper.parameters


def test_a_gate_that_cannot_learn_is_the_best_fixed_weight() -> None:
    train, kept = invented(300, 0), invented(300, 1)
    for one in (train, kept):
        one.x[:] = 0.0
    gate = fit_small(train, kept, FitSettings(epochs=5))
    weight = 1.0 / (1.0 + np.exp(-small_logits(gate, kept)))
    np.testing.assert_allclose(weight, weight[0])
    assert weight[0] == pytest.approx(best_fixed("mixture", train), abs=0.1)


def test_the_same_seed_gives_the_same_gate() -> None:
    train, kept = invented(300, 0), invented(100, 1)
    settings = FitSettings(epochs=3, paper_epochs=1)
    one, two = (fit_small(train, kept, settings) for _ in range(2))
    np.testing.assert_array_equal(one.w, two.w)
    three, four = (fit_paper(train, kept, settings, 20) for _ in range(2))
    np.testing.assert_array_equal(three.first, four.first)
    other = fit_small(train, kept, FitSettings(seed=1, epochs=3))
    assert np.abs(one.w - other.w).max() > 0.0


def test_the_papers_rows_that_nothing_touches_stay_as_they_were_drawn() -> None:
    train, kept = invented(300, 0), invented(100, 1)
    gate = fit_paper(train, kept, FitSettings(paper_epochs=2), 20)
    drawn = np.random.default_rng(0).random((40, 512), dtype=np.float32) * 2.0 - 1.0
    drawn *= np.float32(1.0 / np.sqrt(40.0))
    touched = np.unique(np.concatenate([train.entries, kept.entries]))
    left = np.setdiff1d(np.arange(40), touched)
    np.testing.assert_allclose(gate.first[left], drawn[left], atol=1e-6)
    assert np.abs(gate.first[touched] - drawn[touched]).max() > 1e-3


def test_people_are_scored_by_gates_of_other_people(data: GateData) -> None:
    training = GateTraining(data, FitSettings(epochs=3, paper_epochs=1))
    report = training.cross_validate(["small", "paper"], 4)
    names = [each["name"] for each in report["systems"]]
    assert names == [
        "device", "fusion:mixture", "fusion:mixture@best", "fusion:gate", "fusion:gate:paper"
    ]  # fmt: skip
    assert (report["samples"], report["tokens"]) == (8, sum(map(len, WORDS)))
    assert {(each["name"], each["than"]) for each in report["differences"]} >= {
        ("fusion:gate", "device"), ("fusion:gate", "fusion:gate:paper")
    }  # fmt: skip
    # The even mixture by hand, over all texts.
    nats = sum(
        -Target(gate=FixedWeight(0.5)).score(
            each.device,
            None if each.row is None else each.row.onto(each.device),
            each.step,
            each.gold,
            each.logprob,
        )
        for words in WORDS
        for each in along(words)
    )
    even = next(each for each in report["systems"] if each["name"] == "fusion:mixture")
    size = sum(map(len, WORDS))
    assert even["bits_per_byte"] == pytest.approx(nats / np.log(2.0) / size, rel=1e-3)


def test_nobody_who_stops_a_fit_is_fitted_to(data: GateData) -> None:
    training = GateTraining(data, FitSettings())
    train, kept = training._divided(np.ones(8, dtype=np.bool_))
    assert set(train.text) | set(kept.text) == set(range(8))
    assert not set(train.text) & set(kept.text)


def test_gates_are_fitted_to_texts_that_the_device_was_not_tuned_on(tmp_path: Path) -> None:
    """Cross-fitting: seen texts are left out, and fitted to for comparison only."""
    path = tmp_path / "both.parquet"
    write(path, seen=lambda number: number % 2 == 0)
    found = read_gate_data([path])
    training = GateTraining(found, FitSettings(epochs=2))
    np.testing.assert_array_equal(training._fitting(seen=False), [True, False] * 4)
    report = training.cross_validate(["small"], 4)
    assert report["samples"] == 4
    assert {each["name"] for each in report["systems"]} >= {"fusion:gate", "fusion:gate:seen"}


def test_files_of_other_models_do_not_fit_together(tmp_path: Path, file: Path) -> None:
    other = tmp_path / "other.parquet"
    write(other, WORDS[:1], about={**ABOUT, "cloud": {"name": "far", "sha256": "else"}})
    with pytest.raises(InputError, match="another cloud model"):
        read_gate_data([file, other])
    few = tmp_path / "few.parquet"
    write(few, WORDS[:2])
    with pytest.raises(InputError, match="three groups"):
        GateTraining(read_gate_data([few]), FitSettings())
    with pytest.raises(InputError, match="has none"):
        FitSettings(rule="max")


def test_a_gate_of_several_adapters_names_them_all(tmp_path: Path) -> None:
    from cogenesis.cli.train_gate import _made_of

    files = [tmp_path / f"{at}.parquet" for at in range(2)]
    for at, path in enumerate(files):
        tuned = {**ABOUT["device"], "adapter": f"fold {at}"}
        write(path, WORDS[4 * at : 4 * at + 4], about={**ABOUT, "device": tuned})
    made_of = _made_of(read_gate_data(files))
    assert made_of["device"]["adapter"] == ["fold 0", "fold 1"]
    assert made_of["device"]["sha256"] == ["d", "d"]
    assert _made_of(read_gate_data(files[:1]))["device"]["adapter"] == "fold 0"


@pytest.mark.parametrize("kind", ["small", "paper"])
def test_the_command(
    kind: Literal["small", "paper"], file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cogenesis.cli.train_gate import gate

    out = tmp_path / "gate.npz"
    gate([file], out, kind=kind, folds=2, hidden=4, rule="logits", as_json=True, seed=1,
         threads=1, compare=False)  # fmt: skip
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    found = load_gate(out)
    assert isinstance(found, TrainedGate)
    assert (found.kind, found.rule) == (kind, "logits")
    assert isinstance(found.gate, SmallGate if kind == "small" else PaperGate)
    assert found.gate.parameters == told["parameters"]
    assert found.about["metrics"]["systems"] == told["systems"]
    assert found.about["data"] == told["data"] == [ABOUT["data"]]
    assert found.device == told["device"] == {**ABOUT["device"], "sha256": ["d"]}
    assert found.cloud == told["cloud"] == ABOUT["cloud"]
    private = "as private as the texts" in (tmp_path / "gate.npz.md").read_text("utf-8")
    assert private is (kind == "paper")
    with pytest.raises(InputError, match="npz"):
        gate([file], tmp_path / "gate.bin")
