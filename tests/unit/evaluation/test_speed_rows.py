"""The arithmetic of a row, on numbers that one can check by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from cogenesis.evaluation.speed_rows import (
    Run,
    Way,
    figures,
    row,
    tokens_per_s,
    tokens_per_s_from_start,
)

# DESIGN section 7.
FORM = (
    "decoding",
    "pair",
    "rtt_ms",
    "tokens_per_s",
    "replayed_tokens_per_s",
    "round_trips_per_token",
    "bytes_per_token",
    "acceptance",
)

SHORT = Run(
    ids=(5, 6, 7),
    tokens=4,  # the end token was decided, too
    first_s=0.5,
    total_s=1.5,
    accepted=2,
    rejected=1,
    fallbacks=1,
    requests=3,
    bytes=600,
    round_trips=2,
)
LONG = Run(
    ids=tuple(range(16)),
    tokens=16,
    first_s=1.0,
    total_s=4.0,
    accepted=6,
    rejected=1,
    requests=5,
    bytes=1400,
    round_trips=3,
)


def both(runs: Sequence[Run], replayed: Sequence[Run]) -> dict[Way, Sequence[Run]]:
    return {"real": runs, "replayed": replayed}


def test_the_first_token_and_its_time_are_left_out_of_every_text() -> None:
    assert tokens_per_s([SHORT]) == pytest.approx(3 / 1.0)
    assert tokens_per_s([LONG]) == pytest.approx(15 / 3.0)
    # All texts together, not the mean of their rates.
    assert tokens_per_s([SHORT, LONG]) == pytest.approx(18 / 4.0)
    assert tokens_per_s_from_start([SHORT, LONG]) == pytest.approx(20 / 5.5)


def test_a_text_without_a_second_token_has_no_rate() -> None:
    alone = Run(ids=(1,), tokens=1, first_s=0.2, total_s=0.2)
    assert tokens_per_s([alone]) is None
    assert figures([alone], None)["tokens_per_s"] is None


def test_figures_are_per_decided_token() -> None:
    found = figures([SHORT, LONG], None)
    assert found["tokens"] == 20
    assert found["round_trips_per_token"] == 5 / 20
    assert found["bytes_per_token"] == 100.0
    assert found["acceptance"] == 0.8
    assert (found["requests"], found["fallbacks"], found["texts"]) == (8, 1, 2)
    assert found["identical_to_lockstep"] is None


def test_nothing_drafted_has_no_acceptance() -> None:
    assert figures([Run((1, 2), 2, 0.1, 0.2)], None)["acceptance"] is None


def test_texts_are_equal_only_if_all_tokens_are() -> None:
    other = Run(ids=(5, 6, 8), tokens=4, first_s=0.5, total_s=1.5)
    assert figures([SHORT, LONG], [SHORT, LONG])["identical_to_lockstep"] is True
    found = figures([SHORT, LONG], [other, LONG])
    assert (found["identical_texts"], found["identical_to_lockstep"]) == (1, False)


def test_a_row_has_the_published_form_first_and_is_json() -> None:
    replayed = Run(SHORT.ids, 4, 0.5, 1.0, unknown=2, served=4, served_cpu_s=0.01, cloud_cpu_s=0.5)
    found = row("lockstep", "demo", 50.0, both([SHORT], [replayed]))
    assert tuple(found)[: len(FORM)] == FORM
    assert found["tokens_per_s"] == 3.0
    assert found["replayed_tokens_per_s"] == found["replayed"]["tokens_per_s"] == 6.0
    assert found["unknown_prefixes"] == found["replayed"]["unknown_prefixes"] == 2
    assert found["replayed"]["server_cpu_ms_per_request"] == 2.5
    assert found["replayed"]["real_cloud_cpu_s"] == 0.5
    assert json.loads(json.dumps(found)) == found


def test_each_way_is_compared_with_its_own_lockstep() -> None:
    other = Run(ids=(1, 2, 3), tokens=4, first_s=0.5, total_s=1.5)
    found = row(
        "draft-and-verify", "demo", 0.0, both([SHORT], [other]), like=both([other], [other])
    )
    assert found["identical_to_lockstep"] is False
    assert found["replayed"]["identical_to_lockstep"] is True
    assert found["replayed"]["identical_to_real"] is False


def test_runs_show_no_text() -> None:
    assert repr(SHORT) == "Run(4 tokens, 1.500 s)"
