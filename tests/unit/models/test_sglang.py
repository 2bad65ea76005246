"""SGLang: where log-probabilities start, and what its documented replies mean."""

from __future__ import annotations

from typing import Any

import pytest

from cogenesis.errors import CloudError
from cogenesis.models.draft_scoring import Prefix
from cogenesis.models.reply_reader import ReplyReader
from cogenesis.models.sglang import SglangDialect
from cogenesis.privacy.released import ReleasedIds, Setting, public
from cogenesis.wire import Text, to_plain
from tests.unit.models.scoring_server import Scores, recorded, scorer

MODEL = Setting.of("cloud")
READER = ReplyReader("cloud", "host")


@pytest.fixture(scope="module")
def ids() -> ReleasedIds:
    with scorer(SglangDialect(MODEL), Scores("sglang")) as (asked, _):
        return asked.encode(Text((public("abcde"),))).ids


def _draft(ids: ReleasedIds) -> list[Prefix]:
    return [ids.prefix(end) for end in (3, 4, 5)]


def _reply() -> Any:
    return recorded("sglang_generate.json")["reply"]


def test_log_probabilities_start_before_the_last_token_of_the_prefix(ids: ReleasedIds) -> None:
    body = to_plain(SglangDialect(MODEL).body(_draft(ids), 2, "sequence", 0.0))
    assert body["input_ids"] == [*map(ord, "abcde")]
    assert body["logprob_start_len"] == 2
    assert (body["top_logprobs_num"], body["return_logprob"]) == (2, True)
    assert (body["sampling_params"]["max_new_tokens"], "text" in body) == (1, False)


def test_one_position_asks_for_nothing_of_the_prompt(ids: ReleasedIds) -> None:
    body = to_plain(SglangDialect(MODEL).body([Text((public("hi"),))], 2, "single", 0.0))
    assert body["text"] == "hi"
    assert not {"logprob_start_len", "input_ids"} & set(body)


def test_rows_are_the_drafted_tokens_and_what_follows(ids: ReleasedIds) -> None:
    answer = SglangDialect(MODEL).read(_reply(), _draft(ids), 2, "sequence", READER)
    first, second, bonus = answer.distributions
    assert first is not None
    assert second is not None
    assert bonus is not None
    assert (first.ids.tolist(), first.tokens) == ([5, 8], (b" is", b" has"))
    assert second.ids.tolist() == [9]  # " Paris" was drafted, and id 7 is half a character
    assert second.rest == pytest.approx(1 - 0.4066, abs=1e-3)
    assert bonus.tokens == (b"", b" city")  # the end of the text has no bytes
    assert answer.cached == 2


def test_a_given_vocabulary_tells_the_bytes(ids: ReleasedIds) -> None:
    vocabulary = {5: b" is", 8: b" has", 9: b" city", 7: b"\xe2", 1: b""}
    found = SglangDialect(MODEL, vocabulary).read(_reply(), _draft(ids), 2, "sequence", READER)
    assert found.distributions[1] is not None
    assert found.distributions[1].tokens == (b"\xe2", b" city")
    del vocabulary[8]
    with pytest.raises(CloudError, match="given vocabulary"):
        SglangDialect(MODEL, vocabulary).read(_reply(), _draft(ids), 2, "sequence", READER)


def test_only_steps_of_one_token_fit_a_sequence(ids: ReleasedIds) -> None:
    dialect = SglangDialect(MODEL)
    assert dialect.fits(_draft(ids), "sequence")
    assert not dialect.fits([ids.prefix(3), ids.prefix(5)], "sequence")
    assert not dialect.fits([ids.prefix(4), ids.prefix(3)], "sequence")
    assert not dialect.fits([Text((public("a"),)), Text((public("ab"),))], "sequence")


def _meta(**fields: Any) -> Any:
    return lambda reply: reply["meta_info"].update(fields)


@pytest.mark.parametrize(
    "change",
    [
        _meta(output_top_logprobs=[]),
        _meta(output_top_logprobs=None),
        _meta(output_top_logprobs=[None]),
        _meta(output_top_logprobs=[[[-0.2, 9, "x"], [-0.3, 9, "y"]]]),
        _meta(output_top_logprobs=[[[-0.2, 9, "x"]]]),
        _meta(output_top_logprobs=[[[-0.2, 9], [-0.3, 8]]]),
        _meta(output_top_logprobs=[[[0.2, 9, "x"], [-0.3, 8, "y"]]]),
        _meta(output_top_logprobs=[[[None, 9, "x"], [-0.3, 8, "y"]]]),
        _meta(output_top_logprobs=[[[-0.1, 9, "x"], [-0.1, 8, "y"]]]),
        _meta(input_top_logprobs=[None]),
        _meta(input_top_logprobs=[None, None, None]),
        lambda reply: reply.update(meta_info=None),
    ],
)
def test_a_bad_reply_is_named_so(change: Any, ids: ReleasedIds) -> None:
    reply = _reply()
    change(reply)
    with pytest.raises(CloudError) as caught:
        SglangDialect(MODEL).read(reply, _draft(ids), 2, "sequence", READER)
    assert caught.value.reason == "bad-reply"
