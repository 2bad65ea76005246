"""What could still become private if the text goes on: the beginnings that are held back.

Two questions are asked here, at every word of a growing text.

*From which word on can the words so far be the beginning of something private of several
words?* Names and notations of several words are held from their first word, whatever that
word is: "Saltmarsh" of "Saltmarsh Clinic", "golden" of "Golden Thread", "12" of "12 Maple
Street", a capital that a name could follow. The answer comes as late as it must and no later:
"golden thi" is free again. A private word that is written apart ("Oda lys") is held where its
first piece is no word by itself.

*What can an unfinished last word become?* A frequent word (Zipf 4.5 on) or a word of the
general instruction may leave although more letters may follow: "the" says nothing about
"Theodora", since it stands there in most texts without her. Any other dictionary word may
leave if nothing private begins with it; letters that are no word never do.

Not covered: a private word that begins with a frequent word and a space or more letters shows
that word ("the" of "Theodora", "man" of "man chester"); the word before "Street 5" where the
context does not have it; irregular inflections ("mic" of "mice", private through "mouse").
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

from cogenesis.privacy.entries import Entries
from cogenesis.privacy.lexicon import RARE_BELOW
from cogenesis.privacy.normal import Word, visible
from cogenesis.privacy.notations import patterns
from cogenesis.privacy.words import (
    content,
    families,
    frequent_words,
    function_words,
    name_words,
    names,
    ordinary,
    sensitive_if_personal,
    sensitive_sequences,
    zipf,
)

if TYPE_CHECKING:
    import regex  # type: ignore[import-untyped]


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_APART: Final = 24
"""Characters of a word written in pieces."""

_AFTER_NUMBER: Final = 3
_AFTER_SENSITIVE: Final = 2
"""Words after which the lexicon's neighbourhood rules have decided."""

_CHAIN: Final = 6
"""Capitals in a row that can belong to one name; a company has up to five words."""

_STRETCH: Final = 8
"""Words of a notation: "12 North Old Maple Tree Street"."""

_KNOWN_FROM: Final = 3.0
"""Zipf frequency from which a word counts as one that a text may well hold."""

_ENDINGS: Final = 4
"""Letters that an inflection adds at most."""

_APOSTROPHES: Final = "'’"
_CONTRACTIONS: Final = frozenset({"s", "t", "d", "m", "ll", "re", "ve"})
_JOINTS: Final = frozenset("@._+-")
_ADDRESS: Final = re.compile(r"@|://|\bwww\b|\w[._+]\w")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"

# Words without a digit that a notation can begin with. Any word can stand before "Street 5";
# holding every word for that would hold everything.
_OPENERS: Final = _set(
    "jan january feb february mar march apr april may jun june jul july aug august sep sept"
    " september oct october nov november dec december first second third fourth fifth sixth"
    " seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth"
    " seventeenth eighteenth nineteenth twentieth thirtieth twenty thirty apt apartment suite"
    " flat unit room po p"
)


class Beginnings:
    """Beginnings of one context's private words, and of those that are private to everybody."""

    __slots__ = ("_begun", "_capitals", "_keys", "_longest", "_numbers", "_pieces", "_topic")

    def __init__(self, entries: Entries, topic: frozenset[str]) -> None:
        self._topic = topic
        self._numbers = frozenset(number for number, _ in entries.numbers)
        sequences = {*entries.sequences, *sensitive_sequences()}
        self._begun: dict[tuple[str, ...], set[str]] = {}
        for sequence in sequences:
            for i in range(1, len(sequence)):
                self._begun.setdefault(sequence[:i], set()).add(sequence[i])
        self._longest = max((len(s) for s in sequences), default=1)
        self._keys = tuple(sorted({*entries.keys, *self._numbers}))
        self._capitals = tuple(sorted(entries.capital_keys))
        self._pieces = tuple(sorted({*self._keys, *entries.rare}))

    def __repr__(self) -> str:
        return "Beginnings(hidden)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("beginnings of private words are never pickled")

    def may_leave(self, key: str) -> bool:
        """Whether it is a complete word that tells nothing, whatever it may be part of."""
        if key in self._topic:
            return True
        if len(key) == 1:
            return key in {"a", "i"}
        return zipf(key) >= RARE_BELOW and (key in function_words() or ordinary(key))

    def word_may_leave(self, text: str, word: Word) -> bool:
        """Whether an unfinished last word that is not private may be shown."""
        key = word.key
        if word.number:
            return False  # more digits may follow
        if self.may_leave(key) or _contracted(text, word):
            return True
        return ordinary(key) and len(key) > 1 and not self._could_grow(key)

    def could_leave_grown(self, key: str) -> bool:
        """Whether a private last word could go on to a word that would leave ("Mark", "Market").

        Then it is not shown as a placeholder before it ends: a placeholder that turns into a
        word would tell the cloud that a beginning of that word is private.
        """
        listed, own = frequent_words(_KNOWN_FROM), families(key)
        for at in range(bisect_left(listed, key), len(listed)):
            if not listed[at].startswith(key):
                break
            if own.isdisjoint(families(listed[at])):
                return True
        return False

    def held_from(
        self, text: str, found: Sequence[Word], hidden: Sequence[bool], *, after: str
    ) -> int:
        """Index of the first word that could still turn out private by what follows.

        Args:
            text: the window, up to the end of its last word.
            found: its words.
            hidden: for each word whether it is masked already.
            after: the character that ends the last word, "" where letters may follow.

        Returns:
            An index into `found`; `len(found)` where nothing has to be held.
        """
        ends = bool(after)
        starts = [
            self._sequence_start(found, hidden, ends=ends),
            self._piece_start(text, found, hidden, ends=ends),
            self._neighbour_start(found, hidden, ends=ends),
            _capital_start(found, hidden),
            self._notation_start(text, found, hidden, ends=ends),
            self._token_start(text, found, hidden, after=after),
        ]
        return min(starts)

    # -- the rules ----------------------------------------------------------------------------

    def _sequence_start(self, found: Sequence[Word], hidden: Sequence[bool], *, ends: bool) -> int:
        """The beginning of a private sequence of words."""
        keys = [w.key for w in found]
        size = len(keys)
        for start in range(max(0, size - self._longest), size):
            begun = tuple(keys[start:])
            held = begun in self._begun
            if not held and not ends and len(begun) > 1:
                held = any(n.startswith(begun[-1]) for n in self._begun.get(begun[:-1], ()))
            if held and not all(hidden[start:]):
                return _first_shown(hidden, start)
        return size

    def _piece_start(
        self, text: str, found: Sequence[Word], hidden: Sequence[bool], *, ends: bool
    ) -> int:
        """Pieces that joined are the beginning of a private word ("T h o", "Oda", "inv 20")."""
        size = len(found)
        earliest, joined, shown = size, "", True
        for start in range(size - 1, -1, -1):
            word = found[start]
            joined = word.key + joined
            if len(joined) > _APART:
                break
            shown = shown and self._is_word(text, word, ends=ends or start < size - 1)
            if not shown and not all(hidden[start:]) and _continued(self._pieces, joined):
                earliest = _first_shown(hidden, start)
        last = found[-1].key
        # A rarer word, complete: held only as a beginning of a name or a number.
        rarer = len(last) > 1 and not hidden[-1] and not self.may_leave(last) and ordinary(last)
        return min(earliest, size - 1) if rarer and _continued(self._keys, last) else earliest

    def _is_word(self, text: str, word: Word, *, ends: bool) -> bool:
        if self.may_leave(word.key) or _contracted(text, word):
            return True
        return ends and len(word.key) > 1 and ordinary(word.key)

    def _neighbour_start(self, found: Sequence[Word], hidden: Sequence[bool], *, ends: bool) -> int:
        """Words that the next two or three words can make private ("47", "operation")."""
        size = len(found)
        complete = size if ends else size - 1
        for i in range(max(0, size - _AFTER_NUMBER - 1), size):
            if hidden[i]:
                continue
            key, after = found[i].key, complete - i - 1
            if after < _AFTER_NUMBER and (
                key in self._numbers or key.rstrip(_LETTERS) in self._numbers
            ):
                return i
            if after < _AFTER_SENSITIVE and sensitive_if_personal(key) and key not in self._topic:
                return i
        return size

    def _notation_start(
        self, text: str, found: Sequence[Word], hidden: Sequence[bool], *, ends: bool
    ) -> int:
        """A number, date, address or amount that may go on."""
        size = len(found)
        first = max(0, size - _STRETCH)
        openers = [i for i in range(first, size) if not hidden[i] and self._opens(text, found[i])]
        if not openers:
            return size
        shown, places = visible(text)
        for i in openers:
            at = found[i].start
            if places is not None:
                at = bisect_left(places, at)
            # A sign may follow as well as letters: both ways to go on are tried.
            closed = any(_goes_on(p, shown + " ", at) for p in _forms())
            if closed or (not ends and any(_goes_on(p, shown, at) for p in _forms())):
                return i
        return size

    def _opens(self, text: str, word: Word) -> bool:
        if word.number or word.key in _OPENERS:
            return True
        return text[word.end : word.end + 1] == "-" and not self.may_leave(word.key)

    def _token_start(
        self, text: str, found: Sequence[Word], hidden: Sequence[bool], *, after: str
    ) -> int:
        """An e-mail address, a URL or a domain that may go on until the next space."""
        size = len(found)
        if after.isspace():
            return size
        begun = max((text.rfind(space, 0, found[-1].start) for space in " \n\t"), default=-1) + 1
        unknown = after in _JOINTS and not self._is_word(text, found[-1], ends=True)
        if not unknown and not _ADDRESS.search(text[begun:] + after):
            return size
        inside = (i for i in range(size) if found[i].start >= begun and not hidden[i])
        return next(inside, size)

    def _could_grow(self, key: str) -> bool:
        """Whether a private word begins with these letters, also in an inflection."""
        pools = (self._pieces, self._capitals, _shipped())
        if any(_continued(pool, key) for pool in pools):
            return True
        stems = (key[: len(key) - cut] for cut in range(1, min(_ENDINGS, len(key) - 2)))
        return any(
            _holds(self._pieces, form) for stem in stems for form in (stem, stem + "e", stem + "y")
        )


def _contracted(text: str, word: Word) -> bool:
    """The end of "isn't" or "we'll"."""
    return word.key in _CONTRACTIONS and word.start > 0 and text[word.start - 1] in _APOSTROPHES


def _first_shown(hidden: Sequence[bool], start: int) -> int:
    return next(i for i in range(start, len(hidden)) if not hidden[i])


def _capital_start(found: Sequence[Word], hidden: Sequence[bool]) -> int:
    """Capitals at the end: the next word can make them a name, or a company of "Inc."."""
    size = len(found)
    start = size
    for i in range(size - 1, max(-1, size - 1 - _CHAIN), -1):
        word = found[i]
        initial = i > 0 and hidden[i - 1]  # "Robert C." before "Martin"
        telling = content(word.key) or word.key in name_words() or initial
        if not (word.capital and telling):
            break
        if not hidden[i]:
            start = i
    return start


@cache
def _shipped() -> tuple[str, ...]:
    """Private to everybody: names and sensitive words, one by one."""
    sensitive = {"".join(sequence) for sequence in sensitive_sequences()}
    return tuple(sorted({*names(), *name_words(), *sensitive}))


@cache
def _forms() -> tuple[regex.Pattern[str], ...]:
    """The notations again, by a library that can tell "not yet" from "no"."""
    import regex

    return tuple(regex.compile(p.pattern, regex.IGNORECASE) for p in patterns())


def _goes_on(pattern: regex.Pattern[str], text: str, at: int) -> bool:
    match = pattern.match(text, at, partial=True)
    return match is not None and bool(match.partial)


def _continued(pool: Sequence[str], key: str) -> bool:
    """Whether a longer key of a sorted pool begins with this one."""
    at = bisect_left(pool, key)
    if at < len(pool) and pool[at] == key:
        at += 1
    return at < len(pool) and pool[at].startswith(key)


def _holds(pool: Sequence[str], key: str) -> bool:
    at = bisect_left(pool, key)
    return at < len(pool) and pool[at] == key
