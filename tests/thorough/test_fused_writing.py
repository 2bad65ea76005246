"""Fused writing through a real egress, where it takes its time."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from cogenesis.errors import CloudError
from cogenesis.fused_writing import (
    LONGEST_DEADLINE_S,
    SAMPLES,
    ConnectionRequest,
    DeviceTokens,
    FusedWriting,
    connect,
)
from cogenesis.fusion.asking import Breaker
from cogenesis.fusion.settings import FusionSettings
from cogenesis.privacy.shield import Shield
from cogenesis.wire import Deadline
from tests.unit.fusion.word_models import WORDS, WithVocabulary, WordCloud, WordModel
from tests.unit.models.loopback import Handler
from tests.unit.privacy.test_shield import LEXICON
from tests.unit.test_fused_writing import (
    GENERAL,
    OTHERS,
    SAMPLING,
    connected,
    link_to,
    other_words,
    patient,
    writing,
)


@pytest.mark.parametrize("told", [True, False], ids=["vocabulary told", "vocabulary as it comes"])
@pytest.mark.parametrize("words", [WORDS, OTHERS], ids=["same", "different"])
def test_drafts_give_locksteps_text_through_the_real_egress(
    words: tuple[bytes, ...], told: bool
) -> None:
    device = (WithVocabulary if told else WordModel)()
    prompt = device.encode_text("Write a letter\n")
    with connected(WordCloud(other_words(words))) as (cloud, server, _):
        found = {}
        for decoding in ("lockstep", "draft-and-verify"):
            one = writing(cloud, FusionSettings(decoding=decoding), device)
            before = len(server.asked)
            found[decoding] = list(one.tokens(prompt, SAMPLING))
            figures, asked = one.figures, len(server.asked) - before
            assert figures.same_vocabulary == (words is WORDS and told)
            assert figures.fallbacks == 0
            assert figures.held < 0.3
            if decoding == "lockstep":
                assert figures.acceptance is None
                requests = asked
            else:
                assert figures.acceptance is not None
                assert asked < requests
        assert found["lockstep"] == found["draft-and-verify"]
    tokens = found["lockstep"]
    assert len(tokens) > 10
    assert any(token.source != "device" for token in tokens)
    alone = FusionSettings(weight=1.0)
    with connected(WordCloud(other_words(words))) as (cloud, _, _):
        by_device = list(writing(cloud, alone, device).tokens(prompt, SAMPLING))
    assert [token.id for token in by_device] != [token.id for token in tokens]


def test_what_is_learnt_of_a_dead_cloud_is_known_to_the_next_text() -> None:
    device, cloud = WithVocabulary(), WordCloud(WordModel(2))
    prompt = device.encode_text("Write a letter\n")
    with connected(cloud) as (connection, server, _):
        tokens = DeviceTokens(device)
        link = patient(connect(connection, GENERAL, tokens, Deadline(20)))
        shield = Shield(LEXICON, GENERAL)
        one = FusedWriting(tokens, link, shield, FusionSettings())
        habits = one._habits
        habits.breaker = Breaker(failures=2, wait_s=60.0)
        cloud.fault = lambda handler, reply: handler.send_json({}, 500)
        longer = replace(SAMPLING, max_tokens=80)  # more than is drafted before it is known
        # None: nothing may be asked there, and the shield knew it in time.
        reasons = {token.fallback for token in one.tokens(prompt, longer)} - {None}
        assert reasons == {"server-error", "paused"}
        asked = len(server.asked)
        other = FusedWriting(tokens, link, shield, FusionSettings(), habits)
        later = list(other.tokens(prompt, SAMPLING))
        assert {token.fallback for token in later} - {None} == {"paused"}
        assert len(server.asked) == asked


def test_a_server_that_does_not_answer_is_left_at_the_deadline() -> None:
    cloud = WordCloud(WordModel(2))
    cloud.wait_s = 0.3
    with connected(cloud) as (connection, server, _):
        begun = time.monotonic()
        request = ConnectionRequest(connection, GENERAL, DeviceTokens(WordModel()), Deadline(0.1))
        with pytest.raises(CloudError) as late:
            request.result()
        assert late.value.reason == "timeout"
        assert time.monotonic() - begun < 1.0
        asked = len(server.asked)
        time.sleep(0.4)
        assert len(server.asked) == asked


def test_a_device_that_equals_the_cloud_writes_what_it_would_write_alone() -> None:
    device = WithVocabulary()
    prompt = device.encode_text("Write a letter\n")
    with connected(WordCloud(WordModel())) as (cloud, _, _):
        fused = [
            [
                token.id
                for token in writing(cloud, FusionSettings(rule, weight), device).tokens(
                    prompt, SAMPLING
                )
            ]
            for rule, weight in (("mixture", 0.0), ("mixture", 0.5), ("logits", 0.3), ("max", 0.5))
        ]
        alone = FusionSettings(weight=1.0)
        by_device = [t.id for t in writing(cloud, alone, device).tokens(prompt, SAMPLING)]
    assert fused == [by_device] * 4


def test_a_far_server_gets_a_longer_deadline_for_a_block() -> None:
    cloud = WordCloud(WordModel(2))

    def slower(handler: Handler, reply: dict[str, Any]) -> dict[str, Any]:
        if handler.asked.body["prompt"] == [each.text for each in SAMPLES]:
            time.sleep(0.25)
        return reply

    cloud.fault = slower
    link, _ = link_to(cloud)
    assert 2.5 <= link.deadline_s < LONGEST_DEADLINE_S
