"""The contract that device and cloud models share.

Both roles implement `Model`. What differs is the type of text they accept: a device model
takes `str | Released`, a cloud model `Released` only. The type parameter `T` carries that
difference, so that a private string on its way to a cloud model does not type-check.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from cogenesis.models.distribution import Distribution
from cogenesis.privacy.released import PublicText, Released
from cogenesis.wire import Deadline

Role = Literal["system", "user", "assistant"]

DeviceText = str | Released
"""What a device model may read."""

T_co = TypeVar("T_co", bound=DeviceText, covariant=True)
T_contra = TypeVar("T_contra", bound=DeviceText, contravariant=True)


@dataclass(frozen=True, slots=True)
class Message(Generic[T_co]):
    """One chat turn; `parts` are joined without a separator."""

    role: Role
    parts: tuple[T_co | PublicText, ...]

    def __repr__(self) -> str:
        return f"Message({self.role}, {len(self.parts)} parts)"


@dataclass(frozen=True, slots=True)
class Prompt(Generic[T_co]):
    """A prompt in both forms: chat turns for instruct models, one text for base models.

    `stop` ends a completion of a base model (a base model does not know when to stop).
    """

    messages: tuple[Message[T_co], ...]
    completion: tuple[T_co | PublicText, ...]
    stop: tuple[PublicText, ...] = ()

    def __repr__(self) -> str:
        return f"Prompt({len(self.messages)} messages)"


@dataclass(frozen=True, slots=True)
class TokenIds:
    """An encoded prompt of a device model: as private as the text it came from."""

    ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"TokenIds({len(self.ids)} tokens)"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample. All values are sent explicitly: no server default is relied on.

    temperature 0 is greedy; `top_k` 0 and `top_p` 1 and `min_p` 0 are off; `repeat_penalty`
    divides logits of recent tokens (1 is off), `presence_penalty` subtracts (0 is off).
    """

    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 0
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    max_tokens: int = 400
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """One generated step: complete characters (never half of one) and, where known, the id."""

    text: str
    token_id: int | None = None

    def __repr__(self) -> str:
        return f"Piece({len(self.text)} characters)"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model was found to do. Found by `probe`, never assumed.

    Attributes:
        chat: it has a chat template, so `Prompt.messages` is used; else `Prompt.completion`.
        ids: prompts can be given as token ids, so `encode` works.
        logprobs: largest K of `next_distribution`; 0 where there are no log-probabilities.
        drafts: `score_draft` works.
        context_tokens: window in tokens, None if the server does not say.
        vocabulary: number of tokens, None if the server does not say.
    """

    chat: bool
    ids: bool = False
    logprobs: int = 0
    drafts: bool = False
    context_tokens: int | None = None
    vocabulary: int | None = None


class Model(Protocol[T_contra]):
    """A language model, on the device or in the cloud.

    Raises, from every method: `ModelError` (a device model), `CloudError` (a cloud model),
    `PrivacyError` (a cloud model, when a request may not leave).
    """

    @property
    def name(self) -> str:
        """A name fit for a person and for the ledger."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """The last result of `probe`, which runs at first use."""
        ...

    def encode(self, prompt: Prompt[T_contra]) -> TokenIds:
        """Apply the model's own template and vocabulary. Needs `capabilities.ids`."""
        ...

    def generate(
        self,
        prompt: Prompt[T_contra] | TokenIds,
        sampling: Sampling,
        *,
        deadline: Deadline | None = None,
    ) -> Iterator[Piece]:
        """Stream a continuation. Closing the iterator stops the model."""
        ...

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        """The K most probable next tokens. Also reads the prefix into the model's cache."""
        ...

    def score_draft(
        self, prefix: TokenIds, draft: Sequence[int], k: int
    ) -> tuple[Distribution, ...]:
        """Distributions at every draft position and after the last: len(draft) + 1."""
        ...

    def probe(self) -> Capabilities:
        """Find out what the model can do, by fixed public text only."""
        ...

    def close(self) -> None:
        """Free the model. Safe to call twice."""
        ...


DeviceModel = Model[DeviceText]
CloudModel = Model[Released]


def hang_up(steps: Iterator[object]) -> None:
    """Stop what may still be writing: close the generator, if it is one."""
    close = getattr(steps, "close", None)
    if close is not None:
        close()
