"""What gates look at: both models on the device's 64 most probable tokens, as plain numbers.

Decoding proposes 64 candidates, `evaluate bits` a thousand, a small model may have fewer. A gate
must see the same in all of them, so longer lists are cut first. All functions take one position
or many: the last axis is that of the candidates.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from cogenesis.fusion.pool import Array, Pool
from cogenesis.models.distribution import Distribution

SEEN: Final = 64
"""Candidates that a gate looks at."""

Kinds = npt.NDArray[np.uint8]

SPACE: Final = 1
"""It begins with a space: a word ends, another begins."""
UPPER: Final = 2
LETTER: Final = 4
"""A letter that is no capital."""
DIGIT: Final = 8
MARK: Final = 16
"""A punctuation mark or anything else."""
LINE: Final = 32
"""It begins with the end of a line."""
SPECIAL: Final = 64
"""It has no bytes: the end of the text, say."""
PARTIAL: Final = 128
"""Its bytes are no UTF-8 by themselves."""


@lru_cache(maxsize=1 << 17)
def kind_of(token: bytes) -> int:
    """What a token begins with: SPACE and one of the others, or one of the others alone."""
    if not token:
        return SPECIAL
    try:
        text = token.decode("utf-8")
    except UnicodeDecodeError:
        return PARTIAL
    kind = SPACE if text[0] == " " else 0
    first = text.lstrip(" ")[:1]
    if not first:
        return kind
    if first in "\r\n":
        return kind | LINE
    if first.isdigit():
        return kind | DIGIT
    if first.isalpha():
        return kind | (UPPER if first.isupper() else LETTER)
    return kind | MARK


def kinds(device: Distribution) -> Kinds:
    """The kinds of the listed tokens, uint8, shape (K,)."""
    return np.fromiter(map(kind_of, device.tokens), np.uint8, len(device))


def most_probable(one: Distribution, k: int) -> Distribution:
    """Its K most probable tokens; the rest has the mass of all others."""
    if len(one) <= k:
        return one
    at = np.sort(np.argsort(-one.logprobs, kind="stable")[:k])
    left = np.ones(len(one), dtype=np.bool_)
    left[at] = False
    rest = one.rest + float(np.exp(one.logprobs[left].astype(np.float64)).sum())
    tokens = tuple(one.tokens[each] for each in at.tolist())
    return Distribution(one.ids[at], one.logprobs[at], tokens, min(rest, 1.0))


def seen(pool: Pool, tokens: tuple[bytes, ...]) -> tuple[Pool, Kinds]:
    """The pool of the device's SEEN most probable tokens, and their kinds."""
    size = len(pool.ids)
    at = np.arange(size)
    if size > SEEN:
        at = np.sort(np.argsort(-pool.device[:-1], kind="stable")[:SEEN])
        out = np.ones(size + 1, dtype=np.bool_)
        out[at] = False
        device, cloud = (
            np.append(one[at], np.logaddexp.reduce(one[out])) for one in (pool.device, pool.cloud)
        )
        pool = Pool(pool.ids[at], device, cloud)
    return pool, np.fromiter((kind_of(tokens[each]) for each in at), np.uint8, len(at))


FEATURES: Final = (
    "device entropy",
    "cloud entropy",
    "device best log-probability",
    "cloud best log-probability",
    "device's best in the cloud",
    "cloud's best in the device",
    "same best token",
    "rank of the device's best in the cloud",
    "rank of the cloud's best in the device",
    "device margin",
    "cloud margin",
    "device rest",
    "cloud rest",
    "overlap",
    "device mass of new words",
    "cloud mass of new words",
    "device's best begins with a space",
    "device's best is a capital",
    "device's best is a letter",
    "device's best is a digit",
    "device's best is a mark",
    "cloud's best begins with a space",
    "cloud's best is a capital",
    "cloud's best is a letter",
    "cloud's best is a digit",
    "cloud's best is a mark",
    "position",
)
"""None depends on a vocabulary. "Best" is among the candidates; a mark is also the end."""

_FLAGS: Final = (SPACE, UPPER, LETTER, DIGIT, MARK | LINE | SPECIAL | PARTIAL)


def features(device: Array, cloud: Array, kinds: Kinds, step: npt.NDArray[np.int64]) -> Array:
    """FEATURES of positions, each roughly between -1 and 1, shape (..., 27).

    Args:
        device, cloud: natural log-probabilities, shape (..., K + 1), the bucket last.
        kinds: of the K candidates, shape (..., K).
        step: counts the text's tokens from 0, shape (...).
    """
    p, q = np.exp(device), np.exp(cloud)
    a, b = device[..., :-1], cloud[..., :-1]
    best_a, best_b = a.argmax(-1)[..., None], b.argmax(-1)[..., None]
    a_of_b, b_of_a = _at(a, best_b), _at(b, best_a)
    size = np.log(SEEN + 1.0)
    new = (kinds & SPACE) != 0
    columns = [
        -(p * device).sum(-1) / size,
        -(q * cloud).sum(-1) / size,
        _at(a, best_a) / 5.0,
        _at(b, best_b) / 5.0,
        np.maximum(b_of_a, -20.0) / 10.0,
        np.maximum(a_of_b, -20.0) / 10.0,
        (best_a == best_b)[..., 0],
        np.log1p((b > b_of_a[..., None]).sum(-1)) / size,
        np.log1p((a > a_of_b[..., None]).sum(-1)) / size,
        _margin(p[..., :-1]),
        _margin(q[..., :-1]),
        p[..., -1],
        q[..., -1],
        np.minimum(p, q).sum(-1),
        np.where(new, p[..., :-1], 0.0).sum(-1),
        np.where(new, q[..., :-1], 0.0).sum(-1),
        *(_at((kinds & flag) != 0, best_a) for flag in _FLAGS),
        *(_at((kinds & flag) != 0, best_b) for flag in _FLAGS),
        np.log1p(step) / 6.0,
    ]
    found: Array = np.stack([each.astype(np.float64) for each in columns], axis=-1)
    return found


def _at(values: npt.NDArray[np.generic], index: npt.NDArray[np.int64]) -> Array:
    found: Array = np.take_along_axis(values, index, axis=-1)[..., 0]  # type: ignore[assignment]
    return found


def _margin(probabilities: Array) -> Array:
    """By how much the best is above the next."""
    if probabilities.shape[-1] < 2:
        return probabilities[..., 0]
    two = np.partition(probabilities, -2, axis=-1)[..., -2:]
    found: Array = two[..., 1] - two[..., 0]
    return found
