"""One next-token position: what a model thinks comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cogenesis.errors import ModelError

MASS_TOLERANCE: Final = 1e-3
"""Listed mass may exceed 1 by this much: servers round log-probabilities to float32 text."""


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """A next-token distribution over the listed tokens plus the mass of all others.

    Attributes:
        ids: int64, shape (K,), strictly ascending token ids.
        logprobs: float32, shape (K,), natural log-probabilities, all finite and <= 0.
        tokens: K byte strings, the bytes of each token (may be partial UTF-8).
        rest: probability mass of every token that is not listed, in [0, 1].

    Unlisted tokens have unknown, not zero, probability: never zero-fill.
    """

    ids: npt.NDArray[np.int64]
    logprobs: npt.NDArray[np.float32]
    tokens: tuple[bytes, ...]
    rest: float

    @classmethod
    def of(
        cls, ids: Sequence[int], logprobs: Sequence[float], tokens: Sequence[bytes]
    ) -> Distribution:
        """Build from a server's listed entries in any order; `rest` is what they leave.

        Raises:
            ModelError: lengths differ, ids repeat, or values are no log-probabilities.
        """
        id_array = np.asarray(ids, dtype=np.int64)
        values = np.asarray(logprobs, dtype=np.float64)
        if not (id_array.ndim == values.ndim == 1 and len(id_array) == len(values) == len(tokens)):
            raise ModelError("a distribution needs as many ids as log-probabilities and tokens")
        if len(id_array) == 0:
            raise ModelError("a distribution needs at least one token")
        if not np.isfinite(values).all() or (values > MASS_TOLERANCE).any():
            raise ModelError("log-probabilities must be finite and at most 0")
        order = np.argsort(id_array, kind="stable")
        id_array = id_array[order]
        if id_array[0] < 0 or (np.diff(id_array) == 0).any():
            raise ModelError("token ids must be unique and not negative")
        mass = float(np.exp(values).sum())
        if mass > 1.0 + MASS_TOLERANCE:
            raise ModelError(f"listed probabilities sum to {mass:.4f}, more than 1")
        return cls(
            ids=id_array,
            logprobs=np.minimum(values[order], 0.0).astype(np.float32),
            tokens=tuple(tokens[i] for i in order),
            rest=max(0.0, 1.0 - mass),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def logprob(self, token_id: int) -> float | None:
        """Log-probability of a listed token, None for an unlisted one."""
        at = int(np.searchsorted(self.ids, token_id))
        if at < len(self.ids) and self.ids[at] == token_id:
            return float(self.logprobs[at])
        return None

    def best(self) -> int:
        """Id of the most probable listed token; the lowest id wins a tie."""
        return int(self.ids[int(np.argmax(self.logprobs))])

    def total_variation(self, other: Distribution) -> float:
        """Total variation distance, with unlisted mass taken as one shared extra token.

        This is a lower bound of the true distance: unlisted tokens may differ inside `rest`.
        """
        union = np.union1d(self.ids, other.ids)
        mine, theirs = self._spread(union), other._spread(union)
        rest = abs(max(0.0, 1.0 - mine.sum()) - max(0.0, 1.0 - theirs.sum()))
        return float(0.5 * (np.abs(mine - theirs).sum() + rest))

    def _spread(self, union: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        out = np.zeros(len(union), dtype=np.float64)
        out[np.searchsorted(union, self.ids)] = np.exp(self.logprobs.astype(np.float64))
        return out
