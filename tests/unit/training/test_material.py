"""What is read before a model is tuned: who stands on which side, and what the card says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cogenesis.training.device import TuneFiles, _ingredients, read_material
from cogenesis.training.examples import hold_out, read_data
from cogenesis.training.folds import group_of
from cogenesis.training.settings import TuneSettings
from tests.training.tiny import people, write_people


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
