"""Draws are made a few at a time: the figures are those of all at once, the memory is not."""

from __future__ import annotations

import random
import tracemalloc

import numpy as np
import pytest

from cogenesis.evaluation import bootstrap
from cogenesis.evaluation.bits import Cost, TextCost
from cogenesis.evaluation.bits_report import SampleCost, bits_report
from cogenesis.evaluation.bootstrap import DRAWS, taken, totals
from cogenesis.evaluation.human_ratings import _bootstrap
from cogenesis.evaluation.judge_report import quadratic_kappa
from cogenesis.evaluation.leaks_report import _ranges
from cogenesis.evaluation.text_intervals import Interval, differences, means, statistic

THINGS = 130


@pytest.mark.parametrize("cells", [1, 7 * THINGS + 5, 1 << 19])
def test_blocks_are_the_draws_that_were_made_at_once(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "CELLS", cells)
    whole = np.random.default_rng(4).multinomial(THINGS, np.full(THINGS, 1 / THINGS), size=DRAWS)
    blocks = list(taken(THINGS, 4, 50))
    assert (len(blocks) > 1) is (cells < 50 * THINGS)
    assert np.array_equal(np.concatenate(blocks), whole[:50])
    if cells > 1:
        columns = np.arange(2.0 * THINGS).reshape(THINGS, 2)
        found = totals(columns, 4)
        assert found.shape == (1 + DRAWS, 2)
        assert np.array_equal(found[0], columns.sum(axis=0))
        assert np.array_equal(found[1:], whole @ columns)  # whole numbers: exact


def test_the_figures_are_those_from_before_there_were_blocks() -> None:
    """Recorded with one matrix of all draws."""
    r = random.Random(4)
    values, base = (
        [None if r.random() < 0.2 else round(r.gauss(3, 1), 3) for _ in range(THINGS)]
        for _ in range(2)
    )
    told = means({"own": values, "over": differences(values, base)}, seed=5)
    assert told["own"] == Interval(2.9516, 2.7439, 3.1568, 99)
    assert told["over"] == Interval(-0.0256, -0.3463, 0.3049, 79)
    first = [r.randint(1, 10) for _ in range(THINGS)]
    second = [min(10, max(1, each + r.randint(-2, 2))) for each in first]
    kappa = statistic(THINGS, lambda drawn: quadratic_kappa(first, second, drawn), 5)
    assert kappa == Interval(0.8716, 0.8352, 0.8987, THINGS)
    samples = []
    for n in range(1, THINGS + 1):
        bits = {"device": 200.0 + (n * n) % 31, "fusion:mixture": 190.0 + (n * 7) % 29}
        text = TextCost(10, 300 + n % 50, {"on": Cost(bits, 2, 3.0)})
        samples.append(SampleCost(n, str(n), False, text))
    device, fused = bits_report(samples, 3)["systems"]
    assert list(device.values())[1:4] == [0.65723, 0.65046, 0.66389]
    assert list(fused.values())[1:] == [0.63311, 0.62707, 0.63933, 0.9633, 0.95371, 0.9728]
    place = ("all", "sent", "mrr")
    told_of = _ranges({place: np.array([(n * n) % 7 / 7 for n in range(THINGS)])})
    assert told_of[place] == {"value": 0.2846, "low": 0.2495, "high": 0.3198}
    net = _bootstrap([(n * n) % 7 / 7 for n in range(300)], [n % THINGS for n in range(300)])
    assert net == pytest.approx((0.26348046918846113, 0.3088930936613055))


def test_memory_holds_a_block_and_what_the_draws_add_up_to() -> None:
    """All draws of 400 texts and their copy are 64 MB."""
    columns = np.ones((400, 3))
    tracemalloc.start()
    assert totals(columns, 0).shape == (1 + DRAWS, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
    assert all(block.size <= bootstrap.CELLS for block in taken(400, 0, 5_000))
