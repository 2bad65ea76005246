"""Where the cloud is asked."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogenesis.fusion.boundary import REACH, Position, nests, position, positions

TEXT = [b"", b"Dear", b" all", b",", b"\n\n", b"Our", b" Market", b"i"]
"""A special token first."""


@pytest.mark.parametrize(
    ("tokens", "index", "path"),
    [
        ([], 0, ()),
        ([b"Dear"], 0, (b"Dear",)),
        ([b"", b"Dear"], 1, (b"Dear",)),
        ([b"Dear", b""], 2, ()),
        (TEXT[:3], 2, (b" all",)),
        (TEXT[:4], 2, (b" all", b",")),
        (TEXT[:5], 2, (b" all", b",", b"\n\n")),  # "\n\n" may become "\n\n\n"
        (TEXT[:6], 5, (b"Our",)),
        (TEXT[:7], 6, (b" Market",)),
        (TEXT, 6, (b" Market", b"i")),
        ([b"a", b" ", b" b"], 1, (b" ", b" b")),  # a run of spaces is one word's beginning
        ([b"a", b" "], 1, (b" ",)),
        ([b"a", b"\n", b" b"], 0, (b"a", b"\n", b" b")),  # "\n " may be one token
        ([b"a", b"\n", b"\tb"], 0, (b"a", b"\n", b"\tb")),
        ([b"x"] * 20, 20 - REACH, (b"x",) * REACH),
    ],
)
def test_positions_by_hand(tokens: list[bytes], index: int, path: tuple[bytes, ...]) -> None:
    found = position(tokens)
    assert found == Position(index, b"".join(path), path)
    assert found.whole
    assert found.last == len(tokens)


def test_an_offset_inside_a_token_leaves_a_part_of_it_pending() -> None:
    text = b"".join(TEXT)
    assert positions(TEXT, [text.index(b"et") + 2 - 4])[0] == Position(6, b" Ma")
    assert not positions(TEXT, [text.index(b"ket")])[0].whole
    assert positions(TEXT, [len(text), 0]) == [position(TEXT), Position(1)]
    for outside in (-1, len(text) + 1):
        with pytest.raises(ValueError, match="outside"):
            positions(TEXT, [outside])


def split(text: str) -> list[bytes]:
    """A tokenizer of the first family: GPT-2's pattern, whole pieces as tokens."""
    found = re.findall(r" ?[a-z]+| ?[^\sa-z]+|\s+(?!\S)|\s+", text)
    return [each.encode() for each in found]


def run_tokens(text: str) -> list[bytes]:
    """A tokenizer of the second: words carry their space, runs of white space are tokens."""
    return [each.encode() for each in re.findall(r" ?[^ \n]+| +(?= [^ \n])| +|\n+", text)]


TEXTS = st.text("ab .,\n", max_size=30)


@given(TEXTS, st.integers(0, 30), st.sampled_from([split, run_tokens]))
def test_more_text_changes_nothing_before_a_safe_boundary(
    text: str, at: int, tokens: Callable[[str], list[bytes]]
) -> None:
    begun, whole = tokens(text[:at]), tokens(text)
    found = position(begun)
    if len(found.path) < REACH:
        assert nests(whole, begun[: found.index])


@given(st.lists(st.sampled_from([b"", b"a", b" b", b"\n", b" ", b"."]), max_size=12))
def test_all_positions_of_a_text_at_once(tokens: list[bytes]) -> None:
    size = len(b"".join(tokens))
    for offset, found in enumerate(positions(tokens, range(size + 1))):
        before = b"".join(tokens[: found.index])
        assert before + found.pending == b"".join(tokens)[:offset]
        assert tuple(tokens[found.index : found.last]) == found.path
        assert b"" not in found.path
        assert len(found.path) <= REACH
    # Where a text's tokens are a beginning of the whole's, each gives what it gives alone.
    ends = [len(b"".join(tokens[:count])) for count in range(len(tokens) + 1)]
    for count, end in enumerate(ends):
        if end not in ends[count + 1 :]:
            assert positions(tokens, [end]) == [position(tokens[:count])]


def test_nesting() -> None:
    assert nests([b"a", b"b"], [b"a"])
    assert nests([b"a"], [])
    assert not nests([b"a"], [b"a", b"b"])
    assert not nests([b"ab"], [b"a"])
