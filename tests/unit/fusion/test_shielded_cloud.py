"""What leaves for each position of a draft, and what becomes of the answer."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogenesis.errors import CloudError, EgressError
from cogenesis.fusion import mixing
from cogenesis.fusion.cloud_row import Row, Vocabularies
from cogenesis.fusion.gates import FixedWeight
from cogenesis.fusion.pool import Listed, pooled
from cogenesis.fusion.shielded_cloud import ShieldedCloud
from cogenesis.fusion.target import CANDIDATES, Target, check
from cogenesis.fusion.vocabulary import Spelling
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import TokenIds
from cogenesis.models.scripted import BYTES
from cogenesis.privacy.released import _MINT, ShieldedText
from cogenesis.privacy.shield import Shield
from cogenesis.wire import Deadline
from tests.unit.privacy.test_shield import GENERAL, LEXICON, SHIELD

SOON = Deadline(600)
NOTHING = TokenIds(())

WORDS = (
    *(b" the", b" gard", b"en", b" of", b" Oda", b"lys", b" and", b",", b".\n", b" Golden", b"st"),
    *(
        b" Thread",
        b" gold",
        b" sourd",
        b"ough",
        b" [",
        b"[name",
        b" 555-0123",
        b" caf\xc3",
        b"\xa9",
    ),
)
PRIVATE = ("odalys", "fenwright", "sourdough", "555", "golden thread")


class Told:
    """A cloud whose answer is a function of the text; it remembers each request."""

    def __init__(
        self,
        words: Sequence[bytes] = (*BYTES, *WORDS, b""),
        wait: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._words, self._wait = words, wait
        self.asked: list[tuple[str, ...]] = []

    @property
    def texts(self) -> set[str]:
        return {text for request in self.asked for text in request}

    def next_distributions(
        self, prefixes: Sequence[ShieldedText], k: int, *, deadline: Deadline | None = None
    ) -> list[Distribution]:
        assert all(type(each) is ShieldedText for each in prefixes)
        self.asked.append(tuple(each.text for each in prefixes))
        time.sleep(self._wait())
        return [self.after(each.text, k) for each in prefixes]

    def after(self, text: str, k: int) -> Distribution:
        seed = hashlib.sha256(text[-6:].encode()).digest()[:8]
        logits = np.random.default_rng(list(seed)).normal(scale=3.0, size=len(self._words))
        values = logits - np.log(np.exp(logits).sum())
        best = np.argsort(-values, kind="stable")[:k].tolist()
        return Distribution.of(
            best, [float(values[at]) for at in best], [self._words[at] for at in best]
        )


class Cut:
    """A text cut into tokens; equal tokens have equal ids."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        self.tokens = list(dict.fromkeys(tokens))
        self.ids = TokenIds(tuple(self.tokens.index(each) for each in tokens))

    def upto(self, end: int) -> TokenIds:
        return TokenIds(self.ids.ids[:end])

    def between(self, begin: int, end: int) -> TokenIds:
        return TokenIds(self.ids.ids[begin:end])

    def text(self, end: int) -> str | None:
        """None inside a character."""
        data = b"".join(self.tokens[each] for each in self.ids.ids[:end])
        try:
            return data.decode()
        except UnicodeDecodeError:
            return None

    def cloud(self, told: Told, *, same: bool = False, shield: Shield = SHIELD) -> Cloud:
        known = Vocabularies(lambda each: self.tokens[each], Spelling(self.tokens), same)
        return ShieldedCloud(told, lambda shown: shown, shield, known, k=40)


Cloud = ShieldedCloud[ShieldedText]

SPOKEN = st.lists(
    st.sampled_from(
        [
            *(" the", " garden", " of", " Odalys", " Fenwright", " Golden", " Thread", " gold"),
            *(" sourdough", " 555-0123", " café", " 🌷", ",", ".\n", "\n\n", " Theodora", " and"),
        ]
    ),
    min_size=1,
    max_size=9,
).map("".join)


@st.composite
def cuts(draw: st.DrawFn) -> Cut:
    """A text with private words, cut anywhere, also inside words and characters."""
    data = draw(SPOKEN).encode()
    places = draw(st.sets(st.integers(1, len(data)), max_size=len(data) // 2))
    edges = sorted({0, *places, len(data)})
    return Cut([data[a:b] for a, b in pairwise(edges)])


def alone(cut: Cut, end: int, *, same: bool = False) -> Row | None:
    """The row after the first `end` tokens, from a cloud that was asked nothing else."""
    return cut.cloud(Told(), same=same).score(cut.upto(end), NOTHING, SOON)[0]


def same_row(one: Row | None, other: Row | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.texts == other.texts and all(
        np.array_equal(a.ids, b.ids) and np.array_equal(a.logprobs, b.logprobs)
        for a, b in zip(one.rows, other.rows, strict=True)
    )


# --- which rows, and what leaves for them -------------------------------------------------------


@given(cut=cuts(), same=st.booleans())
def test_what_leaves_is_the_shielded_text_or_a_beginning_of_it(cut: Cut, same: bool) -> None:
    """Judged by the shield itself, position by position; `None` where nothing may be asked."""
    for end in range(len(cut.ids) + 1):
        told = Told()
        (row,) = cut.cloud(told, same=same).score(cut.upto(end), NOTHING, SOON)
        text = cut.text(end)
        view = None if text is None else SHIELD.view(text)
        if view is None or not view.asks:
            assert row is None
            assert told.asked == []
            continue
        assert row is not None
        assert told.asked == [row.texts]
        assert row.texts[-1] == view.released.text
        assert all(view.released.text.startswith(each) for each in told.texts)
        assert not any(word in each.lower() for word in PRIVATE for each in told.texts)


@given(cut=cuts(), begin=st.integers(0, 30))
def test_of_held_positions_in_a_draft_nothing_leaves(cut: Cut, begin: int) -> None:
    begin = min(begin, len(cut.ids))
    told = Told()
    rows = cut.cloud(told).score(cut.upto(begin), cut.between(begin, len(cut.ids)), SOON)
    allowed = {text for row in rows if row is not None for text in row.texts}
    assert told.texts == allowed
    assert len(told.asked) == (1 if allowed else 0)


def test_a_block_is_one_request_and_what_is_known_is_not_asked_again() -> None:
    cut = Cut([b"We", b" like", b" the", b" gar", b"den", b" now"])
    told = Told()
    cloud = cut.cloud(told)
    cloud.score(cut.upto(2), cut.between(2, 6), SOON)
    assert len(told.asked) == 1
    assert len(told.asked[0]) == len(set(told.asked[0]))
    cloud.score(cut.upto(2), cut.between(2, 6), SOON)
    cloud.score(cut.upto(5), cut.between(5, 6), SOON)
    cloud.score(cut.upto(6), NOTHING, SOON)
    assert len(told.asked) == 1
    cloud.score(cut.upto(0), NOTHING, SOON)
    assert told.asked[1:] == [("",)]


def test_nothing_is_asked_inside_a_character() -> None:
    cut = Cut([b"We", b" caf\xc3", b"\xa9", b" \xf0\x9f", b"\x8c", b"\xb7 now"])
    told = Told()
    rows = cut.cloud(told).score(NOTHING, cut.ids, SOON)
    assert [row is None for row in rows] == [False, False, True, False, True, True, False]
    assert not any("�" in text for text in told.texts)


def test_bytes_that_are_no_character_do_not_stop_the_text() -> None:
    """A device model may write any bytes: the decoder's own sign stands for them."""
    cut, told = Cut([b"We", b"\xff", b" go", b"\xc3", b" on"]), Told()
    rows = cut.cloud(told).score(NOTHING, cut.ids, SOON)
    assert "We\ufffd go\ufffd on" in told.texts
    assert [row is None for row in rows] == [False, False, False, False, True, False]


def test_the_share_of_held_positions_is_told() -> None:
    cut = Cut([b"We", b" sa", b"w", b" Fen", b"wright", b"."])
    cloud = cut.cloud(Told())
    assert cloud.held == 0.0
    rows = cloud.score(NOTHING, cut.ids, SOON)
    assert rows.count(None) == 2  # after " sa" and " Fen"
    assert cloud.held == pytest.approx(2 / 7)


def test_a_beginning_of_a_released_text_is_no_longer_than_it() -> None:
    text = ShieldedText("a garden", _MINT)
    assert [text.beginning(end).text for end in (0, 3, 8)] == ["", "a g", "a garden"]
    for end in (-1, 9, 1000):
        with pytest.raises(EgressError):
            text.beginning(end)


def test_an_error_of_the_shield_lets_nothing_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Shield, text: str) -> None:
        raise EgressError("no")

    monkeypatch.setattr(Shield, "view", broken)
    cut, told = Cut([b"We", b" go"]), Told()
    with pytest.raises(EgressError):
        cut.cloud(told).score(NOTHING, cut.ids, SOON)
    assert told.asked == []


def test_answers_of_two_texts_do_not_mix() -> None:
    """What is private differs, so the same words may stand for other things."""
    cut = Cut([b"I wrote to", b" Odalys", b" and"])
    one, other = Told(), Told()
    cut.cloud(one).score(cut.ids, NOTHING, SOON)
    allowed = Shield(LEXICON, GENERAL)
    cut.cloud(other, shield=allowed).score(cut.ids, NOTHING, SOON)
    assert one.asked == other.asked != []


# --- what the answer says -----------------------------------------------------------------------


def total(listed: Listed) -> float:
    return float(listed.mass.sum()) + listed.outside + listed.unlisted


def listing(entries: dict[bytes, float]) -> Distribution:
    values = np.log(list(entries.values())).tolist()
    return Distribution.of(range(len(entries)), values, list(entries))


DEVICE = listing({b" the": 0.3, b" [": 0.2, b" a": 0.2, b"[name": 0.1, b" gold": 0.1})


def row(*rows: tuple[str, dict[bytes, float]], same: bool = False) -> Row:
    """A row by hand: the places, and what was said there. Ids are those of `DEVICE`."""
    found = []
    for _, entries in rows:
        ids = [DEVICE.tokens.index(t) if t in DEVICE.tokens else 50 + i
               for i, t in enumerate(entries)]  # fmt: skip
        found.append(Distribution.of(ids, np.log(list(entries.values())).tolist(), list(entries)))
    texts = tuple(text for text, _ in rows)
    known = Vocabularies(lambda each: b"", Spelling(DEVICE.tokens), same)
    return Row(texts, tuple(found), known)


@pytest.mark.parametrize("same", [True, False])
def test_the_mass_of_a_placeholder_is_the_devices(same: bool) -> None:
    """The cloud says: something private comes. How likely it is to be what, it cannot know."""
    said = {b" [": 0.5, b"[name": 0.1, b" the": 0.2, b" a": 0.1, b"zebra": 0.05}
    listed = row(("", said), same=same).onto(DEVICE)
    assert total(listed) == pytest.approx(1.0, abs=1e-6)
    p = np.exp(DEVICE.logprobs.astype(float))
    by_token = dict(zip(DEVICE.tokens, listed.mass.tolist(), strict=True))
    for token, mine in zip(DEVICE.tokens, p, strict=True):
        # 0.6 of the cloud's mass says that it does not know; the rest keeps its numbers.
        plain = 0.0 if token.strip().startswith(b"[") else said.get(token, 0.0)
        assert by_token[token] == pytest.approx(0.6 * mine + plain, abs=1e-6)
    assert listed.outside == pytest.approx(0.05 + 0.6 * DEVICE.rest, abs=1e-6)
    assert listed.unlisted == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("same", [True, False])
def test_a_cloud_that_says_nothing_but_placeholders_changes_nothing(same: bool) -> None:
    listed = row(("", {b" [": 0.6, b"[name": 0.4}), same=same).onto(DEVICE)
    check(listed, len(DEVICE))
    pool = pooled(DEVICE, listed)
    np.testing.assert_allclose(np.exp(pool.cloud), np.exp(pool.device), atol=1e-6)


SAID = st.dictionaries(
    st.sampled_from([b" [", b"[", b"\n[", b"[name", b" the", b" a", b" gold", b"en", b"s", b""]),
    st.floats(1e-4, 1.0),
    min_size=1,
)


def share(entries: dict[bytes, float], rest: float) -> dict[bytes, float]:
    whole = sum(entries.values()) + rest
    return {token: value / whole for token, value in entries.items()}


@given(
    said=st.lists(st.tuples(SAID, st.floats(0.0, 1.0)), min_size=1, max_size=4),
    same=st.booleans(),
)
def test_any_answer_keeps_its_mass_and_gives_no_placeholder_more_than_the_device_has(
    said: list[tuple[dict[bytes, float], float]], same: bool
) -> None:
    texts = [" golde"[: 6 - len(said) + at] for at in range(1, len(said) + 1)]
    rows = [(text, share(*each)) for text, each in zip(texts, said, strict=True)]
    listed = row(*rows, same=same).onto(DEVICE)
    check(listed, len(DEVICE))
    assert total(listed) == pytest.approx(1.0, abs=1e-5)
    p = np.exp(DEVICE.logprobs.astype(float))
    for token, mass, mine in zip(DEVICE.tokens, listed.mass, p, strict=True):
        assert mass <= mine + 1e-6 or not token.strip().startswith(b"[")


def test_one_vocabulary_is_compared_by_id_and_keeps_the_clouds_list() -> None:
    """By bytes two tokens of the device would share; by id each gets its own."""
    twice = Distribution.of([0, 4, 9], np.log([0.3, 0.2, 0.4]).tolist(), [b"a", b" b", b"a"])
    cloud = Distribution.of([0, 4, 9], np.log([0.7, 0.2, 0.1]).tolist(), [b"a", b" b", b"a"])
    known = Vocabularies(lambda each: b"", Spelling(twice.tokens), same=True)
    listed = Row(("We",), (cloud,), known).onto(twice)
    np.testing.assert_allclose(listed.mass, [0.7, 0.2, 0.1], atol=1e-6)
    assert listed.source is cloud
    apart = Row(("We",), (cloud,), Vocabularies(lambda each: b"", None)).onto(twice)
    assert apart.source is None
    np.testing.assert_allclose(apart.mass, [0.8 * 3 / 7, 0.2, 0.8 * 4 / 7], atol=1e-6)


def test_ids_that_have_come_to_mean_other_tokens_are_refused() -> None:
    """Somebody put another model behind the address. A special token may be told as text."""
    known = Vocabularies(lambda each: b"", None, same=True)
    device = Distribution.of([0, 4, 9], np.log([0.3, 0.2, 0.4]).tolist(), [b"a", b" b", b""])
    for ids, tokens in (([0, 4], [b"a", b" c"]), ([4, 70], [b"a", b" b"])):
        changed = Distribution.of(ids, np.log([0.5, 0.3]).tolist(), tokens)
        with pytest.raises(CloudError, match="other tokens"):
            Row(("We",), (changed,), known).onto(device)
    for tokens in ([b"a", b"<end>"], [b"", b""], [b"a", b""]):
        same = Distribution.of([0, 9], np.log([0.5, 0.3]).tolist(), tokens)
        np.testing.assert_allclose(
            Row(("We",), (same,), known).onto(device).mass, [0.6 * 0.5 / 0.7, 0.0, 0.4], atol=1e-6
        )


def test_one_vocabulary_is_asked_at_the_end_of_the_text_only() -> None:
    cut = Cut([b"We", b" like", b" gar", b"den"])
    for end in range(1, 5):
        told = Told()
        cut.cloud(told, same=True).score(cut.upto(end), NOTHING, SOON)
        assert all(len(request) == 1 for request in told.asked)


def test_two_vocabularies_are_asked_along_the_last_word_and_the_way_is_counted() -> None:
    cut = Cut([b"We", b" like", b" g", b"o"])
    told = Told()
    (found,) = cut.cloud(told).score(cut.ids, NOTHING, SOON)
    assert found is not None
    assert found.texts == ("We like", "We like g", "We like go")


@pytest.mark.parametrize(
    ("tokens", "texts", "own"),
    [
        ([], ("",), 0),
        ([b"We"], ("", "We"), 0),
        ([b"We", b" like"], ("We", "We like"), 0),
        # Also before the closing sign: tokenizers join it with what follows.
        ([b"I wrote to", b" Odalys"], ("I wrote to [person 1", "I wrote to [person 1]"), 1),
        (
            [b"I wrote to", b" Odalys", b",", b" t", b"oo"],
            ("I wrote to [person 1],", "I wrote to [person 1], t", "I wrote to [person 1], too"),
            0,
        ),
        ([b"We go.", b"\n\n", b"We"], ("We go.\n\n", "We go.\n\nWe"), 0),
        # Never before the placeholder, nor inside it, whatever the last word is.
        (
            [b"so, Odalys", b"?", b"!", b"?"],
            tuple("so, [person 1]?!?"[:end] for end in range(13, 18)),
            1,
        ),
        # At most REACH places before the end: then none of them is where a word begins.
        (
            [b"We", b" l", b"i", b"k", b"e", b"l", b"i", b"h", b"o", b"o", b"d"],
            tuple("We likelihood"[:end] for end in range(7, 14)),
            7,
        ),
    ],
)
def test_where_the_cloud_is_asked(tokens: list[bytes], texts: tuple[str, ...], own: int) -> None:
    """And from which place on the device's own tokens lie between them."""
    cut, told = Cut(tokens), Told()
    (found,) = cut.cloud(told).score(cut.ids, NOTHING, SOON)
    assert told.asked == [texts]
    assert found is not None
    assert min(found.own, len(texts)) == own


def test_the_closing_sign_of_a_placeholder_is_no_token_of_the_devices() -> None:
    """The device could have meant "],", so nothing says that it would have spelled otherwise."""
    device = listing({b",": 0.5, b" a": 0.5})
    said = (("see [name 1", {b"],": 0.6, b"]": 0.3}), ("see [name 1]", {b" a": 0.9}))
    known = Spelling([b"]", b",", b"],", b" ", b"a", b" a"])
    rows = row(*said)
    for own, comma in ((1, True), (0, False)):
        one = Row(rows.texts, rows.rows, Vocabularies(lambda each: b"", known), own)
        assert (one.onto(device).mass[0] > 0.3) == comma


def test_what_covers_the_last_word_is_weighed_against_the_way_along_it() -> None:
    """Of " go": " gold" goes on with "ld"; " g", then "o", then whatever comes there."""
    device = listing({b"ld": 0.5, b" a": 0.5})
    listed = row(
        ("We like", {b" g": 0.1, b" gold": 0.6, b" the": 0.29}),
        ("We like g", {b"o": 0.9, b"et": 0.09}),
        ("We like go", {b"ld": 0.25, b" a": 0.75}),
    ).onto(device)
    way, unlisted = 0.1 * 0.9, 0.01 * 0.6 / 0.99  # what is not listed crosses as often
    whole = 0.6 + way + unlisted
    np.testing.assert_allclose(
        listed.mass, [(0.6 + way / 4) / whole, 0.75 * way / whole], rtol=1e-4
    )
    assert listed.unlisted == pytest.approx(unlisted / whole, rel=1e-3)


def test_a_step_that_was_not_listed_counts_as_an_unlisted_token_can() -> None:
    device = listing({b"ld": 0.5, b" a": 0.5})
    listed = row(
        ("We like", {b" gold": 0.6, b" the": 0.3}),
        ("We like g", {b"et": 0.9}),
        ("We like go", {b" a": 1.0}),
    ).onto(device)
    # " go" in one step, of the 0.1 that is not listed: not by way of " g", which is 0.01.
    whole = 0.6 + 0.1 + 0.1 * 0.6 / 0.9
    np.testing.assert_allclose(listed.mass, [0.6 / whole, 0.1 / whole], rtol=1e-4)


# --- a cloud that equals the device ---------------------------------------------------------------


@dataclass(frozen=True)
class Equal:
    """A device whose next token is a function of the text, as `Told`'s is; it reads ids."""

    told: Told
    cut: Cut

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        data = b"".join(self.cut.tokens[each] for each in prefix.ids)
        return self.told.after(data.decode(), k)


LETTERS = tuple(b"%c" % each for each in b" abcdefghijklmnopqrstuvwxyz.,")


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("rule", [mixing.mixture, mixing.logits, mixing.maximum])
def test_a_cloud_that_equals_the_device_changes_nothing_at_any_weight(
    same: bool, rule: mixing.Rule
) -> None:
    """Tokens of one letter: then also by bytes, in mid-word, nothing but rounding is lost."""
    text = b"we like the garden, and we stay in the sun."
    cut = Cut(LETTERS)
    cut.ids = TokenIds(tuple(LETTERS.index(b"%c" % each) for each in text))
    told = Told(LETTERS)
    device, cloud = Equal(told, cut), cut.cloud(told, same=same)
    rows = cloud.score(NOTHING, cut.ids, SOON)
    asked = [(end, one) for end, one in enumerate(rows) if one is not None]
    assert len(asked) > 15
    for end, one in asked:
        alone = device.next_distribution(cut.upto(end), CANDIDATES)
        for weight in (0.0, 0.3, 1.0):
            target = Target(rule, FixedWeight(weight))
            fused = target.at(alone, one.onto(alone), end, ())
            np.testing.assert_allclose(
                np.exp(fused.logprobs), np.exp(target.alone(alone, ()).logprobs), atol=2e-5
            )


def test_the_check_notices_a_cloud_that_differs() -> None:
    """The same comparison with another model in the cloud fails at most positions."""
    cut = Cut(LETTERS)
    cut.ids = TokenIds(tuple(LETTERS.index(b"%c" % each) for each in b"we like the garden"))
    device = Equal(Told(LETTERS), cut)
    other = Told(tuple(reversed(LETTERS)))
    rows = cut.cloud(other).score(NOTHING, cut.ids, SOON)
    different = 0
    for end, one in enumerate(rows):
        if one is not None:
            alone = device.next_distribution(cut.upto(end), CANDIDATES)
            pool = pooled(alone, one.onto(alone))
            different += float(np.abs(np.exp(pool.cloud) - np.exp(pool.device)).max()) > 0.05
    assert different > 5
