"""Draft-and-verify against lockstep, and both against a cloud that waits, fails and lies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cogenesis.errors import CloudError, EgressError, InputError, LedgerError, ModelError
from cogenesis.fusion.asking import Breaker, CloudRow, CloudView
from cogenesis.fusion.decoding import Decoding, Drafter, Emission, FusedToken, Tally
from cogenesis.fusion.draft import DraftAndVerify
from cogenesis.fusion.gates import FixedWeight, PaperGate
from cogenesis.fusion.lockstep import Lockstep
from cogenesis.fusion.mixing import RULES
from cogenesis.fusion.pace import Pacer
from cogenesis.fusion.pool import Listed
from cogenesis.fusion.schedules import Always, Periodic, Schedule, Unsure
from cogenesis.fusion.shaping import Shaping
from cogenesis.fusion.target import Target
from cogenesis.fusion.verify import Rejection
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import TokenIds
from cogenesis.models.scripted import ScriptedModel
from cogenesis.wire import Deadline
from tests.unit.fusion.scripted_pair import END, MODEL, PROMPT, Kin, Row, SameVocabularyCloud

DEVICE = Kin(MODEL, ScriptedModel(seed=2))
CLOUD = Kin(MODEL, ScriptedModel(seed=3))
TARGET = Target(k=16, shaping=Shaping(temperature=0.7))
DECODING = Decoding(seed=5, max_tokens=40, ends=frozenset({END}), deadline_s=30.0)

SCHEDULES = (Always(), Periodic(5, 10, 3), Periodic(1, 1, 1), Unsure(0.8), Unsure(0.4))
SHAPINGS = (
    Shaping(temperature=0.0),
    Shaping(temperature=0.7),
    Shaping(temperature=0.0, repeat_penalty=1.3, presence_penalty=0.5),
    Shaping(temperature=0.9, top_k=9, top_p=0.9, min_p=0.02, repeat_penalty=1.1),
)


def lockstep(
    cloud: CloudView | None,
    target: Target = TARGET,
    decoding: Decoding = DECODING,
    device: Drafter = DEVICE,
) -> list[FusedToken]:
    return list(Lockstep(device, cloud, target, decoding).tokens(PROMPT))


def drafting(
    cloud: CloudView | None,
    target: Target = TARGET,
    decoding: Decoding = DECODING,
    *,
    size: int = 4,
    flying: int = 1,
    first: int | None = None,
) -> tuple[list[FusedToken], Tally]:
    way = DraftAndVerify(DEVICE, cloud, target, decoding, pace=Pacer(size, flying, first))
    return list(way.tokens(PROMPT)), way.tally


def text(tokens: Sequence[FusedToken]) -> str:
    return "".join(token.text for token in tokens)


# --- exactness ------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    rule=st.sampled_from(sorted(RULES)),
    weight=st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0]),
    schedule=st.sampled_from(SCHEDULES),
    shaping=st.sampled_from(SHAPINGS),
    size=st.integers(1, 8),
    flying=st.integers(1, 3),
    first=st.integers(1, 8),
    seed=st.integers(-(2**40), 2**70),
    waits=st.lists(st.floats(0, 0.002), min_size=1, max_size=6),
    ends=st.sampled_from([frozenset({END}), frozenset(range(0, 256, 6))]),
    stops=st.sampled_from([(), ("a", "th"), (" the", "ing.")]),
)
def test_drafting_gives_locksteps_text_token_for_token(
    rule: str,
    weight: float,
    schedule: Schedule,
    shaping: Shaping,
    size: int,
    flying: int,
    first: int,
    seed: int,
    waits: list[float],
    ends: frozenset[int],
    stops: tuple[str, ...],
) -> None:
    target = Target(RULES[rule], FixedWeight(weight), shaping, schedule, k=16)
    decoding = replace(DECODING, seed=seed, max_tokens=24, ends=ends, stops=stops)
    cloud = SameVocabularyCloud(CLOUD, wait=lambda call: waits[call % len(waits)])
    drafted, tally = drafting(
        cloud, target, decoding, size=size, flying=flying, first=min(first, size)
    )
    assert tally.round_trips == cloud.requests(tally.round_trips)
    assert drafted == lockstep(SameVocabularyCloud(CLOUD), target, decoding)
    assert all(token.fallback is None for token in drafted)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.004])
def test_an_adapting_pace_changes_no_token(temperature: float, seconds: float) -> None:
    target = replace(TARGET, shaping=Shaping(temperature=temperature))
    for seed in range(5):
        decoding = replace(DECODING, seed=seed, max_tokens=60)
        cloud = SameVocabularyCloud(CLOUD, wait=lambda call: seconds * (1 + call % 3))
        way = DraftAndVerify(DEVICE, cloud, target, decoding)
        expected = lockstep(SameVocabularyCloud(CLOUD), target, decoding)
        assert list(way.tokens(PROMPT)) == expected


class HoldingBack(SameVocabularyCloud):
    """May not be asked after some texts; `tells` that beforehand."""

    def __init__(self, wait: Callable[[int], float], tells: Callable[[int], bool]) -> None:
        super().__init__(CLOUD, wait=wait)
        self._tells = tells

    @staticmethod
    def closed(before: Sequence[int]) -> bool:
        return sum(before[-2:]) % 5 < 2

    def holds(self, generated: TokenIds) -> bool:
        if not self._tells(len(generated)):
            raise EgressError("the shield failed")
        return self.closed(generated.ids)

    def score(
        self, generated: TokenIds, draft: TokenIds, deadline: Deadline
    ) -> Sequence[Row | None]:
        ids, first = (*generated.ids, *draft.ids), len(generated)
        shut = [self.closed(ids[:end]) for end in range(first, len(ids) + 1)]
        if all(shut):
            return [None] * len(shut)
        rows = super().score(generated, draft, deadline)
        return [None if no else row for no, row in zip(shut, rows, strict=True)]


@pytest.mark.parametrize("tells", [lambda at: True, lambda at: False, lambda at: at % 3 > 0])
@pytest.mark.parametrize("size", [None, 1, 3])
def test_positions_that_are_held_back_change_no_token(
    tells: Callable[[int], bool], size: int | None
) -> None:
    """Whether it is known beforehand, too late or never that nothing may be asked there."""
    weights = set()
    for seed in range(6):
        decoding = replace(DECODING, seed=seed)
        cloud = HoldingBack(lambda call: 0.002 * (call % 3), tells)
        pace = None if size is None else Pacer(size, flying=min(size, 2))
        way = DraftAndVerify(DEVICE, cloud, TARGET, decoding, pace=pace)
        tokens = list(way.tokens(PROMPT))
        plain = Lockstep(DEVICE, HoldingBack(lambda call: 0.0, tells), TARGET, decoding)
        assert tokens == list(plain.tokens(PROMPT))
        weights |= {token.weight for token in tokens}
        if size == 1:
            count = way.tally.round_trips
            assert cloud.requests(count) == count
            # One may have been on its way when the position turned out to be held back.
            assert count - plain.tally.round_trips in {0, 1}
    assert weights == {0.5, 1.0}


class ToldLate:
    """Nothing may be asked, which its `holds` knows once it is asked, and `score` a little later.

    The device waits for `holds`: it drafts while the request has no answer yet.
    """

    def __init__(self) -> None:
        self.asked, self.told = threading.Event(), threading.Event()

    def holds(self, generated: TokenIds) -> bool:
        assert self.asked.wait(10.0)
        self.told.set()
        return True

    def score(self, generated: TokenIds, draft: TokenIds, deadline: Deadline) -> Sequence[None]:
        self.asked.set()
        time.sleep(0.05)
        return [None] * (len(draft) + 1)

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        assert self.told.wait(10.0)
        time.sleep(0.01)  # `held` is noted
        return DEVICE.next_distribution(prefix, k)


def test_a_request_that_needs_not_be_sent_is_not_counted_as_one() -> None:
    cloud = ToldLate()
    decoding = replace(DECODING, max_tokens=1)
    way = DraftAndVerify(cloud, cloud, TARGET, decoding, pace=Pacer(1))
    (token,) = way.tokens(PROMPT)
    assert (token.weight, token.fallback) == (1.0, None)
    assert (way.tally.tokens, way.tally.round_trips) == (1, 0)


def test_the_check_notices_a_target_that_looks_at_the_draft() -> None:
    """The same comparison, with rows that keep what a server adds for the drafted token."""

    def same(naive: bool) -> list[bool]:
        found = []
        for seed in range(8):
            decoding = replace(DECODING, seed=seed)
            cloud = SameVocabularyCloud(CLOUD, k=3, naive=naive)
            drafted, _ = drafting(cloud, decoding=decoding)
            found.append(drafted == lockstep(cloud, decoding=decoding))
        return found

    assert all(same(naive=False))
    assert not all(same(naive=True))


def test_both_models_really_take_part() -> None:
    """Otherwise the comparisons above would prove nothing."""
    cloud = SameVocabularyCloud(CLOUD)
    fused, alone = lockstep(cloud), lockstep(None)
    assert fused != alone
    assert {token.source for token in fused} == {"device", "cloud", "both"}
    assert {token.weight for token in fused} == {0.5}
    assert {(token.source, token.weight, token.fallback) for token in alone} == {
        ("device", 1.0, None)
    }


@pytest.mark.parametrize("verification", [None, Rejection()])
def test_equal_models_accept_everything(verification: Rejection | None) -> None:
    for seed in range(5):
        cloud = SameVocabularyCloud(DEVICE, k=16)
        decoding = replace(DECODING, seed=seed)
        way = DraftAndVerify(
            DEVICE, cloud, TARGET, decoding, verification=verification, pace=Pacer(5)
        )
        tokens = list(way.tokens(PROMPT))
        assert (way.tally.accepted, way.tally.rejected) == (way.tally.tokens, 0)
        assert way.tally.round_trips == len(cloud.asked) == -(-way.tally.tokens // 5)
        assert [t.id for t in tokens] == [t.id for t in lockstep(None, decoding=decoding)]


def test_rejection_sampling_does_not_depend_on_blocks_either() -> None:
    texts = set()
    for size, flying in ((1, 1), (2, 1), (4, 2), (8, 1), (3, 3)):
        way = DraftAndVerify(
            DEVICE,
            SameVocabularyCloud(CLOUD),
            TARGET,
            DECODING,
            verification=Rejection(),
            pace=Pacer(size, flying),
        )
        texts.add(tuple(token.id for token in way.tokens(PROMPT)))
        assert way.tally.rejected
    assert len(texts) == 1


# --- requests -------------------------------------------------------------------------------


def test_lockstep_asks_exactly_where_the_schedule_says() -> None:
    for schedule in SCHEDULES:
        cloud = SameVocabularyCloud(CLOUD)
        target = replace(TARGET, schedule=schedule)
        tokens = lockstep(cloud, target, replace(DECODING, ends=frozenset()))
        ids = [token.id for token in tokens]
        due = [
            step
            for step in range(40)
            if schedule.asks(
                step, DEVICE.next_distribution(TokenIds((*PROMPT.ids, *ids[:step])), 16)
            )
        ]
        assert len(due) > 0
        assert cloud.asked == [(tuple(ids[:step]), ()) for step in due]


def test_drafts_of_length_one_are_lockstep() -> None:
    one, other = SameVocabularyCloud(CLOUD), SameVocabularyCloud(CLOUD)
    lockstep(one)
    _, tally = drafting(other, size=1)
    assert one.asked == other.asked
    assert tally.device_calls == tally.round_trips == tally.tokens


def test_blocks_save_round_trips_and_discarded_requests_count() -> None:
    cloud = SameVocabularyCloud(CLOUD, wait=lambda call: 0.02)
    tokens, tally = drafting(cloud, size=4, flying=3)
    assert tally.rejected > 0
    assert tally.discarded > 0
    assert tally.round_trips == len(cloud.asked) > tally.tokens / 4
    # A request whose text is no beginning of the result was discarded, and is in the count.
    ids = tuple(token.id for token in tokens)
    assert any(ids[: len(before)] != before for before, _ in cloud.asked)


def test_a_schedule_that_never_asks_sends_nothing() -> None:
    cloud = SameVocabularyCloud(CLOUD)
    target = replace(TARGET, schedule=Unsure(0.0))
    drafted, tally = drafting(cloud, target)
    assert drafted == lockstep(cloud, target) == lockstep(None)
    assert cloud.asked == []
    assert tally.round_trips == tally.fallbacks == 0


class Gated:
    """A device that computes its first token only when the cloud has been asked."""

    def __init__(self, asked: threading.Event) -> None:
        self._asked = asked
        self.overlapped = False

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        self.overlapped = self._asked.wait(10.0)
        return DEVICE.next_distribution(prefix, k)


def test_lockstep_asks_both_models_at_the_same_time() -> None:
    asked = threading.Event()

    def tell(call: int) -> float:
        asked.set()
        return 0.0

    device = Gated(asked)
    cloud = SameVocabularyCloud(CLOUD, wait=tell)
    lockstep(cloud, decoding=replace(DECODING, max_tokens=1), device=device)
    assert device.overlapped


class Held:
    """A cloud whose first answer comes when the device has drafted beyond the block."""

    def __init__(self, enough: threading.Event) -> None:
        self._enough, self._inner = enough, SameVocabularyCloud(DEVICE)
        self.in_time = False

    def score(
        self, generated: TokenIds, draft: TokenIds, deadline: Deadline
    ) -> Sequence[CloudRow | None]:
        self.in_time = self._enough.wait(10.0)
        return self._inner.score(generated, draft, deadline)


class Counting:
    """Tells when `calls` distributions were computed."""

    def __init__(self, enough: threading.Event, calls: int) -> None:
        self._enough, self._left = enough, calls

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        self._left -= 1
        if self._left == 0:
            self._enough.set()
        return DEVICE.next_distribution(prefix, k)


def test_the_device_drafts_on_while_a_request_flies() -> None:
    enough = threading.Event()
    cloud = Held(enough)
    # A block of 4 needs 3 drafts; 8 are drawn before the first answer comes.
    way = DraftAndVerify(Counting(enough, 8), cloud, TARGET, DECODING, pace=Pacer(4))
    assert next(way.tokens(PROMPT)).fallback is None
    assert cloud.in_time


# --- failure --------------------------------------------------------------------------------


def replayed(tokens: Sequence[FusedToken]) -> list[int]:
    """Lockstep's text where the cloud is silent at exactly the recorded positions."""

    class Silent:
        def score(
            self, generated: TokenIds, draft: TokenIds, deadline: Deadline
        ) -> Sequence[CloudRow | None]:
            if tokens[len(generated)].fallback is not None:
                return [None]
            return SameVocabularyCloud(CLOUD).score(generated, draft, deadline)

    decoding = replace(DECODING, max_tokens=len(tokens))
    return [token.id for token in lockstep(Silent(), decoding=decoding)]


@settings(deadline=None, max_examples=25)
@given(bad=st.sets(st.integers(0, 15)), size=st.integers(1, 6), flying=st.integers(1, 2))
def test_a_failed_block_is_the_devices_alone_and_the_record_says_where(
    bad: set[int], size: int, flying: int
) -> None:
    def failure(call: int) -> Exception | None:
        return CloudError("server-error", "no") if call in bad else None

    cloud = SameVocabularyCloud(CLOUD, failure=failure)
    tokens, tally = drafting(cloud, size=size, flying=flying)
    assert tally.tokens - (tally.finish == "end") == len(tokens)
    assert {t.fallback for t in tokens} <= {None, "server-error", "paused"}
    assert all(t.weight == 1.0 and t.source == "device" for t in tokens if t.fallback)
    assert [token.id for token in tokens] == replayed(tokens)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CloudError("rate-limited", "slow down"), "rate-limited"),
        (LedgerError("disk full"), "ledger"),
        (EgressError("not released"), "not-released"),
        (ZeroDivisionError(), "fault"),
    ],
)
@pytest.mark.parametrize("fast", [False, True])
def test_every_failure_has_a_word_and_the_text_goes_on(
    error: Exception, reason: str, fast: bool
) -> None:
    cloud = SameVocabularyCloud(CLOUD, failure=lambda call: error)
    tokens = drafting(cloud)[0] if fast else lockstep(cloud)
    assert {token.fallback for token in tokens} == {reason, "paused"}
    assert [t.id for t in tokens] == [t.id for t in lockstep(None)]


@pytest.mark.parametrize("fast", [False, True])
def test_a_late_answer_is_not_waited_for(fast: bool) -> None:
    slow = threading.Event()
    cloud = SameVocabularyCloud(CLOUD, wait=lambda call: float(slow.wait(20.0)))
    decoding = replace(DECODING, deadline_s=0.02)
    started = time.monotonic()
    tokens = drafting(cloud, decoding=decoding)[0] if fast else lockstep(cloud, decoding=decoding)
    seconds = time.monotonic() - started
    slow.set()
    assert seconds < 10.0
    assert tokens[0].fallback == "timeout"
    assert [t.id for t in tokens] == [t.id for t in lockstep(None)]


Change = Callable[[Listed], Listed]
NONSENSE: dict[str, Change] = {
    "not a number": lambda one: replace(one, mass=one.mass * np.nan),
    "negative": lambda one: replace(one, unlisted=-0.2),
    "above one": lambda one: replace(one, outside=1.5),
    "infinite": lambda one: replace(one, outside=float("inf")),
    "too short": lambda one: replace(one, mass=one.mass[1:], known=one.known[1:]),
    "flags too short": lambda one: replace(one, known=one.known[1:]),
}


class Lying:
    """Rows whose numbers are changed on the way, or whose number is wrong."""

    def __init__(self, change: Change | None, rows: int = 0) -> None:
        self._change, self._rows = change, rows

    def score(
        self, generated: TokenIds, draft: TokenIds, deadline: Deadline
    ) -> Sequence[CloudRow | None]:
        rows = SameVocabularyCloud(CLOUD).score(generated, draft, deadline)
        lies = [LyingRow(row, self._change) for row in rows if row is not None]
        return [*lies, *lies][: len(lies) + self._rows]


class LyingRow:
    def __init__(self, row: CloudRow, change: Change | None) -> None:
        self._row, self._change = row, change

    def onto(self, device: Distribution) -> Listed | None:
        listed = self._row.onto(device)
        return listed if listed is None or self._change is None else self._change(listed)


LIARS = {what: Lying(change) for what, change in NONSENSE.items()}
LIARS |= {"one row more": Lying(None, 1), "one row less": Lying(None, -1)}


@pytest.mark.parametrize("what", LIARS)
@pytest.mark.parametrize("fast", [False, True])
def test_nonsense_never_reaches_the_text(what: str, fast: bool) -> None:
    tokens = drafting(LIARS[what])[0] if fast else lockstep(LIARS[what])
    assert tokens[0].fallback == "bad-reply"
    assert {token.fallback for token in tokens} == {"bad-reply", "paused"}
    assert [t.id for t in tokens] == [t.id for t in lockstep(None)]


class Broken:
    def onto(self, device: Distribution) -> Listed | None:
        raise IndexError("an error in an alignment")


class BrokenRows:
    def score(
        self, generated: TokenIds, draft: TokenIds, deadline: Deadline
    ) -> Sequence[CloudRow | None]:
        return [Broken()] * (len(draft) + 1)


def test_an_error_of_our_own_costs_the_cloud_not_the_text() -> None:
    assert drafting(BrokenRows())[0][0].fallback == "fault"


class Shielded:
    """May not be asked at every third position."""

    def score(
        self, generated: TokenIds, draft: TokenIds, deadline: Deadline
    ) -> Sequence[CloudRow | None]:
        rows = SameVocabularyCloud(CLOUD).score(generated, draft, deadline)
        return [None if (len(generated) + at) % 3 == 0 else row for at, row in enumerate(rows)]


def test_where_the_cloud_may_not_be_asked_the_device_is_alone_by_definition() -> None:
    plain = lockstep(Shielded())
    assert [token.weight for token in plain[:6]] == [1.0, 0.5, 0.5, 1.0, 0.5, 0.5]
    assert all(token.fallback is None for token in plain)
    for size in (1, 3, 7):
        drafted, tally = drafting(Shielded(), size=size)
        assert drafted == plain
        # Positions that nobody may ask about say nothing about the drafts.
        assert tally.accepted + tally.rejected == sum(t.weight < 1.0 for t in plain)


def test_a_dead_cloud_is_left_alone_and_tried_again() -> None:
    now = [0.0]
    breaker = Breaker(failures=3, wait_s=10.0, clock=lambda: now[0])
    dead = [True]
    error = CloudError("unreachable", "gone")
    cloud = SameVocabularyCloud(CLOUD, failure=lambda call: error if dead[0] else None)

    def write() -> list[FusedToken]:
        way = DraftAndVerify(DEVICE, cloud, TARGET, DECODING, pace=Pacer(2), breaker=breaker)
        return list(way.tokens(PROMPT))

    first = write()
    assert len(cloud.asked) == 3
    assert [t.fallback for t in first[:6]] == ["unreachable"] * 6
    assert {t.fallback for t in first[6:]} == {"paused"}
    write()
    assert len(cloud.asked) == 3
    now[0] = 11.0  # one more try, beside the text; it fails, and the wait doubles
    assert {t.fallback for t in write()} == {"paused"}
    assert len(cloud.asked) == 4
    now[0] = 1000.0
    dead[0] = False
    for _ in range(20):
        if write()[-1].fallback is None:
            break
        now[0] += 1000.0
    assert {t.fallback for t in write()} == {None}


def test_the_breaker() -> None:
    now = [0.0]
    breaker = Breaker(failures=2, wait_s=1.0, clock=lambda: now[0])
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    states = [breaker.state]
    breaker.failed()
    states.append(breaker.state)
    assert not breaker.may_try()
    now[0] = 1.5
    assert breaker.may_try()
    states.append(breaker.state)
    assert states == ["closed", "open", "half-open"]
    assert not breaker.may_try()
    breaker.failed()
    now[0] = 3.0
    assert not breaker.may_try()  # the wait has doubled
    now[0] = 3.6
    assert breaker.may_try()
    breaker.succeeded()
    assert breaker.state == "closed"
    breaker.failed(retry_after_s=30.0)  # a server that names a wait is believed at once
    now[0] = 30.0
    assert not breaker.may_try()
    now[0] = 34.0
    assert breaker.may_try()


def test_hanging_requests_do_not_pile_up() -> None:
    """A carrier that ignores its deadline ties up a bounded number of threads."""
    slow = threading.Event()
    before = threading.active_count()
    cloud = SameVocabularyCloud(CLOUD, wait=lambda call: float(slow.wait(20.0)))
    decoding = replace(DECODING, deadline_s=0.001)
    breaker = Breaker(failures=10**9)
    way = Lockstep(DEVICE, cloud, TARGET, decoding, breaker)
    assert len(list(way.tokens(PROMPT))) > 8
    assert threading.active_count() - before <= 8
    assert way.tally.round_trips == len(cloud.asked) == 8
    slow.set()


class Watching:
    """Answers the first request when the second is there, and that one never."""

    def __init__(self) -> None:
        self.first, self.second = True, threading.Event()
        self.called_off = threading.Event()

    def score(
        self, generated: TokenIds, draft: TokenIds, deadline: Deadline
    ) -> Sequence[CloudRow | None]:
        if self.first:
            self.first = False
            self.second.wait(10.0)
            return SameVocabularyCloud(DEVICE).score(generated, draft, deadline)
        with deadline.on_call_off(self.called_off.set):
            self.second.set()
            self.called_off.wait(10.0)
        raise CloudError("timeout", "called off")


def test_closing_the_iterator_calls_off_what_flies() -> None:
    cloud = Watching()
    way = DraftAndVerify(DEVICE, cloud, TARGET, DECODING, pace=Pacer(2, flying=2))
    with closing(way.tokens(PROMPT)) as tokens:
        assert next(tokens).fallback is None
        assert not cloud.called_off.is_set()
    assert cloud.called_off.is_set()
    assert way.tally.round_trips == 2


class Dead:
    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        raise ModelError("the device model is gone")


def test_without_a_device_model_there_is_no_text() -> None:
    for way in (Lockstep, DraftAndVerify):
        with pytest.raises(ModelError, match="is gone"):
            list(way(Dead(), SameVocabularyCloud(CLOUD), TARGET, DECODING).tokens(PROMPT))


def test_the_papers_gate_decides_with_other_vocabularies_too() -> None:
    """One that says one half everywhere writes the text of an even weight."""
    different = Lying(lambda one: replace(one, source=None))
    f = np.float32
    gate = PaperGate(
        np.zeros((600, 512), f),
        np.zeros(512, f),
        np.zeros((512, 16), f),
        np.zeros(16, f),
        np.zeros(16, f),
        0.0,
    )
    target = replace(TARGET, gate=gate)
    assert lockstep(SameVocabularyCloud(CLOUD), target) == lockstep(SameVocabularyCloud(CLOUD))
    assert drafting(different, target)[0] == drafting(different, TARGET)[0]


# --- text -----------------------------------------------------------------------------------


def emit(pieces: Sequence[bytes], decoding: Decoding) -> tuple[list[list[str]], Emission]:
    emission = Emission(decoding)
    out = []
    for at, data in enumerate(pieces):
        token = FusedToken(at, data, "", 1.0, "device")
        out.append([each.text for each in emission.push(token)])
        if emission.finish:
            break
    return out, emission


def test_a_stop_string_across_tokens_is_held_back_and_cut() -> None:
    out, emission = emit(
        [b"One", b" E", b"N", b"x", b" EN", b"D!", b"more"], Decoding(stops=("END",))
    )
    assert out == [["One"], [], [], [" E", "N", "x"], [], [" "]]
    assert emission.finish == "stop"


def test_the_earliest_stop_string_wins() -> None:
    out, emission = emit([b"a", b"bcd"], Decoding(stops=("cd", "abc")))
    assert (out, emission.finish) == ([[], []], "stop")


def test_only_complete_characters_come_out() -> None:
    out, emission = emit(["é".encode()[:1], "é".encode()[1:], b"\xf0\x9f"], Decoding(max_tokens=3))
    assert out == [[""], ["é"], [""]]
    assert emission.finish == "length"


@given(st.text(max_size=10), st.lists(st.integers(1, 4), min_size=40, max_size=40))
def test_however_the_bytes_are_cut_the_text_is_the_same(whole: str, cuts: list[int]) -> None:
    data, pieces, at = whole.encode("utf-8", "ignore"), [], 0
    for size in cuts:
        pieces.append(data[at : at + size])
        at += size
    out, _ = emit(pieces, Decoding(stops=("stop", "ab")))
    expected = data.decode()
    found = [i for i in map(expected.find, ("stop", "ab")) if i >= 0]
    got = "".join(text for step in out for text in step)
    held = "" if found else expected[len(got) :]
    assert got + held == expected[: min(found, default=len(expected))]
    # What is held back ends with the beginning of a stop string.
    assert held == "" or held.endswith(("s", "st", "sto", "a"))


def test_an_end_token_is_no_text_and_gives_back_what_was_held() -> None:
    out, emission = emit([b"x", b"EN", b"</s>"], Decoding(stops=("END",), ends=frozenset({2})))
    assert (out, emission.finish) == ([["x"], [], ["EN"]], "end")


def test_tokens_and_settings_show_no_text() -> None:
    token = FusedToken(1234, b"secret", "secret", 0.5, "both")
    assert "secret" not in repr(token)
    assert "1234" not in repr(token)
    assert "secret" not in repr(Decoding(stops=("secret",)))


@pytest.mark.parametrize(
    "wrong",
    [{"max_tokens": 0}, {"stops": ("",)}, {"deadline_s": 0.0}, {"deadline_s": float("nan")}],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Decoding(**wrong)  # type: ignore[arg-type]
