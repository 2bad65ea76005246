"""Requests beside the text: what is counted, what is looked up, and which threads are left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from cogenesis.errors import EgressError
from cogenesis.fusion.asking import Asking, Breaker, CloudRow, Look
from cogenesis.fusion.decoding import Decoding
from cogenesis.fusion.draft import DraftAndVerify
from cogenesis.fusion.lockstep import Lockstep
from cogenesis.fusion.target import Target
from cogenesis.models.protocol import TokenIds
from cogenesis.models.scripted import ScriptedModel
from cogenesis.wire import Deadline
from tests.unit.fusion.scripted_pair import END, MODEL, PROMPT, Kin, Row, SameVocabularyCloud

CLOUD = Kin(MODEL, ScriptedModel(seed=3))


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "fusion-request"}


def eventually(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5.0
    while not true() and time.monotonic() < end:
        time.sleep(0.001)
    return true()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threads()
    yield
    assert eventually(lambda: threads() <= before)


class HoldingBack(SameVocabularyCloud):
    """May not be asked after an even number of tokens, and can tell so."""

    def __init__(self) -> None:
        super().__init__(CLOUD)
        self.looks = 0

    def holds(self, generated: TokenIds) -> bool:
        self.looks += 1
        return len(generated) % 2 == 0

    def score(
        self, generated: TokenIds, draft: TokenIds, deadline: Deadline
    ) -> Sequence[Row | None]:
        rows = super().score(generated, draft, deadline)
        return [row if at % 2 else None for at, row in enumerate(rows, len(generated))]


def asked(asking: Asking, first: int, draft: Sequence[int] = ()) -> Sequence[CloudRow | None]:
    request = asking.send(first, tuple(range(first)), draft)
    while not request.settled():
        asking.wait(request)
    asking.finish(request)
    assert request.failure is None
    return request.rows


def test_one_request_after_the_other_needs_one_thread() -> None:
    before, asking = threads(), Asking(SameVocabularyCloud(CLOUD), 10.0)
    for first in range(5):
        asked(asking, first)
        assert eventually(lambda: asking._workers._idle == 1)
    assert len(threads() - before) == 1
    asking.close()


def test_requests_at_the_same_time_do_not_wait_for_each_other() -> None:
    both = threading.Barrier(3, timeout=5.0)
    cloud = SameVocabularyCloud(CLOUD, wait=lambda call: float(both.wait() * 0))
    asking = Asking(cloud, 10.0)
    requests = [asking.send(0, (), (7,)) for _ in range(3)]
    for request in requests:
        while not request.settled():
            asking.wait(request)
    assert [request.failure for request in requests] == [None] * 3
    asking.close()


def test_closing_calls_off_and_lets_the_threads_end() -> None:
    slow = threading.Event()
    cloud = SameVocabularyCloud(CLOUD, wait=lambda call: float(slow.wait(5.0) * 0))
    before, asking = threads(), Asking(cloud, 10.0)
    request = asking.send(0, (), ())
    asking.close()
    assert request.deadline.passed()
    assert len(threads() - before) == 1
    slow.set()  # and `no_thread_is_left`


def test_what_the_shield_held_back_was_not_sent_and_is_not_counted() -> None:
    asking = Asking(HoldingBack(), 10.0)
    assert asked(asking, 2) == [None]
    assert asking.round_trips == 0
    assert [row is None for row in asked(asking, 2, (5,))] == [True, False]
    assert asking.round_trips == 1
    asking.close()


def test_a_view_that_knows_is_asked_without_a_request() -> None:
    cloud = HoldingBack()
    asking = Asking(cloud, 10.0)
    looks = [asking.look(range(length)) for length in range(4)]
    assert eventually(lambda: None not in [look.held for look in looks])
    assert [look.held for look in looks] == [True, False, True, False]
    assert asking.round_trips == len(cloud.asked) == 0
    asking.close()


def test_other_views_tell_nothing_beforehand() -> None:
    asking = Asking(SameVocabularyCloud(CLOUD), 10.0)
    assert asking.look(()).held is None
    asking.close()


class Failing(HoldingBack):
    def holds(self, generated: TokenIds) -> bool:
        self.looks += 1
        raise EgressError("the shield failed")


def test_a_shield_that_fails_says_nothing_beforehand_and_stops_no_thread() -> None:
    cloud = Failing()
    asking = Asking(cloud, 10.0)
    look: Look = asking.look(())
    assert eventually(lambda: cloud.looks == 1)
    assert asked(asking, 1) != [None]
    assert look.held is None
    asking.close()


def test_it_is_paused_while_the_breaker_is_open() -> None:
    asking = Asking(SameVocabularyCloud(CLOUD), 10.0)
    assert not asking.paused
    asking._breaker.failed(retry_after_s=60.0)
    assert asking.paused
    assert asking.send(0, (), ()).failure == "paused"
    assert asking.round_trips == 0
    asking.close()


def test_what_nobody_has_taken_up_when_the_text_ends_is_never_sent() -> None:
    cloud = SameVocabularyCloud(CLOUD)
    asking = Asking(cloud, 10.0)
    asking.close()
    request = asking.send(0, (), ())
    assert request.done.wait(5)
    assert (cloud.asked, asking.round_trips) == ([], 0)
    asking.close()


def test_a_cloud_that_is_punctual_but_slow_costs_one_text_no_more_than_its_patience() -> None:
    cloud = SameVocabularyCloud(CLOUD, wait=lambda call: 0.05)
    breaker = Breaker()
    asking = Asking(cloud, 10.0, breaker, patience_s=0.12)
    begun = time.monotonic()
    said = []
    for first in range(50):
        request = asking.send(first, tuple(range(first)), ())
        while not request.settled():
            asking.wait(request)
        asking.finish(request)
        said.append(request.failure)
    assert time.monotonic() - begun < 2.0  # 2.5 s if it waited for each
    answered = said.count(None)
    assert said == [None] * answered + ["slow"] * (50 - answered)
    assert answered <= 2
    assert len(cloud.asked) <= answered + 1  # nothing is asked any more
    assert asking.paused
    assert breaker.state == "closed"  # the next text has patience of its own
    asking.close()


@pytest.mark.parametrize("decode", [Lockstep, DraftAndVerify])
def test_a_text_ends_in_time_with_a_cloud_that_answers_just_before_each_deadline(
    decode: type[Lockstep] | type[DraftAndVerify],
) -> None:
    cloud = SameVocabularyCloud(CLOUD, wait=lambda call: 0.05)
    decoding = Decoding(max_tokens=60, ends=frozenset({END}), deadline_s=10.0, patience_s=0.2)
    begun = time.monotonic()
    tokens = list(decode(MODEL, cloud, Target(k=12), decoding).tokens(PROMPT))
    assert time.monotonic() - begun < 2.0  # in lockstep 3 s if each answer was waited for
    said = [token.fallback for token in tokens]
    assert said[0] is None
    assert set(said[1:]) == {None, "slow"}  # what came in by then is used without a wait
    assert set(said[-5:]) == {"slow"}
