"""What the cloud's next-token distribution says about the device's candidates.

Two models with one vocabulary are compared by token id: exact and free. Any two others are
compared by bytes. Bytes need no rule for partial UTF-8 (half a character is bytes like any
other) and none for leading spaces (" the" is four bytes, in every vocabulary).

By bytes, a cloud token's mass goes to

1. the candidates with the same bytes, and those that go on after them but are known to be no
   token of the cloud (one tokenizer has "'s", the other "'" and "s": its word for the first
   part is its word for both), in proportion to the device's probability;
2. else, if the device's vocabulary has those bytes as a token that is no candidate now (it is
   in the bucket): to those longer ones of rule 1 alone, and nowhere (`Listed.outside`) if
   there are none;
3. else to the candidates that agree with it as far as both go, in proportion to the device's
   probability: those that go on after it (it is no evidence about how), and the one with
   which the device would begin to spell it (the rest follows in later steps; `spelling` knows
   which, without it the longest candidate that fits is taken);
4. else `Listed.outside`.

So a vocabulary aligned with itself gives the numbers of the exact path, as long as `spelling`
is given (without it, rule 2 cannot be applied, and a candidate such as " a" would also get the
mass of every unlisted word that begins so) and no two tokens have the same bytes (those are
the same text: they share their mass in the device's proportions).

**Pending bytes.** The device's text may end inside one of the cloud's tokens. Then the cloud
is asked at an earlier boundary (see `boundary`), and what it says is conditioned on the bytes
between: only tokens that cover them count. This is the covering of Vieira et al. 2024, "From
Language Models over Tokens to Language Models over Characters" (token healing, made exact),
cut down to one spelling: tokens that cross the end of the pending bytes at any boundary of the
cloud's own tokenisation are counted, each weighted by the probability of the way there; other
spellings of the pending bytes are left out, because models give them next to nothing.
What it is not: exact. Also left out are unlisted tokens (taken to cross the end as often as
listed ones do, by mass), and what follows a token that crosses: a cloud token is compared with
one candidate, not with the sequences of candidates that spell it (one token deep).

**The first token.** A vocabulary may begin a text with " Dear" where another begins with "Dear".
That space is a pending byte: give `pending=b" "` if the cloud's copy of the text has a space
there and the device's has none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import pairwise
from math import exp
from typing import Final

import numpy as np
import numpy.typing as npt

from cogenesis.fusion.pool import Array, Listed
from cogenesis.models.distribution import Distribution

MIN_SHARED: Final = 64
"""Fewer ids that both samples hold prove nothing about the vocabularies."""

_LONGEST: Final = 48
"""Bytes of a text that decide how it begins; real tokens of words are shorter."""

_NEVER: Final = 1 << 60

_REMEMBERED: Final = 1 << 14
"""Answers of `Spelling.first` that are kept: the same improbable words come at many steps."""

NO_IDS: Final[frozenset[int]] = frozenset()
NO_TOKENS: Final[frozenset[bytes]] = frozenset()


def same_vocabulary(device: Mapping[int, bytes], cloud: Mapping[int, bytes]) -> bool:
    """Whether two models number their tokens alike, judged by samples of id -> bytes.

    Every id that both samples hold must have the same bytes, and there must be MIN_SHARED of
    them. Vocabularies that differ in padding at the end (Qwen2: 151,936 and 152,064 rows)
    count as the same. The samples must reach into all parts of the vocabularies, the added
    tokens at the end too: many tokenizers agree on their first few hundred ids.
    """
    shared = device.keys() & cloud.keys()
    return len(shared) >= MIN_SHARED and all(device[each] == cloud[each] for each in shared)


class Spelling:
    """How the device's tokenizer spells: its vocabulary, with the ids as order of merges.

    In byte pair encoding the earlier token is merged first, and ids follow that order in the
    vocabularies of GPT-2 to GPT-4, Llama 3, Qwen and SmolLM2 (for SmolLM2, `first` gave the
    tokenizer's own first token for 2,500 of 2,500 words of Gemma's vocabulary; the longest
    token that fits gave it for 59 in 100). Not covered: what a tokenizer cuts before it merges
    (digits one by one), and vocabularies in another order.
    """

    def __init__(self, tokens: Iterable[bytes]) -> None:
        """All tokens in the order of their ids; special ones (empty bytes) spell nothing."""
        self._rank: dict[bytes, int] = {}
        self._known: dict[bytes, bytes] = {}
        for at, token in enumerate(tokens):
            if token:
                self._rank.setdefault(token, at)

    def __contains__(self, token: bytes) -> bool:
        return token in self._rank

    def __len__(self) -> int:
        return len(self._rank)

    def first(self, text: bytes) -> bytes:
        """The token with which the device would begin this text; empty if there is none."""
        # The cloud is not trusted to send short tokens, and merging takes quadratic time.
        text = text[:_LONGEST]
        found = self._known.get(text)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[text] = self._begin(text)
        return found

    def spells(self, text: bytes, drawn: Sequence[bytes]) -> bool:
        """Whether the device would begin to spell this text with these tokens."""
        pieces = self._pieces(text[:_LONGEST])
        return all(a == b for a, b in zip(pieces, drawn, strict=False))

    def _begin(self, text: bytes) -> bytes:
        parts = self._pieces(text)
        return parts[0] if parts and parts[0] in self._rank else b""

    def _pieces(self, text: bytes) -> list[bytes]:
        """By the order of merges."""
        rank = self._rank.get
        parts = [text[at : at + 1] for at in range(len(text))]
        ranks = [rank(one + two, _NEVER) for one, two in pairwise(parts)]
        while ranks and (best := min(ranks)) != _NEVER:
            at = ranks.index(best)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
            del ranks[at]
            if at > 0:
                ranks[at - 1] = rank(parts[at - 1] + parts[at], _NEVER)
            if at < len(ranks):
                ranks[at] = rank(parts[at] + parts[at + 1], _NEVER)
        return parts


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One step on the cloud's own spelling of the pending bytes.

    Attributes:
        token: bytes of the cloud token that comes next there.
        then: the cloud's distribution after it.
    """

    token: bytes
    then: Distribution


def align(
    device: Distribution,
    cloud: Distribution,
    *,
    same_vocabulary: bool,
    pending: bytes = b"",
    after: Sequence[Step] = (),
    device_end: AbstractSet[int] = NO_IDS,
    cloud_end: AbstractSet[int] = NO_IDS,
    spelling: Spelling | None = None,
    lacking: AbstractSet[bytes] = NO_TOKENS,
    drawn: Sequence[bytes] = (),
) -> Listed:
    """Carry the cloud's distribution over to the device's candidates.

    Args:
        device: its listed tokens are the candidates.
        cloud: the cloud's distribution at its last safe boundary.
        same_vocabulary: ids mean the same in both. Ignored while bytes are pending.
        pending: bytes of the device's text after that boundary.
        after: the cloud's own spelling of `pending`, as far as it was asked. Without it, the
            mass of tokens that end at or before the end of `pending` is unlisted.
        device_end: ids that end a text in the device's vocabulary.
        cloud_end: the same for the cloud. End matches end; while bytes are pending, the end
            contradicts them. Other tokens without bytes go outside.
        spelling: the device's whole vocabulary, where it is known (rule 2 above).
        lacking: texts that are no token of the cloud's (rule 1 above).
        drawn: the device's own tokens that `pending` ends with. With `spelling`, ways to go on
            that it would have spelled with other tokens are dropped: it had its chance to
            write them. If none is left, it spells in a way of its own, and all are kept.

    Returns:
        mass, outside and unlisted that sum to 1. Nothing listed that fits the pending bytes:
        all of it is unlisted.

    Raises:
        ValueError: `after` does not spell the beginning of `pending`.
    """
    if same_vocabulary and not pending and not after:
        return _by_id(device, cloud)
    fits: Callable[[bytes], bool] | None = None
    if spelling is not None and drawn:
        own = pending[len(pending) - sum(map(len, drawn)) :]

        def fits(text: bytes) -> bool:
            return spelling.spells(own + text, drawn)

    heard = _heard(cloud, pending, after, cloud_end, fits)
    if fits is not None and not heard.texts:
        heard = _heard(cloud, pending, after, cloud_end, None)
    candidates = _Candidates(device, device_end, spelling, lacking)
    mass = [0.0] * len(device)
    known = np.zeros(len(device), dtype=np.bool_)
    outside = heard.special
    ways = [(candidates.ends, heard.ended)] if heard.ended else []
    ways += [(candidates.places(text), each) for text, each in heard.texts.items()]
    for places, each in ways:
        if not places:
            outside += each
        for place, share in zip(places, candidates.shares(places), strict=True):
            mass[place] += each * share
            known[place] = True
    return _listed(np.array(mass), known, outside, heard.unlisted)


def _by_id(device: Distribution, cloud: Distribution) -> Listed:
    q = np.exp(cloud.logprobs.astype(np.float64))
    at = np.minimum(np.searchsorted(device.ids, cloud.ids), len(device) - 1)
    found = device.ids[at] == cloud.ids
    mass = np.zeros(len(device))
    mass[at[found]] = q[found]
    known = np.zeros(len(device), dtype=np.bool_)
    known[at[found]] = True
    return _listed(mass, known, float(q[~found].sum()), cloud.rest)


def _listed(mass: Array, known: npt.NDArray[np.bool_], outside: float, unlisted: float) -> Listed:
    """Normalised: rounding by servers, and conditioning, leave sums other than 1."""
    total = float(mass.sum()) + outside + unlisted
    if total <= 0.0:
        return Listed(np.zeros(len(mass)), np.zeros(len(mass), dtype=np.bool_), 0.0, 1.0)
    return Listed(mass / total, known, outside / total, unlisted / total)


@dataclass(slots=True)
class _Heard:
    """What the cloud says comes after the pending bytes; not normalised.

    Attributes:
        texts: mass of each way to go on, as bytes.
        ended: mass of the end of the text. special: of other tokens without bytes.
        unlisted: mass of which the way to go on is unknown.
        fits: whether the device may still go on so; None where that is not known.
    """

    texts: defaultdict[bytes, float] = field(default_factory=lambda: defaultdict(float))
    ended: float = 0.0
    special: float = 0.0
    unlisted: float = 0.0

    fits: Callable[[bytes], bool] | None = None

    def add(self, text: bytes, mass: float) -> bool:
        """Note a way to go on, if it fits what the device has drawn."""
        fitting = self.fits is None or self.fits(text)
        if fitting:
            self.texts[text] += mass
        return fitting


def _heard(
    cloud: Distribution,
    pending: bytes,
    after: Sequence[Step],
    ends: AbstractSet[int],
    fits: Callable[[bytes], bool] | None,
) -> _Heard:
    """Go along the cloud's spelling and collect at each boundary what crosses the end."""
    spelled = b"".join(step.token for step in after)
    if not pending.startswith(spelled) or not all(step.token for step in after):
        raise ValueError("the steps do not spell the beginning of the pending bytes")
    heard, weight, here, left = _Heard(fits=fits), 1.0, cloud, pending
    for step in after:
        onward = _cross(here, left, weight, heard, ends, step.token)
        weight, here, left = weight * onward, step.then, left[len(step.token) :]
    if left:
        _cross(here, left, weight, heard, ends, None)
    else:
        _take(here, weight, heard, ends)
    return heard


def _take(one: Distribution, weight: float, heard: _Heard, ends: AbstractSet[int]) -> None:
    """Nothing is pending: every token counts as it is."""
    masses = (weight * np.exp(one.logprobs.astype(np.float64))).tolist()
    for each, token, mass in zip(one.ids.tolist(), one.tokens, masses, strict=True):
        if each in ends:
            heard.ended += mass
        elif token:
            heard.add(token, mass)
        else:
            heard.special += mass
    heard.unlisted += weight * one.rest


def _cross(
    one: Distribution,
    left: bytes,
    weight: float,
    heard: _Heard,
    ends: AbstractSet[int],
    following: bytes | None,
) -> float:
    """Count the tokens that cover all of `left` and more; return the mass of `following`.

    Tokens that end within `left` lead to an unknown place: their mass is unlisted if the
    spelling goes no further, and left out (another spelling) if it does. A spelling that
    begins with an unlisted token is as probable as such a token can be.
    """
    listed = np.exp(one.logprobs.astype(np.float64))
    crossed = onward = 0.0
    for each, token, mass in zip(one.ids.tolist(), one.tokens, listed.tolist(), strict=True):
        if not token or each in ends:
            continue  # they say that the pending bytes do not come
        if len(token) > len(left) and token.startswith(left):
            crossed += mass if heard.add(token[len(left) :], weight * mass) else 0.0
        elif token == following:
            onward += mass
        elif following is None and left.startswith(token):
            heard.unlisted += weight * mass
    heard.unlisted += weight * one.rest * crossed / float(listed.sum())
    return onward or min(one.rest, float(listed.min()))


class _Candidates:
    """The device's listed tokens, to be found by their bytes."""

    def __init__(
        self,
        device: Distribution,
        ends: AbstractSet[int],
        spelling: Spelling | None,
        lacking: AbstractSet[bytes],
    ) -> None:
        self._at: dict[bytes, list[int]] = {}
        self._lacking = sorted(lacking)  # sums in one order, in every process
        self.ends: list[int] = []
        for at, (each, token) in enumerate(zip(device.ids.tolist(), device.tokens, strict=True)):
            if each in ends:
                self.ends.append(at)
            elif token:
                self._at.setdefault(token, []).append(at)
        self._sorted = sorted(self._at)
        self._longest = max(map(len, self._sorted), default=0)
        self._spelling = spelling
        self._logprobs: list[float] = device.logprobs.tolist()

    def places(self, text: bytes) -> list[int]:
        """Indexes of the candidates that get the mass of this text, by the rules above."""
        equal = self._at.get(text)
        if equal is not None or (self._spelling is not None and text in self._spelling):
            longer = (each for each in self._lacking if each.startswith(text) and each != text)
            return [*(equal or ()), *(at for each in longer for at in self._at.get(each, ()))]
        begun = self._longest_in(text)
        if begun and self._spelling is not None:  # else no candidate begins it
            begun = self._spelling.first(text)
        places = list(self._at.get(begun, ()))
        # All that go on after a text stand together, right where it would be inserted.
        for at in range(bisect_left(self._sorted, text), len(self._sorted)):
            if not self._sorted[at].startswith(text):
                break
            places += self._at[self._sorted[at]]
        return places

    def _longest_in(self, text: bytes) -> bytes:
        """The longest candidate that the text begins with; empty if there is none."""
        sizes = range(min(self._longest, len(text)), 0, -1)
        return next((text[:size] for size in sizes if text[:size] in self._at), b"")

    def shares(self, places: Sequence[int]) -> list[float]:
        """The device's probabilities of these candidates, scaled to sum 1."""
        if len(places) < 2:
            return [1.0] * len(places)
        values = [self._logprobs[place] for place in places]
        top = max(values)  # so that not all are zero, however improbable
        weights = [exp(value - top) for value in values]
        total = sum(weights)
        return [weight / total for weight in weights]
