"""Which adapter and which dialect a server gets, and what it is asked for that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest

from cogenesis.errors import CloudError
from cogenesis.models.cloud_connection import CloudConnection, CloudKind
from cogenesis.models.protocol import Message, Prompt, Sampling
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.released import Released, public
from cogenesis.wire import Text
from tests.unit.models.loopback import Handler, Loopback
from tests.unit.models.scoring_server import VOCABULARY, Scores

PROMPT: Prompt[Released] = Prompt((Message("user", (public("Hello"),)),), (public("Hello"),))


def models(*cards: dict[str, Any]) -> dict[str, Any]:
    return {"object": "list", "data": [{"object": "model", **card} for card in cards]}


class Server:
    """Answers `/props` and `/v1/models` as told, and streams a word to whoever wants text."""

    def __init__(
        self, listed: object = None, *, llama: bool = False, scores: Scores | None = None
    ) -> None:
        self.listed, self._llama, self._scores = listed, llama, scores
        self.status = 200

    def __call__(self, handler: Handler) -> None:
        path = handler.asked.path
        if self.status != 200:
            handler.send_json({"error": "no"}, self.status)
        elif path == "/props" and self._llama:
            settings = {"n_ctx": 512}
            handler.send_json({"default_generation_settings": settings, "chat_template": ""})
        elif path == "/v1/models" and self.listed is not None:
            handler.send_json(self.listed)
        elif handler.asked.body is None:
            handler.send_json({"error": "no"}, 404)
        elif handler.asked.body.get("stream"):
            choice = {"delta": {"content": "Hi"}, "text": "Hi", "finish_reason": "stop"}
            handler.send_events({"choices": [choice]}, "[DONE]")
        elif self._scores is not None:
            self._scores(handler)
        else:
            handler.send_json({"error": "no"}, 404)


@contextmanager
def connected(
    folder: Path,
    answer: Callable[[Handler], None],
    kind: CloudKind = "auto",
    model: str | None = "some/model",
) -> Iterator[tuple[CloudConnection, Loopback]]:
    with (
        Loopback(answer) as server,
        Ledger.open(folder / "ledger.db") as ledger,
        Egress(CloudEndpoint.parse(server.url), ledger, attempts=1) as egress,
    ):
        yield CloudConnection(egress, model, kind), server


def paths(server: Loopback) -> list[str]:
    return [asked.path for asked in server.asked]


def dialect(connection: CloudConnection) -> str:
    return repr(connection.scorer()).rstrip(")").split(", ")[1]


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (models({"id": "some/model", "owned_by": "vllm"}), "VllmDialect"),
        (models({"id": "some/model", "owned_by": "sglang"}), "SglangDialect"),
        (models({"id": "another", "owned_by": "sglang"}), "SglangDialect"),  # its only one
        (models({"id": "some/model", "owned_by": "llamacpp"}), "LlamaDialect"),
        (models({"id": "some/model", "owned_by": "openai"}), "ChatDialect"),
        (models({"id": "some/model"}), "ChatDialect"),
        (models({"id": "some/model", "owned_by": ["vllm"]}), "ChatDialect"),
        (
            models({"id": "a", "owned_by": "vllm"}, {"id": "some/model", "owned_by": "openai"}),
            "ChatDialect",
        ),
        (models({"id": "a", "owned_by": "vllm"}, {"id": "b", "owned_by": "vllm"}), "ChatDialect"),
        ({"data": ["some/model", 7]}, "ChatDialect"),
        ({"data": "some/model"}, "ChatDialect"),
        ([], "ChatDialect"),
        (None, "ChatDialect"),
    ],
)
def test_a_server_is_asked_in_its_own_way(tmp_path: Path, listed: object, expected: str) -> None:
    with connected(tmp_path, Server(listed)) as (connection, server):
        assert dialect(connection) == expected
        assert paths(server) == ["/props", "/v1/models"]
        assert connection.scorer() is connection.scorer()
        assert paths(server) == ["/props", "/v1/models"]


def test_llama_cpp_shows_itself_and_needs_no_name(tmp_path: Path) -> None:
    with connected(tmp_path, Server(models(), llama=True), model=None) as (connection, server):
        assert connection.capabilities.context_tokens == 512
        before = len(server.asked)
        assert dialect(connection) == "LlamaDialect"
        assert len(server.asked) == before


@pytest.mark.parametrize(
    ("kind", "expected", "endpoint"),
    [
        ("llama-server", "LlamaDialect", None),
        ("vllm", "VllmDialect", "/v1/chat/completions"),
        ("sglang", "SglangDialect", "/v1/chat/completions"),
        ("openai-chat", "ChatDialect", "/v1/chat/completions"),
        ("openai-completion", "CompletionsDialect", "/v1/completions"),
        ("openai-echo", "CompletionsDialect", "/v1/completions"),
        ("openai-echo-last", "CompletionsDialect", "/v1/completions"),
    ],
)
def test_a_kind_that_was_named_is_not_asked_for(
    tmp_path: Path, kind: CloudKind, expected: str, endpoint: str | None
) -> None:
    with connected(tmp_path, Server(), kind) as (connection, server):
        assert dialect(connection) == expected
        assert server.asked == []
        if endpoint is not None:
            pieces = list(connection.generate(PROMPT, Sampling(max_tokens=3)))
            assert "".join(piece.text for piece in pieces) == "Hi"
            assert paths(server) == [endpoint]


def test_every_kind_has_been_tried() -> None:
    marks = test_a_kind_that_was_named_is_not_asked_for.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in marks[0].args[1]} == set(get_args(CloudKind)) - {"auto"}


@pytest.mark.parametrize(
    ("kind", "scores", "field"),
    [
        ("openai-echo", "completions", "echo"),
        ("openai-echo-last", "completions", "echo_last"),
        ("vllm", "vllm", "return_tokens_as_token_ids"),
        ("sglang", "sglang", "top_logprobs_num"),
        ("llama-server", "llama", "id_slot"),
    ],
)
def test_its_distributions_come_through_the_egress(
    tmp_path: Path, kind: CloudKind, scores: str, field: str
) -> None:
    with connected(tmp_path, Server(scores=Scores(scores)), kind) as (connection, server):
        begun = public("Dear neigh")
        texts: list[Text[Released]] = [Text((begun,)), Text((begun, public("b")))]
        found = connection.scorer().next_distributions(texts, 20)
        assert [len(each) for each in found] == [20, 20]
        assert set(found[0].tokens) <= set(VOCABULARY.values())
        assert any(field in asked.body for asked in server.asked)


def test_sketch_mode_asks_for_nothing_more(tmp_path: Path) -> None:
    listed = models({"id": "some/model", "owned_by": "vllm"})
    with connected(tmp_path, Server(listed)) as (connection, server):
        list(connection.generate(PROMPT, Sampling(max_tokens=3)))
        assert paths(server) == ["/props", "/v1/chat/completions"]
        connection.scorer()
        assert paths(server)[2:] == ["/v1/models"]


def test_a_server_that_is_down_is_asked_again_later(tmp_path: Path) -> None:
    answer = Server(models({"id": "some/model", "owned_by": "vllm"}))
    with connected(tmp_path, answer) as (connection, _):
        answer.status = 503
        with pytest.raises(CloudError):
            connection.scorer()
        answer.status = 200
        assert dialect(connection) == "VllmDialect"


def test_a_list_that_is_late_is_asked_for_again(tmp_path: Path) -> None:
    answer = Server(models({"id": "some/model", "owned_by": "sglang"}))
    with connected(tmp_path, answer) as (connection, _):
        list(connection.generate(PROMPT, Sampling(max_tokens=3)))  # finds: no llama.cpp
        answer.status = 429
        with pytest.raises(CloudError):
            connection.scorer()
        answer.status = 200
        assert dialect(connection) == "SglangDialect"


def test_a_missing_name_says_what_to_do(tmp_path: Path) -> None:
    with (
        connected(tmp_path, Server(), "vllm", model=None) as (connection, _),
        pytest.raises(CloudError, match="give --cloud-model NAME"),
    ):
        connection.scorer()


def test_threads_share_one_scorer(tmp_path: Path) -> None:
    listed = models({"id": "some/model", "owned_by": "vllm"})
    with connected(tmp_path, Server(listed)) as (connection, server):
        together = threading.Barrier(8)

        def ask(_: int) -> int:
            together.wait()
            return id(connection.scorer())

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(ask, range(8)))) == 1
        assert paths(server) == ["/props", "/v1/models"]
