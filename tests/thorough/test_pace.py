"""What doubting a draft saves, against every plan that counts positions only."""

from __future__ import annotations

from cogenesis.fusion.pace import Pacer
from tests.unit.fusion.imagined_clock import Clock, Taken, positions
from tests.unit.fusion.test_pace import TOKEN_S, taken


def test_doubt_saves_time_at_the_same_number_of_requests() -> None:
    """The point of it all: against every plan that counts positions only."""
    took, _, tokens = taken(0.075)
    for size in (4, 6, 8, 12):
        for first in (2, 3, 4, 6):
            plan = Taken()
            for seed in range(5):
                one = Clock(positions(200, seed), Pacer(size, 4, first), TOKEN_S, 0.075).run()
                plan.seconds += one.seconds
                plan.requests += one.requests
            assert took.seconds < 0.97 * plan.seconds or plan.requests > 0.3 * tokens
