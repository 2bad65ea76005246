"""llama-server in the cloud's role: a recorded reply, and every way to spoil it."""

from __future__ import annotations

from typing import Any

import pytest

from cogenesis.errors import CloudError
from cogenesis.models.draft_scoring import Prefix
from cogenesis.models.llama_scoring import LlamaDialect
from cogenesis.models.reply_reader import ReplyReader
from cogenesis.privacy.released import Released, public
from cogenesis.wire import Text, to_plain
from tests.unit.models.scoring_server import recorded

READER = ReplyReader("cloud", "host")
PARTS: tuple[Released, ...] = (public("The capital of France"), public(" is"), public(" Paris"))
DRAFT: list[Prefix] = [Text(PARTS[:end]) for end in (1, 2, 3)]


def test_the_recorded_request_is_the_one_that_is_sent() -> None:
    content = recorded("llama_completions.json")
    assert to_plain(LlamaDialect().body(DRAFT, 5, "batch", 0.0)) == content["request"]
    assert to_plain(LlamaDialect().tokenize_body(Text(PARTS))) == content["tokenize"]["request"]


def test_a_recorded_reply_is_read() -> None:
    reply = recorded("llama_completions.json")["reply"]
    answer = LlamaDialect().read(reply, DRAFT, 5, "batch", READER)
    assert [len(one) for one in answer.distributions if one is not None] == [5, 5, 5]
    first = answer.distributions[0]
    assert first is not None
    assert first.tokens[int(first.logprobs.argmax())] == b","
    assert answer.cached == 4  # of the first prompt; the others grew out of it


def _row(reply: Any) -> Any:
    return reply["choices"][1]["logprobs"]["content"][0]["top_logprobs"]


@pytest.mark.parametrize(
    "change",
    [
        lambda reply: _row(reply).pop(),
        lambda reply: _row(reply).clear(),
        lambda reply: _row(reply)[0].update(id=_row(reply)[1]["id"]),
        lambda reply: _row(reply)[0].update(id="5"),
        lambda reply: _row(reply)[0].update(logprob=None),
        lambda reply: _row(reply)[0].update(logprob=float("nan")),
        lambda reply: _row(reply)[0].update(logprob=0.1),
        lambda reply: _row(reply)[0].update(bytes=[300]),
        lambda reply: _row(reply)[0].update(bytes=None),
        lambda reply: [each.update(logprob=-0.1) for each in _row(reply)],
        lambda reply: [each.update(logprob=-9999.0) for each in _row(reply)],
        lambda reply: reply["choices"][1]["logprobs"].update(content=[]),
        lambda reply: reply["choices"][1].update(logprobs=None),
        lambda reply: reply["choices"].pop(),
        lambda reply: reply["choices"].append(reply["choices"][0]),
    ],
)
def test_a_bad_reply_is_named_so(change: Any) -> None:
    reply = recorded("llama_completions.json")["reply"]
    change(reply)
    with pytest.raises(CloudError) as caught:
        LlamaDialect().read(reply, DRAFT, 5, "batch", READER)
    assert caught.value.reason == "bad-reply"
