"""Rows of a table hold all of a sample."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cogenesis.data.columns import from_columns, to_columns
from cogenesis.data.rows import Row, row_of
from tests.unit.data.people import TEXTS, sample

# A few short texts, blank ones among them, so that turns and ids often meet.
TEXT = st.sampled_from(["", " \n", "0", "1", "Write a letter: now", "Dear Tom,\n\u00e9\u2028"])
SPEAKER = st.sampled_from(["user", "human", "assistant", "gpt", "system", ""])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
TURN = st.fixed_dictionaries({"from": SPEAKER, "value": TEXT}, optional={"weight": JSON})
EARLIER = st.fixed_dictionaries({"text": TEXT}, optional={"title": TEXT, "id": JSON, "date": JSON})
NAMED = st.none() | TEXT
SAMPLE = st.fixed_dictionaries(
    {"conversations": st.lists(TURN, max_size=4)},
    optional={
        "tid": NAMED | st.integers(),
        "profile": st.lists(EARLIER, max_size=3),
        "additional_profile": TEXT,
        "group": NAMED,
        "origin": st.none() | st.sampled_from(["own", "synthetic"]),
        "general_instruction": NAMED,
        "details": NAMED,
        # Names of columns, as keys of somebody else's.
        **dict.fromkeys(("id", "text", "instruction", "history", "more", "form", "x"), JSON),
    },
)


@given(SAMPLE, st.permutations([("user", "Write"), ("gpt", "Dear all,"), ("human", "\t")]))
def test_every_sample_comes_back_as_it_was(
    made: dict[str, Any], asked: list[tuple[str, str]]
) -> None:
    made["conversations"] += [{"from": speaker, "value": value} for speaker, value in asked]
    wanted = row_of(1, made)
    assert isinstance(wanted, Row)
    told = to_columns(made)
    back = from_columns(told)
    # As JSON: to Python True is 1.
    assert json.dumps(back, sort_keys=True) == json.dumps(made, sort_keys=True)
    if wanted.form != "title-to-text":
        assert (told["instruction"], told["text"]) == (
            wanted.instruction,
            wanted.text or told["text"],
        )


def test_a_usual_sample_has_nothing_twice() -> None:
    assert to_columns(sample(group="g", origin="synthetic"))["more"] is None


def test_a_blank_turn_is_not_the_instruction() -> None:
    made = sample()
    made["conversations"] = [{"from": "user", "value": " "}, *made["conversations"]]
    assert to_columns(made)["instruction"] == sample()["conversations"][0]["value"]
    assert to_columns(made)["text"] == TEXTS[0]
