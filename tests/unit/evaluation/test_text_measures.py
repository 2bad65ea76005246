"""Every formula of `evaluate text` against values that were worked out by hand."""

from __future__ import annotations

import math

import pytest

from cogenesis.evaluation.text_intervals import differences, means, statistic
from cogenesis.evaluation.text_measures import distinct, form, longest_repeat, words_of
from cogenesis.evaluation.text_style import Style, function_word_divergence

SONG = ["row", "row", "row", "your", "boat", "gently", "down", "the", "stream"]


def test_words_are_in_lower_case_and_keep_their_apostrophes() -> None:
    assert words_of("Don’t stop – it's O'Hara_2 at 7pm!") == [
        "don't",
        "stop",
        "it's",
        "o'hara",
        "2",
        "at",
        "7pm",
    ]


@pytest.mark.parametrize(
    ("size", "share"),
    [(1, 7 / 9), (2, 7 / 8), (3, 1.0), (9, 1.0), (10, None)],
)
def test_distinct_n_is_different_over_all(size: int, share: float | None) -> None:
    assert distinct(SONG, size) == share


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        ("", 0),
        ("a b c", 0),
        ("a b a", 1),
        ("a b a b", 2),
        ("a a a", 1),  # two of them would overlap
        ("a a a a a", 2),
        ("x a b c y a b c z", 3),
        ("x a b c y a b z a b c", 3),
    ],
)
def test_the_longest_passage_that_stands_twice(text: str, longest: int) -> None:
    assert longest_repeat(text.split()) == longest


def test_the_form_of_a_text() -> None:
    found = form("a b c d a b c d", "one two three four")
    assert found == {
        "words": 8.0,
        "length_ratio": 2.0,
        "distinct_2": 4 / 7,
        "repeated_4": 1 - 4 / 5,  # five 4-grams, "a b c d" twice
        "longest_repeat": 0.5,
    }
    assert form("", "")["length_ratio"] is form("", "")["longest_repeat"] is None


def test_function_words_diverge_by_jensen_and_shannon() -> None:
    assert function_word_divergence("the and", "the the and and") == pytest.approx(0.0)
    assert function_word_divergence("the cat", "and of") == pytest.approx(1.0)
    # P = (1, 0), Q = (1/2, 1/2), M = (3/4, 1/4): the mean of log2(4/3) and of
    # log2(2/3)/2 + log2(2)/2.
    expected = (math.log2(4 / 3) + 0.5 * math.log2(2 / 3) + 0.5) / 2
    assert function_word_divergence("the", "the and") == pytest.approx(expected)
    assert function_word_divergence("cat", "the") is None


def test_delta_is_the_mean_distance_of_z_scores() -> None:
    # Shares of (a, b): (1, 0) and (0, 1), so each spread is 1/2; "c" does not occur.
    style = Style(["a a", "b b"])
    # Text (1/2, 1/2) from (1, 0): |1/2| / (1/2) for both words.
    assert style.delta("a b", "a") == pytest.approx(1.0)
    assert style.delta("a c", "a a c c") == pytest.approx(0.0)
    assert style.delta("a", "b") == pytest.approx(2.0)
    assert style.delta("", "b") is None
    # A word that both use alike has no spread and counts for nothing.
    assert Style(["x a", "x b"]).delta("a", "b") == pytest.approx(4.0)


@pytest.mark.parametrize("histories", [[], ["only one person"], ["", " "]])
def test_of_one_person_delta_knows_nothing(histories: list[str]) -> None:
    assert Style(histories).delta("a b", "a") is None


def test_only_the_most_frequent_words_count() -> None:
    assert Style(["a a a rare", "a b b b"], words=1).delta("rare b", "a a") is not None
    assert Style(["a a a rare", "a b b b"], words=1).delta("rare", "b") == 0.0


def test_means_leave_out_what_is_not_there() -> None:
    told = means({"half": [1.0, None, 3.0, None], "none": [None] * 4})
    found = told["half"]
    assert (found.value, found.samples) == (2.0, 2)
    assert (found.low, found.high) == (1.0, 3.0)
    nothing = told["none"]
    assert (nothing.value, nothing.low, nothing.samples) == (None, None, 0)


def test_differences_are_of_pairs() -> None:
    # Far apart from sample to sample, and always one better: no doubt is left.
    found = means({"": differences([2.0, 51.0, None], [1.0, 50.0, 7.0])})[""]
    assert (found.value, found.low, found.high, found.samples) == (1.0, 1.0, 1.0, 2)


def test_the_range_is_that_of_the_binomial() -> None:
    # 100 samples, half of them 1: the share has a standard error of 0.05.
    found = means({"": [0.0, 1.0] * 50})[""]
    assert found.low == pytest.approx(0.40, abs=0.011)
    assert found.high == pytest.approx(0.60, abs=0.011)
    assert means({"": [0.0, 1.0] * 50}, seed=0)[""] == found


def test_any_statistic_can_be_drawn() -> None:
    values = [0.0, 1.0] * 50

    def mean(taken: object) -> float:
        weights = list(taken)  # type: ignore[call-overload]
        return float(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))

    found = statistic(100, mean)
    assert found.value == 0.5
    assert found.low == pytest.approx(0.40, abs=0.02)
    assert statistic(3, lambda taken: None).value is None
