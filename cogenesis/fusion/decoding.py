"""What lockstep and draft-and-verify share: settings, tokens, and how text comes out."""

from __future__ import annotations

import codecs
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol

from cogenesis.errors import InputError
from cogenesis.fusion.asking import PATIENCE_S, Asking, Breaker, CloudView
from cogenesis.fusion.target import Shaped, Source
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import TokenIds

Finish = Literal["end", "stop", "length"]

BLOCK_DEADLINE_S: Final = 2.0
"""A request for one block that takes longer makes the block device-only."""


class Drafter(Protocol):
    """The device model, as far as decoding needs it. Every `Model` is one."""

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        """The K most probable next tokens.

        Raises:
            ModelError: the device model failed. Without it there is no text.
        """
        ...


@dataclass(frozen=True, slots=True)
class Decoding:
    """How to decode, beside the target.

    Attributes:
        seed: with shared-noise coupling the text depends on this and the models alone.
        max_tokens: longest text in tokens.
        ends: token ids that end the text, beside every token without bytes (special ones);
            they are not part of it.
        stops: strings that end the text; neither they nor what follows is part of it.
        deadline_s: seconds that one request to the cloud may take.
        patience_s: seconds that the text may wait for the cloud in all; then the device goes on
            alone.
    """

    seed: int = 0
    max_tokens: int = 400
    ends: frozenset[int] = frozenset()
    stops: tuple[str, ...] = field(default=(), repr=False)
    deadline_s: float = BLOCK_DEADLINE_S
    patience_s: float = PATIENCE_S

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise InputError("max_tokens is at least 1")
        if "" in self.stops:
            raise InputError("a stop string has at least one character")
        if not self.deadline_s > 0.0:
            raise InputError("deadline_s is a number of seconds above 0")
        if not self.patience_s > 0.0:
            raise InputError("patience_s is a number of seconds above 0")

    def asking(self, cloud: CloudView | None, breaker: Breaker) -> Asking | None:
        """Asks the cloud for one text within these limits."""
        if cloud is None:
            return None
        return Asking(cloud, self.deadline_s, breaker, self.patience_s)

    def ended_by(self, token_id: int, data: bytes) -> bool:
        """Whether this token is the end of the text: nothing a person reads is without bytes."""
        return not data or token_id in self.ends


@dataclass(frozen=True, slots=True)
class FusedToken:
    """One token of the text and who decided it.

    Attributes:
        id: in the device's vocabulary.
        data: its bytes, which may be part of a character.
        text: the complete characters that end in it; without what a stop string cuts off.
        weight: the device model's weight, from 0 to 1.
        source: who decided it, see `Shaped.source`.
        fallback: one word if the cloud should have been asked and the device was alone: a
            `CloudError.reason`, or `paused` (the circuit breaker is open), `slow` (the text has
            waited for the cloud long enough), `not-released` or `ledger` (the request may not
            leave), `fault` (an error in this program). None otherwise, also where nothing may
            be asked or the schedule does not ask.
    """

    id: int = field(repr=False)
    data: bytes = field(repr=False)
    text: str = field(repr=False)
    weight: float
    source: Source
    fallback: str | None = None


def decided(device: Distribution, choice: Shaped, at: int, fallback: str | None) -> FusedToken:
    """The token for the candidate with index `at`; its text comes with `Emission`."""
    # The candidates are the device's own list, in its order.
    data = device.tokens[at]
    return FusedToken(int(choice.ids[at]), data, "", choice.weight, choice.source(at), fallback)


@dataclass(slots=True)
class Tally:
    """What decoding one text took.

    Attributes:
        tokens: positions that were decided, the end token included.
        round_trips: requests to the cloud, also discarded, late and failed ones.
        device_calls: distributions that the device computed.
        accepted, rejected: drafted tokens that were compared with a fused target.
        discarded: drafted tokens that were thrown away because one before them was wrong.
        fallbacks: positions where the device was alone because the cloud failed.
    """

    tokens: int = 0
    round_trips: int = 0
    device_calls: int = 0
    accepted: int = 0
    rejected: int = 0
    discarded: int = 0
    fallbacks: int = 0
    finish: Finish | None = None

    @property
    def acceptance(self) -> float | None:
        """Share of compared drafts that were right; None before the first."""
        compared = self.accepted + self.rejected
        return self.accepted / compared if compared else None


class Emission:
    """Turns decided tokens into text that is complete and holds no stop string.

    A token is held back while its end could be the beginning of a stop string. Bytes that
    are no UTF-8 become U+FFFD; an unfinished character at the very end is left out.
    """

    def __init__(self, decoding: Decoding) -> None:
        self._decoding = decoding
        self._characters = codecs.getincrementaldecoder("utf-8")("replace")
        self._held: deque[FusedToken] = deque()
        self._count = 0
        self.finish: Finish | None = None

    def push(self, token: FusedToken) -> list[FusedToken]:
        """Take a decided token; give those whose text is settled. Sets `finish` at the end."""
        self._count += 1
        if self._decoding.ended_by(token.id, token.data):
            return self._finished("end")
        self._held.append(replace(token, text=self._characters.decode(token.data)))
        tail = "".join(each.text for each in self._held)
        found = [at for at in map(tail.find, self._decoding.stops) if at >= 0]
        if found:
            return self._cut(min(found))
        if self._count >= self._decoding.max_tokens:
            return self._finished("length")
        return self._settled(len(tail) - self._pending(tail))

    def _pending(self, tail: str) -> int:
        """Characters at the end of `tail` that could begin a stop string."""
        return max((_overlap(tail, stop) for stop in self._decoding.stops), default=0)

    def _settled(self, characters: int) -> list[FusedToken]:
        ready: list[FusedToken] = []
        while self._held and len(self._held[0].text) <= characters:
            characters -= len(self._held[0].text)
            ready.append(self._held.popleft())
        return ready

    def _cut(self, at: int) -> list[FusedToken]:
        self.finish = "stop"
        kept = self._settled(at)
        left = at - sum(len(token.text) for token in kept)
        if left > 0:  # the stop string begins inside this token
            kept.append(replace(self._held[0], text=self._held[0].text[:left]))
        self._held.clear()
        return kept

    def _finished(self, finish: Finish) -> list[FusedToken]:
        self.finish = finish
        kept, self._held = list(self._held), deque()
        return kept


def _overlap(tail: str, stop: str) -> int:
    """Length of the longest proper beginning of `stop` that `tail` ends with."""
    longest = min(len(stop) - 1, len(tail))
    return next((size for size in range(longest, 0, -1) if tail.endswith(stop[:size])), 0)
