"""A cloud model of unknown kind: which adapter fits is found out at the first use.

A llama.cpp server shows itself at `/props`; anything else is taken for an OpenAI-style chat
server. The probe holds fixed public text only, so it tells the server nothing about anybody.

Sketch mode needs no more. Fusion also needs log-probabilities, for which every kind of server
is asked in its own way (`scorer`); only then is `/v1/models` read, where vLLM and SGLang write
their own name into `owned_by`. A server that hides behind a proxy may need `kind`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from cogenesis.errors import CloudError
from cogenesis.models.chat_logprobs import ChatDialect
from cogenesis.models.distribution import Distribution
from cogenesis.models.draft_scoring import Dialect
from cogenesis.models.llama_scoring import LlamaDialect
from cogenesis.models.llama_server import LlamaServer
from cogenesis.models.openai_chat import Form, OpenAIChat, listed_model
from cogenesis.models.openai_completions import CompletionsDialect
from cogenesis.models.protocol import (
    Capabilities,
    CloudModel,
    Piece,
    Prompt,
    Sampling,
    TokenIds,
)
from cogenesis.models.sglang import SglangDialect
from cogenesis.models.structured_chat import StructuredChat
from cogenesis.models.token_scorer import TokenScorer
from cogenesis.models.vllm import VllmDialect
from cogenesis.privacy.released import Released, Setting
from cogenesis.wire import Deadline, Wire

CloudKind = Literal[
    "auto",
    "llama-server",
    "vllm",
    "sglang",
    "openai-chat",
    "openai-completion",
    "openai-echo",
    "openai-echo-last",
]
"""What is known of the server. The last two repeat the end of a prompt with log-probabilities:
`echo` (Together, llama-cpp-python) or `echo_last` (Fireworks)."""

_FORMS: Final[dict[CloudKind, Form]] = {
    "openai-completion": "completion",
    "openai-echo": "completion",
    "openai-echo-last": "completion",
}
"""How text is asked for in sketch mode: kinds that are not here get chat turns."""

_OWNERS: Final[dict[object, CloudKind]] = {
    "llamacpp": "llama-server",  # its `/props` may be hidden by a proxy
    "sglang": "sglang",
    "vllm": "vllm",
}
"""What servers write into `owned_by` of the models they list."""

_PASSING: Final = frozenset({"unreachable", "timeout", "rate-limited", "server-error"})
"""Errors that do not tell what kind of server it is: it is asked again next time."""


class CloudConnection:
    """Implements `Model[Released]` over a cloud wire.

    `kind` names the adapter; "auto" asks the server. The OpenAI kinds need a model name.
    """

    def __init__(self, wire: Wire[Released], model: str | None, kind: CloudKind = "auto") -> None:
        self._wire = wire
        self._setting = None if model is None else Setting.of(model)
        self._kind = kind
        self._found: CloudModel | None = None
        self._finding = threading.Lock()
        self._scorer: TokenScorer | None = None
        self._choosing = threading.Lock()

    def __repr__(self) -> str:
        return f"CloudConnection({self._wire.server!r})"

    @property
    def name(self) -> str:
        """The model's name where one was given, else the server's address."""
        return self._setting.text if self._setting is not None else self._wire.server

    @property
    def capabilities(self) -> Capabilities:
        """The last result of `probe`, which runs at first use."""
        return self._model().capabilities

    def encode(self, prompt: Prompt[Released]) -> TokenIds:
        """Apply the model's own template and vocabulary, where the server lets it."""
        return self._model().encode(prompt)

    def generate(
        self,
        prompt: Prompt[Released] | TokenIds,
        sampling: Sampling,
        *,
        deadline: Deadline | None = None,
    ) -> Iterator[Piece]:
        """Stream a continuation. Closing the iterator closes the connection."""
        return self._model(deadline).generate(prompt, sampling, deadline=deadline)

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        """The K most probable next tokens, where the server gives them."""
        return self._model().next_distribution(prefix, k)

    def score_draft(
        self, prefix: TokenIds, draft: Sequence[int], k: int
    ) -> tuple[Distribution, ...]:
        """Distributions at every draft position and after the last, where the server can."""
        return self._model().score_draft(prefix, draft, k)

    def scorer(self, *, deadline: Deadline | None = None) -> TokenScorer:
        """The model's next-token distributions, asked for in the way of its server.

        The same object each time, also from several threads. What the server really can is
        found by `TokenScorer.probe`, at its first use.

        Raises:
            CloudError: the server does not answer, or needs a model name that was not given.
            PrivacyError: nothing may be sent.
        """
        with self._choosing:
            if self._scorer is None:
                self._scorer = TokenScorer(self._wire, self._dialect(deadline))
            return self._scorer

    def structured(self) -> StructuredChat:
        """The same model asked for JSON of a given form, as any chat server is."""
        return StructuredChat(self._wire, self._setting)

    def probe(self) -> Capabilities:
        """Find out what the model can do, by fixed public text only."""
        return self._model().probe()

    def close(self) -> None:
        """Close connections. Safe to call twice."""
        self._wire.close()

    def _model(self, deadline: Deadline | None = None) -> CloudModel:
        with self._finding:
            if self._found is None:
                self._found = self._find(deadline)
            return self._found

    def _find(self, deadline: Deadline | None) -> CloudModel:
        if self._kind == "llama-server":
            return self._llama_server()
        if self._kind != "auto":
            form = _FORMS.get(self._kind, "chat")
            return OpenAIChat(self._wire, model=self._needed_name(), form=form)
        model = self._llama_server()
        try:
            model.probe(deadline=deadline)
        except CloudError as error:
            if error.reason in _PASSING:
                raise
            # Any other answer: there is a server, and it is not llama.cpp's.
            return OpenAIChat(self._wire, model=self._needed_name())
        return model

    def _dialect(self, deadline: Deadline | None) -> Dialect:
        kind = self._kind
        if kind == "auto":
            llama = isinstance(self._model(deadline), LlamaServer)
            kind = "llama-server" if llama else self._owner(deadline)
        if kind == "llama-server":
            return LlamaDialect()
        name = self._needed_name()
        if kind == "vllm":
            return VllmDialect(name)
        if kind == "sglang":
            return SglangDialect(name)
        if kind == "openai-completion":
            return CompletionsDialect(name)
        if kind == "openai-echo":
            return CompletionsDialect(name, "echo")
        if kind == "openai-echo-last":
            return CompletionsDialect(name, "echo_last")
        return ChatDialect(name)

    def _owner(self, deadline: Deadline | None) -> CloudKind:
        """The kind of server that a list of models tells; a chat server if it does not."""
        try:
            models = self._wire.get("/v1/models", deadline=deadline).get("data")
        except CloudError as error:
            if error.reason in _PASSING:
                raise
            return "openai-chat"
        owner = (listed_model(models, self.name) or {}).get("owned_by")
        return _OWNERS.get(owner, "openai-chat") if isinstance(owner, str) else "openai-chat"

    def _llama_server(self) -> LlamaServer[Released]:
        return LlamaServer(self._wire, name=self.name, role="cloud")

    def _needed_name(self) -> Setting:
        if self._setting is None:
            raise CloudError(
                "bad-request", f"{self._wire.server} needs a model name: give --cloud-model NAME"
            )
        return self._setting
