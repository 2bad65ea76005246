"""What reads an instruction does work in proportion to it, whatever it is made of.

Calls are counted, of Python and of C functions: a loop in a loop over the text takes four times
as many for twice the text. Regular expressions that look back from each character are one call
each: their time is measured by `benchmarks.guard_growth`.
"""

from __future__ import annotations

import cProfile
import pstats

import pytest

from benchmarks.guard_growth import ACTIONS, ENDED, ENDINGS, PIECES, Action, halves
from cogenesis.privacy.number_words import digits_in_order
from cogenesis.privacy.words import _sensitive, base, frequent_words, sensitive

SIZE = 4_000
"""Half of it is more than the 1,000 characters up to which what was found is remembered."""

TIMES = 2.2
"""Linear work doubles."""


def _calls(action: Action, text: str) -> int:
    profile = cProfile.Profile()
    profile.runcall(action, text)
    total: int = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]
    return total


def _growth(action: Action, piece: str, ending: str) -> float:
    """Calls for SIZE characters over those for half of them."""
    half, whole = (_calls(action, text) for text in halves(piece, SIZE, ending))
    return whole / half


@pytest.mark.parametrize("name", ACTIONS)
def test_work_grows_with_the_text_not_with_its_square(name: str) -> None:
    ended = ((piece, ending) for piece in ENDED for ending in ENDINGS if ending)
    texts = [*((piece, "") for piece in PIECES), *ended]
    found = {each: _growth(ACTIONS[name], *each) for each in texts}
    assert {each: times for each, times in found.items() if times > TIMES} == {}
    assert max(found.values()) > 1.5, "nothing was counted"


def test_a_loop_in_a_loop_is_seen() -> None:
    def square(text: str) -> None:
        for end in range(len(text)):
            for _ in range(0, end, 50):
                len(text)

    assert _growth(square, "a", "") > 3


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
