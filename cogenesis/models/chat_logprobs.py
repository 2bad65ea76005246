"""Chat servers with `top_logprobs`: the next token only, one request for each position.

The assistant's turn is given as far as it is written, and the server is asked to go on with
it. vLLM, SGLang and llama.cpp can; OpenAI's own API and many others begin a new turn instead.
The probe tells: a server that does not go on with a counting is not used.

Tokens are told as text with their bytes, without ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cogenesis.models.draft_scoring import Answer, Prefix, Turns, Way
from cogenesis.models.llama_bodies import ROLES
from cogenesis.models.logprob_replies import (
    Entry,
    TokenNames,
    choices_in_order,
    distribution,
    listed_bytes,
    tokens_from_cache,
)
from cogenesis.models.protocol import Prompt
from cogenesis.models.reply_reader import ReplyReader
from cogenesis.privacy.released import Released, Setting
from cogenesis.wire import Body, Json, Reply, Text


class ChatDialect:
    """Implements `Dialect` for `/v1/chat/completions`; its prefixes are `Turns`."""

    endpoint: Final = "/v1/chat/completions"
    ways: Final[tuple[Way, ...]] = ("single",)
    chat: Final = True

    def __init__(self, model: Setting) -> None:
        self._model = model
        self._names = TokenNames()

    def fits(self, prefixes: Sequence[Prefix], way: Way) -> bool:
        """Chat turns, one at a time."""
        return way == "single" and all(isinstance(each, Turns) for each in prefixes)

    def body(
        self, prefixes: Sequence[Prefix], k: int, way: Way, temperature: float
    ) -> Body[Released]:
        """One token after what the assistant has written."""
        turns = [each for each in prefixes if isinstance(each, Turns)][-1]
        messages: list[Json[Released]] = [
            {"role": Text((ROLES[each.role],)), "content": Text(each.parts)}
            for each in turns.messages
        ]
        messages.append({"role": Text((ROLES["assistant"],)), "content": turns.written})
        return {
            "model": Text((self._model,)),
            "messages": tuple(messages),
            "continue_final_message": True,
            "add_generation_prompt": False,
            "max_tokens": 1,
            "temperature": temperature,
            "top_p": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "seed": 0,
            "logprobs": True,
            "top_logprobs": k,
            "stream": False,
        }

    def read(
        self, reply: Reply, prefixes: Sequence[Prefix], k: int, way: Way, reader: ReplyReader
    ) -> Answer:
        """The row of the only token."""
        (choice,) = choices_in_order(reader, reply, 1)
        told = reader.mapping(choice.get("logprobs"), "logprobs")
        rows = reader.items(told.get("content"), "logprobs.content")
        if len(rows) != 1:
            raise reader.fault(f"answered with {len(rows)} distributions instead of one")
        row = reader.mapping(rows[0], "logprobs.content[0]")
        listed = reader.items(row.get("top_logprobs"), "top_logprobs")
        entries = [self._entry(each, at, reader) for at, each in enumerate(listed)]
        return Answer((distribution(reader, entries, k),), tokens_from_cache(reply))

    def tokenize_body(self, text: Text[Released]) -> None:
        """Prefixes are chat turns: ids of a text are of no use."""
        return

    def piece(self, token_id: int) -> None:
        """Ids mean nothing here."""
        return

    def template_body(self, prompt: Prompt[Released]) -> None:
        """The server fills it in by itself."""
        return

    def _entry(self, told: object, at: int, reader: ReplyReader) -> Entry:
        row = reader.mapping(told, "top_logprobs[]")
        name = reader.text(row.get("token"), "token")
        logprob = reader.number(row.get("logprob"), "logprob")
        if not name:  # vLLM tells special tokens without a name: different ones, all the same
            return Entry(self._names.entry(f"\0{at}", logprob).id, logprob, b"")
        if row.get("bytes") is None:
            return self._names.entry(name, logprob)
        token = listed_bytes(reader, row["bytes"])
        # Tokens that are half a character share their text; their bytes tell them apart.
        key = f"{name}\0{token.hex()}" if "�" in name else name
        known = self._names.entry(key, logprob)
        return Entry(known.id, logprob, b"" if known.token == b"" else token)
