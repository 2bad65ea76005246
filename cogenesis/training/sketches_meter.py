"""What outlines cost: tokens of the first one, measured, and what follows for the rest.

No server tells beforehand how it cuts a text into tokens, so this is about: four bytes of English
are taken for a token, and of what comes back a streamed piece for at least one. The measured part
is the length of the prompt and of the reply, and the time.

Not covered: reasoning that a model is paid for and does not show; prices that change with the
time of the day or a cached prompt.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from cogenesis.engines.cost import BYTES_A_TOKEN, Prices, Tokens
from cogenesis.engines.pace import Limits
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import (
    Capabilities,
    CloudModel,
    Piece,
    Prompt,
    Sampling,
    TokenIds,
)
from cogenesis.privacy.released import Released
from cogenesis.sketch.prompt import OUTLINE_SAMPLING
from cogenesis.sketch.request import ASKS
from cogenesis.wire import Deadline


class Metered:
    """A cloud model that counts what goes through `generate`; all else is passed on.

    Implements `Model[Released]`. Safe to use from several threads if the model is.
    """

    def __init__(self, cloud: CloudModel) -> None:
        self._cloud = cloud
        self._lock = threading.Lock()
        self._counted = Tokens()

    @property
    def counted(self) -> Tokens:
        """All asks so far, also of those that gave no outline."""
        return self._counted

    @property
    def name(self) -> str:
        """The model's."""
        return self._cloud.name

    @property
    def capabilities(self) -> Capabilities:
        """The model's."""
        return self._cloud.capabilities

    def encode(self, prompt: Prompt[Released]) -> TokenIds:
        """As the model does."""
        return self._cloud.encode(prompt)

    def generate(
        self,
        prompt: Prompt[Released] | TokenIds,
        sampling: Sampling,
        *,
        deadline: Deadline | None = None,
    ) -> Iterator[Piece]:
        """As the model does, counted when it ends, however it ends."""
        pieces, size = 0, 0
        found: Any = self._cloud.generate(prompt, sampling, deadline=deadline)
        try:
            with closing(found):
                for piece in found:
                    pieces += 1
                    size += len(piece.text.encode())
                    yield piece
        finally:
            asked = Tokens(self._sent(prompt), max(pieces, math.ceil(size / BYTES_A_TOKEN)))
            with self._lock:
                self._counted = self._counted.plus(asked)

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        """As the model does."""
        return self._cloud.next_distribution(prefix, k)

    def score_draft(
        self, prefix: TokenIds, draft: Sequence[int], k: int
    ) -> tuple[Distribution, ...]:
        """As the model does."""
        return self._cloud.score_draft(prefix, draft, k)

    def probe(self) -> Capabilities:
        """As the model does."""
        return self._cloud.probe()

    def close(self) -> None:
        """As the model does."""
        self._cloud.close()

    def _sent(self, prompt: Prompt[Released] | TokenIds) -> int:
        if isinstance(prompt, TokenIds):
            return len(prompt)
        messages = (part for message in prompt.messages for part in message.parts)
        parts = messages if self._cloud.capabilities.chat else prompt.completion
        return math.ceil(sum(len(part.text.encode()) for part in parts) / BYTES_A_TOKEN)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the rest will take, from the first outline.

    Attributes:
        samples: that are left.
        likely: tokens, if each is like the first.
        most: tokens, if each is asked for twice and each reply has the largest length.
        cost, most_cost: of these; None without prices.
        seconds: if each takes as long as the first, the server works on as many at a time as it
            is asked for, and its limits are kept.
    """

    samples: int
    likely: Tokens
    most: Tokens
    cost: float | None
    most_cost: float | None
    seconds: float


def estimate(
    first: Tokens,
    seconds: float,
    asks: int,
    *,
    samples: int,
    at_a_time: int,
    prices: Prices,
    limits: Limits | None = None,
) -> Estimate:
    """What `samples` more outlines will take.

    Args:
        first: what one outline took, with `asks` asks and this many seconds.
        samples: outlines that are left.
        at_a_time: asked for at a time.
        prices: of a million tokens.
        limits: of the server.
    """
    asks, limits = max(asks, 1), limits or Limits()
    one = math.ceil(first.sent / asks)
    likely = Tokens(first.sent * samples, first.received * samples)
    largest = max(OUTLINE_SAMPLING.max_tokens, math.ceil(first.received / asks))
    most = Tokens(one * ASKS * samples, largest * ASKS * samples)
    took = [seconds * math.ceil(samples / max(1, min(at_a_time, samples)))]
    if limits.requests_per_minute is not None:
        took.append(asks * samples / limits.requests_per_minute * 60)
    if limits.tokens_per_minute is not None:
        # As `Pace.wait` counts it: what is sent, and the longest reply that is allowed.
        reserved = (one + OUTLINE_SAMPLING.max_tokens) * asks * samples
        took.append(reserved / limits.tokens_per_minute * 60)
    return Estimate(samples, likely, most, prices.of(likely), prices.of(most), max(took))
