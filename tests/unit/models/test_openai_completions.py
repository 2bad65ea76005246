"""Echoing completions and chats: tokens told as text, and where they lie."""

from __future__ import annotations

from typing import Any

import pytest

from cogenesis.errors import CloudError
from cogenesis.models.chat_logprobs import ChatDialect
from cogenesis.models.draft_scoring import Prefix, Turns
from cogenesis.models.logprob_replies import bytes_of_name
from cogenesis.models.openai_completions import CompletionsDialect
from cogenesis.models.protocol import Message
from cogenesis.models.reply_reader import ReplyReader
from cogenesis.privacy.released import Setting, public
from cogenesis.wire import Text, to_plain
from tests.unit.models.scoring_server import Scores, recorded, row_after, scorer

MODEL = Setting.of("cloud")
READER = ReplyReader("cloud", "host")
FRANCE, VERB, CITY = public("France"), public(" is"), public(" Paris")
DRAFT: list[Prefix] = [Text((FRANCE,)), Text((FRANCE, VERB)), Text((FRANCE, VERB, CITY))]
TURNS = Turns((Message("user", (public("Count"),)),), Text((public("5, 6,"),)))


def _reply() -> Any:
    return recorded("completions_echo.json")["reply"]


def test_the_longest_text_is_echoed() -> None:
    body = to_plain(CompletionsDialect(MODEL, "echo").body(DRAFT, 2, "sequence", 0.0))
    assert (body["prompt"], body["echo"], body["max_tokens"]) == ("France is Paris", True, 1)


def test_an_echo_of_the_end_reaches_back_to_the_draft() -> None:
    body = to_plain(CompletionsDialect(MODEL, "echo_last").body(DRAFT, 2, "sequence", 0.0))
    assert body["echo_last"] == len(" is Paris") + 1
    assert "echo" not in body


def test_rows_are_found_by_the_texts_of_the_tokens() -> None:
    dialect = CompletionsDialect(MODEL, "echo")
    first, second, bonus = dialect.read(_reply(), DRAFT, 2, "sequence", READER).distributions
    assert first is not None
    assert second is not None
    assert bonus is not None
    assert set(first.tokens) == {b" is", b" has"}
    assert set(second.tokens) == {b" a", b" the"}  # " Paris" was drafted, not one of the best
    assert second.rest == pytest.approx(1 - 0.4066 - 0.2466, abs=1e-3)
    assert set(bonus.tokens) == {b",", b"\xe2\x80"}


def test_what_the_draft_adds_does_not_move_a_row() -> None:
    dialect, reply = CompletionsDialect(MODEL, "echo"), _reply()
    (with_draft, *_) = dialect.read(reply, DRAFT[1:], 2, "sequence", READER).distributions
    del reply["choices"][0]["logprobs"]["top_logprobs"][3][" Paris"]
    (without, *_) = dialect.read(reply, DRAFT[1:], 2, "sequence", READER).distributions
    assert with_draft is not None
    assert without is not None
    assert with_draft.total_variation(without) == 0.0
    assert with_draft.tokens == without.tokens


def test_a_place_inside_a_token_is_not_answered_from_the_echo() -> None:
    inside: list[Prefix] = [Text((FRANCE, public(" is"), public(" Pa"))), DRAFT[2]]
    found = CompletionsDialect(MODEL, "echo").read(_reply(), inside, 2, "sequence", READER)
    assert found.distributions[0] is None
    assert found.distributions[1] is not None


def test_the_search_ends_where_the_echo_is_not_what_was_sent() -> None:
    reply = _reply()
    reply["choices"][0]["logprobs"]["tokens"][2] = " �"
    found = CompletionsDialect(MODEL, "echo").read(reply, DRAFT, 2, "sequence", READER)
    assert [one is None for one in found.distributions] == [True, False, False]


def test_what_the_echo_leaves_out_is_asked_in_another_way() -> None:
    """A server whose echo is merged at the draft's first place: that place is asked alone."""

    def merged(path: str, body: dict[str, Any], reply: Any) -> Any:
        if "echo" in body and body["prompt"].startswith("Dear"):
            told = reply["choices"][0]["logprobs"]
            told["tokens"][3:5] = ["".join(told["tokens"][3:5])]
            del told["top_logprobs"][4]
        return reply

    dialect = CompletionsDialect(MODEL, "echo")
    with scorer(dialect, Scores("completions", largest=20, change=merged)) as (asked, server):
        assert asked.scoring.ways == ("sequence", "batch", "single")
        before = len(server.asked)
        texts = [public("Dear"), public(" "), public("all")]
        found = asked.next_distributions([Text(tuple(texts[:end])) for end in (1, 2, 3)], 5)
        asked_paths = [each.body["prompt"] for each in server.asked[before:]]
    assert asked_paths == ["Dear all", "Dear"]
    assert set(found[0].tokens) == {name.encode() for name, _ in row_after("Dear", 5)}


def _logprobs(**fields: Any) -> Any:
    return lambda reply: reply["choices"][0]["logprobs"].update(fields)


@pytest.mark.parametrize(
    "change",
    [
        _logprobs(top_logprobs=None),
        _logprobs(tokens=["x"]),
        _logprobs(top_logprobs=[None, None, None, None, {}]),
        _logprobs(top_logprobs=[None, None, None, None, {",": 0.5, ".": -2.0}]),
        _logprobs(top_logprobs=[None, None, None, None, {",": None}]),
        _logprobs(top_logprobs=[None, None, None, None, {",": -0.1, ".": -0.1}]),
        lambda reply: reply["choices"][0].update(logprobs=None),
        lambda reply: reply.update(choices=[]),
    ],
)
def test_a_bad_reply_is_named_so(change: Any) -> None:
    reply = _reply()
    change(reply)
    with pytest.raises(CloudError) as caught:
        CompletionsDialect(MODEL, "echo").read(reply, DRAFT, 2, "sequence", READER)
    assert caught.value.reason == "bad-reply"


def test_a_chat_is_asked_to_go_on_with_the_assistants_turn() -> None:
    body = to_plain(ChatDialect(MODEL).body([TURNS], 4, "single", 0.0))
    assert body["messages"][-1] == {"role": "assistant", "content": "5, 6,"}
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert (body["logprobs"], body["top_logprobs"]) == (True, 4)


def test_the_bytes_of_a_chat_tell_halves_of_characters_apart() -> None:
    reply = recorded("chat_top_logprobs.json")["reply"]
    (found,) = ChatDialect(MODEL).read(reply, [TURNS], 4, "single", READER).distributions
    assert found is not None
    assert set(found.tokens) == {b" 7", b"\xe2\x80", b"\xf0\x9f"}  # -9999 is not listed


@pytest.mark.parametrize("told", [[256], "7", [-1], [None]])
def test_bytes_of_a_chat_that_are_none_are_refused(told: object) -> None:
    reply = recorded("chat_top_logprobs.json")["reply"]
    reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"][0]["bytes"] = told
    with pytest.raises(CloudError) as caught:
        ChatDialect(MODEL).read(reply, [TURNS], 4, "single", READER)
    assert caught.value.reason == "bad-reply"


@pytest.mark.parametrize(
    ("name", "token"),
    [
        (" the", b" the"),
        ("bytes:\\xe2\\x80", b"\xe2\x80"),
        ("bytes:", b"bytes:"),
        ("a�", None),
        ("<|im_end|>", b""),
        ("</s>", b""),
        ("<b", b"<b"),
        ("\n", b"\n"),
    ],
)
def test_what_a_token_told_as_text_stands_for(name: str, token: bytes | None) -> None:
    assert bytes_of_name(name) == token
