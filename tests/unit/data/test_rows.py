"""The three forms of a sample, and what counts as a group."""

from __future__ import annotations

from typing import Any

import pytest

from cogenesis.data.coverage import age_of, evenness, field_of, region_of, register_of
from cogenesis.data.leaks import leaks, name_pattern
from cogenesis.data.rendered import parse_rendered
from cogenesis.data.rows import Row, row_of
from tests.unit.data.people import TEXTS, sample

PROMPT = (
    "You are a helper.\n\n## History Paper Abstracts\nTitle: On rain\nContent: It rains.\n\n"
    "Title: On: snow\nContent: It snows\n\nin winter.\n\n## Task\nCompose an abstract for the "
    "title 'On a farmer's hail' that matches the author's tone.\n"
)


def row(value: dict[str, Any]) -> Row:
    found = row_of(1, value)
    assert isinstance(found, Row), found
    return found


def test_a_published_sample() -> None:
    found = row(sample())
    assert (found.form, found.group, found.name) == ("context-aware", "3_7", "Nora Quill")
    assert found.general == "Letter about a garden"
    assert found.details == "Tell how the harvest went."
    assert "Quill" not in repr(found)


def test_a_field_of_its_own_wins_over_the_colon() -> None:
    found = row(sample(general_instruction="Write a letter", details="the harvest", group="g1"))
    assert (found.general, found.group) == ("Write a letter", "g1")


def test_without_context_the_whole_instruction_is_general() -> None:
    bare = {key: sample()[key] for key in ("tid", "conversations")}
    found = row(bare)
    assert found.form == "context-free"
    assert found.general == found.instruction


def test_a_prompt_that_was_put_together_is_taken_apart() -> None:
    found = parse_rendered(PROMPT)
    assert found is not None
    assert found.title == "On a farmer's hail"
    assert [(w.title, w.text) for w in found.history] == [
        ("On rain", "It rains."),
        ("On: snow", "It snows\n\nin winter."),
    ]
    turns = [{"from": "user", "value": PROMPT}, {"from": "assistant", "value": TEXTS[0]}]
    made = row({"tid": "0", "conversations": turns})
    assert (made.form, made.group, made.general) == ("title-to-text", None, "On a farmer's hail")
    assert parse_rendered("Write about ## History\n## Task\nnothing") is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"conversations": []}, "conversations needs"),
        ({"conversations": [{"from": "user", "value": "Write"}]}, "conversations needs"),
        ({"profile": "secret"}, "profile must be a list"),
        ({"origin": "stolen"}, "origin must be one of"),
        ({"details": 7}, "details must be a text"),
    ],
)
def test_mistakes_are_told_without_values(change: dict[str, Any], said: str) -> None:
    found = row_of(1, sample() | change)
    assert isinstance(found, list)
    assert said in "; ".join(found)
    assert "secret" not in "; ".join(found)


def test_the_guard_finds_the_name_in_the_general_part() -> None:
    found = leaks(row(sample(instruction="Letter of Nora Quill: Tell of the harvest.")))
    assert found.general_names
    assert "Quill" in found.refused


def test_a_name_in_the_details_is_no_leak_unless_it_is_sent() -> None:
    found = leaks(row(sample(instruction="Letter about a garden: Tell what Nora grew.")))
    assert (found.refused, found.whole_refused, found.details_name) == ("", True, True)


def test_common_words_are_no_names() -> None:
    assert name_pattern("Dr. Li") is None
    pattern = name_pattern("Dr. May Rose")
    assert pattern is not None
    assert pattern.search("for May")
    assert not pattern.search("it may rain on a rose")


def test_coverage_reads_profiles() -> None:
    assert [age_of(each) for each in ("47", "58 years", "", "17", "90")] == [
        "45-54",
        "55-64",
        "not said",
        "under 18",
        "65 and over",
    ]
    assert field_of("Senior Software Developer") == "technology"
    assert field_of("Computer Science Major") == "study"
    assert field_of("Lighthouse keeper") == "other"
    assert (region_of("Austin, TX"), region_of("Oslo, Norway"), region_of("")) == (
        "Texas",
        "Norway",
        "not said",
    )
    assert register_of(row(sample())) == "letter"


def test_evenness_is_one_for_equal_counts_and_leaves_out_what_is_not_said() -> None:
    assert evenness({"a": 5, "b": 5, "not said": 90}) == 1.0
    assert evenness({"a": 5}) == 0.0
    assert 0.4 < evenness({"a": 9, "b": 1}) < 0.5
