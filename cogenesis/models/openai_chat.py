"""Any server that speaks OpenAI's text endpoints: a company's vLLM, a hosted API, Ollama.

Text only: it serves sketch mode. Token-level work needs ids and log-probabilities, which
these endpoints give in a different way on every server.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, Generic, Literal, NoReturn

from cogenesis.errors import CloudError, ModelError
from cogenesis.models.chat_events import read_chat
from cogenesis.models.distribution import Distribution
from cogenesis.models.llama_bodies import messages_of, strings
from cogenesis.models.protocol import Capabilities, Piece, Prompt, Sampling, TokenIds
from cogenesis.models.reply_reader import ReplyReader, ServerRole, check_wire
from cogenesis.privacy.released import Setting
from cogenesis.wire import Deadline, Json, Reply, T, Text, Wire

Form = Literal["chat", "completion"]

_ENDPOINTS: Final[dict[Form, str]] = {
    "chat": "/v1/chat/completions",
    "completion": "/v1/completions",
}

# What servers say when they do not know a parameter or do not let it be set.
_PARAMETER_WORDS: Final = (
    "unsupported",
    "not supported",
    "unrecognized",
    "unknown",
    "not permitted",
    "extra inputs",
    "max_tokens",
    "temperature",
    "top_p",
    "seed",
    "penalty",
)


class OpenAIChat(Generic[T]):
    """Implements `Model[T]` with `/v1/chat/completions`, or `/v1/completions` for base models.

    Sampling. A chat gets the parameters of OpenAI's own API (temperature, top_p,
    presence_penalty, seed, max_tokens); a completion also gets those of vLLM, SGLang and
    llama.cpp (top_k, min_p, repetition_penalty), because no hosted API serves base models
    any more. A server that refuses a parameter is asked once more without any of them but
    the length; it is then asked in this way from the start.

    Safe to use from several threads.
    """

    def __init__(
        self,
        wire: Wire[T],
        *,
        model: Setting,
        role: ServerRole = "cloud",
        form: Form = "chat",
    ) -> None:
        """Nothing is sent before the first use.

        Args:
            wire: leads to the server.
            model: the name by which the server knows the model.
            role: whose errors it raises: `CloudError` for a cloud, else `ModelError`.
            form: "completion" for a base model, which has no chat template.
        """
        check_wire(wire, role)
        self._wire = wire
        self._model = model
        self._form: Form = form
        self._reader = ReplyReader(role, wire.server)
        self._capabilities = Capabilities(chat=form == "chat")
        self._bare = False

    @property
    def name(self) -> str:
        """The model's name on its server."""
        return self._model.text

    @property
    def capabilities(self) -> Capabilities:
        """Text only. The window is known after `probe`, where the server tells it."""
        return self._capabilities

    def __repr__(self) -> str:
        return f"OpenAIChat({self.name!r} at {self._wire.server!r})"

    def generate(
        self,
        prompt: Prompt[T] | TokenIds,
        sampling: Sampling,
        *,
        deadline: Deadline | None = None,
    ) -> Iterator[Piece]:
        """Stream a continuation. Closing the iterator closes the connection.

        Raises:
            CloudError: (or `ModelError`, see `role`) the server does not answer properly,
                answers with an empty text, or is cut off in mid-stream.
        """
        if isinstance(prompt, TokenIds):
            self._refuse()
        return self._generate(prompt, sampling, deadline)

    def encode(self, prompt: Prompt[T]) -> NoReturn:
        """Not possible here: always raises."""
        self._refuse()

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        """Not possible here: always raises."""
        self._refuse()

    def score_draft(
        self, prefix: TokenIds, draft: Sequence[int], k: int
    ) -> tuple[Distribution, ...]:
        """Not possible here: always raises."""
        self._refuse()

    def probe(self) -> Capabilities:
        """Ask for the list of models: is the server there, is the key right, how long a window.

        A server without that list, or with one that is too long to read, is taken as it is.
        """
        try:
            models = self._wire.get("/v1/models").get("data")
        except CloudError as error:
            if error.reason not in {"not-found", "bad-request", "bad-reply", "too-large"}:
                raise
            models = None
        self._capabilities = Capabilities(
            chat=self._form == "chat", context_tokens=_window(models, self.name)
        )
        return self._capabilities

    def close(self) -> None:
        """Close the wire. Safe to call twice."""
        self._wire.close()

    def __enter__(self) -> OpenAIChat[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _refuse(self) -> NoReturn:
        raise self._reader.fault(
            "serves text only: it works for sketch mode (--mode sketch), not for fusion",
            "bad-request",
        )

    def _generate(
        self, prompt: Prompt[T], sampling: Sampling, deadline: Deadline | None
    ) -> Iterator[Piece]:
        bare = self._bare
        try:
            yield from self._ask(self._body(prompt, sampling, bare=bare), deadline)
        except ModelError as error:
            # A request is refused before the first piece, so nothing is written twice.
            if bare or not _names_parameter(error):
                raise
            yield from self._ask(self._body(prompt, sampling, bare=True), deadline)
            self._bare = True

    def _ask(self, body: dict[str, Json[T]], deadline: Deadline | None) -> Iterator[Piece]:
        with ExitStack() as cleanup:
            events: Iterator[Reply] = self._wire.stream(
                _ENDPOINTS[self._form], body, deadline=deadline
            )
            close = getattr(events, "close", None)
            if close is not None:
                cleanup.callback(close)
            for text in read_chat(events, self._reader):
                yield Piece(text)

    def _body(self, prompt: Prompt[T], sampling: Sampling, *, bare: bool) -> dict[str, Json[T]]:
        body: dict[str, Json[T]] = {"model": Text((self._model,)), "stream": True}
        if self._form == "chat":
            body["messages"] = messages_of(prompt)
        else:
            body["prompt"] = Text(prompt.completion)
            if prompt.stop:
                body["stop"] = strings(prompt.stop)
        # Newer models of OpenAI know this name only; older servers know the other one only.
        length = "max_completion_tokens" if bare and self._form == "chat" else "max_tokens"
        body[length] = sampling.max_tokens
        if bare:
            return body
        body |= {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "presence_penalty": sampling.presence_penalty,
            "seed": sampling.seed,
        }
        if self._form == "completion":
            body |= {
                "top_k": sampling.top_k if sampling.top_k > 0 else -1,
                "min_p": sampling.min_p,
                "repetition_penalty": sampling.repeat_penalty,
                "repeat_penalty": sampling.repeat_penalty,  # llama.cpp's and Ollama's name
            }
        return body


def _names_parameter(error: ModelError) -> bool:
    if not isinstance(error, CloudError) or error.reason != "bad-request":
        return False
    text = str(error).lower()
    return any(word in text for word in _PARAMETER_WORDS)


def listed_model(models: object, name: str) -> dict[str, Any] | None:
    """What a server's list of models (`data` of `/v1/models`) says about this one.

    A server with one model often answers to any name, so its only entry counts too.
    """
    listed = (
        [model for model in models if isinstance(model, dict)] if isinstance(models, list) else []
    )
    named = [model for model in listed if model.get("id") == name]
    found = named or (listed if len(listed) == 1 else [])
    return found[0] if found else None


def _window(models: object, name: str) -> int | None:
    """The window of this model, as vLLM and SGLang (`max_model_len`) or llama.cpp tell it."""
    model = listed_model(models, name) or {}
    meta = model.get("meta")
    told = model.get("max_model_len") or (meta.get("n_ctx") if isinstance(meta, dict) else None)
    return told if isinstance(told, int) and told > 0 else None
