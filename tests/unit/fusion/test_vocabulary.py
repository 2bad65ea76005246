"""Alignment of two vocabularies: reference values by hand, and properties."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cogenesis.fusion import mixing
from cogenesis.fusion.pool import Array, Listed, pooled
from cogenesis.fusion.vocabulary import MIN_SHARED, Spelling, Step, align, same_vocabulary
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import TokenIds
from cogenesis.models.scripted import WORDS, ScriptedModel

WORD = st.text("ab ", min_size=1, max_size=4).map(str.encode)


def dist(entries: dict[bytes, float], first_id: int = 0) -> Distribution:
    """Ids in the order of the entries."""
    ids = range(first_id, first_id + len(entries))
    return Distribution.of(ids, np.log(list(entries.values())).tolist(), list(entries))


def by_bytes(listed: Listed, device: Distribution) -> dict[bytes, float]:
    return dict(zip(device.tokens, listed.mass.tolist(), strict=True))


def total(listed: Listed) -> float:
    return float(listed.mass.sum()) + listed.outside + listed.unlisted


@st.composite
def distributions(draw: st.DrawFn, words: st.SearchStrategy[bytes] = WORD) -> Distribution:
    """Distinct tokens, unordered ids, some mass unlisted."""
    tokens = draw(st.lists(words, min_size=1, max_size=12, unique=True))
    parts = draw(st.lists(st.floats(1e-4, 1), min_size=len(tokens) + 1, max_size=len(tokens) + 1))
    ids = draw(st.permutations(range(3, 3 + len(tokens))))
    values = np.log(np.array(parts[:-1]) / sum(parts))
    return Distribution.of(ids, values.tolist(), tokens)


def test_equal_bytes_match_first_and_the_rest_goes_outside() -> None:
    device = dist({b" the": 0.5, b" a": 0.3, b"x": 0.1})
    cloud = dist({b" a": 0.6, b" the": 0.1, b"?": 0.2}, first_id=90)
    listed = align(device, cloud, same_vocabulary=False)
    np.testing.assert_allclose(listed.mass, [0.1, 0.6, 0.0], rtol=1e-6)
    assert listed.known.tolist() == [True, True, False]
    assert (listed.outside, listed.unlisted) == pytest.approx((0.2, 0.1))


def test_a_longer_cloud_token_goes_to_the_candidate_that_begins_it() -> None:
    device = dist({b" ma": 0.5, b" mark": 0.1, b" m": 0.2})
    cloud = dist({b" marketing": 0.7, b" mad": 0.2})
    listed = align(device, cloud, same_vocabulary=False)
    assert by_bytes(listed, device) == pytest.approx({b" mark": 0.7, b" ma": 0.2, b" m": 0.0})


def test_a_shorter_cloud_token_is_shared_as_the_device_has_it() -> None:
    device = dist({b" market": 0.3, b" marble": 0.1, b" most": 0.4})
    cloud = dist({b" mar": 0.8, b" most": 0.2})
    listed = align(device, cloud, same_vocabulary=False)
    assert by_bytes(listed, device) == pytest.approx(
        {b" market": 0.6, b" marble": 0.2, b" most": 0.2}
    )


def test_a_cloud_token_in_between_is_shared_by_all_that_agree_with_it() -> None:
    device = dist({b" In": 0.1, b" Internet": 0.3, b" International": 0.1, b" Int": 0.1})
    cloud = dist({b" Intern": 1.0})
    listed = align(device, cloud, same_vocabulary=False)
    assert by_bytes(listed, device) == pytest.approx(
        {b" In": 0.0, b" Internet": 0.6, b" International": 0.2, b" Int": 0.2}
    )


def test_spelling_keeps_other_words_away_from_a_short_candidate() -> None:
    """The device has " about" as a token, and would begin " abattoir" with " ab"."""
    device, cloud = dist({b" a": 0.6, b" the": 0.3}), dist({b" about": 0.5, b" abattoir": 0.5})
    assert align(device, cloud, same_vocabulary=False).mass[0] == pytest.approx(1.0)
    known = Spelling([b" a", b" the", b" about", b" ab", b"attoir", b""])
    listed = align(device, cloud, same_vocabulary=False, spelling=known)
    assert listed.mass.tolist() == [0.0, 0.0]
    assert listed.outside == pytest.approx(1.0)
    assert len(known) == 5


def test_spelling_merges_in_the_order_of_the_ids() -> None:
    """Not the longest token that fits: "ab" is merged before "abc" could be reached."""
    letters = [b"%c" % each for each in b"abcd "]
    known = Spelling([*letters, b"cd", b"ab", b"abc", b"abcd"[:3] + b" "])
    assert known.first(b"abcd") == b"ab"
    assert known.first(b"abc") == b"abc"
    assert known.first(b"abc ") == b"abc "
    assert known.first(b"zebra") == b""
    assert known.first(b"") == b""
    assert known.first(b"ab" * 10_000_000) == b"ab"  # no time is spent on the end
    device, cloud = dist({b"ab": 0.5, b"abc": 0.4}), dist({b"abcd": 1.0})
    listed = align(device, cloud, same_vocabulary=False, spelling=known)
    np.testing.assert_allclose(listed.mass, [1.0, 0.0])


def test_improbable_candidates_share_without_dividing_by_zero() -> None:
    device = Distribution.of([0, 1, 2], [0.0, -900.0, -900.0], [b"x", b"ab", b"ac"])
    listed = align(device, dist({b"a": 1.0}), same_vocabulary=False)
    np.testing.assert_allclose(listed.mass, [0.0, 0.5, 0.5])


def test_end_of_text_matches_end_of_text_whatever_its_bytes() -> None:
    device = Distribution.of(
        [0, 2, 5, 9], np.log([0.4, 0.3, 0.1, 0.1]).tolist(), [b"a", b"", b"", b"b"]
    )
    cloud = Distribution.of([1, 3, 4], np.log([0.6, 0.2, 0.2]).tolist(), [b"", b"</s>", b"a"])
    ends = align(
        device, cloud, same_vocabulary=False, device_end={2, 5}, cloud_end=frozenset({1, 3})
    )
    np.testing.assert_allclose(ends.mass, [0.2, 0.6, 0.2, 0.0], rtol=1e-6)
    # Without ids nothing says that id 1 ends a text: it is a special token of the cloud.
    plain = align(device, cloud, same_vocabulary=False)
    assert plain.outside == pytest.approx(0.8)
    # An end that is no candidate, and an end while bytes are pending.
    one = dist({b"a": 1.0})
    assert align(one, cloud, same_vocabulary=False, cloud_end={1}).outside == pytest.approx(0.8)
    nothing = align(one, cloud, same_vocabulary=False, pending=b"q", cloud_end={1, 3})
    assert nothing.unlisted == 1.0
    assert not nothing.known.any()
    opened = align(one, cloud, same_vocabulary=False, pending=b"<", cloud_end={1, 3})
    assert opened.unlisted == 1.0  # "</s>" is no text that begins with "<"


def test_half_characters_are_bytes() -> None:
    pen = "🐧".encode()
    device = dist({pen[:2]: 0.5, pen[:1]: 0.2, b" ": 0.3})
    listed = align(device, dist({pen: 0.9, pen[:3]: 0.1}), same_vocabulary=False)
    assert by_bytes(listed, device)[pen[:2]] == pytest.approx(1.0)
    rest = dist({pen[2:]: 0.5, pen[2:3]: 0.5})
    listed = align(rest, dist({pen: 0.9, b"x": 0.1}), same_vocabulary=False, pending=pen[:2])
    assert by_bytes(listed, rest) == pytest.approx({pen[2:]: 1.0, pen[2:3]: 0.0})


def test_a_leading_space_of_the_cloud_is_a_pending_byte() -> None:
    device = dist({b"Dear": 0.5, b"Hello": 0.4})
    cloud = dist({b" Dear": 0.6, b" Hello": 0.2, b"Dear": 0.2})
    listed = align(device, cloud, same_vocabulary=False, pending=b" ")
    np.testing.assert_allclose(listed.mass, [0.75, 0.25])


def test_pending_bytes_keep_only_what_covers_them() -> None:
    device = dist({b"et": 0.5, b"k": 0.3})
    cloud = dist({b" market": 0.3, b" mark": 0.1, b" mar": 0.05, b" m": 0.05, b" the": 0.4})
    # " m" and " mar" end before or at the end of " mar": unlisted. " the" is dropped. Of the
    # unlisted 0.1 the same share crosses as of the listed 0.9: 0.4 / 0.9 of it.
    listed = align(device, cloud, same_vocabulary=False, pending=b" mar")
    crossing_rest = 0.1 * 0.4 / 0.9
    whole = 0.4 + 0.1 + crossing_rest
    np.testing.assert_allclose(listed.mass, [0.0, 0.4 / whole], rtol=1e-6)
    assert listed.unlisted == pytest.approx((0.1 + crossing_rest) / whole)


def test_the_distribution_after_a_whole_token_says_how_it_goes_on() -> None:
    device = dist({b"ket": 0.5, b"s": 0.3, b" x": 0.1})
    cloud = dist({b" market": 0.3, b" mar": 0.1, b" ma": 0.2, b"?": 0.4})
    then = dist({b"s": 0.8, b" x": 0.2})
    listed = align(
        device, cloud, same_vocabulary=False, pending=b" mar", after=[Step(b" mar", then)]
    )
    np.testing.assert_allclose(listed.mass, [0.75, 0.25 * 0.8, 0.25 * 0.2], rtol=1e-6)
    assert listed.unlisted == pytest.approx(0.0, abs=1e-6)


def test_an_unlisted_way_counts_as_the_least_listed_token() -> None:
    device = dist({b"k": 0.5, b"s": 0.5})
    cloud = dist({b" mark": 0.5, b"?": 0.125})
    listed = align(
        device,
        cloud,
        same_vocabulary=False,
        pending=b" mar",
        after=[Step(b" mar", dist({b"s": 1.0}))],
    )
    crossing_rest = 0.375 * 0.5 / 0.625
    np.testing.assert_allclose(
        listed.mass, np.array([0.5, 0.125]) / (0.625 + crossing_rest), rtol=1e-5
    )


@pytest.mark.parametrize("token", [b"x", b"", b" marks"])
def test_steps_that_do_not_spell_the_pending_bytes_are_refused(token: bytes) -> None:
    one = dist({b"a": 1.0})
    with pytest.raises(ValueError, match="do not spell"):
        align(one, one, same_vocabulary=False, pending=b" mar", after=[Step(token, one)])


def test_conditioning_equals_bayes_where_the_cloud_is_known_in_full() -> None:
    """A cloud with two-token texts, each with one spelling: P(next | pending) by enumeration."""
    random = np.random.default_rng(3)
    heads = [b"ab", b"a", b"abc", b"c"]
    tails = [b"c", b"d", b"bd", b"cc"]
    p = random.dirichlet(np.ones(4))
    after = {head: random.dirichlet(np.ones(4)) for head in heads}
    # "a" + "b..." would be another spelling of "ab...": the tokenizer never writes it.
    after[b"a"] = np.array([0.0, 1.0, 0.0, 0.0])
    after[b"ab"] = np.array([0.0, 0.4, 0.6, 0.0])
    device = dist({b"c": 0.3, b"d": 0.3, b"bd": 0.3, b"x": 0.1})
    want = dict.fromkeys(device.tokens, 0.0)
    for head, q in zip(heads, p, strict=True):
        for tail, r in zip(tails, after[head], strict=True):
            covering = head if len(head) > 2 else head + tail
            if r > 0.0 and covering.startswith(b"ab"):
                want[covering[2:]] += q * r
    scale = sum(want.values())
    cloud = dist(dict(zip(heads, p, strict=True)))
    then = {tail: r for tail, r in zip(tails, after[b"ab"], strict=True) if r > 0}
    listed = align(
        device, cloud, same_vocabulary=False, pending=b"ab", after=[Step(b"ab", dist(then))]
    )
    got = by_bytes(listed, device)
    assert got == pytest.approx({each: mass / scale for each, mass in want.items()}, rel=1e-5)


@given(distributions(), distributions(), st.sampled_from([b"", b"a", b" ", b"ab", b" a b"]))
def test_results_are_normalised_and_touch_only_what_agrees(
    device: Distribution, cloud: Distribution, pending: bytes
) -> None:
    listed = align(device, cloud, same_vocabulary=False, pending=pending)
    assert total(listed) == pytest.approx(1.0, abs=1e-12)
    assert min(listed.mass.min(), listed.outside, listed.unlisted) >= 0.0
    left = [each[len(pending) :] for each in cloud.tokens if each.startswith(pending)]
    for token, mass, known in zip(device.tokens, listed.mass, listed.known, strict=True):
        agreeing = [x for x in left if x and (x.startswith(token) or token.startswith(x))]
        assert mass == 0.0 or agreeing
        assert known or mass == 0.0


@given(distributions(), distributions(), st.sampled_from([b"a", b" ", b"ab", b"ba"]))
def test_conditioning_never_invents_mass(
    device: Distribution, cloud: Distribution, pending: bytes
) -> None:
    """A way to go on gets at most what its tokens have, over all that covers the pending."""
    listed = align(device, cloud, same_vocabulary=False, pending=pending)
    q = dict(zip(cloud.tokens, np.exp(cloud.logprobs.astype(float)), strict=True))
    longer = sum(m for t, m in q.items() if t.startswith(pending) and t != pending)
    covering = longer + sum(m for t, m in q.items() if pending.startswith(t))
    if covering == 0.0:
        assert listed.unlisted == 1.0
    else:
        assert listed.mass.sum() + listed.outside <= longer / covering + 1e-9


@given(distributions(), distributions(), st.randoms(use_true_random=False))
def test_the_order_of_entries_does_not_matter(
    device: Distribution, cloud: Distribution, random: Random
) -> None:
    def relabelled(one: Distribution) -> tuple[Distribution, list[int]]:
        """Other ids, so that the entries stand in another order."""
        order = list(range(len(one)))
        random.shuffle(order)
        ids = [order.index(at) for at in range(len(one))]
        return Distribution.of(ids, one.logprobs.tolist(), one.tokens), order

    (moved, order), (other, _) = relabelled(device), relabelled(cloud)
    one = align(device, cloud, same_vocabulary=False)
    two = align(moved, other, same_vocabulary=False)
    # Sums of float32 in another order.
    np.testing.assert_allclose(one.mass[order], two.mass, atol=1e-6)
    assert (one.outside, one.unlisted) == pytest.approx((two.outside, two.unlisted), abs=1e-6)


# --- how the two spell --------------------------------------------------------------------------

APOSTROPHE = {b"'": 0.3, b"'s": 0.1, b"'ve": 0.1, b" of": 0.4}


def test_a_text_that_is_no_token_of_the_clouds_shares_with_its_beginning() -> None:
    """Asked for "it's", a cloud that cuts at the apostrophe says "'"."""
    device, cloud = dist(APOSTROPHE), dist({b"'": 0.6, b" of": 0.3})
    plain = align(device, cloud, same_vocabulary=False)
    np.testing.assert_allclose(plain.mass, [0.6, 0.0, 0.0, 0.3], atol=1e-6)
    listed = align(device, cloud, same_vocabulary=False, lacking={b"'s"})
    np.testing.assert_allclose(listed.mass, [0.45, 0.15, 0.0, 0.3], atol=1e-6)
    both = align(device, cloud, same_vocabulary=False, lacking={b"'s", b"'ve", b"'ll"})
    np.testing.assert_allclose(both.mass, [0.36, 0.12, 0.12, 0.3], atol=1e-6)
    assert (both.outside, both.unlisted) == pytest.approx((0.0, 0.1), abs=1e-6)
    assert both.known.all()
    # A cloud that lists it after all: each candidate still counts once.
    wrong = align(device, cloud, same_vocabulary=False, lacking={b"'", b"'s"})
    np.testing.assert_array_equal(wrong.mass, listed.mass)


def test_it_does_so_too_where_the_beginning_is_no_candidate() -> None:
    """The device would say "'s" here and nearly never "'": the cloud means the same."""
    device, cloud = dist({b"'s": 0.2, b"'ve": 0.2, b" of": 0.4}), dist({b"'": 0.6, b" of": 0.3})
    known = Spelling([*APOSTROPHE, b" it"])
    listed = align(device, cloud, same_vocabulary=False, spelling=known, lacking={b"'s"})
    np.testing.assert_allclose(listed.mass, [0.6, 0.0, 0.3], atol=1e-6)
    # A cloud that has all of them as tokens says "'" only where it means "'".
    listed = align(device, cloud, same_vocabulary=False, spelling=known)
    np.testing.assert_allclose(listed.mass, [0.0, 0.0, 0.3], atol=1e-6)
    assert listed.outside == pytest.approx(0.6)


def test_only_what_begins_with_the_clouds_token_shares_its_mass() -> None:
    device, cloud = dist(APOSTROPHE), dist({b" of": 0.7, b"'": 0.2})
    listed = align(device, cloud, same_vocabulary=False, lacking={b"'s", b" of", b"\"'s"})
    np.testing.assert_allclose(listed.mass, [0.15, 0.05, 0.0, 0.7], atol=1e-6)


LETTERS = [b"%c" % each for each in b" abcdefghijklmnopqrstuvwxyz"]
GOLD = Spelling([*LETTERS, b" g", b"ol", b"old", b" gold", b"es", b"oes"])
"""It spells " gold" as one token, " goes" as " g" and "oes", " got" as " g", "o" and "t"."""


@pytest.mark.parametrize(
    ("text", "drawn", "spelled"),
    [
        (b" gold", [b" gold"], True),
        (b" golden", [b" gold"], True),
        (b" gold", [b" g", b"o"], False),
        (b" gold", [b" g"], False),
        (b" got", [b" g", b"o"], True),
        (b" goes", [b" g", b"oes"], True),
        (b" goes", [b" g", b"o"], False),
        (b" goes", [], True),
    ],
)
def test_what_the_device_would_spell_with_these_tokens(
    text: bytes, drawn: list[bytes], spelled: bool
) -> None:
    assert GOLD.spells(text, drawn) is spelled


def test_ways_that_the_device_would_have_spelled_otherwise_are_dropped() -> None:
    """After " g" and "o": had the device meant " gold", it would have said so at once."""
    device = dist({b"t": 0.4, b"ld": 0.3, b"ne": 0.1})
    cloud = dist({b" gold": 0.6, b" got": 0.1, b" gone": 0.1, b" the": 0.2})
    common = {"same_vocabulary": False, "pending": b" go"}
    plain = align(device, cloud, **common, spelling=GOLD)  # type: ignore[arg-type]
    assert by_bytes(plain, device)[b"ld"] == pytest.approx(0.75)
    listed = align(device, cloud, **common, spelling=GOLD, drawn=[b" g", b"o"])  # type: ignore[arg-type]
    assert by_bytes(listed, device) == pytest.approx({b"t": 0.5, b"ld": 0.0, b"ne": 0.5})
    assert total(listed) == pytest.approx(1.0)
    unknown = align(device, cloud, **common, drawn=[b" g", b"o"])  # type: ignore[arg-type]
    np.testing.assert_array_equal(unknown.mass, align(device, cloud, **common).mass)  # type: ignore[arg-type]


def test_where_no_way_fits_all_are_kept() -> None:
    """The device has spelled in a way of its own: the cloud's words are all there is."""
    device = dist({b"ld": 0.5, b"es": 0.2, b"t": 0.3})
    cloud = dist({b" gold": 0.6, b" goes": 0.2, b" the": 0.2})
    listed = align(
        device,
        cloud,
        same_vocabulary=False,
        pending=b" go",
        spelling=GOLD,
        drawn=[b" g", b"o"],
    )
    assert by_bytes(listed, device) == pytest.approx({b"ld": 0.75, b"es": 0.25, b"t": 0.0})


@st.composite
def drawings(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """Pending bytes, and tokens that spell them."""
    drawn = draw(st.lists(st.text("ab ", min_size=1, max_size=2).map(str.encode), max_size=3))
    return b"".join(drawn), drawn


@given(distributions(), distributions(), drawings(), st.sets(WORD), st.lists(WORD, max_size=20))
def test_with_all_that_is_known_of_spelling_results_are_normalised_too(
    device: Distribution,
    cloud: Distribution,
    drawing: tuple[bytes, list[bytes]],
    lacking: set[bytes],
    words: list[bytes],
) -> None:
    pending, drawn = drawing
    spelling = Spelling(dict.fromkeys([b"a", b"b", b" ", *words, *device.tokens]))
    listed = align(
        device,
        cloud,
        same_vocabulary=False,
        pending=pending,
        spelling=spelling,
        lacking=lacking,
        drawn=drawn,
    )
    assert total(listed) == pytest.approx(1.0, abs=1e-12)
    assert min(listed.mass.min(), listed.outside, listed.unlisted) >= 0.0
    left = [each[len(pending) :] for each in cloud.tokens if each.startswith(pending)]
    for token, mass, known in zip(device.tokens, listed.mass, listed.known, strict=True):
        assert mass == 0.0 or any(x and (x.startswith(token) or token.startswith(x)) for x in left)
        assert known or mass == 0.0


def top(words: list[bytes], p: Array, k: int) -> Distribution:
    best = np.argsort(-p, kind="stable")[:k]
    return Distribution.of(best.tolist(), np.log(p[best]).tolist(), [words[at] for at in best])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[bytes], Distribution, Distribution, Distribution]:
    """A vocabulary, two models' top entries over it, and the first one's top of another K."""
    words = draw(st.lists(WORD, min_size=2, max_size=12, unique=True))
    seed = st.integers(0, 2**32 - 1)
    p, q = (np.random.default_rng(draw(seed)).dirichlet(np.ones(len(words))) for _ in "pq")
    assume(min(p.min(), q.min()) > 1e-12)
    device, cloud, again = (draw(st.integers(1, len(words))) for _ in range(3))
    return words, top(words, p, device), top(words, q, cloud), top(words, p, again)


@given(pairs())
def test_equal_vocabularies_give_the_exact_paths_numbers(
    pair: tuple[list[bytes], Distribution, Distribution, Distribution],
) -> None:
    words, device, cloud, _ = pair
    exact = align(device, cloud, same_vocabulary=True)
    other = align(device, cloud, same_vocabulary=False, spelling=Spelling(words))
    np.testing.assert_allclose(other.mass, exact.mass, atol=1e-12)
    assert other.known.tolist() == exact.known.tolist()
    assert (other.outside, other.unlisted) == pytest.approx((exact.outside, exact.unlisted))
    assert total(exact) == pytest.approx(1.0, abs=1e-12)


@given(pairs(), st.booleans(), st.floats(0, 1))
def test_a_cloud_that_equals_the_device_changes_nothing(
    pair: tuple[list[bytes], Distribution, Distribution, Distribution], same: bool, weight: float
) -> None:
    """Also if it lists more or fewer tokens."""
    words, device, _, cloud = pair
    pool = pooled(device, align(device, cloud, same_vocabulary=same, spelling=Spelling(words)))
    # float32 log-probabilities: the bucket is a difference of sums of them.
    np.testing.assert_allclose(np.exp(pool.cloud), np.exp(pool.device), atol=1e-6)
    for rule in (mixing.logits, mixing.mixture, mixing.maximum):
        mixed = rule(pool.device, pool.cloud, weight)
        np.testing.assert_allclose(np.exp(mixed), np.exp(pool.device), atol=1e-6)
    np.testing.assert_allclose(
        np.exp(mixing.steered(pool.cloud, pool.device, pool.device, 1.5)),
        np.exp(pool.device),
        atol=1e-6,
    )


def test_the_scripted_model_beside_itself_with_tokens_of_equal_bytes() -> None:
    """Tokens of the same bytes share; the text is the same whichever is chosen."""
    model = ScriptedModel(tokens=(*WORDS, b" the"))
    one = model.next_distribution(TokenIds((1, 2)), model.capabilities.logprobs)
    listed = align(
        one,
        one,
        same_vocabulary=False,
        device_end={model.end_token},
        cloud_end={model.end_token},
    )
    np.testing.assert_allclose(listed.mass, np.exp(one.logprobs.astype(float)), atol=1e-6)


def test_same_vocabulary_needs_agreement_and_enough_of_it() -> None:
    tokens = {at: b"%d" % at for at in range(200)}
    padded = {**tokens, **dict.fromkeys(range(200, 240), b"")}
    assert same_vocabulary(tokens, padded)
    assert not same_vocabulary(tokens, {**padded, 77: b"other"})
    few = {at: tokens[at] for at in range(MIN_SHARED - 1)}
    assert not same_vocabulary(tokens, few)
    assert not same_vocabulary({}, {})
