"""What reads an instruction takes time in proportion to it, whatever it is made of.

CPU time of the process: other programs do not count. Linear work
doubles with the text; quadratic work takes four times as long, and failed by far when it was
there. Below FLOOR seconds nothing is compared: there constants rule.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from cogenesis.errors import CogenesisError
from cogenesis.privacy.guard import MAX_INSTRUCTION, Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.number_words import digits_in_order
from cogenesis.privacy.words import _sensitive, base, frequent_words, sensitive

SIZE = 10_000
FLOOR = 0.2
TIMES = 3.0
LONGEST = 8.0
"""CPU seconds for the longest instruction there may be; before it was 10 and more."""


@dataclass
class Item:
    label: str
    text: str


LEXICON = Lexicon([Item("Name", "Odalys Fenwright"), Item("note", "Bertrand tunes 47 uprights")])
# fmt: off
PIECES = (
    "a", "A", "ab", "7", "7 ", "a ", "a b ", "five ", "five apple ", "(", "<a", "`", ".", "a.",
    "-", "ab-", "ab-1 ", "WRITE A LETTER ", "\u200b", "a\u200b", "_", "a_", "aB", "a1", "@", "a@",
    '"', "'a ", "a: ", " ", "\n", "Elena Okafor met Tobias. ", "zqxkwv ", "Qx9+Zk4/w ", "6f ",
    "6f", "12,", "1,000,", "3,4.5,abc,", "$1,", "12 a b c d ", "12/3 ", "12 of ", ". ", ".- / ",
    "%41", "&abc", "&#65;", "&eacute;", "alpha bravo ", "é", "жя ", "a!", "xn--", "x\u0301",
    "fooBar(a_b, c1d2); ", "a dot ", "room ", "Garden Letter Summer ", "please ",
)
# fmt: on
ENDINGS = ("", " 1", " xn--b", " hundred", ".")


def _derive(text: str) -> None:
    with contextlib.suppress(CogenesisError):
        Guard(LEXICON).derive(text)


def _hold(text: str) -> None:
    Lexicon([Item("note", text)])


def _seconds(action: Callable[[str], None], text: str) -> float:
    begun = time.process_time()
    action(text)
    return time.process_time() - begun


@pytest.mark.parametrize("action", [_derive, _hold])
def test_time_grows_with_the_text_not_with_its_square(action: Callable[[str], None]) -> None:
    slow: dict[str, tuple[float, float]] = {}
    for piece in PIECES:
        half, whole = ((piece * size)[:size] for size in (SIZE // 2, SIZE))
        for _ in range(3):  # once more where something else took the time
            short, long = _seconds(action, half), _seconds(action, whole)
            if long < FLOOR or long < TIMES * short:
                break
        else:
            slow[piece] = (short, long)
    assert not slow


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("piece", ["a", "7", "ab-", "12,", "<a"])
def test_no_ending_makes_the_longest_instruction_slow(piece: str, ending: str) -> None:
    text = (piece * MAX_INSTRUCTION)[: MAX_INSTRUCTION - len(ending)] + ending
    assert _seconds(_derive, text) < LONGEST


def test_the_short_way_to_a_sensitive_word_finds_what_the_long_way_finds() -> None:
    listed, _ = _sensitive()
    keys = {*frequent_words(2.0), *listed, *(f"{key}s" for key in listed)} - {""}
    missed = [
        k for k in keys if base(k) in listed and sensitive(k) != listed.get(k, listed[base(k)])
    ]
    assert set(missed) <= {"oke"}  # the dictionary's odd form of "ache"


def test_a_number_too_long_to_reckon_with_is_told_as_digits() -> None:
    digits, places = digits_in_order("7" * 5_000 + " hundred")
    assert len(digits) == len(places) == 5_000
