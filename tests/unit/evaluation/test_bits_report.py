"""From texts to figures, and the file in between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cogenesis.errors import InputError
from cogenesis.evaluation.bits import Cost, TextCost
from cogenesis.evaluation.bits_file import SavedSamples
from cogenesis.evaluation.bits_report import SampleCost, bits_report


def sample(
    number: int, size: int, device: float, fused: float, *, off: float | None = None
) -> SampleCost:
    costs = {"on": Cost({"device": device, "fusion:mixture": fused}, 2, 3.0)}
    if off is not None:
        costs["off"] = Cost({"device": device, "fusion:mixture": off}, 1, 1.0)
    return SampleCost(number, f"p{number}", number == 2, TextCost(10, size, costs))  # type: ignore[arg-type]


ONE = sample(1, 100, 100.0, 90.0)
TWO = sample(2, 300, 240.0, 240.0)
ABOUT = {"data": "sum", "weights": (0.5,)}


def test_bits_of_all_texts_over_bytes_of_all_texts() -> None:
    told = bits_report([ONE, TWO])
    device, fused = told["systems"]
    # Half of the draws take both texts, a quarter each takes one of them twice.
    assert device == {
        "name": "device",
        "bits_per_byte": 0.85,
        "low": 0.8,
        "high": 1.0,
        "ratio_to_device": 1.0,
        "ratio_low": 1.0,
        "ratio_high": 1.0,
    }
    assert fused["bits_per_byte"] == 0.825
    assert (fused["low"], fused["high"]) == (0.8, 0.9)
    assert fused["ratio_to_device"] == round(330 / 340, 5)
    assert (fused["ratio_low"], fused["ratio_high"]) == (0.9, 1.0)  # of pairs
    assert (told["samples"], told["tokens"], told["bytes"], told["texts_cut"]) == (2, 20, 400, 1)
    assert told["held_back"] == {"share_of_positions": 0.2, "share_of_bits": round(6 / 340, 5)}
    assert not {"unshielded", "shield_cost"} & told.keys()


def test_the_shields_cost_is_the_difference_of_pairs() -> None:
    samples = [sample(1, 100, 100.0, 90.0, off=80.0), sample(2, 300, 240.0, 240.0, off=225.0)]
    told = bits_report(samples)
    assert told["unshielded"]["systems"][1]["bits_per_byte"] == 0.7625
    assert told["unshielded"]["held_back"]["share_of_positions"] == 0.1
    assert told["shield_cost"] == [
        {"name": "fusion:mixture", "bits_per_byte": 0.0625, "low": 0.05, "high": 0.1}
    ]
    assert told["systems"] == bits_report([ONE, TWO])["systems"]


def test_the_same_seed_gives_the_same_ranges() -> None:
    samples = [sample(n, 90 + 7 * n, 80.0 + (n * n) % 11, 75.0 + n % 5) for n in range(1, 9)]
    again = bits_report(samples)
    assert again == bits_report(samples)
    other = bits_report(samples, seed=1)
    assert other != again
    for one, two in zip(again["systems"], other["systems"], strict=True):
        assert one["bits_per_byte"] == two["bits_per_byte"]
        assert one["low"] < one["bits_per_byte"] < one["high"]
        assert one["low"] == pytest.approx(two["low"], abs=0.01)
        assert one["high"] == pytest.approx(two["high"], abs=0.01)


def test_one_text_leaves_nothing_to_chance() -> None:
    device = bits_report([ONE])["systems"][0]
    assert (device["low"], device["bits_per_byte"], device["high"]) == (1.0, 1.0, 1.0)


def test_without_a_sample_there_is_nothing_to_say() -> None:
    with pytest.raises(InputError, match="no sample"):
        bits_report([])


def saved(path: Path, *samples: SampleCost, resume: bool = False) -> dict[int, SampleCost]:
    with SavedSamples(path, lambda: ABOUT, resume=resume) as file:
        done = file.done
        for each in samples:
            file.add(each)
    return done


def test_what_was_measured_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "bits.jsonl"
    three = sample(3, 70, 50.0, 40.0, off=30.0)
    assert saved(path, ONE, resume=True) == {}
    assert saved(path, TWO, three, resume=True) == {1: ONE}
    assert saved(path, resume=True) == {1: ONE, 2: TWO, 3: three}
    assert len(path.read_text().splitlines()) == 4


def test_each_sample_is_on_the_disk_when_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "bits.jsonl"
    with SavedSamples(path, lambda: ABOUT, resume=False) as file:
        file.add(ONE)
        assert json.loads(path.read_text().splitlines()[1])["sample"] == 1


def test_half_a_first_line_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bits.jsonl"
    saved(path)
    path.write_bytes(path.read_bytes()[:-9])
    assert saved(path, ONE, resume=True) == {}
    assert saved(path, resume=True) == {1: ONE}


@pytest.mark.parametrize("lost", [1, 30, 100])
def test_half_a_line_costs_its_sample_only(lost: int, tmp_path: Path) -> None:
    path = tmp_path / "bits.jsonl"
    saved(path, ONE, TWO)
    path.write_bytes(path.read_bytes()[:-lost])
    assert saved(path, TWO, resume=True) == {1: ONE}
    assert saved(path, resume=True) == {1: ONE, 2: TWO}


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "bits.jsonl"
    saved(path, ONE)
    before = path.read_bytes()
    with pytest.raises(InputError, match="add --resume"):
        saved(path)
    assert path.read_bytes() == before


def test_another_measurement_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "bits.jsonl"
    saved(path, ONE)
    about = {**ABOUT, "weights": (0.5, 0.6), "new": 1}
    with pytest.raises(InputError, match="another weights, new: use the same"):
        SavedSamples(path, lambda: about, resume=True)


@pytest.mark.parametrize(
    "content",
    ["some notes\n", "[]\n", '{"about": 3}\n', '{"about": {}}\n{"sample": 1}\n', "7\n", "\xff\n"],
)
def test_another_file_is_left_alone(content: str, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"name another one|cannot be used"):
        saved(path, resume=True)
    assert path.read_bytes() == content.encode("latin-1")


def test_a_file_that_is_no_whole_line_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("do not lose me")
    with pytest.raises(InputError, match="name another one"):
        saved(path, resume=True)
    assert path.read_text() == "do not lose me"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be used for --save: Is a directory"):
        saved(tmp_path, resume=True)
    with pytest.raises(InputError, match="No such file"):
        saved(tmp_path / "none" / "bits.jsonl")
