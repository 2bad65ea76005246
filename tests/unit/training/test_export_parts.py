"""What an export refuses before it writes, whom its files are for, and what cards say of data."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, get_args

import pytest

from cogenesis.cli import train_export
from cogenesis.errors import InputError
from cogenesis.fusion.gate_file import TrainedGate
from cogenesis.fusion.gates import SmallGate
from cogenesis.training import export_quantise, gate_card
from cogenesis.training.card import Ingredient, terms
from cogenesis.training.export_base import check_base
from cogenesis.training.export_card import write_card
from cogenesis.training.export_files import check_target, replacing
from cogenesis.training.run_folder import RunFolder

MINE, OTHER = "a" * 64, "b" * 64


def test_the_command_knows_the_types_that_can_be_written() -> None:
    assert get_args(train_export.FileType) == get_args(export_quantise.FileType)


def a_run(folder: Path, told: object) -> Path:
    (folder / "adapter").mkdir()
    (folder / "run.json").write_text(json.dumps(told))
    return folder / "adapter"


@pytest.mark.parametrize(
    ("base", "asked", "compared"),
    [
        ({"name": "mine.gguf", "form": "gguf"}, MINE, True),
        ({"name": "demo-device"}, MINE, True),
        ({"name": "owner/name", "form": "folder"}, OTHER, False),
        ({"name": "a folder"}, OTHER, False),
    ],
)
def test_a_base_is_compared_with_what_the_run_wrote_down(
    tmp_path: Path, base: dict[str, str], asked: str, compared: bool
) -> None:
    adapter = a_run(tmp_path, {"asked": {"base": asked}, "base": base})
    assert check_base(adapter, Path("mine.gguf"), MINE) is compared


@pytest.mark.parametrize(
    "base", [{"name": "x/mine", "form": "gguf"}, {"name": "mine.gguf"}, {"name": "demo-device"}]
)
def test_another_base_is_refused(tmp_path: Path, base: dict[str, str]) -> None:
    adapter = a_run(tmp_path, {"asked": {"base": OTHER}, "base": base})
    with pytest.raises(InputError, match=r"was tuned on “.*bbbbbbbbbbbb.*aaaaaaaaaaaa"):
        check_base(adapter, Path("mine.gguf"), MINE)


@pytest.mark.parametrize("told", [{}, [], {"asked": {}}, {"asked": {"base": MINE}, "base": 3}])
def test_a_run_that_does_not_know_its_base_is_told(tmp_path: Path, told: Any) -> None:
    with pytest.raises(InputError, match="does not say which base"):
        check_base(a_run(tmp_path, told), Path("mine.gguf"), MINE)


def test_adapters_of_other_programs_are_believed(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    assert not check_base(tmp_path / "adapter", Path("mine.gguf"), MINE)


def test_the_base_is_never_replaced(tmp_path: Path) -> None:
    base, link, other = (tmp_path / name for name in ("base.gguf", "link.gguf", "other.gguf"))
    base.write_bytes(b"GGUF")
    link.symlink_to(base)
    for out in (base, link, tmp_path / "." / "base.gguf"):
        for read in (base, link):
            with pytest.raises(InputError, match="is the base itself"):
                check_target(out, read, force=True)
    other.write_bytes(b"old")
    with pytest.raises(InputError, match="--force"):
        check_target(other, base, force=False)
    check_target(other, base, force=True)


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_what_is_exported_is_its_owners_alone(tmp_path: Path) -> None:
    out = tmp_path / "a.gguf"
    for mode in (None, 0o644):  # also where an older one was open to all
        if mode is not None:
            out.chmod(mode)
            (tmp_path / "a.gguf.md").chmod(mode)
        with replacing(out) as place:
            place.write_bytes(b"GGUF")
        base = Ingredient("base", "b.gguf", MINE, "mit")
        for compared in (True, False):
            card = write_card(
                out, tuned=tmp_path, base=base, compared=compared, command="c", how="so"
            )
            text = card.read_text("utf-8")
            assert "chmod a+r" in text and "b.gguf" in text
            assert ("Nothing tells the GGUF file" in text) is not compared
        for each in (out, card):
            assert stat.S_IMODE(each.stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.gguf", "a.gguf.md"]


@pytest.mark.parametrize(
    ("origins", "told"),
    [
        ([], "as its makers state"),
        (["", ""], "as its makers state"),
        (["somebody's secret"], "as its makers state"),
        (["synthetic"] * 3, "synthetic: of people who do not exist"),
        (["published"], "published: as its makers state"),
        (["own", "own", ""], "2 own texts: private; 1 as its makers state"),
    ],
)
def test_a_card_says_what_the_samples_say_of_themselves(origins: list[str], told: str) -> None:
    assert terms(origins) == told


def test_the_card_of_a_gate_names_data_and_every_adapter(tmp_path: Path) -> None:
    device = {"name": "small", "sha256": ["c"], "adapter": [MINE, None]}
    data = {"name": "d.json", "sha256": OTHER, "origins": ["synthetic"]}
    gate = TrainedGate(SmallGate.untrained(0.5), "mixture", "small", device, {}, {"data": [data]})
    told = {"kind": "small", "rule": "mixture", "folds": 2, "seed": 0, "parameters": 1}
    told |= {"samples": 3, "systems": []}
    gate_card.write_card(tmp_path / "g.npz", gate, told, "c")
    card = (tmp_path / "g.npz.md").read_text("utf-8")
    assert f"{MINE}, none" in card and "synthetic: of people who do not exist" in card


@pytest.mark.parametrize("asked", [{}, [], None, "x"])
def test_a_run_that_no_longer_says_what_was_asked_is_damaged(tmp_path: Path, asked: Any) -> None:
    """Not a list of every setting that "was None"."""
    (tmp_path / "run.json").write_text(json.dumps({"asked": asked}))
    with pytest.raises(InputError, match="is damaged") as caught:
        RunFolder(tmp_path, {"asked": {"rank": 4, "seed": 0}}, resume=True)
    assert "None" not in str(caught.value)
