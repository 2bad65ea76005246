"""Log-probabilities of servers that speak OpenAI's completions: `echo`, `echo_last`, or lists.

With `echo` the reply repeats the prompt and lists the alternatives at each of its tokens, so a
whole draft is scored in one sequence (Together, llama-cpp-python; most of them read the whole
prompt anew). `echo_last` repeats the end only (Fireworks, K up to 5). Without either, a list
of prompts goes in one request.

These servers tell tokens as text. Where each of them lies is found by going back from the end
of the prompt, token by token, as long as their texts are what was sent; a position that is no
end of a token cannot be answered from the sequence and is asked alone. That it is one means
that the shorter text has the same tokens: merges that did not cross this place in the long
text do not depend on what comes after it.

Not covered: texts in which a token is half a character end that search, and what lies before
is asked one by one. Written after the documented form, not run against a hosted API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from cogenesis.models.distribution import Distribution
from cogenesis.models.draft_scoring import Answer, Prefix, Way
from cogenesis.models.llama_scoring import prompts_of
from cogenesis.models.logprob_replies import TokenNames, choices_in_order, tokens_from_cache
from cogenesis.models.protocol import Prompt
from cogenesis.models.reply_reader import ReplyReader
from cogenesis.models.vllm import named_row
from cogenesis.privacy.released import Released, Setting
from cogenesis.wire import Body, Json, Reply, Text

Echo = Literal["echo", "echo_last"]


class CompletionsDialect:
    """Implements `Dialect` for OpenAI-style `/v1/completions`, by texts only."""

    endpoint: Final = "/v1/completions"
    chat: Final = False

    def __init__(self, model: Setting, echo: Echo | None = None) -> None:
        """`echo` names the server's way to repeat a prompt, if it has one."""
        self._model = model
        self._echo = echo
        self._names = TokenNames()

    @property
    def ways(self) -> tuple[Way, ...]:
        """A sequence where the server echoes; a batch may work on any."""
        return ("batch", "single") if self._echo is None else ("sequence", "batch", "single")

    def fits(self, prefixes: Sequence[Prefix], way: Way) -> bool:
        """Texts; in a sequence each is a beginning of the next."""
        texts = [plain(each) for each in prefixes if isinstance(each, Text)]
        if len(texts) != len(prefixes) or way not in self.ways:
            return False
        return way != "sequence" or all(texts[-1].startswith(each) for each in texts)

    def body(
        self, prefixes: Sequence[Prefix], k: int, way: Way, temperature: float
    ) -> Body[Released]:
        """One token after each prefix, or after the longest with the draft echoed."""
        body: dict[str, Json[Released]] = {
            "model": Text((self._model,)),
            "prompt": prompts_of(prefixes),
            "max_tokens": 1,
            "temperature": temperature,
            "top_p": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "seed": 0,
            "logprobs": k,
            "stream": False,
        }
        if way == "batch":
            return body
        (prompt,) = prompts_of(prefixes[-1:])
        body["prompt"] = prompt  # some servers take no list
        if way == "sequence" and self._echo == "echo":
            body["echo"] = True
        elif way == "sequence":
            # A token has a character or more, save special ones: so these are enough.
            body["echo_last"] = len(_longest(prefixes)) - len(plain(prefixes[0])) + 1
        return body

    def read(
        self, reply: Reply, prefixes: Sequence[Prefix], k: int, way: Way, reader: ReplyReader
    ) -> Answer:
        """One row for each prompt, or the rows at the draft's places in one."""
        cached = tokens_from_cache(reply)
        if way != "sequence":
            rows = []
            for choice in choices_in_order(reader, reply, len(prefixes)):
                told = _told(choice, reader)
                if len(told) != 1:
                    raise reader.fault(f"answered with {len(told)} distributions instead of one")
                rows.append(self._row(told[0], k, reader))
            return Answer(tuple(rows), cached)
        (choice,) = choices_in_order(reader, reply, 1)
        placed = _placed(_told(choice, reader), _longest(prefixes))
        found = [placed.get(len(plain(each))) for each in prefixes]
        return Answer(
            tuple(None if one is None else self._row(one, k, reader) for one in found), cached
        )

    def tokenize_body(self, text: Text[Released]) -> None:
        """These servers tell no ids."""
        return

    def piece(self, token_id: int) -> None:
        """Ids mean nothing here."""
        return

    def template_body(self, prompt: Prompt[Released]) -> None:
        """These servers do not show their template."""
        return

    def _row(self, told: tuple[str, Any], k: int, reader: ReplyReader) -> Distribution:
        drafted, row = told
        listed: Mapping[str, Any] = reader.mapping(row, "top_logprobs[]")
        numbers = {name: reader.number(value, "logprob") for name, value in listed.items()}
        return named_row(reader, numbers, k, self._names, drafted)


def plain(prefix: Prefix) -> str:
    """The characters of a text prefix; empty for any other."""
    return "".join(part.text for part in prefix.parts) if isinstance(prefix, Text) else ""


def _longest(prefixes: Sequence[Prefix]) -> str:
    return plain(prefixes[-1])


def _told(choice: Mapping[str, Any], reader: ReplyReader) -> list[tuple[str, Any]]:
    """Each token of an answer with the row of its alternatives."""
    logprobs = reader.mapping(choice.get("logprobs"), "logprobs")
    tokens = reader.items(logprobs.get("tokens"), "tokens")
    rows = reader.items(logprobs.get("top_logprobs"), "top_logprobs")
    if len(rows) != len(tokens):
        raise reader.fault(f"answered with {len(rows)} rows for {len(tokens)} tokens")
    return [(reader.text(token, "tokens[]"), row) for token, row in zip(tokens, rows, strict=True)]


def _placed(told: Sequence[tuple[str, Any]], text: str) -> dict[int, tuple[str, Any]]:
    """Rows by the place (in characters) where their token begins, back from the end.

    The last token was generated: it begins where the text ends.
    """
    found: dict[int, tuple[str, Any]] = {}
    at = len(text)
    for back, (token, row) in enumerate(reversed(told)):
        if back:
            begin = at - len(token)
            if not token or begin < 0 or text[begin:at] != token:
                break  # a marker, half a character, or the opening token
            at = begin
        if row is not None:  # the very first token of a text has no alternatives
            found[at] = (token, row)
    return found
