"""A cloud model of unknown kind: which adapter fits is found out at the first use.

A llama.cpp server shows itself at `/props`; anything else is taken for an OpenAI-style chat
server. The probe holds fixed public text only, so it tells the server nothing about anybody.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Literal

from cogenesis.errors import CloudError
from cogenesis.models.distribution import Distribution
from cogenesis.models.llama_server import LlamaServer
from cogenesis.models.openai_chat import OpenAIChat
from cogenesis.models.protocol import (
    Capabilities,
    CloudModel,
    Piece,
    Prompt,
    Sampling,
    TokenIds,
)
from cogenesis.privacy.released import Released, Setting
from cogenesis.wire import Deadline, Wire

CloudKind = Literal["auto", "llama-server", "openai-chat", "openai-completion"]


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
        if self._kind == "openai-completion":
            return OpenAIChat(self._wire, model=self._needed_name(), form="completion")
        if self._kind == "openai-chat":
            return OpenAIChat(self._wire, model=self._needed_name())
        model = self._llama_server()
        try:
            model.probe(deadline=deadline)
        except CloudError as error:
            if error.reason in {"unreachable", "timeout", "rate-limited", "server-error"}:
                raise
            # Any other answer: there is a server, and it is not llama.cpp's.
            return OpenAIChat(self._wire, model=self._needed_name())
        return model

    def _llama_server(self) -> LlamaServer[Released]:
        return LlamaServer(self._wire, name=self.name, role="cloud")

    def _needed_name(self) -> Setting:
        if self._setting is None:
            raise CloudError(
                "bad-request", f"{self._wire.server} needs a model name: give --cloud-model NAME"
            )
        return self._setting
