"""The target: one pure function for decoding and scoring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogenesis.errors import CloudError, ModelError
from cogenesis.fusion.gates import FixedWeight
from cogenesis.fusion.mixing import RULES, logits, mixture
from cogenesis.fusion.pool import Listed, pooled
from cogenesis.fusion.schedules import Periodic, Unsure
from cogenesis.fusion.shaping import Shaping
from cogenesis.fusion.target import Target, check
from cogenesis.models.distribution import Distribution

PLAIN = Shaping(temperature=1.0)
P, Q = np.array([0.4, 0.3, 0.2]), np.array([0.1, 0.6, 0.2])
IDS = [3, 5, 9]


def device(p: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = P) -> Distribution:
    return Distribution.of(IDS, np.log(p).tolist(), [b"a", b"b", b"c"])


def listed() -> Listed:
    return Listed(Q.copy(), np.ones(3, bool), 0.1, 0.0)


def test_it_mixes_then_shapes() -> None:
    target = Target(mixture, FixedWeight(0.25), PLAIN)
    r = target.at(device(), listed(), 0, [])
    mixed = 0.25 * P + 0.75 * Q
    np.testing.assert_allclose(np.exp(r.logprobs), mixed / mixed.sum(), rtol=1e-6)
    assert (r.ids.tolist(), r.weight) == (IDS, 0.25)
    penal = replace(target, shaping=Shaping(temperature=0.0, presence_penalty=9.0))
    assert int(np.argmax(penal.at(device(), listed(), 0, [5, 3]).logprobs)) == 2


def test_without_the_cloud_it_is_the_devices_own() -> None:
    target = Target(logits, FixedWeight(0.1), Shaping(temperature=0.7, top_p=0.9))
    alone = target.alone(device(), [5])
    for r in (
        target.at(device(), None, 3, [5]),
        replace(target, schedule=Periodic(0, 0, 1)).at(device(), None, 0, [5]),
        replace(target, schedule=Unsure(0.1)).at(device(), listed(), 3, [5]),
    ):
        np.testing.assert_array_equal(r.logprobs, alone.logprobs)
        assert (r.weight, r.pool, r.source(0)) == (1.0, None, "device")


def test_the_schedule_decides_even_if_the_cloud_has_spoken() -> None:
    """So a row that came along with a draft's request changes nothing."""
    target = Target(shaping=PLAIN, schedule=Periodic(1, 1, 1))
    asked = [target.at(device(), listed(), step, []).pool is not None for step in range(6)]
    assert asked == [True, False, True, False, True, False]


def test_who_decided() -> None:
    r = Target(mixture, FixedWeight(0.5), PLAIN).at(device(), listed(), 0, [])
    # shares of the device: 0.8, 1/3 (0.3 of 0.9, below), 0.5
    assert [r.source(at) for at in range(3)] == ["device", "both", "both"]
    r = Target(mixture, FixedWeight(0.2), PLAIN).at(device(), listed(), 0, [])
    assert [r.source(at) for at in range(3)] == ["both", "cloud", "cloud"]
    r = Target(mixture, FixedWeight(1.0), PLAIN).at(device(), listed(), 0, [])
    assert [r.source(at) for at in range(3)] == ["device"] * 3


@pytest.mark.parametrize("rule", sorted(RULES))
def test_scores_of_all_tokens_sum_to_one(rule: str) -> None:
    """Candidates by their entry, the bucket's tokens by their share of it."""
    target = Target(RULES[rule], FixedWeight(0.3), Shaping(temperature=0.2, top_k=1))
    outside = {20: 0.06, 21: 0.03, 22: 0.01}  # the device's other tokens
    one, cloud = device(), listed()
    scores = [target.score(one, cloud, 0, each) for each in IDS]
    scores += [target.score(one, cloud, 0, t, float(np.log(p))) for t, p in outside.items()]
    assert np.exp(scores).sum() == pytest.approx(1.0, abs=1e-6)
    pool = pooled(one, cloud)
    np.testing.assert_allclose(scores[:3], RULES[rule](pool.device, pool.cloud, 0.3)[:3])


def test_scoring_looks_at_no_sampling_setting_and_at_the_schedule() -> None:
    target = Target(mixture, FixedWeight(0.25), Shaping(temperature=0.0, repeat_penalty=3.0))
    assert target.score(device(), listed(), 0, 5) == pytest.approx(np.log(0.525), abs=1e-6)
    quiet = replace(target, schedule=Unsure(0.0))
    assert quiet.score(device(), listed(), 0, 5) == pytest.approx(np.log(0.3), abs=1e-6)
    assert target.score(device(), None, 0, 5) == pytest.approx(np.log(0.3), abs=1e-6)


def test_a_bucket_that_was_rounded_away_costs_no_fortune() -> None:
    full = device(np.array([0.5, 0.3, 0.2]))
    assert full.rest < 1e-6
    score = Target(mixture, FixedWeight(0.5), PLAIN).score(full, None, 0, 77, float(np.log(1e-4)))
    assert score == pytest.approx(np.log(1e-4), abs=0.01)


def test_a_token_that_nobody_scored_is_an_error_not_a_guess() -> None:
    with pytest.raises(ModelError, match="must score it"):
        Target().score(device(), listed(), 0, 77)


@given(st.lists(st.floats(1e-4, 1.0), min_size=4, max_size=4), st.floats(0.0, 1.0))
def test_a_cloud_that_agrees_changes_nothing(numbers: list[float], weight: float) -> None:
    p = np.array(numbers) / sum(numbers)
    one = device(p[:3])
    same = Listed(np.exp(one.logprobs.astype(np.float64)), np.ones(3, bool), 0.0, one.rest)
    for rule in (RULES["logits"], RULES["mixture"], RULES["max"]):
        target = Target(rule, FixedWeight(weight), Shaping(temperature=0.7))
        fused, alone = target.at(one, same, 0, []), target.alone(one, [])
        np.testing.assert_allclose(fused.logprobs, alone.logprobs, atol=1e-6)


@pytest.mark.parametrize(
    "lie",
    [
        replace(listed(), mass=np.array([0.1, np.nan, 0.1])),
        replace(listed(), mass=np.array([0.1, -1e-9, 0.1])),
        replace(listed(), mass=np.array([0.1, 0.9])),
        replace(listed(), mass=np.ones((3, 1)) / 9),
        replace(listed(), known=np.ones(4, bool)),
        replace(listed(), outside=-0.1),
        replace(listed(), unlisted=float("nan")),
        replace(listed(), unlisted=0.5),
    ],
)
def test_nonsense_is_refused(lie: Listed) -> None:
    check(listed(), 3)
    with pytest.raises(CloudError) as caught:
        Target(shaping=PLAIN).at(device(), lie, 0, [])
    assert caught.value.reason == "bad-reply"
