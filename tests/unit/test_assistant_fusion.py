"""The front door in fusion mode: whatever the cloud does, the text comes and says what it cost."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from cogenesis.assistant import Assistant, Degraded, Event, Result, Started, Token
from cogenesis.context.private_context import PrivateContext, ProfileField
from cogenesis.errors import GuardRefusedError, InputError, ModelError
from cogenesis.events import missing_answers
from cogenesis.fusion.gate_file import TrainedGate, vocabulary_hash
from cogenesis.fusion.gates import SmallGate
from cogenesis.fusion.opening import fusion_prompt
from cogenesis.fusion.settings import FusionSettings
from cogenesis.models.cloud_connection import CloudConnection
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import TokenIds, hang_up
from cogenesis.models.scripted import Logits, ScriptedModel
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from tests.unit.fusion.word_models import (
    WORDS,
    Fault,
    Reply,
    WithVocabulary,
    WordCloud,
    WordModel,
    rows,
)
from tests.unit.models.loopback import Handler, Loopback
from tests.unit.test_assistant import CONTEXT, events_of, task

GENERAL = "A letter to a friend"
LONG = 20
LOCKSTEP = FusionSettings(decoding="lockstep")


class Far:
    """An assistant whose cloud is a real loopback server that can be told to misbehave."""

    def __init__(self, folder: Path) -> None:
        self.cloud = WordCloud(WordModel(2))
        self.server = Loopback(self.cloud)
        self.ledger = Ledger.open(folder / "ledger.sqlite")
        self.egress = Egress(CloudEndpoint.parse(self.server.url), self.ledger, first_wait_s=0.01)
        self.connection = CloudConnection(self.egress, "some-model")

    def assistant(self, device: ScriptedModel | None = None) -> Assistant:
        return Assistant(
            device or WithVocabulary(), cloud=self.connection, traffic=lambda: self.egress.traffic
        )

    def __enter__(self) -> Far:
        self.server.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.server.__exit__(None, None, None)
        self.egress.close()
        self.ledger.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    """What kind of server it is is found out once: that takes most of the time."""
    with Far(tmp_path_factory.mktemp("far")) as one:
        yield one


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no failing cloud: tests of lateness set a time of their own."""
    monkeypatch.setattr("cogenesis.fused_writing.SHORTEST_DEADLINE_S", 20.0)


@pytest.fixture
def far(shared: Far) -> Far:
    shared.cloud.fault, shared.cloud.wait_s = None, 0.0
    return shared


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Far]:
    """One of its own, for tests that break it."""
    with Far(tmp_path) as one:
        yield one


def fused(**options: Any) -> Any:
    return task(mode="fusion", **{"general": GENERAL, "max_tokens": LONG, **options})


def text_of(events: list[Event]) -> str:
    return "".join(token.text for token in events_of(Token, events))


def result_of(events: list[Event]) -> Result:
    assert isinstance(events[-1], Result)
    return events[-1]


# --- as it should be ----------------------------------------------------------------------------


def test_from_start_to_result(far: Far) -> None:
    before = len(far.server.asked)
    events = list(far.assistant().stream(fused()))
    assert [type(event) for event in events] == [Started, *[Token] * (len(events) - 2), Result]
    assert isinstance(events[0], Started)
    assert events[0].general is not None
    assert events[0].general.text == GENERAL
    result = result_of(events)
    assert result.mode == "fusion"
    assert (result.degraded, result.stopped, result.sketch) == (None, False, None)
    assert result.text == text_of(events).strip()
    assert result.tokens == tuple(events_of(Token, events))
    assert len(result.tokens) == LONG
    assert {token.weight for token in result.tokens if token.source != "device"} == {0.5}
    assert {token.fallback for token in result.tokens} == {None}
    assert {"cloud", "both"} & {token.source for token in result.tokens}
    assert result.fusion is not None
    assert result.fusion.same_vocabulary
    assert result.fusion.acceptance is not None
    assert 0.3 < result.fusion.acceptance <= 1.0
    assert result.fusion.fallbacks == 0
    assert result.traffic is not None
    # A request that was called off at the end is in the ledger, and may not have got there.
    assert 0 <= result.traffic.requests - (len(far.server.asked) - before) <= 3
    assert result.timing.first_token_s is not None
    assert result.timing.sketch_s is not None


def test_what_leaves_is_the_general_instruction_and_the_text_as_it_grows(far: Far) -> None:
    before = len(far.cloud.texts)
    result = far.assistant().write(fused())
    assert result.general is not None
    title = "".join(part.text for part in fusion_prompt(result.general).completion)
    grown = [text for text in far.cloud.texts[before:] if text.startswith(title)]
    written = "".join(token.text for token in result.tokens)
    assert title in grown
    assert any(len(text) > len(title) + 30 for text in grown)
    # What was drafted and rejected left too: these words are nobody's.
    beginnings = [text for text in grown if (title + written).startswith(text)]
    assert len(beginnings) > len(grown) / 4
    assert not any(name in text for name in ("Odalys", "Saltmarsh") for text in grown)


class Gossip(ScriptedModel):
    """Writes " and Odalys the Saltmarsh and Odalys the ...", a little at a time."""

    STEPS: Final = (b" and", b" Oda", b"lys", b" the", b" Salt", b"marsh")

    def __init__(self) -> None:
        super().__init__(tokens=self.STEPS)

    def vocabulary(self) -> tuple[bytes, ...]:
        return self._vocabulary

    def _logits(self, prefix: tuple[int, ...]) -> Logits:
        at = prefix[-1] - 256
        logits = np.full(len(self._vocabulary), -9.0)
        logits[256 + (at + 1) % len(self.STEPS) if at >= 0 else 256] = 9.0
        return logits


@pytest.mark.parametrize("decoding", ["lockstep", "draft-and-verify"])
def test_the_shield_stands_between_the_text_and_the_cloud(far: Far, decoding: Any) -> None:
    begun, before = len(far.server.asked), len(far.cloud.texts)
    fusion = FusionSettings(weight=0.9, decoding=decoding)
    result = far.assistant(Gossip()).write(fused(fusion=fusion))
    assert "Odalys" in result.text
    assert "Saltmarsh" in result.text
    sent = json.dumps([asked.body for asked in far.server.asked[begun:]])
    assert not re.search("odal|lys|salt|marsh", sent, re.IGNORECASE)
    grown = max(far.cloud.texts[before:], key=len)
    assert "[person 1] the [" in grown
    assert result.fusion is not None
    assert result.fusion.held > 0.1


def test_both_ways_of_decoding_write_the_same_and_seeds_count(far: Far) -> None:
    one, other, again = (
        far.assistant().write(fused(seed=seed, fusion=fusion)).tokens
        for seed, fusion in ((1, LOCKSTEP), (2, LOCKSTEP), (1, FusionSettings()))
    )
    assert one == again != other


@pytest.mark.parametrize(("weight", "source"), [(1.0, "device"), (0.0, "cloud")])
def test_the_weight_is_the_devices_share(far: Far, weight: float, source: str) -> None:
    result = far.assistant().write(fused(fusion=FusionSettings(weight=weight)))
    asked = [token for token in result.tokens if token.weight == weight]
    assert {token.source for token in asked} == {source}
    assert len(asked) > LONG / 2


def test_a_trained_gate_sets_the_weight_of_each_token(far: Far) -> None:
    device = {"vocabulary": vocabulary_hash(WithVocabulary().vocabulary())}
    gate = TrainedGate(SmallGate.untrained(0.3), "mixture", "small", device)
    result = far.assistant().write(fused(fusion=FusionSettings(gate=gate)))
    assert result.degraded is None
    assert {round(token.weight, 6) for token in result.tokens} <= {0.3, 1.0}
    assert any(token.weight < 1.0 for token in result.tokens)


def test_a_gate_for_another_device_is_refused_before_anything_is_sent(far: Far) -> None:
    begun = len(far.server.asked)
    gate = TrainedGate(SmallGate.untrained(), "mixture", "small", {"vocabulary": "another"})
    with pytest.raises(InputError, match="has another vocabulary"):
        far.assistant().write(fused(fusion=FusionSettings(gate=gate)))
    assert len(far.server.asked) == begun


def test_a_cloud_that_is_asked_nothing_counts_nothing(far: Far) -> None:
    """The paper's schedule asks at some tokens only; the others are the device's by choice."""
    result = far.assistant().write(fused(fusion=FusionSettings(schedule="paper")))
    assert result.degraded is None
    assert {token.weight for token in result.tokens} == {0.5, 1.0}


def test_events_do_not_show_private_text(far: Far) -> None:
    shown = repr(list(far.assistant().stream(fused()))) + repr(fused())
    assert not any(word.decode().strip() in shown.split() for word in WORDS if len(word) > 5)
    assert "Odalys" not in shown


def test_non_interference(far: Far) -> None:
    """Two contexts that the text does not touch: byte-identical requests."""
    sent = []
    other = PrivateContext(fields=[ProfileField("Name", "Wilhelmina Quist")])
    for context in (CONTEXT, other):
        begun = len(far.server.asked)
        far.assistant().write(fused(context=context, fusion=LOCKSTEP))
        sent.append([(a.path, a.headers, json.dumps(a.body)) for a in far.server.asked[begun:]])
    assert sent[0] == sent[1]
    assert len(sent[0]) > LONG / 2


# --- where nothing is sent ----------------------------------------------------------------------


def test_what_is_private_only_is_written_on_the_device_alone(far: Far) -> None:
    before = len(far.server.asked)
    events = list(
        far.assistant().stream(task("Odalys Fenwright Saltmarsh", mode="fusion", max_tokens=LONG))
    )
    result = result_of(events)
    assert isinstance(events[1], Degraded)
    assert result.degraded == events[1]
    assert (events[1].reason, result.mode) == ("refused", "device")
    assert result.text
    assert len(far.server.asked) == before


def test_a_general_part_with_private_matter_is_refused(far: Far) -> None:
    before = len(far.server.asked)
    with pytest.raises(GuardRefusedError):
        far.assistant().write(fused(general="A letter about Saltmarsh Clinic"))
    assert len(far.server.asked) == before


def test_a_model_without_probabilities_serves_sketch_mode_only() -> None:
    outliner = ScriptedModel(["1. a"], role="cloud", name="plain")
    result = Assistant(WithVocabulary(), cloud=outliner).write(fused())
    assert result.degraded is not None
    assert result.degraded.reason == "bad-request"
    assert "plain gives no probabilities" in result.degraded.message
    assert (result.mode, outliner.asked) == ("device", [])
    assert result.text


def test_without_a_cloud_fusion_is_a_mistake_and_without_a_ledger_it_is_told() -> None:
    with pytest.raises(InputError, match="fusion mode needs a cloud model"):
        Assistant(WithVocabulary()).write(fused())
    told = Degraded("ledger", "nothing is sent: locked")
    result = Assistant(WithVocabulary(), no_cloud=told).write(fused())
    assert result.degraded == told
    assert result.text


def test_fusion_is_never_a_default(far: Far) -> None:
    """In `auto` the cloud is asked for an outline; it gets no text."""
    before = len(far.cloud.texts)
    result = far.assistant().write(task(mode="auto", max_tokens=LONG, cloud_deadline_s=2.0))
    assert result.mode != "fusion"
    assert far.cloud.texts[before:] == []


# --- a cloud that fails before the text ---------------------------------------------------------


def test_a_dead_cloud_costs_no_text(alone: Far) -> None:
    alone.server.__exit__(None, None, None)
    alone.server = Loopback(alone.cloud)  # so that leaving the fixture finds one to stop
    alone.server.__enter__()
    begun = time.monotonic()
    events = list(alone.assistant().stream(fused()))
    assert time.monotonic() - begun < 3
    result = result_of(events)
    assert isinstance(events[1], Degraded)
    assert (events[1].reason, result.mode, result.fusion) == ("unreachable", "device", None)
    assert result.degraded == events[1]
    assert len(result.tokens) > 5
    assert {token.fallback for token in result.tokens} == {None}


def test_a_cloud_that_is_silent_from_the_start_is_left_at_the_deadline(alone: Far) -> None:
    alone.cloud.wait_s = 1.0
    begun = time.monotonic()
    result = alone.assistant().write(fused(cloud_deadline_s=0.2))
    assert time.monotonic() - begun < 2
    assert result.degraded is not None
    assert (result.degraded.reason, result.mode) == ("timeout", "device")
    assert len(result.tokens) > 5


def test_a_server_without_log_probabilities_leaves_the_device_and_names_the_mode(
    alone: Far,
) -> None:
    def nothing(handler: Handler, reply: Reply) -> Reply:
        for choice in reply["choices"]:
            choice["logprobs"] = None
        return reply

    alone.cloud.fault = nothing
    result = alone.assistant().write(fused())
    assert result.degraded is not None
    assert (result.degraded.reason, result.mode) == ("bad-request", "device")
    assert "use --mode sketch" in result.degraded.message
    assert result.text


def test_a_ledger_that_fails_at_the_start_sends_nothing(alone: Far) -> None:
    alone.ledger.close()
    result = alone.assistant().write(fused())
    assert result.degraded is not None
    assert (result.degraded.reason, result.mode) == ("ledger", "device")
    assert result.text
    assert alone.server.asked == []


# --- a cloud that fails in mid-text -------------------------------------------------------------


def numbers(value: float) -> Fault:
    def change(handler: Handler, reply: Reply) -> Reply:
        for row in rows(reply):
            row[3]["logprob"] = value
        return reply

    return change


def listed(change: Callable[[list[dict[str, Any]]], object]) -> Fault:
    def changed(handler: Handler, reply: Reply) -> Reply:
        for row in rows(reply):
            change(row)
        return reply

    return changed


def choices(change: Callable[[list[Any]], object]) -> Fault:
    def changed(handler: Handler, reply: Reply) -> Reply:
        change(reply["choices"])
        return reply

    return changed


def other_ids(row: list[dict[str, Any]]) -> None:
    """As from a model with another vocabulary: it was exchanged behind the address."""
    for entry in row:
        if entry["bytes"]:
            entry["id"] = 256 + (entry["id"] - 256 + 7) % len(WORDS)


FAULTS: dict[str, tuple[Fault, str]] = {
    "not a number": (numbers(float("nan")), "bad-reply"),
    "infinite": (numbers(float("-inf")), "bad-reply"),
    "positive": (numbers(0.7), "bad-reply"),
    "more than one in all": (
        listed(lambda row: [e.update(logprob=-0.1) for e in row]),
        "bad-reply",
    ),
    "too few entries": (listed(lambda row: row.__delitem__(slice(40, None))), "bad-reply"),
    "no entries": (listed(lambda row: row.clear()), "bad-reply"),
    "a token twice": (listed(lambda row: row[5].update(row[6])), "bad-reply"),
    "negative id": (listed(lambda row: row[5].update(id=-4)), "bad-reply"),
    "bytes that are none": (listed(lambda row: row[5].update(bytes=[300])), "bad-reply"),
    "another vocabulary": (listed(other_ids), "bad-reply"),
    "an answer too few": (choices(lambda all_: all_.pop()), "bad-reply"),
    "an answer too many": (choices(lambda all_: all_.append(all_[0])), "bad-reply"),
    "no answers": (choices(lambda all_: all_.clear()), "bad-reply"),
    "no log-probabilities": (lambda h, r: {"choices": [{"index": 0, "text": "a"}]}, "bad-reply"),
    "a list": (lambda h, r: [1, 2, 3], "bad-reply"),
    "html": (lambda h, r: h.send_raw(b"<html>Hi</html>", "text/html"), "bad-reply"),
    "half": (
        lambda h, r: h.send_raw(json.dumps(r).encode()[:900], "application/json", claimed=9000),
        "bad-reply",
    ),
    "2 MB": (lambda h, r: {**r, "more": "a" * 2_000_000}, "too-large"),
    "hung up": (lambda h, r: h.drop(), "unreachable"),
    "500": (lambda h, r: h.send_json({}, 500), "server-error"),
    "401": (lambda h, r: h.send_json({}, 401), "unauthorised"),
    "429": (lambda h, r: h.send_json({}, 429, {"Retry-After": "900"}), "rate-limited"),
    "redirect": (lambda h, r: h.send_json({}, 302, {"Location": "http://192.0.2.1/"}), "redirect"),
}


def broken_at(far: Far, fault: Fault, at: int = 4, **options: Any) -> list[Event]:
    """A text during which the cloud begins to answer otherwise."""
    events: list[Event] = []
    for event in far.assistant().stream(fused(**options)):
        events.append(event)
        if len(events_of(Token, events)) == at:
            far.cloud.fault = fault
    return events


def check_that_the_text_came(events: list[Event], reason: str, *also: str) -> None:
    result = result_of(events)
    assert (result.mode, result.stopped) == ("fusion", False)
    assert len(result.tokens) == LONG
    assert result.text == text_of(events).strip()
    fallbacks = [token.fallback for token in result.tokens]
    assert fallbacks[:4] == [None] * 4
    assert set(fallbacks) <= {None, reason, "paused", *also}
    assert reason in fallbacks
    assert any(fallbacks[-5:])  # nothing is missed where nothing may be asked
    assert all(t.weight == 1.0 and t.source == "device" for t in result.tokens if t.fallback)
    assert result.degraded is not None
    assert result.degraded.reason in (reason, *also)
    assert isinstance(events[-2], Degraded)
    assert events[-2] == result.degraded
    assert len(events_of(Degraded, events)) == 1
    assert result.fusion is not None
    assert result.fusion.fallbacks == sum(each is not None for each in fallbacks)
    assert f"{result.fusion.fallbacks} of {LONG} tokens" in result.degraded.message


def test_drafts_survive_as_well(far: Far) -> None:
    fault, reason = FAULTS["not a number"]
    check_that_the_text_came(broken_at(far, fault), reason)


def test_the_text_after_the_failure_is_the_devices(far: Far) -> None:
    """What the device decides alone does not depend on what the cloud answered wrongly."""
    texts = set()
    for name in ("not a number", "html"):
        far.cloud.fault = None
        result = result_of(broken_at(far, FAULTS[name][0], fusion=LOCKSTEP, seed=5))
        texts.add(result.text)
    assert len(texts) == 1
    far.cloud.fault = None
    assert far.assistant().write(fused(fusion=LOCKSTEP, seed=5)).text not in texts


def test_an_answer_that_fails_once_costs_its_block_only(far: Far) -> None:
    once = threading.Event()

    def fault(handler: Handler, reply: Reply) -> object:
        if once.is_set():
            return reply
        once.set()
        handler.send_json({}, 401)
        return None

    events = broken_at(far, fault, fusion=LOCKSTEP)
    fallbacks = [token.fallback for token in result_of(events).tokens]
    assert fallbacks.count("unauthorised") == 1
    assert fallbacks.count(None) == LONG - 1
    told = result_of(events).degraded
    assert told is not None
    assert told.message.startswith(f"1 of {LONG} tokens")


def test_a_ledger_that_fails_in_mid_text_lets_nothing_more_leave(alone: Far) -> None:
    events: list[Event] = []
    asked = -1
    for event in alone.assistant().stream(fused()):
        events.append(event)
        if len(events_of(Token, events)) == 4 and asked < 0:
            alone.ledger.close()
            time.sleep(0.05)  # what was written into it before goes its way
            asked = len(alone.server.asked)
    check_that_the_text_came(events, "ledger")
    assert len(alone.server.asked) == asked


def test_the_cause_is_named_not_the_pause_after_it() -> None:
    tokens = [Token("a", fallback=each) for each in (None, "timeout", *["paused"] * 7)]
    told = missing_answers(tokens)
    assert told is not None
    assert told.reason == "timeout"
    assert told.message == ("8 of 9 tokens were decided without the cloud: 7 paused, 1 timeout")
    told = missing_answers([Token("a", fallback="paused")])
    assert told is not None
    assert told.reason == "paused"


# --- the device, and the person -----------------------------------------------------------------


def test_a_device_that_fails_in_mid_text_keeps_what_is_written(far: Far) -> None:
    class Failing(WithVocabulary):
        left = 12

        def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
            self.left -= 1
            if self.left < 0:
                raise ModelError("out of memory")
            return super().next_distribution(prefix, k)

    events = list(far.assistant(Failing()).stream(fused(fusion=LOCKSTEP)))
    result = result_of(events)
    assert result.stopped
    assert result.degraded is not None
    assert result.degraded.reason == "device-failed"
    assert 5 < len(result.tokens) < LONG
    assert result.text == text_of(events).strip()


def test_stopping_keeps_what_is_written_and_asks_no_more(far: Far) -> None:
    stop = threading.Event()
    events: list[Event] = []
    for event in far.assistant().stream(fused(max_tokens=200), stop=stop):
        events.append(event)
        if len(events_of(Token, events)) == 5:
            stop.set()
    result = result_of(events)
    assert (result.stopped, len(result.tokens)) == (True, 5)
    asked = len(far.server.asked)
    time.sleep(0.15)
    assert len(far.server.asked) <= asked + 2  # what flew already


def test_closing_before_the_text_hangs_up_on_what_is_being_found_out(alone: Far) -> None:
    alone.cloud.wait_s = 0.05
    events = alone.assistant().stream(fused())
    next(events)
    while not alone.server.asked:
        time.sleep(0.005)
    hang_up(events)
    asked = len(alone.server.asked)
    time.sleep(0.25)
    assert len(alone.server.asked) <= asked + 1


def test_closing_the_iterator_asks_no_more(far: Far) -> None:
    events = far.assistant().stream(fused(max_tokens=200))
    for event in events:
        if isinstance(event, Token):
            break
    hang_up(events)
    asked = len(far.server.asked)
    time.sleep(0.15)
    assert len(far.server.asked) <= asked + 2
