"""From what was received to the figures of `evaluate leaks`, without a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cogenesis.errors import InputError
from cogenesis.evaluation.leaks_people import crowd_of, title_of
from cogenesis.evaluation.leaks_received import Received
from cogenesis.evaluation.leaks_reference import shielded_reference
from cogenesis.evaluation.leaks_report import Heard, leaks_report

TOPICS = {
    "Wren Aldous": "orchids in the greenhouse",
    "Ivo Brandt": "wooden boats and shanties",
    "Mette Dahl": "beehives on the roof",
    "Otto Quist": "chess in the library",
    "Lena Ruud": "a bakery with rye bread",
    "Finn Soler": "clocks and their springs",
}


def person(name: str, topic: str) -> dict[str, Any]:
    return {
        "additional_profile": f"Name: {name}\nAge: 41\nPrivacy info: Spends evenings with {topic}",
        "profile": [{"title": "A note: to friends", "text": f"Dear all, I love {topic} so much."}],
        "conversations": [
            {"from": "user", "value": f"Write a note: {name} tells of {topic}"},
            {"from": "assistant", "value": f"Hello, I am {name} and this is about {topic}."},
        ],
        "tid": name,
    }


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    people = [person(name, topic) for name, topic in TOPICS.items()]
    paths = []
    for number, part in enumerate(([*people[:3], {"profile": 3}], people[3:5], people[4:])):
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(json.dumps(part))
    return paths


def rows(told: dict[str, Any], setting: str) -> dict[str, dict[str, Any]]:
    return {row["attacker"]: row for row in told["attacks"] if row["setting"] == setting}


def test_everybody_is_a_candidate_and_the_first_are_attacked(files: list[Path]) -> None:
    crowd = crowd_of(files[0], 2, [files[2]], files[1])
    assert (len(crowd.contexts), [n for n, _ in crowd.samples], len(crowd.train)) == (6, [1, 2], 2)
    assert crowd.skipped == ()
    whole = crowd_of(files[0], None, [], None)
    assert [number for number, _ in whole.skipped] == [4]
    assert "Wren" not in repr(crowd)


def test_one_person_alone_cannot_be_attacked(files: list[Path]) -> None:
    files[0].write_text(json.dumps([person("Wren Aldous", "orchids")]))
    with pytest.raises(InputError, match="give --candidates"):
        crowd_of(files[0], None, [], None)


def test_a_leak_is_found_counted_and_recognised(files: list[Path]) -> None:
    crowd = crowd_of(files[0], None, [files[1], files[2]], None)
    heard = [
        Heard(n, "fusion", Received("Write a note", (sample.reference,)), None)
        for n, sample in crowd.samples
    ]
    told = leaks_report(crowd, heard)
    assert told["units_sent"] >= 3 * 3
    names = next(row for row in told["units"] if row["kind"] == "name")
    assert (names["total"], names["literal"], names["control"]) == (6, 6, 1.0)
    for name, row in rows(told, "sent").items():
        assert row["top1"] == row["low"] == row["high"] == 1.0, name
        assert row["over_floor"]["top1"]["low"] > 0.5
    assert all(row["top1"] == 1.0 for row in rows(told, "ceiling").values())
    assert all(row["top1"] < 0.5 for row in rows(told, "floor").values())


def test_what_the_shield_lets_out_tells_nothing_more_than_the_title(files: list[Path]) -> None:
    crowd = crowd_of(files[0], None, [], files[1])
    heard = [
        Heard.of_reference(n, mode, shielded_reference(sample, mode), 4.5)
        for mode in ("sketch", "fusion")
        for n, sample in crowd.samples
    ]
    told = leaks_report(crowd, heard)
    assert (told["units_sent"], told["tuned_on"], told["candidates"]) == (0, 2, 5)
    assert {row["mode"] for row in told["attacks"]} == {"sketch", "fusion"}
    fusion = [each for each in told["modes"] if each["mode"] == "fusion"]
    assert 0.1 < fusion[0]["masked_words"] < 0.9
    assert json.loads(json.dumps(told)) == told
    for row in told["attacks"]:
        assert set(row) >= {"attacker", "setting", "mode", "top1", "top5", "mrr", "low", "high"}


def test_who_sends_nothing_is_one_of_all(files: list[Path]) -> None:
    crowd = crowd_of(files[0], 1, [], None)
    told = leaks_report(crowd, [Heard(1, "sketch", Received(), "refused")])
    assert rows(told, "sent")["bm25"]["top1"] == round(1 / 3, 4)
    assert told["modes"][0]["without_cloud"] == {"refused": 1}
    assert told["modes"][0]["nothing_sent"] == 1


def test_without_a_text_there_is_nothing_to_say(files: list[Path]) -> None:
    with pytest.raises(InputError, match="no text"):
        leaks_report(crowd_of(files[0], None, [], None), [])


def test_a_title_ends_at_the_first_colon() -> None:
    assert title_of("Write a note: to Wren: soon") == "Write a note"
    assert title_of("Write a note") == ""
