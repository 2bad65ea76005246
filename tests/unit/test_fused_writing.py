"""What is found out about a cloud, and how one text is written with it, through a real egress."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cogenesis.errors import CloudError, LedgerError
from cogenesis.fused_writing import (
    CLOUD_K,
    LONGEST_DEADLINE_S,
    SAMPLES,
    SHORTEST_DEADLINE_S,
    CloudLink,
    ConnectionRequest,
    DeviceTokens,
    FusedWriting,
    connect,
    gives_distributions,
)
from cogenesis.fusion.opening import fusion_prompt
from cogenesis.fusion.settings import FusionSettings
from cogenesis.models.cloud_connection import CloudConnection, CloudKind
from cogenesis.models.draft_scoring import Turns
from cogenesis.models.protocol import Sampling, TokenIds
from cogenesis.models.scoring_probe import PROBE_TEXTS
from cogenesis.models.scripted import ScriptedModel
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.released import _MINT, GeneralInstruction, ReturnedText, ShieldedText
from cogenesis.privacy.shield import Shield
from cogenesis.wire import Deadline, Text
from tests.unit.fusion.word_models import WORDS, WithVocabulary, WordCloud, WordModel, rows
from tests.unit.models.loopback import Handler, Loopback
from tests.unit.models.scoring_server import Scores
from tests.unit.privacy.test_shield import LEXICON

GENERAL = GeneralInstruction("A letter to a friend", _MINT, source="given")
TITLE = "".join(part.text for part in fusion_prompt(GENERAL).completion)
GROWN = ShieldedText("Dear friend", _MINT)
K = 64  # a `WordModel` has too few tokens for 128
OTHERS = (b" zebra", *reversed(WORDS))
"""A vocabulary of the same words with other ids."""


@contextmanager
def connected(
    answer: Callable[[Handler], None],
    kind: CloudKind = "auto",
    model: str | None = "some-model",
    attempts: int = 1,
) -> Iterator[tuple[CloudConnection, Loopback, Ledger]]:
    memory = Path("/dev/shm")  # the ledger syncs each row
    with (
        tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder,
        Loopback(answer) as server,
        Ledger.open(Path(folder) / "ledger.db") as ledger,
        Egress(
            CloudEndpoint.parse(server.url), ledger, attempts=attempts, first_wait_s=0.01
        ) as egress,
    ):
        yield CloudConnection(egress, model, kind), server, ledger


def link_to(
    answer: Callable[[Handler], None],
    device: ScriptedModel | None = None,
    kind: CloudKind = "auto",
) -> tuple[CloudLink, Loopback]:
    """The link alone: it can be looked at when the server is gone."""
    with connected(answer, kind) as (cloud, server, _):
        tokens = DeviceTokens(device or WithVocabulary())
        return connect(cloud, GENERAL, tokens, Deadline(20)), server


def sent(server: Loopback) -> str:
    return "\n".join(str(asked.body) for asked in server.asked)


# --- what is found out --------------------------------------------------------------------------


def test_models_are_told_apart_from_those_that_give_no_distributions() -> None:
    """Without a request: a dead server must not cost its deadline here."""

    def never(handler: Handler) -> None:
        raise AssertionError

    assert not gives_distributions(ScriptedModel(role="cloud"))
    with connected(never) as (cloud, server, _):
        assert gives_distributions(cloud)
        assert server.asked == []


def test_one_vocabulary_is_found() -> None:
    link, _ = link_to(WordCloud(WordModel(2)))
    assert link.same_vocabulary
    assert link.k == K
    assert SHORTEST_DEADLINE_S <= link.deadline_s < LONGEST_DEADLINE_S  # by how it answered


def test_another_vocabulary_is_found_also_if_its_words_are_the_same() -> None:
    other = WordModel(2, tuple(reversed(WORDS)))
    assert not link_to(WordCloud(other))[0].same_vocabulary


def test_one_token_that_differs_is_enough() -> None:
    words = list(WORDS)
    words[3], words[4] = words[4], words[3]
    assert not link_to(WordCloud(WordModel(2, tuple(words))))[0].same_vocabulary


def test_a_device_that_cannot_tell_its_vocabulary_is_compared_by_bytes() -> None:
    tokens = DeviceTokens(device := WordModel())
    assert (tokens.whole, tokens.spelling) == (None, None)
    with pytest.raises(KeyError):
        tokens.data(256)
    found = tokens.next_distribution(TokenIds((65, 66)), 40)
    assert [tokens.data(each) for each in found.ids.tolist()] == list(found.tokens)
    unlisted = 300
    tokens.learn([unlisted], [b"Wren"])  # of a text that somebody else wrote
    assert tokens.data(unlisted) == b"Wren"
    assert not link_to(WordCloud(WordModel(2)), device)[0].same_vocabulary


def test_contractions_that_the_cloud_cuts_are_found() -> None:
    """A `WordModel` has "'s" among its words and none of the others."""
    missing = {b"'t", b"'re", b"'ve", b"'m", b"'ll", b"'d"}
    assert link_to(WordCloud(WordModel(2)))[0].lacking == missing


def test_connecting_sends_fixed_text_and_the_general_instruction_only() -> None:
    cloud = WordCloud(WordModel(2))
    _, server = link_to(cloud)
    fixed = PROBE_TEXTS | {each.text for each in SAMPLES}
    # Last, so that the prompt is in the server's cache when the text begins.
    assert [text for text in cloud.texts if text not in fixed] == [TITLE]
    assert server.asked[-1].body["prompt"] == [TITLE]


def test_a_base_model_goes_on_under_the_title() -> None:
    link, server = link_to(WordCloud(WordModel(2)))
    prefix = link.begun(GROWN)
    assert isinstance(prefix, Text)
    assert "".join(part.text for part in prefix.parts) == TITLE + "Dear friend"
    assert "/apply-template" not in [asked.path for asked in server.asked]


def test_an_instruct_model_begins_its_turn_with_the_text() -> None:
    link, _ = link_to(WordCloud(WordModel(2), template=(True, True)))
    prefix = link.begun(GROWN)
    assert isinstance(prefix, Text)
    opening, grown = prefix.parts
    assert isinstance(opening, ReturnedText)
    assert opening.text.startswith("<turn>Write this text")
    assert opening.text.endswith("A letter to a friend<answer>")
    assert grown == GROWN


def test_a_template_that_the_server_does_not_show_leaves_the_title() -> None:
    link, server = link_to(WordCloud(WordModel(2), template=(True, False)))
    prefix = link.begun(GROWN)
    assert isinstance(prefix, Text)
    assert "".join(part.text for part in prefix.parts) == TITLE + "Dear friend"
    assert "/apply-template" in [asked.path for asked in server.asked]


def test_a_server_that_breaks_while_it_is_asked_for_its_template_is_an_error() -> None:
    """It is no answer about templates: the next request would fail, too."""
    cloud = WordCloud(WordModel(2), template=(True, False))

    def answer(handler: Handler) -> None:
        if handler.asked.path == "/apply-template":
            handler.send_json({}, 500)
        else:
            cloud(handler)

    with pytest.raises(CloudError) as failed:
        link_to(answer)
    assert failed.value.reason == "server-error"


class Chat:
    """A chat server without any sign of what it is; it lists up to 20 tokens."""

    def __init__(self, change: Any = None) -> None:
        self._scores = Scores("chat", largest=20, change=change)

    def __call__(self, handler: Handler) -> None:
        if handler.command == "GET":
            handler.send_json({}, 404)
        elif handler.asked.body.get("top_logprobs", 0) > 20:
            handler.send_json({"error": "at most 20"}, 400)
        else:
            self._scores(handler)


def test_a_chat_server_goes_on_with_its_turn() -> None:
    link, server = link_to(Chat())
    assert link.scorer.chat
    assert (link.k, link.same_vocabulary, link.lacking) == (20, False, frozenset())
    prefix = link.begun(GROWN)
    assert isinstance(prefix, Turns)
    assert prefix.messages == fusion_prompt(GENERAL).messages
    assert prefix.written.parts == (GROWN,)
    # It is asked about nobody's text, and not about texts that are no turns.
    assert "A letter" not in sent(server)
    assert "Le chat" not in sent(server)


def starts_anew(path: str, body: dict[str, Any], reply: dict[str, Any]) -> dict[str, Any]:
    for choice in reply["choices"]:
        for row in choice["logprobs"]["content"]:
            for at, entry in enumerate(row["top_logprobs"]):
                entry.update(token=chr(65 + at), bytes=[65 + at])
    return reply


def no_logprobs(handler: Handler, reply: dict[str, Any]) -> dict[str, Any]:
    for choice in reply["choices"]:
        choice["logprobs"] = None
    return reply


def silent_cloud() -> WordCloud:
    cloud = WordCloud(WordModel(2))
    cloud.fault = no_logprobs
    return cloud


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (silent_cloud(), "no log-probabilities of a next token"),
        (Chat(starts_anew), "does not go on with what the assistant has begun"),
    ],
    ids=["no log-probabilities", "begins anew"],
)
def test_a_server_that_cannot_serve_fusion_is_refused_with_the_mode_that_is_left(
    answer: Callable[[Handler], None], why: str
) -> None:
    with pytest.raises(CloudError, match="use --mode sketch") as refused:
        link_to(answer)
    assert refused.value.reason == "bad-request"
    assert "some-model" in str(refused.value)
    assert why in str(refused.value)


def test_a_list_that_is_shorter_than_the_candidates_is_enough() -> None:
    cloud = WordCloud(WordModel(2))

    def five(handler: Handler, reply: dict[str, Any]) -> dict[str, Any]:
        for row in rows(reply):
            del row[5:]
        return reply

    cloud.fault = five
    link, _ = link_to(cloud)
    assert link.k == 5 < K < CLOUD_K


def test_a_request_that_is_cancelled_sends_nothing_more() -> None:
    cloud = WordCloud(WordModel(2))
    cloud.wait_s = 0.1
    with connected(cloud) as (connection, server, _):
        request = ConnectionRequest(connection, GENERAL, DeviceTokens(WordModel()), Deadline(20))
        while len(server.asked) < 3:
            time.sleep(0.005)
        request.cancel()
        asked = len(server.asked)
        with pytest.raises(CloudError):
            request.result()
        time.sleep(0.3)
        assert len(server.asked) <= asked + 1


def test_a_ledger_that_fails_is_told_as_such() -> None:
    with connected(WordCloud(WordModel(2))) as (connection, server, ledger):
        ledger.close()
        request = ConnectionRequest(connection, GENERAL, DeviceTokens(WordModel()), Deadline(20))
        with pytest.raises(LedgerError):
            request.result()
        assert server.asked == []


def test_a_bug_while_connecting_is_an_error_of_the_cloud() -> None:
    class Broken:
        name = "broken"

        def scorer(self, *, deadline: Deadline | None = None) -> Any:
            raise ZeroDivisionError("CANARY")

    request = ConnectionRequest(Broken(), GENERAL, DeviceTokens(WordModel()), Deadline(20))  # type: ignore[arg-type]
    with pytest.raises(CloudError, match="ZeroDivisionError") as failed:
        request.result()
    assert "CANARY" not in str(failed.value)


# --- writing ------------------------------------------------------------------------------------

SAMPLING = Sampling(temperature=0.7, top_p=1.0, max_tokens=20, seed=3)


def patient(link: CloudLink) -> CloudLink:
    """A busy machine is no late cloud."""
    return replace(link, deadline_s=20.0)


def writing(
    cloud: CloudConnection, settings: FusionSettings, device: ScriptedModel
) -> FusedWriting:
    tokens = DeviceTokens(device)
    link = patient(connect(cloud, GENERAL, tokens, Deadline(20)))
    return FusedWriting(tokens, link, Shield(LEXICON, GENERAL), settings)


def other_words(words: tuple[bytes, ...]) -> WordModel:
    return WordModel(2) if words is WORDS else WordModel(2, words[1:])


def test_the_device_reads_its_prompt_before_the_first_position() -> None:
    """What llama.cpp says depends a little on what it reads in one go."""
    read: list[int] = []

    class Reading(WithVocabulary):
        def next_distribution(self, prefix: TokenIds, k: int) -> Any:
            read.append(len(prefix))
            return super().next_distribution(prefix, k)

    device = Reading()
    prompt = device.encode_text("Write a letter\n")
    with connected(WordCloud(WordModel(2))) as (cloud, _, _):
        list(writing(cloud, FusionSettings(decoding="lockstep"), device).tokens(prompt, SAMPLING))
    assert read[:3] == [len(prompt), len(prompt), len(prompt) + 1]


def test_closing_the_text_stops_asking() -> None:
    device, cloud = WithVocabulary(), WordCloud(WordModel(2))
    prompt = device.encode_text("Write a letter\n")
    with connected(cloud) as (connection, server, _):
        tokens = writing(connection, FusionSettings(), device).tokens(
            prompt, replace(SAMPLING, max_tokens=400)
        )
        for _ in range(5):
            next(tokens)
        cloud.wait_s = 0.05
        tokens.close()
        asked = len(server.asked)
        assert asked < 60  # the text comes as it is decided
        time.sleep(0.2)
        assert len(server.asked) <= asked + 2  # what flew already


def test_the_scripted_cloud_and_device_differ_and_agree_often() -> None:
    """Otherwise the tests above would prove nothing."""
    one, other = WordModel(), WordModel(2)
    distances = []
    for word in range(256, 256 + len(WORDS)):
        a, b = (m.next_distribution(TokenIds((word,)), K) for m in (one, other))
        distances.append(a.total_variation(b))
    assert 0.05 < float(np.median(distances)) < 0.6
