"""When draft-and-verify asks: doubt, price and limits, in imagined time."""

from __future__ import annotations

import numpy as np
import pytest

from cogenesis.fusion.coupling import choose, gumbels
from cogenesis.fusion.pace import BLOCK, FLYING, LONGEST, Pace, Pacer, sureness
from cogenesis.fusion.target import Shaped
from tests.unit.fusion.imagined_clock import Clock, Taken, lockstep_s, positions

TOKEN_S = 0.019


def shaped(*probabilities: float) -> Shaped:
    with np.errstate(divide="ignore"):
        values = np.log(np.array(probabilities))
    return Shaped(np.arange(len(probabilities), dtype=np.int64) * 3, values, 1.0)


def test_sureness_is_the_lead_of_the_drafted_candidate_with_its_noise() -> None:
    proposal = shaped(0.5, 0.3, 0.2)
    for position in range(50):
        values = proposal.logprobs + gumbels(7, position, proposal.ids)
        best, second = sorted(values.tolist(), reverse=True)[:2]
        at = choose(proposal.logprobs, proposal.ids, 7, position)
        assert sureness(proposal, at, 7, position) == pytest.approx(best - second)


def test_without_another_candidate_a_draft_is_as_sure_as_can_be() -> None:
    for proposal in (shaped(1.0), shaped(0.0, 1.0, 0.0)):
        at = choose(proposal.logprobs, proposal.ids, 7, 0)
        assert sureness(proposal, at, 7, 0) == np.inf
    assert Pace().doubt(np.inf) < Pace().doubt(0.1)


def test_sureness_changes_no_proposal() -> None:
    proposal = shaped(0.5, 0.3, 0.2)
    before = proposal.logprobs.copy()
    sureness(proposal, 1, 7, 0)
    assert (proposal.logprobs == before).all()


# --- doubt ----------------------------------------------------------------------------------


def test_doubt_is_learnt_for_each_class_of_sureness() -> None:
    pace = Pace()
    narrow, clear = pace.doubt(0.1), pace.doubt(4.0)
    for _ in range(100):
        pace.judged(0.1, accepted=False)
        pace.judged(4.0, accepted=True)
    assert pace.doubt(0.1) > 0.9 > narrow
    assert pace.doubt(4.0) < 0.005 < clear
    assert pace.doubt(0.7) == Pace().doubt(0.7)
    assert pace.acceptance == pytest.approx(0.5, abs=0.05)


def test_doubt_forgets() -> None:
    pace = Pace()
    for accepted in (False, True):
        for _ in range(500):
            pace.judged(0.1, accepted)
    assert pace.doubt(0.1) < 0.02
    assert pace.doubt() < 0.02


# --- asking ---------------------------------------------------------------------------------


def test_sure_drafts_wait_and_doubtful_ones_do_not() -> None:
    pace = Pace()
    assert not pace.asks_now([], [0.01] * 5, busy=0)
    assert pace.asks_now([], [0.01, 0.01, 0.45, 0.01], busy=0)
    assert pace.asks_now([], [0.1, 0.1, 0.1], busy=0)


def test_behind_doubtful_positions_asking_can_wait() -> None:
    pace = Pace()
    assert pace.asks_now([0.0], [0.3], busy=1)
    assert not pace.asks_now([0.4], [0.3], busy=1)


def test_a_full_block_is_asked_about_however_sure_it_is() -> None:
    pace = Pace()
    assert not pace.asks_now([], [0.0] * BLOCK, busy=0)
    assert pace.asks_now([], [0.0] * (BLOCK + 1), busy=0)
    assert not pace.asks_now([], [0.9] * 20, busy=FLYING)


def test_drafting_ends_somewhere() -> None:
    pace = Pace()
    assert pace.drafts_on(LONGEST - 1, BLOCK - 1)
    assert not pace.drafts_on(LONGEST, 0)
    assert not pace.drafts_on(BLOCK, BLOCK)


def test_asking_becomes_dearer_when_it_was_too_often_and_cheap_again() -> None:
    pace = Pace()
    usual = pace.price
    for _ in range(50):
        pace.asked()
        pace.decided()
    assert usual * 2 < pace.price <= usual * 3
    for _ in range(300):
        pace.decided()
    assert pace.price == usual


def timed(first_s: float, further_s: float, sizes: tuple[int, ...] = (1, 4, 2, 6, 3, 5)) -> Pace:
    pace = Pace()
    for size in sizes:
        pace.drafted(TOKEN_S)
        pace.answered(size, first_s + further_s * (size - 1))
    return pace


def test_a_near_cloud_that_scores_one_by_one_is_asked_position_by_position() -> None:
    pace = timed(0.022, 0.013)
    assert pace.keeps_step
    assert pace.asks_now([], [pace.doubt()], busy=0)
    for _ in range(60):  # those requests are no reason to ask less where it is far
        pace.asked()
        pace.decided()
    for _ in range(20):
        pace.answered(4, 0.2)
    assert not pace.keeps_step
    assert pace.price == Pace().price


@pytest.mark.parametrize("further_s", [0.0, 0.013])
def test_where_the_answer_comes_with_the_devices_token_it_is_lockstep(further_s: float) -> None:
    pace = timed(TOKEN_S, further_s)
    assert pace.asks_now([], [pace.doubt(9.0)], busy=0)
    assert pace.drafts_on(0, 0)
    assert not pace.drafts_on(1, 0)


@pytest.mark.parametrize(("first_s", "further_s"), [(1.4, 0.0), (1.4, 0.1), (2.5, 0.7), (5.0, 0.8)])
def test_a_far_cloud_and_one_that_scores_blocks_at_once_get_blocks(
    first_s: float, further_s: float
) -> None:
    pace = timed(first_s * TOKEN_S, further_s * TOKEN_S)
    assert not pace.keeps_step
    assert pace.drafts_on(1, 0)


def test_a_few_answers_or_none_of_another_size_tell_nothing() -> None:
    assert not timed(0.022, 0.013, (1, 4, 2)).keeps_step
    assert not timed(1.5 * TOKEN_S, 0.9 * TOKEN_S, (1,) * 9).keeps_step


def test_a_fixed_plan_asks_by_numbers_alone() -> None:
    pace = Pacer(4, flying=2, first=2)
    assert not pace.asks_now([], [0.9], busy=0)
    assert pace.asks_now([], [0.0, 0.0], busy=0)
    assert not pace.asks_now([0.0], [0.9] * 3, busy=1)
    assert pace.asks_now([0.0], [0.0] * 4, busy=1)
    assert not pace.asks_now([0.0], [0.0] * 4, busy=2)
    assert pace.drafts_on(9, 3)
    assert not pace.drafts_on(9, 4)


def test_size_one_is_lockstep() -> None:
    pace = Pacer(1)
    assert pace.asks_now([], [0.0], busy=0)
    assert pace.drafts_on(0, 0)
    assert not pace.drafts_on(1, 0)


# --- all together ---------------------------------------------------------------------------


def taken(trip_s: float, wrong: float = 0.125) -> tuple[Taken, float, int]:
    """Five texts in a row with one pace; seconds that lockstep takes, and tokens."""
    pace, all_of_it, lockstep, tokens = Pace(), Taken(), 0.0, 0
    for seed in range(5):
        text = positions(200, seed, wrong)
        one = Clock(text, pace, TOKEN_S, trip_s).run()
        all_of_it.seconds += one.seconds
        all_of_it.requests += one.requests
        all_of_it.drafts += one.drafts
        lockstep += lockstep_s(text, TOKEN_S, trip_s)
        tokens += len(text)
    return all_of_it, lockstep, tokens


@pytest.mark.parametrize(
    ("trip_s", "times"), [(0.025, 0.95), (0.045, 1.45), (0.075, 2.3), (0.125, 3.0), (0.3, 4.2)]
)
def test_one_pace_serves_near_and_far_clouds_and_keeps_to_its_requests(
    trip_s: float, times: float
) -> None:
    took, lockstep, tokens = taken(trip_s)
    assert lockstep / took.seconds >= times
    assert took.requests / tokens <= 0.3


def test_a_far_cloud_is_asked_less_for_each_draft() -> None:
    near, far = taken(0.025)[0], taken(0.3)[0]
    assert far.requests / far.drafts < 0.7 * near.requests / near.drafts


def test_a_right_device_needs_fewer_requests_and_a_wrong_one_gets_more() -> None:
    shares = [taken(0.075, wrong)[0].requests for wrong in (0.03, 0.125, 0.4)]
    assert shares[0] < 0.7 * shares[1] < 0.7 * shares[2]
