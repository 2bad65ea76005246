"""vLLM's log-probabilities: all prefixes of a draft in one `/v1/completions` request.

A batch shares its cached blocks, also inside the batch, so it costs little more than one
prompt. `prompt_logprobs` and `echo` would score a draft in one sequence, but they switch the
prefix cache off and answer for the whole prompt (936 kB for 606 tokens): not used.

vLLM keys its lists by token text unless asked for ids, and drops entries whose texts are
equal. It tells ids without bytes. So ids are asked for where the model's vocabulary was given
(the bytes of each id, from its tokenizer file), else texts, with what cannot be told apart
counted as unlisted.

Written after vLLM's documented form; start the server with `--max-logprobs 128`, and with
`--enable-prompt-tokens-details` so that the cache shows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from cogenesis.models.distribution import Distribution
from cogenesis.models.draft_scoring import Answer, Prefix, TemplateRequest, Turns, Way
from cogenesis.models.llama_bodies import messages_of
from cogenesis.models.llama_scoring import prompts_of
from cogenesis.models.logprob_replies import (
    Entry,
    TokenNames,
    choices_in_order,
    distribution,
    tokens_from_cache,
)
from cogenesis.models.protocol import Prompt
from cogenesis.models.reply_reader import ReplyReader
from cogenesis.privacy.released import Released, ReturnedText, Setting
from cogenesis.wire import Body, Json, Reply, Text

_NAMED: Final = re.compile(r"token_id:(\d{1,9})")


class VllmDialect:
    """Implements `Dialect` for vLLM.

    Texts are tokenised over there with the model's opening token, as are the ids of `encode`.
    """

    endpoint: Final = "/v1/completions"
    ways: Final[tuple[Way, ...]] = ("batch", "single")
    chat: Final = False

    def __init__(self, model: Setting, vocabulary: Mapping[int, bytes] | None = None) -> None:
        """`vocabulary` maps every id to its bytes, special tokens to none."""
        self._model = model
        self._vocabulary = vocabulary
        self._names = TokenNames()

    def fits(self, prefixes: Sequence[Prefix], way: Way) -> bool:
        """Texts and ids, but one kind in a request."""
        kinds = {type(each) for each in prefixes}
        return way in self.ways and len(kinds) == 1 and Turns not in kinds

    def body(
        self, prefixes: Sequence[Prefix], k: int, way: Way, temperature: float
    ) -> Body[Released]:
        """One token after each prefix."""
        return {
            "model": Text((self._model,)),
            "prompt": prompts_of(prefixes),
            "max_tokens": 1,
            "temperature": temperature,
            "top_p": 1.0,
            "top_k": -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "seed": 0,
            "logprobs": k,
            "return_tokens_as_token_ids": self._vocabulary is not None,
            "add_special_tokens": not any(opens_itself(each) for each in prefixes),
            "stream": False,
        }

    def read(
        self, reply: Reply, prefixes: Sequence[Prefix], k: int, way: Way, reader: ReplyReader
    ) -> Answer:
        """One row for each prompt."""
        found = []
        for choice in choices_in_order(reader, reply, len(prefixes)):
            told = reader.mapping(choice.get("logprobs"), "logprobs")
            rows = reader.items(told.get("top_logprobs"), "top_logprobs")
            if len(rows) != 1:
                raise reader.fault(f"answered with {len(rows)} distributions instead of one")
            found.append(self._row(rows[0], k, reader))
        return Answer(tuple(found), tokens_from_cache(reply))

    def tokenize_body(self, text: Text[Released]) -> dict[str, Json[Released]]:
        """The ids of a text, the opening token included."""
        opening = not opens_itself(text)
        return {"model": Text((self._model,)), "prompt": text, "add_special_tokens": opening}

    def piece(self, token_id: int) -> bytes | None:
        """From the vocabulary that was given."""
        return None if self._vocabulary is None else self._vocabulary.get(token_id)

    def template_body(self, prompt: Prompt[Released]) -> TemplateRequest:
        """vLLM tokenises chat turns, and turns ids into text."""
        model: dict[str, Json[Released]] = {"model": Text((self._model,))}
        body: dict[str, Json[Released]] = {
            "messages": messages_of(prompt),
            "add_generation_prompt": True,
            "add_special_tokens": False,
        }
        return TemplateRequest("/tokenize", body, model)

    def _row(self, told: object, k: int, reader: ReplyReader) -> Distribution:
        row = reader.mapping(told, "top_logprobs[0]")
        numbers = {name: reader.number(value, "logprob") for name, value in row.items()}
        if self._vocabulary is None:
            return named_row(reader, numbers, k, self._names)
        entries = []
        for name, logprob in numbers.items():
            match = _NAMED.fullmatch(name)
            token = None if match is None else self._vocabulary.get(int(match[1]))
            if match is None or token is None:
                raise reader.fault("listed a token that the given vocabulary does not have")
            entries.append(Entry(int(match[1]), logprob, token))
        return distribution(reader, entries, k)


def opens_itself(prefix: Prefix) -> bool:
    """Whether a text begins with a filled-in template, which has the opening token in it."""
    return isinstance(prefix, Text) and isinstance(prefix.parts[0], ReturnedText)


def named_row(
    reader: ReplyReader,
    row: Mapping[str, float],
    k: int,
    names: TokenNames,
    drafted: str | None = None,
) -> Distribution:
    """A row whose tokens are told by their text.

    Tokens with equal texts come as one, so fewer than K may be there; under half of K counts
    as a server that lists fewer than it was asked for.
    """
    entries = [names.entry(name, logprob) for name, logprob in row.items()]
    extra = None if drafted is None else names.entry(drafted, 0.0).id
    return distribution(reader, entries, k, at_least=(k + 1) // 2, drafted=extra)
