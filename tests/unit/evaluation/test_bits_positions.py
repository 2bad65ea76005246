"""The walk along a text: which rows belong to which token, and what happens when one fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from cogenesis.errors import CloudError, ModelError
from cogenesis.evaluation.bits_positions import Position, Reference, positions
from cogenesis.fusion.asking import CloudView
from cogenesis.fusion.pool import Array
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import TokenIds
from cogenesis.models.scripted import ScriptedModel
from cogenesis.wire import Deadline
from tests.unit.fusion.scripted_pair import MODEL, PROMPT, Kin, Row, SameVocabularyCloud

TEXT = b"we sing in the old hall"
REFERENCE = Reference(PROMPT, tuple(TEXT), tuple(bytes([each]) for each in TEXT))
DEVICE = Kin(MODEL, ScriptedModel(seed=2))
VOCABULARY = MODEL.capabilities.logprobs


class Counting:
    """Remembers how long the lists were that it was asked for."""

    def __init__(self, shortest: int = 0) -> None:
        self.asked: list[tuple[int, int]] = []
        self._most = shortest or VOCABULARY

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        self.asked.append((len(prefix), k))
        return DEVICE.next_distribution(prefix, min(k, self._most))


def far() -> SameVocabularyCloud:
    return SameVocabularyCloud(Kin(MODEL, ScriptedModel(seed=3)))


def mass(position: Position) -> Array:
    """What the first cloud says about the device's candidates."""
    assert isinstance(position.row, Row)
    return position.row.onto(position.device).mass


def walk(*clouds: CloudView, k: int = 64, block: int = 5) -> list[Position]:
    return list(positions(DEVICE, clouds, REFERENCE, k=k, vocabulary=VOCABULARY, block=block))


def test_each_token_gets_what_was_said_right_before_it() -> None:
    cloud = far()
    found = walk(cloud)
    assert [position.step for position in found] == list(range(len(TEXT)))
    assert bytes(position.gold for position in found) == TEXT
    assert all(position.size == 1 for position in found)
    for position in found:
        before = TEXT[: position.step]
        prefix = TokenIds((*PROMPT.ids, *before))
        assert position.device.total_variation(DEVICE.next_distribution(prefix, 64)) == 0.0
        assert (mass(position) == cloud.row(before).onto(position.device).mass).all()


def test_a_block_is_one_request_and_one_cloud_comes_after_the_other() -> None:
    order: list[int] = []

    class Ordered(SameVocabularyCloud):
        def score(
            self, generated: TokenIds, draft: TokenIds, deadline: Deadline
        ) -> Sequence[Row | None]:
            order.append(id(self))
            return super().score(generated, draft, deadline)

    parent = Kin(MODEL, ScriptedModel(seed=3))
    first, second = Ordered(parent), Ordered(parent)
    found = walk(first, second, block=10)
    assert all(len(position.rows) == 2 for position in found)
    assert order == [id(first)] * 3 + [id(second)] * 3
    assert first.asked == [
        (tuple(TEXT[:0]), tuple(TEXT[:9])),
        (tuple(TEXT[:10]), tuple(TEXT[10:19])),
        (tuple(TEXT[:20]), tuple(TEXT[20:22])),
    ]


def test_without_a_cloud_there_are_no_rows() -> None:
    found = walk()
    assert {position.row for position in found} == {None}
    assert {position.rows for position in found} == {()}


def test_an_unlisted_token_is_looked_for_in_longer_lists_until_it_is_found() -> None:
    device = Counting()
    found = list(positions(device, [], REFERENCE, k=2, vocabulary=VOCABULARY, block=4))
    longest = {size: 0 for size, _ in device.asked}
    for size, k in device.asked:
        longest[size] = max(longest[size], k)
    assert device.asked[0] == (len(PROMPT), 1)  # reads the prompt
    wider = 0
    for position in found:
        prefix = TokenIds((*PROMPT.ids, *TEXT[: position.step]))
        whole = DEVICE.next_distribution(prefix, VOCABULARY)
        exact = whole.logprob(position.gold)
        assert exact is not None
        assert position.logprob == pytest.approx(exact, abs=1e-6)
        rank = int((whole.logprobs > exact).sum()) + 1
        needed = next(k for k in (2, 16, 128, VOCABULARY) if rank <= k)
        assert longest[len(prefix)] == needed
        wider += needed > 2
        assert len(position.device) == 2  # the list that systems see stays short
    assert wider > 5


def test_a_token_without_a_probability_is_no_token_of_that_model() -> None:
    with pytest.raises(ModelError, match="no probability"):
        list(positions(Counting(3), [], REFERENCE, k=2, vocabulary=VOCABULARY, block=4))


def test_a_reply_that_is_too_large_is_asked_for_in_halves() -> None:
    def too_large(call: int) -> Exception | None:
        size = len(cloud.asked[call][1]) + 1
        return CloudError("too-large", "too large") if size > 3 else None

    cloud = SameVocabularyCloud(Kin(MODEL, ScriptedModel(seed=3)), failure=too_large)
    found = walk(cloud, block=8)
    plain = walk(far(), block=8)
    sizes = [len(draft) + 1 for _, draft in cloud.asked]
    assert sizes[:7] == [8, 4, 2, 2, 4, 2, 2]
    for one, other in zip(found, plain, strict=True):
        assert (mass(one) == mass(other)).all()


@pytest.mark.parametrize("block", [1, 8])
def test_a_cloud_that_fails_ends_the_measurement(block: int) -> None:
    def fails(call: int) -> Exception | None:
        return CloudError("too-large" if block == 1 else "timeout", "no") if call == 1 else None

    cloud = SameVocabularyCloud(Kin(MODEL, ScriptedModel(seed=3)), failure=fails)
    found: list[int] = []
    walking = positions(DEVICE, [cloud], REFERENCE, k=9, vocabulary=VOCABULARY, block=block)
    with pytest.raises(CloudError):
        found.extend(position.step for position in walking)
    assert found == list(range(block))
    assert not [each for each in threading.enumerate() if each.name.startswith("bits-cloud")]


def test_rows_about_something_else_are_refused() -> None:
    class Short(SameVocabularyCloud):
        def score(
            self, generated: TokenIds, draft: TokenIds, deadline: Deadline
        ) -> Sequence[Row | None]:
            return super().score(generated, draft, deadline)[1:]

    with pytest.raises(CloudError, match="another number"):
        walk(Short(Kin(MODEL, ScriptedModel(seed=3))))


def test_whoever_stops_early_calls_the_cloud_off() -> None:
    asked: list[Deadline] = []

    class Slow(SameVocabularyCloud):
        def score(
            self, generated: TokenIds, draft: TokenIds, deadline: Deadline
        ) -> Sequence[Row | None]:
            asked.append(deadline)
            if generated.ids:
                deadline.wait(20.0)
                raise CloudError("timeout", "called off")
            return super().score(generated, draft, deadline)

    cloud = Slow(Kin(MODEL, ScriptedModel(seed=3)))
    walking = positions(DEVICE, [cloud], REFERENCE, k=9, vocabulary=VOCABULARY, block=2)
    next(walking)
    begun = time.monotonic()
    walking.close()
    assert time.monotonic() - begun < 5.0
    assert len(asked) <= 2
    assert asked[-1].passed()


def test_nothing_shows_the_text() -> None:
    assert repr(REFERENCE) == f"Reference({len(TEXT)} tokens)"
    assert repr(walk()[3]) == "Position(3)"
