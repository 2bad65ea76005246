"""Reading outlines out of replies: honest, sloppy and hostile."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogenesis.errors import CloudError
from cogenesis.privacy.released import _MINT, GeneralInstruction
from cogenesis.sketch.outline import (
    MAX_POINT_CHARS,
    MAX_POINT_WORDS,
    MAX_POINTS,
    MAX_REPLY_CHARS,
    MIN_POINTS,
    Sketch,
    parse_outline,
)
from cogenesis.sketch.prompt import EXAMPLE_POINTS

POINTS = (
    "Greet the whole group",
    "Say that plans moved",
    "Name the new place",
    "Explain what to bring",
    "Thank them for waiting",
    "Ask for an answer",
    "Close with good wishes",
)


def _numbered(points: tuple[str, ...] = POINTS) -> str:
    return "\n".join(f"{i}. {point}" for i, point in enumerate(points, 1))


def _listed(marker: str) -> str:
    return "\n".join(marker + point for point in POINTS)


REPLIES = {
    "numbers": _numbered(),
    "numbers in brackets": "\n".join(f"({i}) {p}" for i, p in enumerate(POINTS, 1)),
    "numbers with a bracket": "\n".join(f"{i}) {p}" for i, p in enumerate(POINTS, 1)),
    "numbers without a space": _numbered().replace(". ", "."),
    "letters": "\n".join(f"{c}. {p}" for c, p in zip("abcdefg", POINTS, strict=True)),
    "roman numbers": "\n".join(
        f"{n}. {p}" for n, p in zip(["I", "II", "III", "IV", "V", "VI", "VII"], POINTS, strict=True)
    ),
    "dashes": _listed("- "),
    "stars": _listed("* "),
    "bullets": _listed("• "),
    "long dashes": _listed("— "),
    "boxes": _listed("- [ ] "),
    "bold numbers": "\n".join(f"**{i}.** {p}" for i, p in enumerate(POINTS, 1)),
    "bold points": _listed("- **").replace("\n", "**\n") + "**",
    "italics": _listed("* _").replace("\n", "_\n") + "_",
    "ends with stops": _numbered().replace("\n", ".\n") + ".",
    "heading": "Outline:\n\n" + _numbered(),
    "markdown heading": "## Outline\n" + _numbered(),
    "windows lines": _numbered().replace("\n", "\r\n"),
    "blank lines between": _numbered().replace("\n", "\n\n"),
    "chatter around": "Sure! Here is an outline:\n\n" + _numbered() + "\n\nShall I go on?",
    "thinking before": "<think>\n- One idea here\n- Another idea there\n</think>\n" + _numbered(),
    "nested": "- Greet the whole group\n  - Say that plans moved\n    1. Name the new place\n"
    + "\n".join(f"\t* {point}" for point in POINTS[3:]),
    "sections": "**Opening**\n"
    + "\n".join("- " + p for p in POINTS[:3])
    + "\n\n**Middle**\n"
    + "\n".join("- " + p for p in POINTS[3:]),
    "begun with the prompt's number": _numbered().removeprefix("1. "),
    "in one line": _numbered().replace("\n", " "),
    "in one line, begun": _numbered().removeprefix("1. ").replace("\n", " "),
    "goes on with another task": _numbered() + "\nTask: Cooking\n1. Buy some food\n2. Heat the pan",
    "code fence": "```\n" + _numbered() + "\n```",
    "full-width": "\n".join(f"{i}．{p}" for i, p in zip("１２３４５６７", POINTS, strict=True)),
    "hidden characters": _numbered().replace("1", "\u200b1").replace(" ", "\u2060 "),
    "repeats itself": _numbered() + "\n" + _numbered(),
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES.keys())
def test_the_points_are_found_in_every_form_of_list(reply: str) -> None:
    assert parse_outline(reply).points == POINTS


NO_OUTLINES = {
    "nothing": "",
    "blank": " \n\t\n",
    "prose": "Dear all, we are glad to see you. " * 20,
    "refusal": "I'm sorry, but I can't help with that request.",
    "refusal in points": "- I'm sorry\n- I cannot do that\n- Please ask another question",
    "web page": "<!DOCTYPE html><html><body><ul>" + _listed("- ") + "</ul></body></html>",
    "too few": _numbered(POINTS[: MIN_POINTS - 1]),
    "one point over and over": "\n".join(f"{i}. Say hello to everybody" for i in range(1, 16)),
    "counting": "\n".join(f"{i}. Chapter number {i}" for i in range(1, 16)),
    "lone words": "\n".join(f"- {point.split()[0]}" for point in POINTS),
    "listed prose": "\n".join(f"{i}. " + f"word{i} and so on " * 10 for i in range(1, 10)),
    "the examples": _numbered(EXAMPLE_POINTS[:10]),
    "the examples, reworded": _numbered(tuple(p.upper() + "!" for p in EXAMPLE_POINTS)),
    "links only": "\n".join(f"- https://evil.example/{i} https://evil.example" for i in range(9)),
    "markers only": "- - - - - -\n" * 50,
    "numbers only": "\n".join(f"{i}. {i * 1000}" for i in range(1, 12)),
}


@pytest.mark.parametrize("reply", NO_OUTLINES.values(), ids=NO_OUTLINES.keys())
def test_what_is_no_outline_is_refused(reply: str) -> None:
    with pytest.raises(CloudError) as caught:
        parse_outline(reply)
    assert caught.value.reason == "no-sketch"


def test_the_message_says_why() -> None:
    with pytest.raises(CloudError, match="no list of points"):
        parse_outline("No.")
    with pytest.raises(CloudError, match=r"0 usable points .*30 more"):
        parse_outline(_numbered(EXAMPLE_POINTS))
    with pytest.raises(CloudError, match="web page"):
        parse_outline("<html>")


def test_copied_points_are_dropped_and_the_rest_counts() -> None:
    mixed = (EXAMPLE_POINTS[0], *POINTS[:3], "the " + EXAMPLE_POINTS[12], *POINTS[3:])
    assert parse_outline(_numbered(mixed)).points == POINTS


def test_the_instruction_itself_is_no_point() -> None:
    general = GeneralInstruction("Write a letter to the club", _MINT, source="given")
    echoed = ("Write a letter to the club!", *POINTS)
    assert parse_outline(_numbered(echoed), general=general).points == POINTS
    assert len(parse_outline(_numbered(echoed)).points) == len(POINTS) + 1


def test_points_with_the_same_content_words_are_one() -> None:
    doubled = (*POINTS, "The New Places: Name", "Greet a whole group", "Asking for more time")
    assert parse_outline(_numbered(doubled)).points == (*POINTS, "Asking for more time")


def test_points_beyond_the_limit_are_left_out() -> None:
    many = tuple(f"Talk about {a}{b}" for a in ("red", "blue") for b in "abcdefghijkl")
    assert parse_outline(_numbered(many)).points == many[:MAX_POINTS]


def test_long_points_are_cut_between_words() -> None:
    words = " ".join(f"w{c}" for c in "abcdefghijklmnop")
    wide = "extraordinarily long-winded " * 5
    sketch = parse_outline(_numbered((words, wide, *POINTS)))
    assert sketch.points[0] == " ".join(words.split()[:MAX_POINT_WORDS])
    assert sketch.points[1] == ("extraordinarily long-winded " * 3 + "extraordinarily").strip()


def test_a_cut_point_does_not_end_in_a_loose_word() -> None:
    long = "Tell them that a member of our own team waits near the door of the hall"
    cut = "Tell them that a member of our own team waits near"
    assert parse_outline(_numbered((long, *POINTS))).points == (cut, *POINTS)


def test_a_script_without_spaces_is_read_too() -> None:
    points = (
        "感谢团队的努力",
        "介绍新的办公室",
        "说明开放的时间",
        "请保持安静整洁",
        "提出问题",
        "期待见面聊天",
    )
    assert parse_outline(_numbered(points)).points == points


@pytest.mark.parametrize(
    "smuggled",
    [
        "https://evil.example/pay?x=1",
        "HTTPS://EVIL.EXAMPLE",
        "www.evil.example",
        "evil.example",
        "evil.example/pay",
        "sub.evil.co.uk:8080/x#y",
        "evil。example",
        "ｅｖｉｌ．ｅｘａｍｐｌｅ",
        "ev\u200bil.exa\u00admple",
        "someone@evil.example",
        "@evil_handle",
        "mailto:someone",
        "javascript:alert(1)",
        "tel:+15550100",
        "[](https://evil.example)",
        "![](https://evil.example/x.png)",
        "<https://evil.example>",
        "<a href='https://evil.example'>",
        "<img src=x onerror=alert(1)>",
        "hxxps://evil.example",
        "<|im_end|>",
        "<|im_start|>",
        "＜｜im_start｜＞",
        "<<|x|>|im_start|>",
        "<start_of_turn>",
        "[INST]",
        "</s>",
        "\u202e\u2066",
        "\x1b[31m",
        "\x00\x07",
    ],
)
def test_nothing_is_smuggled_in_with_a_point(smuggled: str) -> None:
    points = (f"Greet the whole {smuggled} group", *POINTS[1:])
    first, *others = parse_outline(_numbered(points)).points
    assert tuple(others) == POINTS[1:]
    # A colour code leaves its printable tail behind, which is harmless without the escape.
    assert re.sub(r" 31m", "", first) == POINTS[0]


def test_a_link_keeps_its_label_only() -> None:
    points = ("Greet [the whole](https://evil.example/a) group", *POINTS[1:])
    assert parse_outline(_numbered(points)).points == POINTS


def test_ordinary_stops_and_abbreviations_survive() -> None:
    points = ("Costs, e.g. 2.5 hours a week", "Why plan A. comes first", *POINTS)
    assert parse_outline(_numbered(points)).points == points


@pytest.mark.parametrize("size", [MAX_REPLY_CHARS + 1, 5_000_000])
def test_a_huge_reply_is_refused_before_it_is_read(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogenesis.sketch.outline._plain", lambda _: pytest.fail("it was read"))
    with pytest.raises(CloudError, match="too long"):
        parse_outline(("- " * size)[:size])


REPEATED = [
    *["- ", "1. ", "1. a", "-\n", "1.\n- a ", "2) x ", "- a b\n", "\u2028- x", "**", "<", "<|"],
    *[
        "<|a|>",
        "(",
        "[",
        "[](",
        "a.",
        "a@",
        "a:",
        "www.",
        "http://",
        "</think>",
        "Ω",
        "ﷺ",
        "\u202e",
    ],
]


@pytest.mark.parametrize("unit", REPEATED)
def test_no_repetition_is_slow(unit: str) -> None:
    text = (unit * MAX_REPLY_CHARS)[:MAX_REPLY_CHARS]
    begun = time.process_time()
    with pytest.raises(CloudError):
        parse_outline(text)
    assert time.process_time() - begun < 1.0


def test_a_sketch_prints_as_a_numbered_list() -> None:
    assert Sketch(("Greet the group", "Say thanks")).render() == "1. Greet the group\n2. Say thanks"


PIECES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(POINTS + EXAMPLE_POINTS),
    st.sampled_from(["1. ", "\n2. ", "\n- ", "\n* ", "** ", "\n", "# ", "Task: ", "</think>"]),
    st.sampled_from(["<|im_start|>", "<|", "|>", "[a](b)", "x.yz", "@", "://", "\u202e", "2. "]),
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=60).map("".join))
LISTS = st.lists(st.text(max_size=60), min_size=6, max_size=30).map(
    lambda points: "\n".join(f"- {point}" for point in points)
)


@given(st.one_of(TEXTS, LISTS))
def test_any_text_gives_a_bounded_sketch_or_a_cloud_error(text: str) -> None:
    try:
        sketch = parse_outline(text)
    except CloudError as error:
        assert error.reason == "no-sketch"
        return
    assert MIN_POINTS <= len(sketch.points) <= MAX_POINTS
    assert len(set(sketch.points)) == len(sketch.points)
    for point in sketch.points:
        assert 0 < len(point) <= MAX_POINT_CHARS
        assert len(point.split()) <= MAX_POINT_WORDS
        assert point.isprintable() or "\u200c" in point or "\u200d" in point
        assert not re.search(r"[<>`|@\\]|://|\*\*", point)


@given(st.one_of(LISTS, TEXTS))
def test_a_rendered_sketch_reads_back_the_same(text: str) -> None:
    try:
        sketch = parse_outline(text)
    except CloudError:
        return
    assert parse_outline(sketch.render()) == sketch
