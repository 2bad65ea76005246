from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from cogenesis.errors import CloudError, ModelError
from cogenesis.models.openai_chat import OpenAIChat
from cogenesis.models.protocol import Message, Prompt, Sampling, TokenIds
from cogenesis.privacy.released import Released, Setting, public
from cogenesis.replies import ReplyError
from cogenesis.wire import Body, Deadline, Reply
from tests.unit.models.loopback import Handler, Loopback, ReleasedWire

PROMPT: Prompt[Released] = Prompt(
    messages=(Message("system", (public("Be brief."),)), Message("user", (public("A list"),))),
    completion=(public("A list:\n"),),
    stop=(public("\n\n"),),
)
SAMPLING = Sampling(max_tokens=9, seed=3, top_k=5)
NAME = Setting.of("org/model-1")


class CloudWire:
    """A stand-in for the egress: the same server, and its errors are a cloud's."""

    def __init__(self, url: str) -> None:
        self._wire = ReleasedWire.loopback(url)
        self.server = "cloud.example"
        self.released_only = True
        self.refusals: list[ReplyError] = []

    def get(self, endpoint: str, *, deadline: Deadline | None = None) -> Reply:
        self._refuse()
        return self._wire.get(endpoint, deadline=deadline)

    def post(
        self, endpoint: str, body: Body[Released], *, deadline: Deadline | None = None
    ) -> Reply:
        return self._wire.post(endpoint, body, deadline=deadline)

    def stream(
        self, endpoint: str, body: Body[Released], *, deadline: Deadline | None = None
    ) -> Any:
        stream = self._wire.stream(endpoint, body, deadline=deadline)
        try:
            self._refuse()
        except CloudError:
            list(stream)
            raise
        return stream

    def close(self) -> None:
        self._wire.close()

    def _refuse(self) -> None:
        if self.refusals:
            refusal = self.refusals.pop(0)
            raise CloudError(refusal.reason, str(refusal))


def _chunk(text: str | None, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}, "finish_reason": finish}]}


def _write(*events: object) -> Callable[[Handler], None]:
    return lambda handler: handler.send_events(*events)


def _texts(answer: Callable[[Handler], None], **settings: Any) -> list[str]:
    with (
        Loopback(answer) as server,
        OpenAIChat(ReleasedWire.loopback(server.url), model=NAME, **settings) as model,
    ):
        return [piece.text for piece in model.generate(PROMPT, SAMPLING)]


def test_a_streamed_answer() -> None:
    answer = _write(_chunk(None), _chunk("1. "), _chunk("Öl"), _chunk(None, "stop"), "[DONE]")
    assert _texts(answer) == ["1. ", "Öl"]


def test_an_answer_in_one_object() -> None:
    message = {"message": {"content": "1. One"}, "finish_reason": "length"}
    assert _texts(lambda handler: handler.send_json({"choices": [message]})) == ["1. One"]


def test_a_completion_of_a_base_model() -> None:
    answer = _write({"choices": [{"text": "- one", "finish_reason": "stop"}]})
    with Loopback(answer) as server:
        with OpenAIChat(ReleasedWire.loopback(server.url), model=NAME, form="completion") as model:
            assert not model.capabilities.chat
            assert [piece.text for piece in model.generate(PROMPT, SAMPLING)] == ["- one"]
        asked = server.asked[0]
    assert asked.path == "/v1/completions"
    assert (asked.body["prompt"], asked.body["stop"]) == ("A list:\n", ["\n\n"])
    assert (asked.body["top_k"], asked.body["repetition_penalty"]) == (5, 1.0)


def test_what_a_chat_request_says() -> None:
    with Loopback(_write(_chunk("a", "stop"))) as server:
        with OpenAIChat(ReleasedWire.loopback(server.url), model=NAME) as model:
            list(model.generate(PROMPT, SAMPLING))
        asked = server.asked[0]
    assert asked.path == "/v1/chat/completions"
    assert asked.body == {
        "model": "org/model-1",
        "stream": True,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "A list"},
        ],
        "max_tokens": 9,
        "temperature": 0.7,
        "top_p": 0.95,
        "presence_penalty": 0.0,
        "seed": 3,
    }


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (_write(_chunk("half a sen")), "cut off"),
        (_write(_chunk("half"), "[DONE]"), "cut off"),
        (_write(), "cut off"),
        (_write(_chunk(None, "stop")), "empty text"),
        (_write(_chunk("", "stop")), "empty text"),
        (_write(_chunk(" \n", "stop")), "empty text"),
        (_write(_chunk("a"), _chunk(None, "content_filter")), "withheld"),
        (_write({"choices": None}), "choices"),
        (_write({"choices": ["a"]}), "choices"),
        (_write({"choices": [{"delta": "a"}]}), "delta"),
        (_write({"choices": [{"delta": {"content": 7}}]}), "content"),
        (_write(_chunk("a"), {"error": {"message": "overloaded"}}), "reported an error"),
        (lambda handler: handler.send_json({"choices": []}), "cut off"),
    ],
)
def test_every_improper_answer_is_a_cloud_error(
    answer: Callable[[Handler], None], match: str
) -> None:
    with pytest.raises(CloudError, match=match) as caught:
        _texts(answer)
    assert caught.value.reason in {"bad-reply", "server-error"}


def test_a_device_server_raises_a_model_error() -> None:
    with pytest.raises(ModelError) as caught:
        _texts(_write(_chunk("half")), role="device")
    assert not isinstance(caught.value, CloudError)


@pytest.mark.parametrize(
    ("message", "requests"),
    [
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", 2),
        ("Unsupported value: 'temperature' does not support 0.7", 2),
        ("Your prompt was flagged", 1),
    ],
)
def test_a_refused_parameter_is_left_out_once(message: str, requests: int) -> None:
    with Loopback(_write(_chunk("a", "stop"))) as server:
        wire = CloudWire(server.url)
        wire.refusals = [ReplyError("bad-request", f"the server answered 400: {message}")]
        with OpenAIChat(wire, model=NAME) as model:
            if requests == 1:
                with pytest.raises(CloudError, match="flagged"):
                    list(model.generate(PROMPT, SAMPLING))
            else:
                assert [piece.text for piece in model.generate(PROMPT, SAMPLING)] == ["a"]
                assert list(server.asked[-1].body) == [
                    "model",
                    "stream",
                    "messages",
                    "max_completion_tokens",
                ]
                list(model.generate(PROMPT, SAMPLING))
                assert "max_completion_tokens" in server.asked[-1].body
                requests += 1  # and the next time it is asked in the plain way at once
        assert len(server.asked) == requests


def test_the_plain_way_is_tried_once_only() -> None:
    with Loopback(_write(_chunk("a", "stop"))) as server:
        wire = CloudWire(server.url)
        wire.refusals = [ReplyError("bad-request", "unsupported: seed") for _ in range(5)]
        with OpenAIChat(wire, model=NAME) as model, pytest.raises(CloudError, match="unsupported"):
            list(model.generate(PROMPT, SAMPLING))
        assert len(wire.refusals) == 3


def test_token_level_calls_say_that_it_serves_sketch_mode() -> None:
    with OpenAIChat(ReleasedWire.loopback("http://127.0.0.1:9"), model=NAME) as model:
        ids = TokenIds((1,))
        for call in (
            lambda: model.encode(PROMPT),
            lambda: model.generate(ids, SAMPLING),
            lambda: model.next_distribution(ids, 1),
            lambda: model.score_draft(ids, [2], 1),
        ):
            with pytest.raises(CloudError, match="sketch mode"):
                call()


@pytest.mark.parametrize(
    ("models", "window"),
    [
        ({"data": [{"id": "org/model-1", "max_model_len": 8192}, {"id": "other"}]}, 8192),
        ({"data": [{"id": "file.gguf", "meta": {"n_ctx": 2048}}]}, 2048),
        ({"data": [{"id": "a", "max_model_len": 1}, {"id": "b", "max_model_len": 2}]}, None),
        ({"data": [{"id": "org/model-1", "max_model_len": "many"}]}, None),
        ({"data": "none"}, None),
        ({"data": [None]}, None),
    ],
)
def test_probe_reads_the_window_where_it_is_told(models: object, window: int | None) -> None:
    with (
        Loopback(lambda handler: handler.send_json(models)) as server,
        OpenAIChat(ReleasedWire.loopback(server.url), model=NAME) as model,
    ):
        assert model.probe().context_tokens == window
        assert (model.capabilities.ids, model.capabilities.logprobs) == (False, 0)


def test_probe_tells_a_wrong_key_from_a_missing_list() -> None:
    with Loopback(lambda handler: handler.send_json({})) as server:
        wire = CloudWire(server.url)
        with OpenAIChat(wire, model=NAME) as model:
            wire.refusals = [ReplyError("not-found", "404")]
            assert model.probe().context_tokens is None
            wire.refusals = [ReplyError("unauthorised", "401")]
            with pytest.raises(CloudError, match="401"):
                model.probe()


def test_closing_the_iterator_closes_the_connection() -> None:
    ended: list[float] = []

    def answer(handler: Handler) -> None:
        handler.begin_events()
        try:
            while True:
                handler.send_event(_chunk("more"))
                time.sleep(0.005)
        except OSError:
            ended.append(time.monotonic())

    with (
        Loopback(answer) as server,
        OpenAIChat(ReleasedWire.loopback(server.url), model=NAME) as model,
    ):
        pieces = model.generate(PROMPT, SAMPLING)
        next(pieces)
        pieces.close()  # type: ignore[attr-defined]
        for _ in range(300):
            if ended:
                break
            time.sleep(0.01)
    assert ended
