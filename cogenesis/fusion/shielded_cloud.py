"""The cloud model as fusion sees it: behind the shield, asked by text, one request a block.

For each position of a draft the shield says what of the text may be seen, and whether the
cloud may be asked there at all. The cloud is asked about *texts*, never about token ids: so it
needs no endpoint that tells ids, and no round trip is spent on finding them.

**Where it is asked.** The device's text may end inside one of the cloud's tokens. `boundary`
says why the cloud is then asked where its last word begins, and conditioned on the bytes since.
Without the cloud's own tokens, the places between are those where the device's tokens end.
Each place is a text that the cloud tokenises itself. The way from the word's beginning to its
end goes along places that the cloud listed as single tokens, the most probable way of all; a
step that it did not list counts as improbable as an unlisted token can be.

A row is a function of the shielded text before it, so it is the same in lockstep and in a
draft. Rows are kept for one text: the places inside a word have mostly been asked before.

Not covered: a cloud tokenizer whose tokens reach over the beginning of a word costs quality,
nothing else. Whoever sees the places that are asked about sees where the device's tokens end.
"""

from __future__ import annotations

import codecs
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Generic, Protocol, TypeVar

import numpy as np

from cogenesis.errors import CloudError
from cogenesis.fusion.boundary import REACH
from cogenesis.fusion.pool import Listed
from cogenesis.fusion.vocabulary import NO_TOKENS, Spelling, Step, align
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import TokenIds
from cogenesis.privacy.released import ShieldedText
from cogenesis.privacy.shield import Shield, View
from cogenesis.privacy.shield_view import PLACEHOLDER_BEGINS, PLACEHOLDER_ENDS
from cogenesis.wire import Deadline

P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)

_KEPT: Final = 128
"""Positions whose places are kept: more than are ever drafted without an answer."""

_NEXT_TO_NOTHING: Final = 1e-12

_WORD_BEGINS: Final = re.compile(r"(?<=\S)(?= )|(?<=\n)(?=\S)")


class Scorer(Protocol[P_contra]):
    """Asks for distributions: `models.token_scorer.TokenScorer` is one."""

    def next_distributions(
        self, prefixes: Sequence[P_contra], k: int, *, deadline: Deadline | None = None
    ) -> Sequence[Distribution]:
        """One for each prefix, in as few requests as the server allows."""
        ...


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


class ShieldedCloud(Generic[P]):
    """Implements `asking.CloudView`. One for each text; safe to use from several threads."""

    def __init__(
        self,
        scorer: Scorer[P],
        begun: Callable[[ShieldedText], P],
        shield: Shield,
        vocabularies: Vocabularies,
        *,
        k: int,
    ) -> None:
        """Nothing is asked yet.

        Args:
            scorer: asks the cloud.
            begun: puts the cloud's prompt before the text so far.
            shield: decides what of the text may be seen.
            vocabularies: see there.
            k: entries to ask for at each position.
        """
        self._scorer, self._begun, self._shield = scorer, begun, shield
        self._vocabularies, self._k = vocabularies, k
        self._rows: dict[str, Distribution] = {}
        self._positions: dict[tuple[int, ...], _Places | None] = {}
        self._lock = threading.Lock()
        self._held = self._seen = 0

    @property
    def held(self) -> float:
        """Share of the positions so far at which nothing may be asked, drafted ones included."""
        with self._lock:
            return self._held / max(1, self._seen)

    def holds(self, generated: TokenIds) -> bool:
        """As `asking.Foresight.holds`: for a draft, while the device computes the next token.

        Raises:
            PrivacyError: the shield failed.
        """
        return self._where(generated, TokenIds(()))[0] is None

    def score(
        self, generated: TokenIds, draft: TokenIds, deadline: Deadline
    ) -> Sequence[Row | None]:
        """As `CloudView.score`. Asks nothing where every row is known or held back.

        Raises:
            CloudError: no answer, or one that cannot be right.
            PrivacyError: the shield or the egress refused.
        """
        places = self._where(generated, draft)
        self._ask([text for each in places if each is not None for text in each.texts], deadline)
        return [None if each is None else self._row(each) for each in places]

    def _where(self, generated: TokenIds, draft: TokenIds) -> list[_Places | None]:
        """Where the cloud is asked about each position; None where it may not be.

        Kept, because a position is looked at when it is drafted and again when it is asked
        about: the shield takes a millisecond or two.
        """
        ids, first = (*generated.ids, *draft.ids), len(generated)
        keys = [ids[:end] for end in range(first, len(ids) + 1)]
        with self._lock:
            kept = {key: self._positions[key] for key in keys if key in self._positions}
        if len(kept) < len(keys):
            for key, text in zip(keys, self._texts(generated, draft), strict=True):
                if key not in kept:
                    kept[key] = self._looked_at(key, text)
        return [kept[key] for key in keys]

    def _looked_at(self, key: tuple[int, ...], text: _Text | None) -> _Places | None:
        view = None if text is None else self._shield.view(text.text)
        found = None
        if text is not None and view is not None and view.asks:
            found = self._places(view, text)
        with self._lock:
            if key not in self._positions:
                self._seen += 1
                self._held += found is None
                self._positions[key] = found
                if len(self._positions) > _KEPT:
                    del self._positions[next(iter(self._positions))]
        return found

    def _texts(self, generated: TokenIds, draft: TokenIds) -> list[_Text | None]:
        """The text at each position; None inside a character."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text, ends, found = "", [0], []
        for at, token in enumerate((*generated.ids, *draft.ids, None)):
            if at >= len(generated.ids):
                whole = not decoder.getstate()[0]
                found.append(_Text(text, tuple(ends)) if whole else None)
            if token is not None:
                text += decoder.decode(self._vocabularies.device(token))
                if not decoder.getstate()[0]:
                    ends.append(len(text))
        return found

    def _places(self, view: View, text: _Text) -> _Places:
        """Where the cloud is asked about this position."""
        shown = view.released
        last = view.pieces[-1] if view.pieces else None
        if last is None or (self._vocabularies.same and last.plain):
            return _Places((shown,), 0)  # the device's tokens are the cloud's
        begin, inside = last.shown_end, []
        if last.plain:
            begin = max(_word_begins(shown.text), last.shown)
            moved = (end - last.real + last.shown for end in text.ends if end >= last.real)
            inside = [at for at in moved if begin < at]
        ends = dict.fromkeys((begin, *inside, len(shown.text)))
        places = tuple(shown.beginning(at) for at in ends)
        if len(places) > REACH + 1:
            return _Places(places[-REACH - 1 :], len(places))
        if shown.text[begin - 1 : begin] == PLACEHOLDER_ENDS:
            # Tokenizers join it with a comma, a quote or a line break.
            return _Places((shown.beginning(begin - 1), *places), 1)
        return _Places(places, 0)

    def _ask(self, places: Sequence[ShieldedText], deadline: Deadline) -> None:
        with self._lock:
            missing = {each.text: each for each in places if each.text not in self._rows}
        if not missing:
            return
        asked = [self._begun(each) for each in missing.values()]
        told = self._scorer.next_distributions(asked, self._k, deadline=deadline)
        with self._lock:
            for text, row in zip(missing, told, strict=True):
                self._rows[text] = row

    def _row(self, places: _Places) -> Row:
        texts = tuple(each.text for each in places.texts)
        with self._lock:
            rows = tuple(self._rows[text] for text in texts)
        return Row(texts, rows, self._vocabularies, places.own)


@dataclass(frozen=True, slots=True)
class _Text:
    """The device's real text at one position; `ends`: where its tokens end, in characters."""

    text: str
    ends: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Places:
    """The shielded texts whose rows tell what comes at one position.

    Attributes:
        texts: each a beginning of the next.
        own: index of the text from which on they end where the device's tokens do, and a word
            begins; beyond the last where there is none.
    """

    texts: tuple[ShieldedText, ...]
    own: int


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
        rows, hidden = zip(*map(_without_placeholders, self.rows), strict=True)
        if self.vocabularies.same and len(rows) == 1:
            _check_ids(device, self.rows[0])
            listed = replace(align(device, rows[0], same_vocabulary=True), source=self.rows[0])
        else:
            listed = self._along(device, rows)
        return _blended(listed, device, hidden[-1])

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
            device_end=_special(device),
            cloud_end=frozenset().union(*(_special(rows[at]) for at in way)),
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


def _word_begins(text: str) -> int:
    """Where the last word of a text begins, its space included; 0 if there is one word only.

    The end of a text is never a beginning: more may change how it is cut into tokens.
    """
    found = 0
    for match in _WORD_BEGINS.finditer(text, max(0, len(text) - 200)):
        found = match.start()
    return found


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


def _special(row: Distribution) -> frozenset[int]:
    """Tokens without bytes. Where text is expected, all of them say that it ends."""
    return frozenset(
        int(each) for each, token in zip(row.ids, row.tokens, strict=True) if not token
    )


def _without_placeholders(row: Distribution) -> tuple[Distribution, float]:
    """The row on condition that no placeholder begins here, and the mass that says so.

    An opening bracket in the cloud's mouth is no opinion about the text: it has seen brackets
    stand for what it may not see. (Text that really has one here loses the cloud's opinion.)
    """
    hidden = np.array([token.lstrip().startswith(PLACEHOLDER_BEGINS) for token in row.tokens])
    if not hidden.any() or hidden.all():
        return row, float(hidden.all())
    mass = float(np.exp(row.logprobs[hidden].astype(np.float64)).sum())
    left = max(1.0 - mass, _NEXT_TO_NOTHING)
    kept = Distribution(
        row.ids[~hidden],
        np.minimum(row.logprobs[~hidden] - np.float32(np.log(left)), np.float32(0.0)),
        tuple(token for token, out in zip(row.tokens, hidden, strict=True) if not out),
        min(1.0, row.rest / left),
    )
    return kept, min(mass, 1.0)


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
