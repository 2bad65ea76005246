"""A llama.cpp server in the cloud's role: text goes out, ids never do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cogenesis.errors import CloudError
from cogenesis.models.llama_cpp import LlamaCpp
from cogenesis.models.llama_server import LlamaServer
from cogenesis.models.openai_chat import OpenAIChat
from cogenesis.models.protocol import Message, Prompt, Sampling, TokenIds
from cogenesis.privacy.released import Released, Setting, public
from cogenesis.wire import Body, Deadline, Reply, Wire, to_bytes

GREEDY = Sampling(temperature=0.0, top_p=1.0, max_tokens=24)
QUESTION: Prompt[Released] = Prompt(
    messages=(Message("user", (public("What is the capital of "), public("France?"))),),
    completion=(public("The capital of "), public("France is")),
    stop=(public("."),),
)


class Noting:
    """Passes everything on and keeps what left."""

    def __init__(self, wire: Wire[Released]) -> None:
        self._wire = wire
        self.server = wire.server
        self.released_only = True
        self.sent: list[tuple[str, bytes]] = []

    def get(self, endpoint: str, *, deadline: Deadline | None = None) -> Reply:
        self.sent.append((endpoint, b""))
        return self._wire.get(endpoint, deadline=deadline)

    def post(
        self, endpoint: str, body: Body[Released], *, deadline: Deadline | None = None
    ) -> Reply:
        self.sent.append((endpoint, to_bytes(body)))
        return self._wire.post(endpoint, body, deadline=deadline)

    def stream(
        self, endpoint: str, body: Body[Released], *, deadline: Deadline | None = None
    ) -> Iterator[Reply]:
        self.sent.append((endpoint, to_bytes(body)))
        return self._wire.stream(endpoint, body, deadline=deadline)

    def close(self) -> None:
        pass  # the fixture's model owns the connection


@pytest.fixture(scope="module")
def instruct(device_gguf: Path) -> Iterator[LlamaCpp]:
    with LlamaCpp(device_gguf, threads=1, context_tokens=512) as model:
        yield model


@pytest.fixture(scope="module")
def base(cloud_gguf: Path) -> Iterator[LlamaCpp]:
    with LlamaCpp(cloud_gguf, threads=1, context_tokens=512) as model:
        yield model


def _wire(model: LlamaCpp) -> Noting:
    return Noting(model._model._wire)


def _text(model: Any, prompt: Prompt[Released] = QUESTION, sampling: Sampling = GREEDY) -> str:
    return "".join(piece.text for piece in model.generate(prompt, sampling))


def test_a_chat_gives_the_same_text_in_either_role(instruct: LlamaCpp) -> None:
    wire = _wire(instruct)
    cloud = LlamaServer(wire, role="cloud", name="cloud")
    assert _text(cloud) == _text(instruct)
    assert (cloud.capabilities.chat, cloud.capabilities.ids) == (True, False)
    assert [endpoint for endpoint, _ in wire.sent] == [
        "/props",
        "/tokenize",
        "/v1/models",
        "/v1/chat/completions",
    ]


def test_a_base_model_gives_the_same_text_in_either_role(base: LlamaCpp) -> None:
    wire = _wire(base)
    cloud = LlamaServer(wire, role="cloud", name="cloud")
    text = _text(cloud)
    assert "France" in text
    assert "." not in text  # the stop string
    assert text == _text(base)
    assert cloud.capabilities.chat is False
    assert wire.sent[-1][0] == "/completion"


def test_the_probe_of_a_cloud_sends_fixed_text_only(base: LlamaCpp) -> None:
    wire = _wire(base)
    LlamaServer(wire, role="cloud").probe()
    bodies = [body for _, body in wire.sent if body]
    assert bodies == [b'{"content":"<|im_start|>","add_special":false,"parse_special":true}']


def test_ids_are_not_sent_to_a_cloud(base: LlamaCpp) -> None:
    wire = _wire(base)
    cloud = LlamaServer(wire, role="cloud")
    with pytest.raises(CloudError, match="sketch mode"):
        cloud.next_distribution(TokenIds((2, 5)), 4)
    assert wire.sent == []


def test_the_openai_endpoints_of_llama_cpp_give_the_same_text(
    instruct: LlamaCpp, base: LlamaCpp
) -> None:
    chat = OpenAIChat(_wire(instruct), model=Setting.of("m"))
    assert _text(chat) == _text(instruct)
    assert chat.probe().context_tokens == 512
    completion = OpenAIChat(_wire(base), model=Setting.of("m"), form="completion")
    assert _text(completion) == _text(base)
