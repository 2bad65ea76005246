"""Draft-and-verify in imagined time: what a pace takes, without models and without waiting.

Sureness and wrong drafts are drawn as they were found on a model with and without its
context: wrong drafts are rare, and three of four have a sureness below 1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cogenesis.fusion.pace import Pacer


@dataclass(frozen=True)
class Position:
    """What the device finds there; `asks` is false where the shield holds the cloud back."""

    sure: float
    wrong: bool
    asks: bool


def positions(count: int, seed: int = 0, wrong: float = 0.125) -> list[Position]:
    """A text with this share of wrong drafts among those that are asked about."""
    random = np.random.default_rng(seed)
    sure = random.exponential(1.75, count)
    chance = np.minimum(0.95, wrong / 0.125 * (0.5 * np.exp(-sure / 0.6) + 0.01))
    rolls, held = random.random(count), random.random(count) < 0.15
    return [
        Position(float(s), bool(not h and r < c), bool(not h))
        for s, r, c, h in zip(sure, rolls, chance, held, strict=True)
    ]


@dataclass
class Taken:
    """What a text took."""

    seconds: float = 0.0
    requests: int = 0
    drafts: int = 0


@dataclass(frozen=True)
class _Draft:
    position: Position
    doubt: float


class Clock:
    """One text in imagined time; decides, asks and drafts in the order of `fusion.draft`."""

    def __init__(
        self, text: Sequence[Position], pace: Pacer, token_s: float, trip_s: float
    ) -> None:
        self._text, self._pace = text, pace
        self._token_s, self._trip_s = token_s, trip_s
        self._decided = 0
        self._chain: deque[_Draft] = deque()
        self._blocks: deque[tuple[int, float]] = deque()  # end, time of the answer
        self._lost = positions(1000, seed=1)  # what is drafted after a wrong draft
        self.taken = Taken()

    def run(self) -> Taken:
        """Until the text is written."""
        while self._decided < len(self._text):
            if self._decide() or self._decided == len(self._text):
                continue
            while self._asks_now():
                self._blocks.append((self._tip + 1, self.taken.seconds + self._trip_s))
                self.taken.requests += 1
                self._pace.asked()
            if self._drafts_on():
                self._draft()
            else:
                self.taken.seconds = min(at for _, at in self._blocks if at > self.taken.seconds)
        return self.taken

    @property
    def _tip(self) -> int:
        return self._decided + len(self._chain)

    @property
    def _covered(self) -> int:
        return max([self._decided, *(end for end, _ in self._blocks)])

    def _decide(self) -> bool:
        """One position, if its answer is there."""
        if not self._chain:
            return False
        head = self._chain[0].position
        block = next((at for end, at in self._blocks if end > self._decided), None)
        if head.asks and (block is None or block > self.taken.seconds):
            return False
        self._chain.popleft()
        self._decided += 1
        self._pace.decided()
        if head.asks:
            self._pace.judged(head.sure, not head.wrong)
        if head.wrong:
            self._chain.clear()
            self._blocks.clear()
        while self._blocks and self._blocks[0][0] <= self._decided:
            self._blocks.popleft()
        return True

    def _asks_now(self) -> bool:
        first = self._covered - self._decided
        doubts = [each.doubt if each.position.asks else 0.0 for each in self._chain]
        if first > len(doubts):
            return False
        doubts.append(self._pace.doubt())
        busy = sum(at > self.taken.seconds for _, at in self._blocks)
        return self._pace.asks_now(doubts[:first], doubts[first:], busy) or not (
            busy or self._drafts_on()
        )

    def _drafts_on(self) -> bool:
        unasked = max(0, self._tip - self._covered)
        return self._tip < len(self._text) and self._pace.drafts_on(len(self._chain), unasked)

    def _draft(self) -> None:
        right = all(not each.position.wrong for each in self._chain)
        found = self._text[self._tip] if right else self._lost[self._tip % len(self._lost)]
        self._chain.append(_Draft(found, self._pace.doubt(found.sure)))
        self.taken.seconds += self._token_s
        self.taken.drafts += 1


def lockstep_s(text: Sequence[Position], token_s: float, trip_s: float) -> float:
    """The same text in lockstep: both models work at the same time."""
    return sum(max(token_s, trip_s) if each.asks else token_s for each in text)
