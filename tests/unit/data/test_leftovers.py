"""Texts that are not finished, and good texts that look a little like them."""

from __future__ import annotations

import pytest

from cogenesis.data.leftovers import leftovers, unfinished

AROUND = "Thank you for coming to the garden {} and for the bread that you brought along."


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("[Content for task 5]", "placeholder"),
        ("Personalized text content", "placeholder"),
        ("[Full text here] [Signature]", "placeholder"),
    ],
)
def test_no_text_at_all(text: str, kind: str) -> None:
    assert [each.kind for each in leftovers(text)] == [kind]


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        ("[Client's Name]", "slot"),
        ("[Date]", "slot"),
        ("{{first_name}}", "slot"),
        ("{client name}", "slot"),
        ("<your name>", "slot"),
        ("INSERT DATE HERE", "slot"),
        ("________", "slot"),
        ("TODO", "slot"),
        ("[Content truncated for brevity]", "remark"),
        ("as an AI language model", "remark"),
        ("<|im_end|>", "markup"),
        ("<end_of_turn>", "markup"),
    ],
)
def test_leftovers_inside_a_text(inside: str, kind: str) -> None:
    assert kind in {each.kind for each in leftovers(AROUND.format(inside))}


@pytest.mark.parametrize(
    "inside",
    [
        "[1]",
        "[12, 13]",
        "[...]",
        "[sic]",
        "[the notes](https://example.org)",
        "[hepatic encephalopathy (nmHE)]",
        "[Scene switches to the kitchen]",
        "[email protected]",
        "[STACS 2015]",
        "{it Dantzig selector}",
        "{ABC-Miner}",
        "with f(x) = {x : x > 0}",
        "for a < b and c > d",
        "(or so we thought)",
    ],
)
def test_brackets_that_belong_to_a_text(inside: str) -> None:
    assert leftovers(AROUND.format(inside)) == ()


def test_a_preamble_of_a_model_is_a_remark() -> None:
    text = f"Sure, here is the letter you asked for:\n{AROUND.format('')}"
    assert [each.kind for each in leftovers(text)] == ["remark"]


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("We went to the sea and stayed there until the evening", True),
        ("We went to the sea and stayed there.", False),
        ("We went to the sea.\n\nWarmly,\nNora", False),
        ("All is well.\n\nSenior Manager and Keeper of the Bees", False),
        ("What a day 🎉", False),
        ("", False),
    ],
)
def test_texts_that_stop_in_the_middle(text: str, cut: bool) -> None:
    assert unfinished(text) is cut
