"""Ten megabytes to choose from: read once, ranked, and hardly counted."""

from __future__ import annotations

import time
from collections import Counter

from cogenesis.context.budget import select
from cogenesis.context.private_context import Activity, PrivateContext, ProfileField, Writing
from tests.unit.context.test_budget import WINDOW, counts, words


def test_ten_megabytes_are_ranked_but_not_counted() -> None:
    writings = [Writing(f"Text {n}", f"A sentence of {n} words. " * 80) for n in range(5000)]
    context = PrivateContext((), (), writings)
    assert sum(len(item.text) for item in writings) > 10_000_000
    counted = 0

    def count(text: str) -> int:
        nonlocal counted
        counted += len(text)
        return words(text)

    begun = time.monotonic()
    chosen = select(context, "the words of 4321", count=count, room=4000, window=WINDOW)
    assert time.monotonic() - begun < 15  # 2 s when measured
    assert chosen.writings[0] is writings[4321]
    assert counted < 100_000


def test_ten_megabytes_of_small_items_need_few_counts() -> None:
    many = 30_000
    more = "boats, " * 15
    context = PrivateContext(
        [ProfileField(f"field {n}", more) for n in range(many)],
        [Activity("search", f"{more} {n}") for n in range(many)],
        [Writing(f"Text {n}", f"A note. {more}") for n in range(many)],
    )
    assert sum(len(text.text) for text in context.texts()) > 10_000_000
    chosen, calls = counts(context)
    assert calls < 300
    assert len(chosen.fields) > 100
    reasons = Counter((o.kind, o.reason) for o in chosen.omitted)
    assert reasons["field", "window"] == many - len(chosen.fields)
    assert chosen.activities == chosen.writings == ()  # the profile comes first
    assert reasons["activity", "window"] == reasons["writing", "window"] == many
