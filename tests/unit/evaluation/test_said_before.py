"""What earlier samples of a person released, made again by whoever writes a later one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cogenesis.context.reader import Sample
from cogenesis.errors import GuardRefusedError
from cogenesis.evaluation.numbered_samples import numbered_samples
from cogenesis.evaluation.said_before import SaidBefore
from cogenesis.events import Task
from cogenesis.protection import Protection
from cogenesis.writing import general_instruction
from tests.unit.evaluation.test_leaks_report import person

WREN = person("Wren Okafor", "orchids") | {
    "profile": [{"title": "A note", "text": "Meet me and Quennell at the Golden Thread."}]
}
ADA = person("Ada Bellamy", "stamps")


def asking(who: dict[str, Any], instruction: str) -> dict[str, Any]:
    turns = [{"from": "user", "value": instruction}, who["conversations"][1]]
    return {**who, "conversations": turns}


@pytest.fixture
def samples(tmp_path: Path) -> Mapping[int, Sample]:
    """The name of a shop in two pieces, with another person and a sample without a task between."""
    asked = [
        asking(WREN, "A story that ends in golden: about a shop"),
        {"additional_profile": "Name: Bo"},
        asking(ADA, "A letter for friends: my stamps"),
        asking(WREN, "Thread and needle for beginners: what to buy"),
        asking(WREN, "A list of tools: what we need"),
    ]
    (tmp_path / "people.json").write_text(json.dumps(asked))
    found = numbered_samples(tmp_path / "people.json", quiet=True)
    assert list(found) == [1, 3, 4, 5]
    assert list(found.bad) == [2]
    return found


def released(protection: Protection, sample: Sample) -> str:
    task = Task(sample.instruction, sample.context)
    return general_instruction(task, protection.guard(task)).text


def test_only_the_same_persons_earlier_releases_are_remembered(
    samples: Mapping[int, Sample],
) -> None:
    said = SaidBefore(samples)
    assert said(3) == said(1) == ()
    assert said(4) == ("A story that ends in golden",)


def test_a_name_in_pieces_is_refused_by_whoever_writes_the_second_piece(
    samples: Mapping[int, Sample],
) -> None:
    """As one assistant that wrote all of them would; and what was refused is not remembered."""
    pieces = dict(samples)
    alone = Protection()
    assert released(alone, pieces[4]) == "Thread and needle for beginners"
    one = Protection()
    released(one, pieces[1])
    with pytest.raises(GuardRefusedError):
        released(one, pieces[4])
    said = SaidBefore(samples)
    assert said(5) == ("A story that ends in golden",)
    another = Protection()
    another.begin(pieces[4].context, said(4))
    with pytest.raises(GuardRefusedError):
        released(another, pieces[4])
    # Whatever this process wrote before, the session holds the earlier samples and no more.
    alone.begin(pieces[1].context, said(1))
    assert released(alone, pieces[1]) == "A story that ends in golden"


def test_whoever_has_no_name_is_known_by_the_whole_context(tmp_path: Path) -> None:
    def asked(instruction: str, nameless: bool, text: str = "Dear all") -> dict[str, Any]:
        who = {**WREN, "profile": [{"title": "A note", "text": text}]}
        if nameless:
            who["additional_profile"] = "Age: 41"
        return asking(who, instruction)

    people = [
        asked("A card for friends: one", nameless=True),
        asked("A letter for friends: two", nameless=True, text="Dear others"),
        asked("A speech for friends: three", nameless=False),
        asked("A poem for friends: four", nameless=True),
        asked("A talk for friends: five", nameless=False, text="Dear others"),
        asked("A song for friends: six", nameless=True),
    ]
    (tmp_path / "people.json").write_text(json.dumps(people))
    said = SaidBefore(numbered_samples(tmp_path / "people.json"))
    assert said(6) == ("A card for friends", "A poem for friends")
    assert said(5) == ("A speech for friends",)
    assert said(2) == said(1) == ()
