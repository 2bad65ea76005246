"""What earlier requests of one session said: a private span told in pieces is refused.

The guard looks at one text. Whoever wants a name out can send "Oka" today and "for" in the
next request. So a session remembers what was released, in pieces:

* a name or other identifier of the context whose pieces stand anywhere in the session's texts,
  if the new text brings one of them and half of the pieces are no words ("Oka", "q");
* a number of six digits or more, if the new text brings the last of its digits in order;
* an identifier of several words that begins where the text before ended ("Golden" | "Thread").

The memory is one object. `cogenesis.protection.Protection` keeps one for each person as long as
it lives, and the guard writes into it what it mints, never what it refuses. A preview works on a
`copy`. A process begins with what its caller tells (`Session(texts)`): the command line gives
what the newest requests in the ledger hold.

Not covered: pieces that are all ordinary words and not neighbours ("will", later "son"); digits
in another order; pieces disguised by a cipher; runs of ordinary words, which are topic words by
themselves; what another process released that the caller does not tell; two requests that are
judged at the same moment; the text of fusion mode, which is the shield's: only general
instructions are remembered.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from cogenesis.privacy.disguises import piece_of
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.near import DIGITS, LONGEST_NUMBER
from cogenesis.privacy.normal import Word, words
from cogenesis.privacy.number_words import digits_in_order
from cogenesis.privacy.readings import piece_like
from cogenesis.privacy.released import Finding

_PIECES: Final = 8
_SHORTEST: Final = 4
"""Letters of an identifier that is looked for in pieces."""
_ODD_KEPT: Final = 200
_WORDS_KEPT: Final = 5_000
_TAIL: Final = 12
"""Words of the text before that the new one may go on from."""


class Session:
    """The pieces of what a session released. Safe to use from several threads; never pickled."""

    __slots__ = ("_digits", "_lock", "_odd", "_tail", "_texts", "_words")

    def __init__(self, earlier: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._texts: deque[str] = deque(maxlen=_ODD_KEPT)
        self._words: dict[str, None] = {}
        self._odd: deque[str] = deque(maxlen=_ODD_KEPT)
        self._digits = ""
        self._tail = ""
        for text in earlier:
            self.remember(text)

    def __repr__(self) -> str:
        return f"Session({len(self._texts)} texts)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("what a session said is never pickled")

    def copy(self) -> Session:
        """The memory as it is now; what either learns later, the other does not."""
        other = Session()
        with self._lock:
            other._texts.extend(self._texts)
            other._words.update(self._words)
            other._odd.extend(self._odd)
            other._digits, other._tail = self._digits, self._tail
        return other

    def remember(self, text: str) -> None:
        """Note a text that leaves. One that left before says nothing new."""
        found = words(text)
        with self._lock:
            if text in self._texts:
                return
            self._texts.append(text)
            for word in found:
                self._words.pop(word.key, None)
                self._words[word.key] = None
                if piece_like(word):
                    self._odd.append(word.key)
            while len(self._words) > _WORDS_KEPT:
                del self._words[next(iter(self._words))]
            self._digits = (self._digits + digits_in_order(text)[0])[-LONGEST_NUMBER:]
            self._tail = text[found[max(0, len(found) - _TAIL)].start :] if found else ""

    def completed(self, text: str, lexicon: Lexicon) -> tuple[Finding, ...]:
        """What of a new text makes something private whole that earlier ones began."""
        with self._lock:
            if not self._texts or text in self._texts:
                return ()
            return (
                *self._numbers(text, lexicon),
                *self._goes_on(text, lexicon),
                *self._in_pieces(text, lexicon),
            )

    def _numbers(self, text: str, lexicon: Lexicon) -> Iterator[Finding]:
        digits, places = digits_in_order(text)
        if not digits or len(self._digits) + len(digits) < DIGITS:
            return
        span = piece_of(self._digits + digits, lexicon.entries.near.numbers)
        if span is not None and span[1] > len(self._digits):
            first, last = max(0, span[0] - len(self._digits)), span[1] - len(self._digits) - 1
            yield _part(text, places[first][0], places[last][1])

    def _goes_on(self, text: str, lexicon: Lexicon) -> Iterator[Finding]:
        """Identifiers of the context across the border of the text before and this one."""
        border = len(self._tail) + 1
        for finding in lexicon.known(f"{self._tail} {text}"):
            if finding.start < border < finding.end:
                yield _part(text, 0, finding.end - border)

    def _in_pieces(self, text: str, lexicon: Lexicon) -> Iterator[Finding]:
        new: dict[str, Word] = {}
        for word in words(text):
            new.setdefault(word.key, word)
        odd = {key for key, word in new.items() if piece_like(word)}
        told = odd.union(self._odd)
        longer = [key for key in told if len(key) > 1]
        spelled = sum(len(key) == 1 for key in told) >= _SHORTEST
        if not told:
            return
        for key in lexicon.entries.keys:
            if not _SHORTEST <= len(key) <= LONGEST_NUMBER or key in new:
                continue
            if not spelled and not any(piece in key for piece in longer):
                continue
            piece = self._new_piece(key, new, told)
            if piece is not None:
                yield _part(text, new[piece].start, new[piece].end)

    def _new_piece(self, key: str, new: dict[str, Word], odd: set[str]) -> str | None:
        """A piece of the new text that is needed to put a key together; None if it cannot be."""
        # For each place in the key: ways to get there, as (odd pieces, all pieces, a new one).
        ways: list[set[tuple[int, int, str | None]]] = [set() for _ in range(len(key) + 1)]
        ways[0].add((0, 0, None))
        for start in range(len(key)):
            if not ways[start]:
                continue
            for end in range(start + 1, len(key) + 1):
                piece = key[start:end]
                if piece not in new and piece not in self._words:
                    continue
                for strange, count, found in ways[start]:
                    if count < _PIECES:
                        first = found or (piece if piece in new else None)
                        ways[end].add((strange + (piece in odd), count + 1, first))
        return next(
            (new_piece for n, of, new_piece in ways[-1] if new_piece and of > 1 and 2 * n >= of),
            None,
        )


def _part(text: str, start: int, end: int) -> Finding:
    return Finding(start, end, "identifier", "name", text[start:end], "context")
