"""Names that people choose, and what is sampled then."""

from __future__ import annotations

from typing import Any

import pytest

from cogenesis.errors import InputError
from cogenesis.fusion.gates import FixedWeight
from cogenesis.fusion.mixing import RULES
from cogenesis.fusion.schedules import Always, Periodic, Unsure
from cogenesis.fusion.settings import SCHEDULES, FusionSettings
from cogenesis.models.protocol import Sampling


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"rule": "average"}, "choose logits, max, mixture, product"),
        ({"schedule": "never"}, "choose always, paper, unsure"),
        ({"weight": -0.1}, "from 0 to 1"),
        ({"weight": 1.5}, "from 0 to 1"),
        ({"weight": float("nan")}, "from 0 to 1"),
        ({"decoding": "guess"}, "draft-and-verify or lockstep"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        FusionSettings(**wrong)


def test_the_ends_of_the_weight_are_allowed() -> None:
    assert [FusionSettings(weight=w).weight for w in (0.0, 1.0)] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("name", "kind"), [("always", Always), ("paper", Periodic), ("unsure", Unsure)]
)
def test_each_schedule_is_what_it_is_called(name: str, kind: type) -> None:
    assert type(FusionSettings(schedule=name).target(Sampling()).schedule) is kind
    assert set(SCHEDULES) == {"always", "paper", "unsure"}


@pytest.mark.parametrize("rule", sorted(RULES))
def test_the_target_has_the_rule_the_weight_and_all_of_the_sampling(rule: str) -> None:
    sampling = Sampling(
        temperature=0.3,
        top_p=0.8,
        top_k=7,
        min_p=0.1,
        repeat_penalty=1.2,
        presence_penalty=0.4,
    )
    target = FusionSettings(rule=rule, weight=0.25).target(sampling)
    assert target.rule is RULES[rule]
    assert target.gate == FixedWeight(0.25)
    for name in ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "presence_penalty"):
        assert getattr(target.shaping, name) == getattr(sampling, name)
