"""What the cloud said about one position, carried over to the device's candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from cogenesis.errors import CloudError
from cogenesis.fusion.pool import Listed
from cogenesis.fusion.vocabulary import NO_TOKENS, Spelling, Step, align
from cogenesis.models.distribution import Distribution
from cogenesis.privacy.shield_view import PLACEHOLDER_BEGINS

_NEXT_TO_NOTHING: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Vocabularies:
    """What is known about the tokens of both models.

    Attributes:
        device: bytes of the device's tokens by id, for all that it may draft.
        spelling: the device's whole vocabulary, where it can be told.
        same: both models number their tokens alike.
        lacking: texts that are known to be no token of the cloud's.
    """

    device: Callable[[int], bytes]
    spelling: Spelling | None = None
    same: bool = False
    lacking: frozenset[bytes] = NO_TOKENS


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What the cloud said about one position. Implements `asking.CloudRow`.

    Attributes:
        texts: the places it was asked at, each a beginning of the next.
        rows: what it said there.
        vocabularies: both models'.
        own: index of the place from which on the device's own tokens are between them.
    """

    texts: tuple[str, ...]
    rows: tuple[Distribution, ...]
    vocabularies: Vocabularies
    own: int = 0

    def __repr__(self) -> str:
        return f"Row({len(self.rows)} places)"

    def onto(self, device: Distribution) -> Listed:
        """The cloud's mass on the device's candidates.

        Raises:
            CloudError: ids mean other tokens than they did: another model stands there now.
        """
        rows, hidden = zip(*map(_about_the_text, self.rows), strict=True)
        if self.vocabularies.same and len(rows) == 1:
            _check_ids(device, self.rows[0])
            listed = replace(align(device, rows[0], same_vocabulary=True), source=self.rows[0])
        else:
            listed = self._along(device, rows)
        return _as_the_device_ends(_blended(listed, device, hidden[-1]), device)

    def _along(self, device: Distribution, rows: Sequence[Distribution]) -> Listed:
        """Conditioned on the bytes since the first place."""
        way = self._way(rows)
        steps = [Step(self._between(a, b), rows[b]) for a, b in pairwise(way)]
        return align(
            device,
            rows[0],
            same_vocabulary=False,
            pending=self._between(0, -1),
            after=steps,
            spelling=self.vocabularies.spelling,
            lacking=self.vocabularies.lacking,
            drawn=[self._between(at, at + 1) for at in range(self.own, len(self.texts) - 1)],
        )

    def _between(self, a: int, b: int) -> bytes:
        return self.texts[b][len(self.texts[a]) :].encode("utf-8", "replace")

    def _way(self, rows: Sequence[Distribution]) -> list[int]:
        """The most probable way from the first place to the last: indexes of places."""
        best, came = [0.0] + [-np.inf] * (len(rows) - 1), [0] * len(rows)
        for at, row in enumerate(rows[:-1]):
            floor = max(min(row.rest, float(np.exp(row.logprobs.min()))), _NEXT_TO_NOTHING)
            for to in range(at + 1, len(rows)):
                value = best[at] + float(np.log(max(_mass(row, self._between(at, to)), floor)))
                if value > best[to]:
                    best[to], came[to] = value, at
        way = [len(rows) - 1]
        while way[-1]:
            way.append(came[way[-1]])
        return way[::-1]


def _mass(row: Distribution, token: bytes) -> float:
    try:
        return float(np.exp(row.logprobs[row.tokens.index(token)]))
    except ValueError:
        return 0.0


def _check_ids(device: Distribution, row: Distribution) -> None:
    """Special tokens are not compared: some servers tell them as text."""
    mine = dict(zip(device.ids.tolist(), device.tokens, strict=True))
    for each, token in zip(row.ids.tolist(), row.tokens, strict=True):
        if token and mine.get(each, token) not in (token, b""):
            raise CloudError("bad-reply", "the cloud's token ids have come to mean other tokens")


def _about_the_text(row: Distribution) -> tuple[Distribution, float]:
    """The row on condition that the text goes on and no placeholder begins.

    An opening bracket in the cloud's mouth is no opinion about the text: it has seen brackets
    stand for what it may not see. (Text that really has one here loses the cloud's opinion.)
    And a text ends when the device says so: see `_as_the_device_ends`.

    Returns:
        The row, and the mass that said "a placeholder", of the mass that did not say "the end".
    """
    hidden = np.array([PLACEHOLDER_BEGINS in token for token in row.tokens])
    special = np.array([not token for token in row.tokens])
    out = hidden | special
    if not out.any() or out.all():
        return row, float(hidden.any() and out.all())
    masses = np.exp(row.logprobs.astype(np.float64))
    going_on = max(1.0 - float(masses[special].sum()), _NEXT_TO_NOTHING)
    left = max(1.0 - float(masses[out].sum()), _NEXT_TO_NOTHING)
    kept = Distribution(
        row.ids[~out],
        np.minimum(row.logprobs[~out] - np.float32(np.log(left)), np.float32(0.0)),
        tuple(token for token, away in zip(row.tokens, out, strict=True) if not away),
        min(1.0, row.rest / left),
    )
    return kept, min(float(masses[hidden].sum()) / going_on, 1.0)


def _blended(listed: Listed, device: Distribution, hidden: float) -> Listed:
    """Give the mass of a placeholder to the device's own distribution.

    The cloud says that something private comes next: only the device knows what.
    """
    if hidden <= 0.0:
        return listed
    kept = 1.0 - hidden
    return replace(
        listed,
        mass=kept * listed.mass + hidden * np.exp(device.logprobs.astype(np.float64)),
        outside=kept * listed.outside + hidden * device.rest,
        unlisted=kept * listed.unlisted,
    )


def _as_the_device_ends(listed: Listed, device: Distribution) -> Listed:
    """Leave the end of the text to the device: its special tokens keep its own probability.

    Only the device knows what there is still to say; and a cloud that says "the end" at the
    first position would leave nobody a text.
    """
    ends = np.array([not token for token in device.tokens])
    if not ends.any():
        return listed
    own = np.exp(device.logprobs.astype(np.float64))
    rest = 1.0 - min(float(own[ends].sum()), 1.0)
    said = float(listed.mass[~ends].sum()) + listed.outside + listed.unlisted
    scale = rest / said if said > 0.0 else 0.0
    return replace(
        listed,
        mass=np.where(ends, own, scale * listed.mass),
        known=listed.known | ends,
        outside=scale * listed.outside,
        unlisted=scale * listed.unlisted if said > 0.0 else rest,
    )
