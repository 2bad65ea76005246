"""The request bodies of llama.cpp's endpoints.

Their every string is a `Text` of public or given parts, so that the same body can go to a
cloud model through the egress.
"""

from __future__ import annotations

from typing import Any, Final

from cogenesis.models.protocol import Message, Prompt, Role, Sampling
from cogenesis.privacy.released import PublicText, public
from cogenesis.wire import Json, T, Text

REPEAT_WINDOW: Final = 64
"""Tokens that the penalties look back on. llama.cpp counts the prompt's last ones too."""

NEXT_ENDPOINT: Final = "/v1/completions"
"""Where a next-token distribution is asked for: llama.cpp offers this one in process too."""

_FORCE: Final = 1e4
"""A bias no logit outweighs. It moves what is sampled, not the log-probabilities told."""

ROLES: Final[dict[Role, PublicText]] = {
    "system": public("system"),
    "user": public("user"),
    "assistant": public("assistant"),
}

# The order in which they apply; samplers that are not named here are off.
_SAMPLERS: Final = (
    public("penalties"),
    public("temperature"),
    public("top_k"),
    public("top_p"),
    public("min_p"),
)

_WANTED: Final = (
    public("content"),
    public("tokens"),
    public("stop"),
    public("tokens_predicted"),
    public("timings"),
    public("completion_probabilities"),
)


def messages_of(prompt: Prompt[T]) -> tuple[Json[T], ...]:
    """The chat turns in OpenAI's form."""
    return tuple(_message(message) for message in prompt.messages)


def _message(message: Message[T]) -> Json[T]:
    return {"role": Text((ROLES[message.role],)), "content": Text(message.parts)}


def strings(texts: tuple[PublicText, ...]) -> tuple[Json[Any], ...]:
    """A JSON list of fixed strings."""
    return tuple(Text((text,)) for text in texts)


def template_body(prompt: Prompt[T]) -> dict[str, Json[T]]:
    """Chat turns and how to put them into the model's own template."""
    return {
        "messages": messages_of(prompt),
        "add_generation_prompt": True,
        # Models that can think aloud would fill the text with it; others ignore the switch.
        "chat_template_kwargs": {"enable_thinking": False},
    }


def tokenize_body(text: Text[T], *, opening: bool, special: bool) -> dict[str, Json[T]]:
    """`opening` adds the beginning-of-text token, `special` reads markers as tokens."""
    return {"content": text, "add_special": opening, "parse_special": special}


def sampling_body(sampling: Sampling) -> dict[str, Json[Any]]:
    """Every value that shapes the sampling, so that no server default does."""
    return {
        "n_predict": sampling.max_tokens,
        "samplers": strings(_SAMPLERS),
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "repeat_last_n": REPEAT_WINDOW,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": 0.0,
        "dynatemp_range": 0.0,
        "mirostat": 0,
        # 2**32 - 1 means "random" to llama.cpp: never reach it.
        "seed": sampling.seed % (2**32 - 1),
        "ignore_eos": False,
        "cache_prompt": True,
        # Without this the last event repeats the whole prompt.
        "response_fields": strings(_WANTED),
    }


def next_token_body(prefix: tuple[int, ...], k: int, whole_token: int) -> dict[str, Json[Any]]:
    """One token after a prefix of ids, with the K most probable ones.

    The server drops the whole row when the token that it samples is only a part of a
    character. So let it sample a whole one; the row stays the same. With a top-k of one the
    other samplers need not sort the vocabulary (2 ms for 262,144 tokens, 0.4 for 49,152).
    """
    body = sampling_body(Sampling(temperature=0.0, top_p=1.0, top_k=1, max_tokens=1))
    del body["response_fields"]
    return {
        "prompt": prefix,
        **body,
        "max_tokens": 1,
        "logit_bias": ((whole_token, _FORCE),),
        "logprobs": k,
        "stream": False,
    }
