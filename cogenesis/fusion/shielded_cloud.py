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

A row is a function of the shielded text before it (up to the server's own noise), so it is the
same in lockstep and in a draft. Rows are kept for one text: the places inside a word have
mostly been asked before.

Not covered: a cloud tokenizer whose tokens reach over the beginning of a word costs quality,
nothing else. Whoever sees the places that are asked about sees where the device's tokens end.
"""

from __future__ import annotations

import codecs
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from cogenesis.fusion.boundary import REACH, last_boundary
from cogenesis.fusion.cloud_row import Row, Vocabularies
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import TokenIds
from cogenesis.privacy.released import ShieldedText
from cogenesis.privacy.shield import Shield, View
from cogenesis.privacy.shield_view import PLACEHOLDER_ENDS
from cogenesis.wire import Deadline

P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)

_KEPT: Final = 128
"""Positions whose places are kept: more than are ever drafted without an answer."""


class Scorer(Protocol[P_contra]):
    """Asks for distributions: `models.token_scorer.TokenScorer` is one."""

    def next_distributions(
        self, prefixes: Sequence[P_contra], k: int, *, deadline: Deadline | None = None
    ) -> Sequence[Distribution]:
        """One for each prefix, in as few requests as the server allows."""
        ...


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
        at_once: bool = True,
    ) -> None:
        """Nothing is asked yet.

        Args:
            scorer: asks the cloud.
            begun: puts the cloud's prompt before the text so far.
            shield: decides what of the text may be seen.
            vocabularies: see there.
            k: entries to ask for at each position.
            at_once: the server takes several texts in one request.
        """
        self._scorer, self._begun, self._shield = scorer, begun, shield
        self._vocabularies, self._k, self._at_once = vocabularies, k, at_once
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
        if text is not None and view is not None and view.asks and not _in_brackets(view):
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
            begin = max(last_boundary(shown.text), last.shown)
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
        if not self._at_once:
            self._ask_singly(sorted(missing.values(), key=lambda each: -len(each.text)), deadline)
            return
        asked = [self._begun(each) for each in missing.values()]
        told = self._scorer.next_distributions(asked, self._k, deadline=deadline)
        with self._lock:
            for text, row in zip(missing, told, strict=True):
                # The first answer stays: the target must not change while it is looked at.
                self._rows.setdefault(text, row)

    def _ask_singly(self, places: Sequence[ShieldedText], deadline: Deadline) -> None:
        """Longest first: a beginning leaves only after the text that the shield has shown."""
        for place in places:
            (row,) = self._scorer.next_distributions(
                (self._begun(place),), self._k, deadline=deadline
            )
            with self._lock:
                self._rows.setdefault(place.text, row)

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


def _in_brackets(view: View) -> bool:
    """Whether the text ends after an opening bracket of its own: a placeholder's only partner."""
    return view.released.text.rfind("[") > view.released.text.rfind(PLACEHOLDER_ENDS)
