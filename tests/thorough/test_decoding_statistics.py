"""The sampled texts follow the target's distribution, however they were drafted.

The scripted models look at the last token only, so the target has one row for each of four
tokens. Which token follows which is counted over many texts, against the exact rows
(chi-square, 12 degrees of freedom). The false-alarm rate of one check is 1e-6 for random seeds;
the seeds are fixed, so a check that passes always passes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cogenesis.fusion.coupling import choose
from cogenesis.fusion.decoding import Decoding
from cogenesis.fusion.draft import DraftAndVerify
from cogenesis.fusion.gates import FixedWeight
from cogenesis.fusion.lockstep import Lockstep
from cogenesis.fusion.mixing import RULES
from cogenesis.fusion.pace import Pacer
from cogenesis.fusion.pool import Array
from cogenesis.fusion.shaping import Shaping
from cogenesis.fusion.target import Shaped, Target
from cogenesis.fusion.verify import Coupled, Rejection, Verdict, Verification, residual
from cogenesis.models.protocol import TokenIds
from tests.unit.fusion.scripted_pair import SameVocabularyCloud, Table

PROMPT = TokenIds((0,))
LENGTH = 3
DEVICE = Table(
    [[0.55, 0.25, 0.1, 0.1], [0.1, 0.2, 0.6, 0.1], [0.3, 0.3, 0.2, 0.2], [0.7, 0.1, 0.1, 0.1]]
)
CLOUD = Table(
    [[0.1, 0.2, 0.6, 0.1], [0.4, 0.4, 0.1, 0.1], [0.25, 0.05, 0.6, 0.1], [0.1, 0.2, 0.1, 0.6]]
)
TARGET = Target(RULES["mixture"], FixedWeight(0.4), Shaping(temperature=0.8), k=4)
TEXTS, LENGTH = 10, 150
LIMIT = 51.0
"""What chi-square with 12 degrees of freedom exceeds once in a million, rounded up."""


def exact(target: Target, cloud_k: int = 4) -> Array:
    """Row i: the probabilities of the token after i, from the target itself."""
    cloud = SameVocabularyCloud(CLOUD, cloud_k, prompt=PROMPT)
    rows = []
    for last in range(4):
        device = DEVICE.next_distribution(TokenIds((last,)), 4)
        rows.append(np.exp(target.at(device, cloud.row([last]).onto(device), 1, [last]).logprobs))
    return np.array(rows)


def drawn(
    verification: Verification | None,
    target: Target = TARGET,
    *,
    size: int = 5,
    cloud_k: int = 4,
    naive: bool = False,
) -> Array:
    """How often each token followed each; None is lockstep."""
    counts = np.zeros((4, 4))
    for seed in range(TEXTS):
        cloud = SameVocabularyCloud(CLOUD, cloud_k, prompt=PROMPT, naive=naive)
        decoding = Decoding(seed=seed, max_tokens=LENGTH, deadline_s=30.0)
        way: Lockstep | DraftAndVerify
        if verification is None:
            way = Lockstep(DEVICE, cloud, target, decoding)
        else:
            way = DraftAndVerify(
                DEVICE, cloud, target, decoding, verification=verification, pace=Pacer(size)
            )
        text = [*PROMPT.ids, *(token.id for token in way.tokens(PROMPT))]
        assert len(text) == LENGTH + 1
        np.add.at(counts, (text[:-1], text[1:]), 1.0)
    return counts


def follows(counts: Array, rows: Array) -> bool:
    expected = counts.sum(axis=1, keepdims=True) * rows
    possible = expected > 0.0
    if counts[~possible].any():
        return False
    assert expected[possible].min() > 5.0
    statistic = ((counts - expected)[possible] ** 2 / expected[possible]).sum()
    return bool(statistic <= LIMIT)


@pytest.mark.parametrize(
    "verification", [None, Coupled(), Rejection()], ids=lambda v: type(v).__name__
)
def test_texts_follow_the_target(verification: Verification | None) -> None:
    assert follows(drawn(verification), exact(TARGET))


def test_rejection_sampling_follows_a_cut_product() -> None:
    target = replace(TARGET, rule=RULES["product"], shaping=Shaping(temperature=1.0, top_k=3))
    assert follows(drawn(Rejection(), target, size=2), exact(target))


def no_subtraction(target: Array, proposal: Array) -> Array:
    return target


def other_sign(target: Array, proposal: Array) -> Array:
    return residual(proposal, target)


@pytest.mark.parametrize("wrong", [no_subtraction, other_sign])
def test_the_check_notices_a_wrong_residual(wrong: type[Array]) -> None:
    assert not follows(drawn(Rejection(residual=wrong)), exact(TARGET))


class StopsBeforeUnsureDrafts(Rejection):
    """Ends the draft before a token because that token is unlikely, and draws it from r.

    The token that stands there is then r's own where the draft was unlikely, and else a
    likely draft that was accepted: likely drafts count twice.
    """

    def judge(
        self, proposal: Shaped, target: Shaped, drafted: int, seed: int, position: int
    ) -> Verdict:
        if proposal.logprobs[drafted] < np.log(0.3):
            return Verdict(choose(target.logprobs, target.ids, seed + 10**6, position), False)
        return super().judge(proposal, target, drafted, seed, position)


def test_the_check_notices_a_draft_that_was_stopped_because_of_its_last_token() -> None:
    assert not follows(drawn(StopsBeforeUnsureDrafts()), exact(TARGET))


def test_the_check_notices_a_target_that_looks_at_the_draft() -> None:
    """The cloud lists two tokens; a server adds the drafted one, and it is kept or put back."""
    texts = exact(TARGET, cloud_k=2)
    assert follows(drawn(Rejection(), cloud_k=2), texts)
    assert not follows(drawn(Rejection(), cloud_k=2, naive=True), texts)


def test_the_residual_by_hand() -> None:
    r, q = np.log([0.5, 0.3, 0.2]), np.log([0.2, 0.7, 0.1])
    np.testing.assert_allclose(np.exp(residual(r, q)), [0.75, 0.0, 0.25])
    np.testing.assert_array_equal(residual(r, r), r)
