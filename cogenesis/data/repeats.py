"""Texts that come twice: the same ones by their hash, nearly the same ones by MinHash.

Memory for a million texts: 64 MB for the hashes, 256 MB for the signatures.

Nearly the same: of all runs of three words, a share of `threshold` or more is in both. Of
pairs at 0.7 the bands find 98.8 in 100, of pairs at 0.8 all but one in 10,000, of pairs at 0.6 89
in 100; the share is an estimate from 64 permutations (standard error 0.06 at 0.7).

Not covered: paraphrase, translation, one text that holds another.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cogenesis.errors import MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

THRESHOLD: Final = 0.7
AGAIN: Final = 0.95
"""Of all runs of words a share above this is in both: the same text, but for a word or two."""
LEAST_THRESHOLD: Final = 0.6
"""Of pairs at 0.5 the bands find 64 in 100, of pairs at 0.3 12: nothing that could be promised."""

PERMUTATIONS: Final = 64
BANDS: Final = 16
RUN: Final = 3
"""Words of a run."""

_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts, by their places in the order of `add`, and how alike they are."""

    first: int
    second: int
    alike: float


def digest(text: str) -> int:
    """A number of 64 bits that is the same for texts of the same words, case aside."""
    plain = " ".join(_WORD.findall(text.casefold()))
    return int.from_bytes(hashlib.blake2b(plain.encode("utf-8", "replace"), digest_size=8).digest())


def runs(text: str) -> set[str]:
    """All runs of three words, case and punctuation aside; a shorter text is one run."""
    words = _WORD.findall(text.casefold())
    if len(words) <= RUN:
        return {" ".join(words)} if words else set()
    return {" ".join(words[at : at + RUN]) for at in range(len(words) - RUN + 1)}


def alike(one: set[str], other: set[str]) -> float:
    """The share of runs that both have, of those that either has (Jaccard)."""
    return len(one & other) / len(one | other) if one and other else 0.0


class Near:
    """Signatures of many texts, and the pairs among them that are nearly the same."""

    def __init__(self) -> None:
        """Get ready.

        Raises:
            MissingExtraError: datasketch is not installed.
        """
        try:
            from datasketch import MinHash
        except ImportError as error:
            raise MissingExtraError("datasketch", "data") from error
        self._empty: Any = MinHash(num_perm=PERMUTATIONS, seed=1, scheme="affine32")
        self._signatures = array("I")

    def __len__(self) -> int:
        return len(self._signatures) // PERMUTATIONS

    def add(self, text: str) -> None:
        """Add a text. Texts without words are alike to nothing."""
        found = self._empty.copy()
        encoded = [run.encode("utf-8", "replace") for run in runs(text)]
        # A text without words gets a signature of its own, so that two of them do not meet.
        found.update_batch(encoded or [f"no words {len(self)}".encode()])
        self._signatures.frombytes(found.hashvalues.astype("uint32").tobytes())

    def pairs(self, threshold: float = THRESHOLD) -> list[Pair]:
        """Each text with the earliest one that is nearly the same, and no text twice.

        `threshold` is the share from which on two texts are that: below LEAST_THRESHOLD most
        pairs are missed.
        """
        import numpy as np

        table = np.frombuffer(self._signatures, dtype=np.uint32).reshape(-1, PERMUTATIONS)
        best: dict[int, Pair] = {}
        for first, seconds in _candidates(table):
            shares = (table[seconds] == table[first]).mean(axis=1)
            for second, share in zip(seconds.tolist(), shares.tolist(), strict=True):
                if share >= threshold and (second not in best or first < best[second].first):
                    best[second] = Pair(first, second, share)
        return [best[second] for second in sorted(best)]


def _candidates(table: NDArray[np.uint32]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """A text and later ones that have one band of the signature in common with it.

    In a bucket every text is held against the first: a chain of many that are alike costs one
    comparison each, not all pairs.
    """
    import numpy as np

    rows = PERMUTATIONS // BANDS
    for band in range(BANDS):
        part = np.ascontiguousarray(table[:, band * rows : (band + 1) * rows])
        keys = part.view(np.dtype((np.void, part.dtype.itemsize * rows))).ravel()
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        ends = np.flatnonzero(np.concatenate([ordered[1:] != ordered[:-1], [True]])) + 1
        start = 0
        for end in ends.tolist():
            if end - start > 1:
                members = order[start:end]
                yield int(members[0]), members[1:]
            start = end
