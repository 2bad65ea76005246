"""Who decided the tokens of a text, and what the cloud's part cost: figures of one result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cogenesis.assistant import Result


@dataclass(frozen=True, slots=True)
class Decided:
    """Counts of one text.

    Attributes:
        tokens: of the text.
        sources: tokens by who decided them: device, cloud, both.
        fallbacks: tokens that went without the cloud although it should have been asked, by
            the reason (docs/fusion.md says what each means).
        round_trips: requests for this text; None where nothing was counted.
        acceptance: share of drafted tokens that were right; None where nothing was drafted.
        held: share of positions at which the shield held text back; None if not known.
    """

    tokens: int
    sources: Mapping[str, int]
    fallbacks: Mapping[str, int]
    round_trips: int | None
    acceptance: float | None = None
    held: float | None = None

    def share(self, source: str) -> float:
        """Share of the tokens that this model decided, from 0 to 1."""
        return self.sources.get(source, 0) / self.tokens if self.tokens else 0.0

    def line(self) -> str:
        """All of it for people, on one line."""
        named = {"device": "the device", "cloud": "the cloud", "both": "both"}
        parts = [", ".join(f"{name} {self.share(key):.0%}" for key, name in named.items())]
        if self.round_trips is not None and self.tokens:
            parts.append(f"{self.round_trips / self.tokens:.2f} round trips a token")
        if self.acceptance is not None:
            parts.append(f"{self.acceptance:.0%} of the drafts right")
        if self.held is not None:
            parts.append(f"{self.held:.0%} held back by the shield")
        parts.append(self.without_cloud())
        return f"decided by {'  '.join(parts)}"

    def without_cloud(self) -> str:
        """How many tokens went without the cloud, and why."""
        if not self.fallbacks:
            return "the cloud never failed"
        why = ", ".join(f"{count} {reason}" for reason, count in self.fallbacks.items())
        count = sum(self.fallbacks.values())
        return f"{count} token{'s' * (count != 1)} without the cloud ({why})"


def who_decided(result: Result) -> Decided:
    """Count the tokens of a result."""
    fallbacks = Counter(token.fallback for token in result.tokens if token.fallback is not None)
    return Decided(
        tokens=len(result.tokens),
        sources=Counter(token.source for token in result.tokens),
        fallbacks=dict(fallbacks.most_common()),
        round_trips=None if result.traffic is None else result.traffic.round_trips,
        acceptance=None if result.fusion is None else result.fusion.acceptance,
        held=None if result.fusion is None else result.fusion.held,
    )
