"""llama-server's log-probabilities in the cloud's role.

Its own `/completion` answers a list of prompts with a bare JSON list, its OpenAI-style
`/v1/completions` with an object; so the latter is used, with llama.cpp's own parameters in
it. Log-probabilities there are raw, with ids and bytes.

Two traps. The row of a position is dropped when the sampled token is only a part of a
character; a bias on "a" lets it sample a whole one, which does not move the row (the bias
names its token by text: an id would be a plain number). And prompts of a batch spread over
the server's slots, each of which would read the prefix anew; `id_slot` keeps them on one.

A draft is scored one token after the other over there: one round trip, but no less work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cogenesis.models.draft_scoring import Answer, Prefix, TemplateRequest, Turns, Way
from cogenesis.models.llama_bodies import template_body, tokenize_body
from cogenesis.models.logprob_replies import (
    choices_in_order,
    distribution,
    entry_with_bytes,
    tokens_from_cache,
)
from cogenesis.models.protocol import Prompt
from cogenesis.models.reply_reader import ReplyReader
from cogenesis.privacy.released import Released, public
from cogenesis.wire import Body, Json, Reply, Text

_WHOLE: Final = public("a")
_FORCE: Final = 1e4
"""A bias no logit outweighs. It moves what is sampled, not the log-probabilities told."""


class LlamaDialect:
    """Implements `Dialect` for llama.cpp's server."""

    endpoint: Final = "/v1/completions"
    ways: Final[tuple[Way, ...]] = ("batch", "single")
    chat: Final = False

    def fits(self, prefixes: Sequence[Prefix], way: Way) -> bool:
        """Texts and ids, in any mixture."""
        return way in self.ways and not any(isinstance(each, Turns) for each in prefixes)

    def body(
        self, prefixes: Sequence[Prefix], k: int, way: Way, temperature: float
    ) -> Body[Released]:
        """One token after each prefix, on one slot. Markers in a text are read as tokens."""
        return {
            "prompt": prompts_of(prefixes),
            "max_tokens": 1,
            "temperature": temperature,
            "top_k": 1,  # spares the other samplers the whole vocabulary: 2 ms a prefix
            "top_p": 1.0,
            "min_p": 0.0,
            "repeat_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "seed": 0,
            "logit_bias": ((Text((_WHOLE,)), _FORCE),),
            "logprobs": k,
            "cache_prompt": True,
            "id_slot": 0,
            "stream": False,
        }

    def read(
        self, reply: Reply, prefixes: Sequence[Prefix], k: int, way: Way, reader: ReplyReader
    ) -> Answer:
        """One row for each prompt."""
        found = []
        for choice in choices_in_order(reader, reply, len(prefixes)):
            told = reader.mapping(choice.get("logprobs"), "logprobs")
            rows = reader.items(told.get("content"), "logprobs.content")
            if len(rows) != 1:
                raise reader.fault(f"answered with {len(rows)} distributions instead of one")
            row = reader.mapping(rows[0], "logprobs.content[0]")
            listed = reader.items(row.get("top_logprobs"), "top_logprobs")
            entries = [entry_with_bytes(reader, each) for each in listed]
            found.append(distribution(reader, entries, k))
        return Answer(tuple(found), tokens_from_cache(reply))

    def tokenize_body(self, text: Text[Released]) -> dict[str, Json[Released]]:
        """As `/v1/completions` reads a text: with the opening token, markers as tokens."""
        return {**tokenize_body(text, opening=True, special=True), "with_pieces": True}

    def piece(self, token_id: int) -> bytes | None:
        """Told by the server with the ids."""
        return None

    def template_body(self, prompt: Prompt[Released]) -> TemplateRequest:
        """llama.cpp has an endpoint for it."""
        return TemplateRequest("/apply-template", template_body(prompt))


def prompts_of(prefixes: Sequence[Prefix]) -> tuple[Json[Released], ...]:
    """Prefixes as the list of prompts of one request. `Turns` are no prompt and left out."""
    return tuple(each for each in prefixes if not isinstance(each, Turns))
