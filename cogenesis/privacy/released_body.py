"""The last check of a request before it is written down: is every part of it released?

A body is a tree. Its strings must be `Text` of released parts, its keys must be known
parameter names, and numbers may stand only where a known parameter takes one: a list of
numbers would be a way to send token ids, which are text. Ids go as `ReleasedIds` only, which
the server itself gave for released text; a bias names its token by released text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cogenesis.errors import EgressError
from cogenesis.privacy.released import (
    GeneralInstruction,
    MadeUpText,
    PublicText,
    PublishedText,
    Released,
    ReleasedIds,
)
from cogenesis.wire import Body, FixedJson, Text, to_bytes

_NUMBERS: Final = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "repeat_penalty",
        "repetition_penalty",
        "repeat_last_n",
        "presence_penalty",
        "frequency_penalty",
        "dynatemp_range",
        "mirostat",
        "seed",
        "max_tokens",
        "max_completion_tokens",
        "n_predict",
        "n_probs",
        "logprobs",
        "top_logprobs",
        "id_slot",
        "max_new_tokens",
        "logprob_start_len",
        "top_logprobs_num",
        "echo_last",
    }
)
_OTHERS: Final = frozenset(
    {
        "model",
        "messages",
        "role",
        "content",
        "prompt",
        "stop",
        "stream",
        "samplers",
        "response_fields",
        "return_tokens",
        "cache_prompt",
        "ignore_eos",
        "add_special",
        "parse_special",
        "with_pieces",
        "add_generation_prompt",
        "chat_template_kwargs",
        "enable_thinking",
        "stream_options",
        "include_usage",
        "grammar",
        "logit_bias",
        "echo",
        "return_tokens_as_token_ids",
        "add_special_tokens",
        "continue_final_message",
        "text",
        "input_ids",
        "tokens",
        "sampling_params",
        "return_logprob",
        "return_text_in_logprobs",
        "provider",
        "require_parameters",
        "response_format",
        "type",
        "json_schema",
        "name",
        "strict",
        "schema",
    }
)
_IDS: Final = frozenset({"prompt", "input_ids", "tokens"})
"""Parameters that take released ids, alone or in a list."""


@dataclass(frozen=True, slots=True)
class ReleasedBody:
    """The exact bytes that leave, and a note for the ledger: what the user let through.

    `fixed` says that nothing is in it but text that ships with the program and settings;
    `published`, that a data set's contexts are in it, on purpose.
    """

    data: bytes
    note: str
    fixed: bool = True
    published: bool = False


def release_body(body: Body[Released]) -> ReleasedBody:
    """Check that every part of a body is released, and encode it.

    Raises:
        EgressError: a plain string, an unknown key, or a number where none belongs. The
            message names the kind of part, never its value.
    """
    generals: list[GeneralInstruction] = []
    _check(body, key=None, generals=generals)
    allowed = ", ".join(dict.fromkeys(word for g in generals for word in g.allowed))
    sensitive = ", ".join(dict.fromkeys(word for g in generals for word in g.sensitive))
    notes = [
        f"allowed by the user: {allowed}" if allowed else "",
        f"sensitive words in the topic: {sensitive}" if sensitive else "",
    ]
    sources = dict.fromkeys(_sources(body, PublishedText))
    notes += [f"sent as it is, on the user's word: {source}" for source in sources]
    notes += [f"made up: {each}" for each in dict.fromkeys(_sources(body, MadeUpText))]
    note = "; ".join(note for note in notes if note)
    return ReleasedBody(to_bytes(body), note, fixed=_is_fixed(body), published=bool(sources))


def _sources(value: Any, kind: type[PublishedText | MadeUpText]) -> Iterator[str]:
    """Where the texts of this kind in a body come from: data sets, builds."""
    if isinstance(value, Text):
        yield from (part.source for part in value.parts if isinstance(part, kind))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _sources(item, kind)
    elif isinstance(value, tuple):
        for item in value:
            yield from _sources(item, kind)


def _is_fixed(value: Any) -> bool:
    if isinstance(value, Text):
        return all(isinstance(part, Released) and part.fixed for part in value.parts)
    if isinstance(value, Mapping):
        return all(_is_fixed(item) for item in value.values())
    if isinstance(value, tuple):
        return all(_is_fixed(item) for item in value)
    return not isinstance(value, ReleasedIds)


def _check(value: Any, *, key: str | None, generals: list[GeneralInstruction]) -> None:
    if isinstance(value, Text):
        for part in value.parts:
            if not isinstance(part, Released):
                raise EgressError("a plain string was about to be sent: only released text may")
            if isinstance(part, GeneralInstruction):
                generals.append(part)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if name not in _NUMBERS and name not in _OTHERS:
                raise EgressError("a request held a parameter that the egress does not know")
            _check(item, key=name, generals=generals)
    elif isinstance(value, FixedJson):
        if key != "schema" or type(value.text) is not PublicText:
            raise EgressError("a request held fixed JSON that is no schema of the program")
    elif isinstance(value, ReleasedIds):
        if key not in _IDS:
            raise EgressError("a request held token ids where none belong")
    elif isinstance(value, tuple) and key == "logit_bias":
        for pair in value:
            _check_bias(pair, generals)
    elif isinstance(value, tuple):
        inner = key if key in _IDS else None  # None: numbers in a list could be token ids
        for item in value:
            _check(item, key=inner, generals=generals)
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int | float):
        if key not in _NUMBERS:
            raise EgressError("a request held a number that is no known parameter")
        if not math.isfinite(value):
            raise EgressError(f"the parameter {key} is not a finite number")
    else:
        raise EgressError("a request held a part that is neither released text nor a setting")


def _check_bias(pair: Any, generals: list[GeneralInstruction]) -> None:
    """A token by its released text, never by its id, and how much it is favoured."""
    if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], Text)):
        raise EgressError("a bias must name its token by released text")
    _check(pair[0], key=None, generals=generals)
    if not isinstance(pair[1], int | float) or not math.isfinite(pair[1]):
        raise EgressError("a bias is not a finite number")
