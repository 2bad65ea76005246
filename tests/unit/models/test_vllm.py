"""vLLM: what is asked, and what its documented replies mean."""

from __future__ import annotations

from typing import Any

import pytest

from cogenesis.errors import CloudError
from cogenesis.models.draft_scoring import Prefix
from cogenesis.models.protocol import Message, Prompt
from cogenesis.models.reply_reader import ReplyReader
from cogenesis.models.vllm import VllmDialect
from cogenesis.privacy.released import Released, Setting, public
from cogenesis.wire import Text, to_plain
from tests.unit.models.loopback import Handler
from tests.unit.models.scoring_server import recorded, scorer

MODEL = Setting.of("cloud")
VOCABULARY = {5: b" a", 6: b" the", 7: b" an", 8: b" is", 9: b"\xf0\x9f"}
READER = ReplyReader("cloud", "host")
PROMPTS: list[Prefix] = [Text((public("One"),)), Text((public("One two"),))]


def _reply() -> Any:
    return recorded("vllm_completions.json")["reply"]


def _row(reply: Any, index: int) -> dict[str, Any]:
    (choice,) = [each for each in reply["choices"] if each["index"] == index]
    row: dict[str, Any] = choice["logprobs"]["top_logprobs"][0]
    return row


def test_all_prefixes_go_in_one_request_for_one_token_each() -> None:
    body = to_plain(VllmDialect(MODEL, VOCABULARY).body(PROMPTS, 2, "batch", 0.0))
    assert body["prompt"] == ["One", "One two"]
    assert (body["max_tokens"], body["logprobs"], body["temperature"]) == (1, 2, 0.0)
    assert body["return_tokens_as_token_ids"] is True
    # The device's candidates are made of private text: they are never named to the cloud.
    assert "logprob_token_ids" not in body


def test_answers_are_put_in_order_and_the_sampled_token_back_into_the_rest() -> None:
    answer = VllmDialect(MODEL, VOCABULARY).read(_reply(), PROMPTS, 2, "batch", READER)
    first, second = answer.distributions
    assert first is not None
    assert second is not None
    assert (first.ids.tolist(), first.tokens) == ([8, 9], (b" is", b"\xf0\x9f"))
    assert second.ids.tolist() == [5, 6]  # id 7 was sampled, not one of the best two
    assert second.rest == pytest.approx(1 - 0.6065 - 0.2231, abs=1e-3)
    assert answer.cached == 32


def test_without_a_vocabulary_tokens_are_read_by_their_text() -> None:
    dialect = VllmDialect(MODEL)
    assert to_plain(dialect.body(PROMPTS, 2, "batch", 0.0))["return_tokens_as_token_ids"] is False
    reply = _reply()
    for index in (0, 1):
        row = _row(reply, index)
        row.clear()
        row.update({" is": -0.25, "�": -2.0})
    found = dialect.read(reply, PROMPTS, 2, "batch", READER).distributions[0]
    assert found is not None
    assert found.tokens == (b" is",)  # many tokens are shown as a replacement character
    assert found.rest == pytest.approx(1 - 0.7788, abs=1e-3)


def _set(index: int, name: str, value: Any) -> Any:
    def change(reply: Any) -> None:
        _row(reply, index)[name] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set(0, "token_id:8", 0.5),
        _set(0, "token_id:8", None),
        _set(0, "token_id:8", float("nan")),
        _set(0, "token_id:8", "-1"),
        _set(0, "token_id:99999", -1.0),
        _set(0, " is", -1.0),
        lambda reply: _row(reply, 0).pop("token_id:9"),
        lambda reply: reply["choices"].pop(),
        lambda reply: reply["choices"][0].update(index=0),
        lambda reply: reply["choices"][0].update(logprobs=None),
        lambda reply: reply["choices"][0]["logprobs"].update(top_logprobs=[]),
        lambda reply: reply["choices"][0]["logprobs"].update(top_logprobs=[None]),
        lambda reply: reply.update(choices=None),
    ],
)
def test_a_bad_reply_is_named_so(change: Any) -> None:
    reply = _reply()
    change(reply)
    with pytest.raises(CloudError) as caught:
        VllmDialect(MODEL, VOCABULARY).read(reply, PROMPTS, 2, "batch", READER)
    assert caught.value.reason == "bad-reply"


def test_a_chat_prompt_is_asked_for_as_ids_and_turned_into_text() -> None:
    def answer(handler: Handler) -> None:
        ids = {"tokens": [1, 2, 3], "count": 3, "max_model_len": 99}
        handler.send_json(ids if handler.asked.path == "/tokenize" else {"prompt": "<s>[hi]"})

    dialect = VllmDialect(MODEL)
    prompt: Prompt[Released] = Prompt((Message("user", (public("hi"),)),), ())
    with scorer(dialect, answer) as (asked, server):
        filled = asked.fill_template(prompt)
        turns, back = (each.body for each in server.asked)
    assert turns["messages"] == [{"role": "user", "content": "hi"}]
    assert back == {"model": "cloud", "tokens": [1, 2, 3]}
    assert filled.text == "<s>[hi]"
    # The template has the opening token in it: no second one is added.
    text: Text[Released] = Text((filled,))
    assert to_plain(dialect.body([text], 2, "single", 0.0))["add_special_tokens"] is False
    assert to_plain(dialect.tokenize_body(text))["add_special_tokens"] is False
    assert to_plain(dialect.body(PROMPTS, 2, "batch", 0.0))["add_special_tokens"] is True
