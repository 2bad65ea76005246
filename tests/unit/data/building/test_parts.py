"""The parts of a build: what may be said, prompts, forms, the plan, the splits."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogenesis.context.private_context import PrivateContext, ProfileField
from cogenesis.data.building import screening
from cogenesis.data.building.folder import Splits, parse_shares
from cogenesis.data.building.forms import FORMS, SCHEMAS, Written, parse
from cogenesis.data.building.plan import KINDS, REGIONS, Wanted, group_of, person_of
from cogenesis.data.building.screening import (
    echoes,
    good_lines,
    wrong_lines,
    wrong_task,
    wrong_text,
)
from cogenesis.data.building.templates import STEPS, load_templates, write_templates
from cogenesis.data.coverage import field_of
from cogenesis.data.leaks import clearing
from cogenesis.errors import EgressError, InputError
from cogenesis.privacy.made_up import MadeUp
from cogenesis.privacy.released import made_up, public
from cogenesis.privacy.released_body import release_body
from cogenesis.training import examples
from cogenesis.wire import FixedJson, Text
from tests.conftest import PACKAGE
from tests.unit.data.building.invented import text

KEYS = re.compile(r"\bMadeUp\b|\bmade_up\(|import made_up|MadeUpText")
KEY_HOLDERS = {
    "privacy/made_up.py",
    "privacy/released.py",
    "privacy/released_body.py",
    "data/building/asking.py",
    "data/building/steps.py",
}


def test_only_what_the_build_made_up_is_released() -> None:
    made = MadeUp("a test")
    made.learn({"name": "Ada", "facts": ["She hides a boat.", ("deep", {"more": "down"})]})
    assert made_up(made, "She hides a boat.").text == "She hides a boat."
    assert made_up(made, "down").source == "a test"
    for unknown in ("She hides a", "Ada ", "hides", "She hides a boat. "):
        with pytest.raises(EgressError):
            made_up(made, unknown)
    with pytest.raises(EgressError):
        made_up("no proof", "Ada")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        pickle.dumps(made)


def test_only_the_build_holds_the_key_and_it_reads_no_private_context() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        source = path.read_text("utf-8")
        if KEYS.search(source):
            assert name in KEY_HOLDERS, name
        if name.startswith("data/building/"):
            for reader in ("context.reader", "own_folder", "data.reading", "data.importing"):
                assert reader not in source, f"{name} can read private texts"


def test_a_schema_is_sent_as_json_and_nothing_else_may_be() -> None:
    body = {"schema": FixedJson(public('{"type":"object"}'))}
    assert release_body(body).data == b'{"schema":{"type":"object"}}'
    assert release_body(body).fixed
    with pytest.raises(EgressError):
        release_body({"content": FixedJson(public('{"type":"object"}'))})
    made = MadeUp("a test")
    made.learn('"secret"')
    with pytest.raises(EgressError):
        release_body({"schema": FixedJson(made_up(made, '"secret"'))})  # type: ignore[arg-type]
    note = release_body({"content": Text((made_up(made, '"secret"'),))})
    assert note.note == "made up: a test" and not note.fixed and not note.published


@pytest.mark.parametrize("step", STEPS)
def test_schemas_ask_for_what_the_forms_want(step: str) -> None:
    schema = json.loads(SCHEMAS[step].text)  # type: ignore[index]
    form = FORMS[step].model_json_schema()  # type: ignore[index]
    assert set(schema["properties"]) == set(form["properties"]) == set(schema["required"])
    for name, wanted in form["properties"].items():
        assert schema["properties"][name]["type"] == wanted["type"], name


@given(st.text(max_size=200))
def test_any_reply_is_parsed_or_refused(reply: str) -> None:
    found = parse(Written, reply)
    assert isinstance(found, list | Written)
    assert not isinstance(found, list) or found


def test_a_reply_in_a_fence_or_with_words_around_it_is_read() -> None:
    value = {"outline": ["one two"], "text": text(1), "facts_used": [1]}
    told = json.dumps(value)
    for reply in (told, f"Sure!\n```json\n{told}\n```\nBye", f"Here: {told} That is all."):
        assert isinstance(parse(Written, reply), Written)


def test_mistakes_tell_places_and_no_values() -> None:
    mistakes = parse(Written, '{"outline": ["ok ok"], "text": "Ada is ill", "facts_used": "Ada"}')
    assert isinstance(mistakes, list)
    assert any(each.startswith("facts_used") for each in mistakes)
    assert "Ada" not in " ".join(mistakes)


def test_templates_can_be_replaced_and_must_keep_their_gaps(tmp_path: Path) -> None:
    assert len(write_templates(tmp_path)) == 4
    assert write_templates(tmp_path) == []
    assert load_templates(tmp_path)["text"].sha256 == load_templates()["text"].sha256
    (tmp_path / "text.txt").write_text("version: mine-2\n$profile $facts $earlier $task $details")
    assert load_templates(tmp_path)["text"].version == "mine-2"
    (tmp_path / "text.txt").write_text("version: mine-2\n$profile $facts $task $details $dog")
    with pytest.raises(InputError, match=r"lacks \$earlier, has an unknown \$dog"):
        load_templates(tmp_path)
    (tmp_path / "text.txt").write_text("$profile")
    with pytest.raises(InputError, match="version"):
        load_templates(tmp_path)
    with pytest.raises(InputError, match="no template"):
        load_templates(tmp_path / "nowhere")


def test_the_plan_goes_round_and_is_the_same_again() -> None:
    wanted = Wanted(people=64, tasks=1, history=3, group=1, seed=5)
    groups = [group_of(wanted, number) for number in range(64)]
    assert groups == [group_of(wanted, number) for number in range(64)]
    for counts in (Counter(g.region for g in groups), Counter(g.ages for g in groups)):
        assert max(counts.values()) - min(counts.values()) <= 1
    assert set(Counter(g.region for g in groups)) == set(REGIONS)
    people = [person_of(wanted, number) for number in range(40)]
    assert people == [person_of(wanted, number) for number in range(40)]
    for person, group in zip(people, groups, strict=False):
        assert group.ages[0] <= person.age <= group.ages[1]
        assert person.mail.endswith("@example.org") and person.phone.startswith("555-01")
        assert len(set(person.kinds)) == 4 and set(person.kinds) <= set(KINDS)
    assert field_of("a nurse") in {g.field for g in groups}


def test_another_process_draws_the_same_people() -> None:
    """Some of Faker's lists are in another order in each process."""
    code = (
        "from cogenesis.data.building.plan import *\n"
        "w = Wanted(64, 1, 3, 1, 5)\n"
        "print([person_of(w, n) for n in range(64)])"
    )
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": seed},
        text=True,
    ).stdout
    wanted = Wanted(64, 1, 3, 1, 5)
    assert told == f"{[person_of(wanted, number) for number in range(64)]}\n"


def test_a_person_drawn_alone_is_the_same_as_in_a_run() -> None:
    wanted = Wanted(people=64, tasks=1, history=3, group=1, seed=5)
    run = [person_of(wanted, number) for number in range(64)]
    backwards = [person_of(wanted, number) for number in reversed(range(64))]
    assert run == backwards[::-1]
    assert run[17] == person_of(wanted, 17)
    assert run[17].name != person_of(Wanted(64, 1, 3, 1, 6), 17).name


SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


@given(st.integers(1, 60), st.integers(0, 5))
def test_a_small_build_has_something_in_each_split(groups: int, seed: int) -> None:
    found = Counter(Splits(SHARES, seed).of(number) for number in range(groups))
    assert found.total() == groups and found["train"]
    assert groups < 3 or set(found) == set(SHARES)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shares_are_kept_at_the_mean(seed: int) -> None:
    found = Counter(Splits(SHARES, seed).of(number) for number in range(4_000))
    for name, share in SHARES.items():
        assert abs(found[name] - 4_000 * share) < 4 * (4_000 * share * (1 - share)) ** 0.5


def test_a_split_depends_on_neither_the_order_of_names_nor_a_share_of_none() -> None:
    other = {"test": 10.0, "none": 0.0, "validation": 10.0, "train": 80.0}
    one, two = Splits(SHARES, 3), Splits(other, 3)
    assert [one.of(number) for number in range(300)] == [two.of(number) for number in range(300)]


@pytest.mark.parametrize(
    "bad", ["train", "train=x", "a b=1", "train=-1", "train=0,test=0", "", "a=1,A=1"]
)
def test_bad_shares_are_refused(bad: str) -> None:
    with pytest.raises(InputError):
        parse_shares(bad)


@pytest.mark.parametrize("name", ["report", "build", "provenance", "replies", "Report"])
def test_a_split_does_not_write_over_the_files_of_the_build(name: str) -> None:
    with pytest.raises(InputError, match="of the build itself"):
        parse_shares(f"train=0.9,{name}=0.1")


def test_tasks_and_texts_are_screened() -> None:
    clears = clearing(PrivateContext([ProfileField("Name", "Wren Aldous")]))
    details = "Tell them about the broken gate."
    assert wrong_task("Write a letter about a broken gate", details, clears, [], []) == ""
    assert wrong_task("Write a letter: gate", details, clears, [], []).startswith("colon")
    assert "private" in wrong_task("Write a letter from Wren Aldous", details, clears, [], [])
    same = "Write a letter about a broken gate"
    assert wrong_task(same, details, clears, [], [same]) == "repeated"
    assert wrong_task("Write a letter to [Name of person]", details, clears, [], []) == "leftover"
    assert wrong_task(same, "a_b-c-d-e-f-g-h-i", clears, [], []) == "garbled"
    assert wrong_text(text(3), [], []) == ""
    assert wrong_text(text(3), [], [text(3)]) == "repeated"
    assert wrong_text(text(3)[:-1] + " and then the rest of them went", [], []) == "unfinished"
    fixed = ["Write it in first person, 120 to 250 words, finished, with nothing left"]
    assert echoes("He said: write it in first person 120 to 250 words. Yes.", fixed)
    assert not echoes("He said: write it in first person, please, and soon.", fixed)


FIXED = [part for each in load_templates().values() for part in each.fixed]
GIRL = "I don't know about this girl. I don't think she's a good-looking girl. "
FINE = (
    "Dear Ruth, the roof is mended at last, and not one bucket stands in the hall any more. We "
    "carried the old slates down on Saturday while the children counted them aloud. "
)


# What small models wrote instead of texts, most of it word for word.
@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (GIRL * 10, "loops"),
        (FINE + GIRL * 3, "loops"),
        ("".join(f"{n}. I know a little of him. " for n in range(12)), "loops"),
        (FINE + "Thank you, Bettina. " + "Bye, bye, Bettina Caffarelli. " * 7, "loops"),
        (FINE * 2 + "Yours,\nYour Name", "slot"),
        (FINE * 2 + "Sincerely, [Your Name]", "slot"),
        (FINE * 2 + "Sincerely, (your full name)", "slot"),
        (FINE * 2 + "Sent to <i_name> of the office.", "slot"),
        (FINE + "Outline: what kind of text it is and its general topic. " + FINE, "echo"),
        (FINE + "Use two or three of the private facts where they fit. " + FINE, "echo"),
        (FINE * 2 + "Task1-write-a-guide-or-plan-to-the-employee, please.", "loops"),
        (FINE + "Task1-write-a-guide-or-plan-to-the-employee, please, and the rest.", "garbled"),
        (", ".join(f"{chr(97 + n)}_id: {1012 + n}" for n in range(26)) + ".", "garbled"),
    ],
)
def test_what_weak_models_write_is_no_text(bad: str, why: str) -> None:
    assert wrong_text(bad, FIXED, []).startswith(why)


def test_a_refrain_and_a_list_are_no_loops() -> None:
    refrain = "And still the river ran. "
    verses = ("We dug the well in May. ", "The mule went lame in June. ", "July burnt every leaf. ")
    assert wrong_text(FINE + refrain.join((*verses, "Then it rained. ")), FIXED, []) == ""
    days = "".join(f"Day {n}: {verse}" for n, verse in enumerate(verses))
    assert (
        wrong_text(f"{FINE}{days}See https://example.org/{'abcdefgh' * 10} for more.", FIXED, [])
        == ""
    )


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("She owes [amount] to her sister.", "leftover"),
        ("health, money, family, plans, quarrels, dates", "echo of the prompt"),
        ("11111111111111111111 2 33", "garbled"),
        ("She has a dog and a cat. " * 12, "loops"),
    ],
)
def test_short_entries_are_screened(bad: str, why: str) -> None:
    good_ones = ["Hides the key of the boat.", "Owes her sister $4,500."]
    assert wrong_lines(good_ones, FIXED) == ""
    assert wrong_lines([bad] if why == "garbled" else [*good_ones, bad], FIXED) == why


def test_entries_that_are_wrong_are_left_out_and_the_others_stay() -> None:
    fine = ["Hides the key of the boat.", "Owes her sister $4,500."]
    bad = ["She owes [amount] to her sister.", fine[0], "11111111111111111111 2 33"]
    assert good_lines([*fine, *bad], FIXED, []) == fine
    assert good_lines(fine, FIXED, [fine[1]]) == fine[:1]


def test_without_prose_only_placeholders_and_leaks_count() -> None:
    clears = clearing(PrivateContext([ProfileField("Name", "Wren Aldous")]))
    assert wrong_text(GIRL * 10, FIXED, [], prose=False) == ""
    assert wrong_text(FINE + "Sincerely, [Your Name]", FIXED, [], prose=False) == "slot"
    assert wrong_lines(["She has a dog and a cat. " * 12], FIXED, prose=False) == ""
    assert wrong_lines(["She owes [amount] to her sister."], FIXED, prose=False) == "leftover"
    same = "Write a letter about a broken gate"
    assert wrong_task(same, GIRL * 3, clears, FIXED, [same], prose=False) == ""
    told = wrong_task("Write a letter from Wren Aldous", GIRL, clears, [], [], prose=False)
    assert "private" in told


def test_the_loose_screening_lets_nothing_through_that_training_or_the_check_refuses() -> None:
    assert screening.SHORTEST == examples.MIN_WORDS
    assert wrong_text("one two three four", (), [], prose=False) == "too short"
    circling = "I like it. " * 30
    assert not wrong_text(circling, (), [], prose=False)
    assert wrong_text(circling, (), [circling], prose=False) == "repeated"
