"""Attackers: they recognise whom they can, guess fairly where they cannot, and learn settings."""

from __future__ import annotations

import numpy as np
import pytest

from cogenesis.evaluation.leaks_attackers import (
    NAMES,
    SETTLED,
    Attackers,
    AttackSetting,
    among,
    query_of,
    ranks,
    reciprocal,
    terms,
    together,
)
from cogenesis.evaluation.leaks_received import Received

DOCUMENTS = [
    "Orchids in the greenhouse need rain water. She paints orchids and frozen canals.",
    "Sailing on the frozen sea, he repairs wooden boats with tar, and sings shanties.",
    "Chess clubs meet in the library; the librarian plays the Sicilian opening.",
    "Beehives on the roof give honey. Bees, clover, and a smoker in the shed.",
]
ATTACKERS = Attackers(DOCUMENTS)
SETTINGS: dict[str, AttackSetting] = {
    **SETTLED["floor"],
    "lsa": {"directions": 4.0, "text": 1.0},
}
SETTINGS["all"] = together(SETTINGS)


@pytest.mark.parametrize("name", NAMES)
def test_who_says_a_persons_words_is_recognised(name: str) -> None:
    queries = [
        query_of(Received("A note about an orchid")),
        query_of(Received("A note", ("Dear all, the wooden boat", "Dear all, the boat sings"))),
        query_of(Received("A note", (), ("X-Opening: Sicilian",))),
        query_of(Received("A note", (), (), ("clover",))),
    ]
    scores = ATTACKERS.scores(name, queries, SETTINGS[name])
    assert scores.shape == (4, 4)
    assert np.isfinite(scores).all()
    assert scores.argmax(axis=1).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("name", NAMES)
def test_who_receives_nothing_can_only_guess(name: str) -> None:
    scores = ATTACKERS.scores(
        name, [query_of(Received()), query_of(Received("xylophone"))], SETTINGS[name]
    )
    assert among(scores, [0, 3], 1).tolist() == [0.25, 0.25]
    assert reciprocal(scores, [0, 3]) == pytest.approx([(1 + 1 / 2 + 1 / 3 + 1 / 4) / 4] * 2)


def test_ties_share_their_places() -> None:
    scores = np.array([[3.0, 1.0, 1.0, 0.0]])
    better, same = ranks(scores, [1])
    assert (better.tolist(), same.tolist()) == ([1.0], [2.0])
    assert among(scores, [1], 1).tolist() == [0.0]
    assert among(scores, [1], 2).tolist() == [0.5]
    assert among(scores, [1], 5).tolist() == [1.0]
    assert reciprocal(scores, [1]) == pytest.approx([(1 / 2 + 1 / 3) / 2])


def test_settings_are_learnt_from_people_whose_texts_are_known() -> None:
    """The growing texts lead astray here, so a tuned attacker leaves them out."""
    queries = [
        query_of(Received("orchids", ("wooden boats with tar",))),
        query_of(Received("shanties", ("honey and clover",))),
    ]
    found = ATTACKERS.tuned(queries, [0, 1])
    for name in NAMES:
        right = reciprocal(ATTACKERS.scores(name, queries, found[name]), [0, 1])
        assert right.tolist() == [1.0, 1.0]
    assert all(found[name]["text"] < 1.0 for name in ("bm25", "lsa", "lm"))


def test_a_word_of_a_growing_text_counts_once_and_placeholders_are_no_neighbours() -> None:
    query = query_of(Received("bees and bees", ("honey bees", "honey bees, honey [word 1] tar")))
    assert query.opening["bee"] == 2
    assert set(query.grown.values()) == {1}
    assert "honey tar" not in query.grown
    assert terms("wooden boats of tar") == ["wooden", "boat", "tar", "wooden boat", "boat tar"]
