"""SGLang's log-probabilities: a whole draft in one sequence, natively.

`logprob_start_len` says from where on log-probabilities are wanted; the cache is reused up to
there. With the place before the last token of the prefix (L - 1), row 0 belongs to that token
and is null, rows 1 to n to the n drafted tokens, and `output_top_logprobs` to what follows.
With L itself the first drafted token would be missing; with 0 the cache is off.

A list of prompts is answered with a bare JSON list, which our reader refuses, so texts are
asked one by one: give ids (`TokenScorer.encode`) for drafts.

Log-probabilities are divided by temperatures other than 0 and 1: only those are sent.
Written after SGLang 0.5's source, not run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cogenesis.models.distribution import Distribution
from cogenesis.models.draft_scoring import Answer, Prefix, Turns, Way, nested
from cogenesis.models.logprob_replies import Entry, bytes_of_name, distribution, tokens_from_cache
from cogenesis.models.protocol import Prompt
from cogenesis.models.reply_reader import ReplyReader
from cogenesis.privacy.released import Released, ReleasedIds, Setting
from cogenesis.wire import Body, Json, Reply, Text


class SglangDialect:
    """Implements `Dialect` for SGLang's own `/generate`."""

    endpoint: Final = "/generate"
    ways: Final[tuple[Way, ...]] = ("sequence", "single")
    chat: Final = False

    def __init__(self, model: Setting, vocabulary: Mapping[int, bytes] | None = None) -> None:
        """`vocabulary` maps ids to bytes; without it the texts that the server tells count.

        Those lose what is half a character, and with some tokenizers a leading space.
        """
        self._model = model
        self._vocabulary = vocabulary

    def fits(self, prefixes: Sequence[Prefix], way: Way) -> bool:
        """In one sequence: ids, each a beginning of the next by one token."""
        if way == "sequence":
            lengths = [len(each) for each in prefixes if isinstance(each, ReleasedIds)]
            return nested(prefixes) and lengths == list(
                range(lengths[0], lengths[0] + len(prefixes))
            )
        return way == "single" and not any(isinstance(each, Turns) for each in prefixes)

    def body(
        self, prefixes: Sequence[Prefix], k: int, way: Way, temperature: float
    ) -> Body[Released]:
        """The longest prefix, with log-probabilities from the end of the shortest on."""
        longest = prefixes[-1]
        body: dict[str, Json[Released]] = {
            "sampling_params": {
                "max_new_tokens": 1,
                "temperature": temperature,
                "top_p": 1.0,
                "top_k": -1,
                "min_p": 0.0,
                "repetition_penalty": 1.0,
                "presence_penalty": 0.0,
                "frequency_penalty": 0.0,
                "ignore_eos": True,
            },
            "return_logprob": True,
            "top_logprobs_num": k,
            "return_text_in_logprobs": True,
            "stream": False,
        }
        if isinstance(longest, ReleasedIds):
            body["input_ids"] = longest
        elif isinstance(longest, Text):
            body["text"] = longest
        first = prefixes[0]
        if way == "sequence" and isinstance(first, ReleasedIds):
            body["logprob_start_len"] = len(first) - 1
        return body

    def read(
        self, reply: Reply, prefixes: Sequence[Prefix], k: int, way: Way, reader: ReplyReader
    ) -> Answer:
        """Rows of the drafted tokens, and the row after the last."""
        meta = reader.mapping(reply.get("meta_info"), "meta_info")
        output = reader.items(meta.get("output_top_logprobs"), "output_top_logprobs")
        if len(output) != 1:
            raise reader.fault(f"answered with {len(output)} distributions after the text, not one")
        drafted: list[Any] = []
        if way == "sequence":
            rows = reader.items(meta.get("input_top_logprobs"), "input_top_logprobs")
            if len(rows) != len(prefixes):
                raise reader.fault(f"answered with {len(rows)} rows for {len(prefixes)} positions")
            drafted = rows[1:]
        found = tuple(self._row(row, k, reader) for row in (*drafted, output[0]))
        return Answer(found, tokens_from_cache(reply))

    def tokenize_body(self, text: Text[Released]) -> dict[str, Json[Released]]:
        """The ids of a text, the opening token included."""
        return {"model": Text((self._model,)), "prompt": text, "add_special_tokens": True}

    def piece(self, token_id: int) -> bytes | None:
        """From the vocabulary that was given."""
        return None if self._vocabulary is None else self._vocabulary.get(token_id)

    def template_body(self, prompt: Prompt[Released]) -> None:
        """The server does not show its template."""
        return

    def _row(self, told: object, k: int, reader: ReplyReader) -> Distribution:
        entries = [
            self._entry(reader.items(each, "top_logprobs[]"), reader)
            for each in reader.items(told, "top_logprobs")
        ]
        return distribution(reader, entries, k)

    def _entry(self, told: list[Any], reader: ReplyReader) -> Entry:
        if len(told) != 3:
            raise reader.fault("listed a token without log-probability, id and text")
        logprob = reader.number(told[0], "logprob")
        number = reader.integer(told[1], "id")
        if self._vocabulary is not None:
            token = self._vocabulary.get(number)
            if token is None:
                raise reader.fault("listed a token that the given vocabulary does not have")
            return Entry(number, logprob, token)
        name = "�" if told[2] is None else reader.text(told[2], "text")
        return Entry(number, logprob, bytes_of_name(name))
