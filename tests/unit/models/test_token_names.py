"""Tokens that a server names by text: numbers for them, and no more memory than they need."""

from __future__ import annotations

from cogenesis.models.logprob_replies import LONGEST_NAME, TokenNames


def test_a_name_keeps_its_number() -> None:
    names = TokenNames()
    assert [names.entry(each, -1.0).id for each in ("a", "b", "a")] == [0, 1, 0]


def test_the_oldest_names_are_forgotten_and_no_number_is_given_twice() -> None:
    names = TokenNames(most=3)
    numbers = [names.entry(f"t{n}", -1.0).id for n in range(100)]
    assert numbers == list(range(100))
    assert len(names) == 3
    assert names.entry("t99", -1.0).id == 99
    assert names.entry("t0", -1.0).id == 100


def test_a_name_that_no_token_has_is_not_kept() -> None:
    names = TokenNames()
    whole = "bytes:" + "\\xe2" * 256
    assert len(whole) == LONGEST_NAME
    assert names.entry(whole, -1.0).token == b"\xe2" * 256
    endless = names.entry("x" * (LONGEST_NAME + 1), -1.0)
    assert (endless.id, endless.token) == (1, None)
    assert len(names) == 1
