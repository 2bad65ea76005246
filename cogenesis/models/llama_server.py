"""A real llama.cpp server, on the device or in the cloud, by its own endpoints.

On the device every prompt is turned into token ids first, so that the server's cache is
reused whenever a prompt only grew. In the cloud the text itself is sent, because plain ids
are not a released type: there a `LlamaServer` serves sketch mode only. Its distributions, by
released text or by the server's own ids, come from a `TokenScorer` with a `LlamaDialect`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, cast, overload

from cogenesis.closing import Closing
from cogenesis.errors import ModelError
from cogenesis.models.chat_events import read_chat
from cogenesis.models.distribution import Distribution
from cogenesis.models.llama_bodies import (
    NEXT_ENDPOINT,
    next_token_body,
    sampling_body,
    strings,
    template_body,
    tokenize_body,
)
from cogenesis.models.logprob_replies import choices_in_order
from cogenesis.models.protocol import Capabilities, DeviceText, Piece, Prompt, Sampling, TokenIds
from cogenesis.models.reply_reader import ReplyReader, ServerRole, check_wire
from cogenesis.privacy.released import PublicText, Released, public
from cogenesis.wire import Deadline, Json, Reply, T, Text, Wire

PROBE_K: Final = 512
"""Log-probabilities asked for by `probe`: a reply of about 45 kB."""

_CHATML: Final = public("<|im_start|>")


@dataclass(frozen=True, slots=True)
class Usage:
    """What one request cost in tokens: read afresh, taken from the cache, written."""

    read: int
    cached: int
    written: int


class LlamaServer(Closing, Generic[T]):
    """Implements `Model[T]` over a wire that leads to a llama.cpp server.

    Markers of the chat template are read as such in `Prompt.messages`, because the template
    needs them: text that others wrote must be cleaned first (`cogenesis.untrusted`).

    Safe to use from several threads; `last_usage` is then the last request of any of them.
    """

    @overload
    def __init__(
        self: LlamaServer[DeviceText],
        wire: Wire[DeviceText],
        *,
        role: Literal["device"] = "device",
        name: str | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self: LlamaServer[Released],
        wire: Wire[Released],
        *,
        role: Literal["cloud"],
        name: str | None = None,
    ) -> None: ...

    def __init__(
        self, wire: Wire[Any], *, role: ServerRole = "device", name: str | None = None
    ) -> None:
        check_wire(wire, role)
        self._wire: Wire[T] = wire
        # Token ids and rendered templates are plain, so they go to a device only. The
        # overloads see to it that the wire of a device role takes plain text.
        self._local: Wire[DeviceText] | None = wire if role == "device" else None
        self._reader = ReplyReader(role, wire.server)
        self._name = name or wire.server
        self._capabilities: Capabilities | None = None
        self._bos: int | None = None
        self._whole_token: int | None = None
        self.last_usage: Usage | None = None

    @property
    def name(self) -> str:
        """A name fit for a person and for the ledger."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """The last result of `probe`, which runs at first use."""
        return self._known(None)

    def __repr__(self) -> str:
        return f"LlamaServer({self._name!r})"

    def encode(self, prompt: Prompt[T]) -> TokenIds:
        """Apply the model's own template and vocabulary. Device only."""
        return self._encode(prompt, None)

    def tokenise(self, text: str) -> tuple[tuple[int, ...], tuple[bytes, ...]]:
        """The ids and the bytes of a text's tokens. Device only.

        Markers in it stay text and no opening token is added, so that the bytes spell the
        text (save with tokenizers that normalise it). For up to about 20,000 tokens.
        """
        wire = self._device_wire()
        body = tokenize_body(Text((text,)), opening=False, special=False)
        reply = wire.post("/tokenize", {**body, "with_pieces": True})
        tokens = [
            self._reader.mapping(token, "tokens[]")
            for token in self._reader.items(reply.get("tokens"), "tokens")
        ]
        ids = tuple(self._reader.integer(token.get("id"), "id") for token in tokens)
        return ids, tuple(self._piece(token.get("piece")) for token in tokens)

    def generate(
        self,
        prompt: Prompt[T] | TokenIds,
        sampling: Sampling,
        *,
        deadline: Deadline | None = None,
    ) -> Iterator[Piece]:
        """Stream a continuation. Closing the iterator stops the model.

        A device model may end without having written anything; from a cloud that is an
        error. `Prompt.stop` holds for completions only, not for chats.

        Raises:
            ModelError: a device model does not answer, or is cut off in mid-stream.
            CloudError: so does a cloud model, or it answers with an empty text.
        """
        if self._local is None and isinstance(prompt, Prompt):
            return self._generate_released(prompt, sampling, deadline)
        return self._generate_ids(prompt, sampling, deadline)

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        """The K most probable next tokens, raw: before temperature, penalties and cuts.

        Special tokens (the end of text, say) have empty bytes. Device only.
        """
        wire = self._device_wire()
        if not prefix.ids or k < 1:
            raise ModelError("a distribution needs a prefix of one token or more, and k >= 1")
        body = next_token_body(prefix.ids, k, self._any_whole_token(wire))
        reply = wire.post(NEXT_ENDPOINT, body)
        self._note_usage(reply)
        return _distribution(reply, self._reader)

    def score_draft(
        self, prefix: TokenIds, draft: Sequence[int], k: int
    ) -> tuple[Distribution, ...]:
        """Distributions at every draft position and after the last: len(draft) + 1.

        One request for each, on growing prefixes: exact, and each costs one decoded token,
        so this saves nothing over lockstep. Device only.
        """
        ends = range(len(draft) + 1)
        prefixes = (TokenIds((*prefix.ids, *draft[:end])) for end in ends)
        return tuple(self.next_distribution(each, k) for each in prefixes)

    def probe(self, *, deadline: Deadline | None = None) -> Capabilities:
        """Find out what the server can do, by fixed public text only."""
        return self._probe(deadline)

    def close(self) -> None:
        """Close the wire; the server goes on. Safe to call twice."""
        self._wire.close()

    def _known(self, deadline: Deadline | None) -> Capabilities:
        return self._capabilities or self._probe(deadline)

    def _device_wire(self) -> Wire[DeviceText]:
        if self._local is None:
            raise self._reader.fault(
                "is a cloud model: token ids are not sent to it, so it serves sketch mode only",
                "bad-request",
            )
        return self._local

    def _tokenize(
        self,
        wire: Wire[Any],
        text: Text[Any],
        *,
        opening: bool = False,
        special: bool = False,
        deadline: Deadline | None = None,
    ) -> tuple[int, ...]:
        body = tokenize_body(text, opening=opening, special=special)
        reply = wire.post("/tokenize", body, deadline=deadline)
        tokens = self._reader.items(reply.get("tokens"), "tokens")
        return tuple(self._reader.integer(token, "tokens[]") for token in tokens)

    def _piece(self, told: object) -> bytes:
        """A token's bytes: told as text, or as numbers where they are half a character."""
        if isinstance(told, str):
            return told.encode("utf-8", "replace")
        return _bytes(self._reader, told, "piece")

    def _encode(self, prompt: Prompt[T], deadline: Deadline | None) -> TokenIds:
        wire = self._device_wire()
        if not self._known(deadline).chat:
            text = Text(prompt.completion)
            return TokenIds(self._tokenize(wire, text, opening=True, deadline=deadline))
        reply = self._wire.post("/apply-template", template_body(prompt), deadline=deadline)
        rendered = Text((self._reader.text(reply.get("prompt"), "prompt"),))
        ids = self._tokenize(wire, rendered, opening=True, special=True, deadline=deadline)
        # Some templates write the beginning-of-text token themselves, and not every server
        # notices: twice is nothing that the model was trained on.
        if self._bos is not None and ids[:2] == (self._bos, self._bos):
            ids = ids[1:]
        return TokenIds(ids)

    def _generate_ids(
        self, prompt: Prompt[T] | TokenIds, sampling: Sampling, deadline: Deadline | None
    ) -> Iterator[Piece]:
        wire = self._device_wire()
        stop: tuple[PublicText, ...] = ()
        if isinstance(prompt, TokenIds):
            ids = prompt
        else:
            ids = self._encode(prompt, deadline)
            stop = () if self._known(deadline).chat else prompt.stop
        body: dict[str, Json[DeviceText]] = {
            "prompt": ids.ids,
            **sampling_body(sampling),
            "stop": strings(stop),
            "return_tokens": True,
            "stream": True,
        }
        # Read the prompt apart from the first token: after many tokens read in one go llama.cpp
        # gives that token other numbers than after the last one alone, and so another text with
        # the same seed when the prompt is in its cache already.
        reading: dict[str, Json[DeviceText]] = {"prompt": ids.ids, "n_predict": 0}
        self._note_usage(wire.post("/completion", reading, deadline=deadline))
        read = self.last_usage
        with _closing(wire.stream("/completion", body, deadline=deadline)) as events:
            yield from self._read_native(events)
        if read is not None and self.last_usage is not None:
            self.last_usage = Usage(read.read, read.cached, self.last_usage.written)

    def _generate_released(
        self, prompt: Prompt[T], sampling: Sampling, deadline: Deadline | None
    ) -> Iterator[Piece]:
        rest: dict[str, Json[T]] = {**sampling_body(sampling), "stream": True}
        if self._known(deadline).chat:
            # The template is applied over there: what `/apply-template` gives back is a
            # string that nobody released.
            body = {**template_body(prompt), **rest}
            stream = self._wire.stream("/v1/chat/completions", body, deadline=deadline)
            with _closing(stream) as events:
                for text in read_chat(events, self._reader):
                    yield Piece(text)
            return
        body = {"prompt": Text(prompt.completion), "stop": strings(prompt.stop), **rest}
        written = False
        with _closing(self._wire.stream("/completion", body, deadline=deadline)) as events:
            for piece in self._read_native(events):
                written = written or not piece.text.isspace()
                yield piece
        if not written:
            raise self._reader.fault("answered with an empty text")

    def _read_native(self, events: Iterator[Reply]) -> Iterator[Piece]:
        before = 0
        for event in events:
            self._reader.refuse_error(event)
            text = self._reader.text(event.get("content"), "content")
            count = event.get("tokens_predicted")
            # A character made of several tokens comes with the last id only: not told.
            alone = isinstance(count, int) and count == before + 1
            before = count if isinstance(count, int) else before
            if text:
                yield Piece(text, _only(event.get("tokens")) if alone else None)
            if event.get("stop") is True:
                self._note_usage(event)
                return
        raise self._reader.fault("was cut off in mid-stream")

    def _note_usage(self, reply: Reply) -> None:
        timings = reply.get("timings")
        if isinstance(timings, dict):
            counts = [timings.get(field) for field in ("prompt_n", "cache_n", "predicted_n")]
            if all(isinstance(count, int) for count in counts):
                self.last_usage = Usage(*cast(list[int], counts))

    def _any_whole_token(self, wire: Wire[DeviceText]) -> int:
        if self._whole_token is None:
            ids = self._tokenize(wire, Text((public("a"),)))
            if not ids:
                raise self._reader.fault("found no token in a text that has one")
            self._whole_token = ids[-1]
        return self._whole_token

    def _probe(self, deadline: Deadline | None) -> Capabilities:
        props = self._wire.get("/props", deadline=deadline)
        settings = self._reader.mapping(
            props.get("default_generation_settings"), "default_generation_settings"
        )
        listed = 0
        if self._local is not None:
            opening = self._tokenize(self._local, Text((public(""),)), opening=True)
            self._bos = opening[0] if opening else None
            listed = self._find_logprobs(self._local)
        self._capabilities = Capabilities(
            chat=self._has_own_template(props.get("chat_template"), deadline),
            ids=self._local is not None,
            logprobs=listed,
            drafts=listed > 0,
            context_tokens=self._reader.integer(settings.get("n_ctx"), "n_ctx"),
            vocabulary=self._vocabulary(deadline),
        )
        return self._capabilities

    def _find_logprobs(self, wire: Wire[DeviceText]) -> int:
        """How many log-probabilities really come, for a fixed text."""
        ids = self._tokenize(wire, Text((public("The capital of France is"),)), opening=True)
        try:
            return len(self.next_distribution(TokenIds(ids), PROBE_K))
        except ModelError:
            return 0  # an older server without them still serves sketch mode

    def _has_own_template(self, template: object, deadline: Deadline | None) -> bool:
        """Whether the model brought a chat template, or llama.cpp shows its built-in one.

        llama.cpp shows ChatML for a model without a template. A model that was trained on
        ChatML has its marker as one token; one that was not spells it out.
        """
        if not isinstance(template, str) or not template.strip():
            return False
        if _CHATML.text not in template:
            return True
        marker = self._tokenize(self._wire, Text((_CHATML,)), special=True, deadline=deadline)
        return len(marker) == 1

    def _vocabulary(self, deadline: Deadline | None) -> int | None:
        models = self._wire.get("/v1/models", deadline=deadline).get("data")
        first: Any = models[0] if isinstance(models, list) and models else None
        meta = first.get("meta") if isinstance(first, dict) else None
        size = meta.get("n_vocab") if isinstance(meta, dict) else None
        return size if isinstance(size, int) and size > 0 else None


def _distribution(reply: Reply, reader: ReplyReader) -> Distribution:
    (choice,) = choices_in_order(reader, reply, 1)
    told = reader.mapping(choice.get("logprobs"), "logprobs")
    rows = reader.items(told.get("content"), "logprobs.content")
    if len(rows) != 1:
        raise reader.fault(f"answered with {len(rows)} distributions instead of one")
    row = reader.mapping(rows[0], "logprobs.content[0]")
    entries = [
        reader.mapping(entry, "top_logprobs[]")
        for entry in reader.items(row.get("top_logprobs"), "top_logprobs")
    ]
    return Distribution.of(
        [reader.integer(entry.get("id"), "id") for entry in entries],
        [reader.number(entry.get("logprob"), "logprob") for entry in entries],
        [_bytes(reader, entry.get("bytes"), "bytes") for entry in entries],
    )


def _bytes(reader: ReplyReader, told: object, field: str) -> bytes:
    try:
        return bytes(reader.items(told, field))
    except (ValueError, TypeError):
        raise reader.fault("answered with a token that is not made of bytes") from None


def _only(tokens: object) -> int | None:
    if isinstance(tokens, list) and len(tokens) == 1 and isinstance(tokens[0], int):
        return tokens[0]
    return None


@contextlib.contextmanager
def _closing(events: Iterator[Reply]) -> Iterator[Iterator[Reply]]:
    """Close the stream when its reader stops early: that is how the server is stopped."""
    try:
        yield events
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            close()
