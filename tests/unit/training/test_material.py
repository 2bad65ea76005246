"""What is read before a model is tuned: who stands on which side, and what the card says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cogenesis.errors import InputError
from cogenesis.training.device import TuneFiles, _ingredients, read_material
from cogenesis.training.examples import hold_out, read_data
from cogenesis.training.folds import group_of
from cogenesis.training.settings import TuneSettings
from tests.training.tiny import people, write_people, write_sketches


def test_a_group_that_samples_name_is_never_on_both_sides(tmp_path: Path) -> None:
    """Ids of other data name no group, and a published id may stand in a larger one."""
    marked = [
        {**each, "tid": f"letter {number}", "group": f"choir {number % 4}"}
        for number, each in enumerate(people(12))
    ]
    marked[3]["tid"] = "1_1_1"
    (tmp_path / "people.json").write_text(json.dumps(marked))
    found = read_data(tmp_path / "people.json", pytest.fail).samples
    for seed in range(5):
        learned, held = hold_out(found, 0.3, seed)
        assert len(held) in {3, 6} and len(learned) + len(held) == 12
        assert not {each.group for each in learned} & {each.group for each in held}
    named = [group_of(each.id, 1, each.group) for each in found]
    assert named[3] == "choir 3" and group_of("letter 1", 1) == "letter 1"


def test_the_card_says_what_the_samples_say_of_their_origin(tmp_path: Path) -> None:
    marked = [{**each, "origin": "synthetic"} for each in people(3)]
    (tmp_path / "people.json").write_text(json.dumps(marked))
    other = write_people(tmp_path / "other.json")
    asked = TuneFiles((tmp_path / "people.json",), other, None, tmp_path)
    told = _ingredients(read_material(asked, TuneSettings(), pytest.fail))
    assert [(each.role, each.licence, each.size) for each in told] == [
        ("data", "synthetic: of people who do not exist", "3 entries"),
        ("validation", "as its makers state", "6 entries"),
    ]


@pytest.mark.parametrize("second", ["data", "validation"])
def test_an_outline_is_never_taken_for_a_sample_of_another_file(
    second: str, tmp_path: Path
) -> None:
    """Without a tid samples are called by their numbers, in each file from 1."""
    bare = [{key: each[key] for key in each if key != "tid"} for each in people(4)]
    for name, some in {"one.json": bare[:2], "two.json": bare[2:]}.items():
        (tmp_path / name).write_text(json.dumps(some))
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    outlines = write_sketches(tmp_path / "sketches.jsonl", 2)
    both = TuneFiles((one, two), None, outlines, tmp_path)
    asked = both if second == "data" else TuneFiles((one,), two, outlines, tmp_path)
    with pytest.raises(InputError, match="2 ids stand at several samples"):
        read_material(asked, TuneSettings(forms=("with-context", "with-sketch")), pytest.fail)
    assert read_material(asked, TuneSettings(forms=("with-context",)), pytest.fail).learned
    (tmp_path / "one.json").write_text(json.dumps(people(4)[:2]))
    assert read_material(asked, TuneSettings(forms=("with-sketch",)), pytest.fail).learned


def test_a_data_file_is_called_by_its_name_alone(tmp_path: Path) -> None:
    folder = tmp_path / "letters of Ada Bellamy"
    folder.mkdir()
    asked = TuneFiles((write_people(folder / "people.json"),), None, None, tmp_path)
    (told,) = _ingredients(read_material(asked, TuneSettings(), pytest.fail))
    assert told.name == "people.json"
