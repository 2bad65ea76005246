"""Where the cloud is asked."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cogenesis.fusion.boundary import last_boundary


@pytest.mark.parametrize(
    ("before", "pending"),
    [
        ("", ""),
        ("", "Dear"),
        ("Dear", " all"),
        ("Dear", " all,"),
        ("Dear", " all,\n\n"),  # "\n\n" may become "\n\n\n"
        ("Dear all,\n\n", "Our"),
        ("Dear all,\n\nOur", " Marketi"),
        ("a", "  b"),  # a run of spaces is one word's beginning
        ("a", " "),
        ("", "a\n b"),  # "\n " may be one token
        ("", "a\n\tb"),
    ],
)
def test_boundaries_by_hand(before: str, pending: str) -> None:
    assert last_boundary(before + pending) == len(before)


def split(text: str) -> list[str]:
    """A tokenizer of the first family: GPT-2's pattern, whole pieces as tokens."""
    return re.findall(r" ?[a-z]+| ?[^\sa-z]+|\s+(?!\S)|\s+", text)


def run_tokens(text: str) -> list[str]:
    """A tokenizer of the second: words carry their space, runs of white space are tokens."""
    return re.findall(r" ?[^ \n]+| +(?= [^ \n])| +|\n+", text)


TEXTS = st.text("ab .,\n", max_size=30)


@given(TEXTS, st.integers(0, 30), st.sampled_from([split, run_tokens]))
def test_more_text_changes_nothing_before_a_safe_boundary(
    text: str, at: int, tokens: Callable[[str], list[str]]
) -> None:
    begin = text[: last_boundary(text[:at])]
    assume(tokens is run_tokens or not re.search(r"\s\n\Z", begin))  # see "not covered"
    assert tokens(begin) == tokens(text)[: len(tokens(begin))]


def test_a_long_text_is_looked_at_from_its_end() -> None:
    assert last_boundary("word " * 100_000 + "end") == 5 * 100_000 - 1
