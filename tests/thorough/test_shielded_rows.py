"""A row of the shielded cloud is a function of the text before it."""

from __future__ import annotations

import threading
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.fusion.test_shielded_cloud import SOON, Cut, Told, alone, cuts, same_row


@given(cut=cuts(), same=st.booleans(), data=st.data())
def test_a_row_does_not_depend_on_drafts_or_on_what_was_asked_before(
    cut: Cut, same: bool, data: st.DataObject
) -> None:
    size = len(cut.ids)
    expected = [alone(cut, end, same=same) for end in range(size + 1)]
    cloud = cut.cloud(Told(), same=same)
    spans = st.tuples(st.integers(0, size), st.integers(0, size)).map(sorted)
    for begin, end in data.draw(st.lists(spans, min_size=1, max_size=4)):
        rows = cloud.score(cut.upto(begin), cut.between(begin, end), SOON)
        assert len(rows) == end - begin + 1
        assert all(map(same_row, rows, expected[begin : end + 1]))


@settings(max_examples=8)
@given(cut=cuts(), seed=st.integers(0, 99))
def test_a_row_does_not_depend_on_threads(cut: Cut, seed: int) -> None:
    random, size = Random(seed), len(cut.ids)
    expected = [alone(cut, end) for end in range(size + 1)]
    cloud = cut.cloud(Told(wait=lambda: random.random() / 1000))
    wrong: list[tuple[int, int]] = []

    def ask(spans: list[tuple[int, int]]) -> None:
        for begin, end in spans:
            rows = cloud.score(cut.upto(begin), cut.between(begin, end), SOON)
            if not all(map(same_row, rows, expected[begin : end + 1])):
                wrong.append((begin, end))

    spans = [(begin, min(size, begin + 3)) for begin in range(size + 1)]
    threads = [
        threading.Thread(target=ask, args=(random.sample(spans, len(spans)),)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
