"""A cloud that answers nonsense, or nothing, in the middle of a fused text."""

from __future__ import annotations

import time

import pytest

from tests.unit.fusion.word_models import Fault, Reply
from tests.unit.models.loopback import Handler
from tests.unit.test_assistant_fusion import (
    FAULTS,
    LOCKSTEP,
    Far,
    broken_at,
    check_that_the_text_came,
)
from tests.unit.test_assistant_fusion import far as far
from tests.unit.test_assistant_fusion import shared as shared


@pytest.mark.parametrize(("fault", "reason"), FAULTS.values(), ids=FAULTS.keys())
def test_an_answer_that_is_none_costs_the_clouds_part_only(
    far: Far, fault: Fault, reason: str
) -> None:
    # In lockstep no answer is for a draft that was thrown away: each is some token's.
    check_that_the_text_came(broken_at(far, fault, fusion=LOCKSTEP), reason)
    assert far.ledger.verify().ok


def test_a_silence_in_mid_text_is_waited_for_a_few_times_only(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogenesis.fused_writing.SHORTEST_DEADLINE_S", 0.6)
    monkeypatch.setattr("cogenesis.fused_writing._PATIENCE", 0.0)
    begun = time.monotonic()

    def silence(handler: Handler, reply: Reply) -> None:
        time.sleep(1.2)
        handler.drop()

    events = broken_at(far, silence)
    assert time.monotonic() - begun < 8
    # One that flew beside the late one loses the connection with it.
    check_that_the_text_came(events, "timeout", "unreachable")
