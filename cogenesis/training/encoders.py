"""Turning prompts and texts into token ids, as the model will get them when it writes.

A GGUF file is read by llama.cpp itself: the same program, the same template, the same
vocabulary as when a text is written. Reading its tokenizer with `transformers` is no
substitute. For SmolLM2 it forgets that digits stand alone, so that the line break before
"1." becomes two tokens instead of one (seen in one of 30 prompts of the published data).

A hub model or a folder brings its own tokenizer, and llama.cpp's conversion follows that.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from cogenesis.errors import ModelFileError
from cogenesis.models.protocol import DeviceText, Message, Prompt, TokenIds
from cogenesis.privacy.released import public
from cogenesis.training.base import Base, GgufBase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cogenesis.models import LlamaCpp

_ASKED: Final = public("Say ok.")
_ANSWER: Final = public("ok")


class Encoder(Protocol):
    """A model's tokenizer and chat template."""

    @property
    def chat(self) -> bool:
        """It has a chat template, so prompts are chat turns."""
        ...

    @property
    def end(self) -> int:
        """The token that ends a text."""
        ...

    def encode(self, prompt: Prompt[DeviceText]) -> TokenIds:
        """A prompt up to where the model begins to write."""
        ...

    def ids(self, text: str) -> tuple[int, ...]:
        """The tokens of a text that the model writes: no opening token."""
        ...


def open_encoder(base: Base) -> AbstractContextManager[Encoder]:
    """The encoder of a base model; closing it frees what it loaded.

    Raises:
        ModelError: the tokenizer cannot be read, or has no token that ends a text.
        MissingExtraError: a GGUF file, and llama.cpp is not installed.
    """
    return _gguf_encoder(base) if isinstance(base, GgufBase) else _hub_encoder(base)


def end_of_turn(
    encoder: HubEncoder | GgufEncoder,
) -> int | None:
    """The token that the chat template writes after an answer; None without a template.

    Found by rendering an answer: models name it differently, some not at all.
    """
    if not encoder.chat:
        return None
    asked: Message[DeviceText] = Message("user", (_ASKED,))
    answered: Message[DeviceText] = Message("assistant", (_ANSWER,))
    before = encoder.encode(Prompt((asked,), ())).ids
    after = encoder.encode(Prompt((asked, answered), ())).ids
    answer = encoder.ids(_ANSWER.text)
    whole = before + answer
    if after[: len(whole)] != whole or len(after) == len(whole):
        return None  # the template rewrites answers: fall back on the model's end of text
    return after[len(whole)]


@dataclass(frozen=True, slots=True)
class GgufEncoder:
    """llama.cpp, with the model that will write."""

    model: LlamaCpp = field(repr=False)
    end: int = -1

    @property
    def chat(self) -> bool:
        """As `Encoder`."""
        return self.model.capabilities.chat

    def encode(self, prompt: Prompt[DeviceText]) -> TokenIds:
        """As `Encoder`."""
        return self.model.encode(prompt)

    def ids(self, text: str) -> tuple[int, ...]:
        """As `Encoder`."""
        return self.model.tokenise(text)[0]


@dataclass(frozen=True, slots=True)
class HubEncoder:
    """A tokenizer of `transformers`, asked as llama.cpp asks its own."""

    tokenizer: Any = field(repr=False)
    end: int = -1

    @property
    def chat(self) -> bool:
        """As `Encoder`."""
        return bool(self.tokenizer.chat_template)

    def encode(self, prompt: Prompt[DeviceText]) -> TokenIds:
        """As `Encoder`."""
        if not self.chat:
            return TokenIds(tuple(self.tokenizer(_text(prompt.completion))["input_ids"]))
        rendered = self.tokenizer.apply_chat_template(
            [{"role": turn.role, "content": _text(turn.parts)} for turn in prompt.messages],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,
        )
        ids = tuple(self.tokenizer(rendered)["input_ids"])
        # Some templates write the beginning-of-text token themselves.
        twice = (self.tokenizer.bos_token_id,) * 2
        return TokenIds(ids[1:] if ids[:2] == twice else ids)

    def ids(self, text: str) -> tuple[int, ...]:
        """As `Encoder`."""
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])


@contextmanager
def _gguf_encoder(base: GgufBase) -> Iterator[Encoder]:
    from cogenesis.models import LlamaCpp

    with LlamaCpp(base.path, threads=1) as model:
        encoder = GgufEncoder(model)
        yield GgufEncoder(model, _end(end_of_turn(encoder), base.end_of_text, base.name))


@contextmanager
def _hub_encoder(base: Base) -> Iterator[Encoder]:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(base.path, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(
            f"{base.name} holds no tokenizer that can be read ({type(error).__name__}). It needs "
            "tokenizer.json beside the weights"
        ) from error
    encoder = HubEncoder(tokenizer)
    yield HubEncoder(tokenizer, _end(end_of_turn(encoder), tokenizer.eos_token_id, base.name))


def _end(turn: int | None, text: int | None, name: str) -> int:
    end = text if turn is None else turn
    if end is None:
        raise ModelFileError(
            f"{name} names no token that ends a text, so a text of it would never end. Use a "
            "model whose tokenizer has an end-of-text token"
        )
    return end


def _text(parts: tuple[Any, ...]) -> str:
    return "".join(part if isinstance(part, str) else part.text for part in parts)
