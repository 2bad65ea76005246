"""ROUGE, chrF and the bootstrap against values from elsewhere. Their libraries load slowly."""

from __future__ import annotations

import numpy as np
import pytest

from cogenesis.evaluation.text_intervals import differences, means
from cogenesis.evaluation.text_measures import nearness


def test_rouge_counts_stems_in_common() -> None:
    found = nearness("the cats sat on a mat", "the cat sat on the mat")
    # Five of six words in common on both sides ("cats" is "cat"); three of five bigrams;
    # the longest common subsequence has five words.
    assert found["rouge1"] == pytest.approx(100 * 5 / 6)
    assert found["rouge2"] == pytest.approx(100 * 3 / 5)
    assert found["rougeL"] == pytest.approx(100 * 5 / 6)


def test_chrf_weighs_recall_twice() -> None:
    # Characters without spaces: "abcd" against "abce". n = 1: 3/4; 2: 2/3; 3: 1/2; 4: 0; there
    # are no longer ones. Precision and recall are equal, so F is their mean.
    expected = 100 * (3 / 4 + 2 / 3 + 1 / 2 + 0) / 4
    assert nearness("abcd", "abce")["chrf"] == pytest.approx(expected, abs=0.01)
    # What is missing costs more than what is too much.
    short = nearness("ab", "abcd")["chrf"]
    long = nearness("abcd", "ab")["chrf"]
    assert short is not None and long is not None and short < long


def test_the_same_text_is_nearest_and_nothing_is_far() -> None:
    same = nearness("Dear Wren, the otters came.", "Dear Wren, the otters came.")
    assert all(value == pytest.approx(100.0) for value in same.values())
    assert set(nearness("", "Dear Wren").values()) == {0.0}
    assert set(nearness("Dear Wren", " ").values()) == {None}


def test_ranges_agree_with_those_of_scipy() -> None:
    from scipy.stats import bootstrap

    random = np.random.default_rng(5)
    values = random.gamma(2.0, 3.0, size=60)
    other = values + random.normal(0.5, 1.0, size=60)
    told = means({"mean": list(values), "over": differences(list(other), list(values))})
    for ours, theirs in ((told["mean"], values), (told["over"], other - values)):
        found = bootstrap(
            (theirs,), np.mean, n_resamples=10_000, method="percentile", rng=1
        ).confidence_interval
        spread = float(np.std(theirs)) / 60**0.5
        assert ours.value == pytest.approx(float(np.mean(theirs)), abs=1e-4)
        assert ours.low == pytest.approx(found.low, abs=0.1 * spread)
        assert ours.high == pytest.approx(found.high, abs=0.1 * spread)
