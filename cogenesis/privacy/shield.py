"""The shield: the text written so far, as the cloud model may see it.

In fusion the cloud model is asked for the next token of a text that holds private words. It
gets S(text): every private span is a placeholder such as "[person 1]", and nothing follows
that could still become private. S is a pure function of the text. It does not depend on how
the text was cut into tokens, on drafts, on time, or on anything that the cloud answered.

**How it is computed.** Word by word from the left. A word is *settled* once no continuation
can change what it is shown as; S shows settled words only, and the last word of the text by
the rule below. What was settled stays: the settled part of S(t) is a beginning of S(t + u).

**When the cloud may be asked** (`View.asks`): when S shows the whole text. That is when

* every word before the last is settled: none is the beginning of something private of several
  words (`Beginnings.held_from`), and
* the last word ends (something follows it), or it is one of three things. (1) A complete word
  that may leave: one of the frequent words or of the general instruction. Letters may still
  follow ("the" of "Theodora"), but what is sent is only the text so far, and a word that
  stands in every text tells nothing. To wait until it ends would mean not to ask at most
  positions of a text. (2) A dictionary word with which nothing private begins. (3) A private
  word that cannot go on to a word that would leave; it is shown as its placeholder. Any other
  beginning ("Tho", "555-01") is held back: at such a position the target is the device's own
  distribution.

**Placeholders.** A role and a number in square brackets: a bracket, a frequent word and a
small number, so nothing that a vocabulary lacks. Models have seen this form in templates and
anonymised texts; a rare sign would be split into bytes, a tag be taken for a control token.
Sensitive, rare and run words are all "[word N]": a role such as "health" would tell what the
word hides. The number follows the first occurrence in the text; a span is known by its first
word, so "Elaine" and "Elaine Thompson" are the same person, and a span that grows by a word
keeps its placeholder.

Not covered: number, order and position of the spans, and which of them are the same, stay
visible; so do the positions at which the cloud is not asked. A cloud that compares one request
with the next learns that a span begins with a frequent word, where the device wrote it in two
tokens and the first was one ("the", "odora"). What `shield_spans` and
`shield_beginnings` list as not covered is not covered here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Final

from cogenesis.errors import EgressError, PrivacyError
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.normal import Word, words
from cogenesis.privacy.released import _MINT, GeneralInstruction, ShieldedText
from cogenesis.privacy.shield_beginnings import Beginnings
from cogenesis.privacy.shield_check import check_view
from cogenesis.privacy.shield_spans import WINDOW, PrivateWords
from cogenesis.privacy.shield_view import PLAIN, Shown, View, Writing, hidden_character

__all__ = ["Shield", "View"]

_SHAPELESS: Final = "\u115f\u1160\u3164\uffa0\u2800"
"""Letters and signs that cannot be seen, and may stand inside a word (`privacy.normal`)."""

_LOOK: Final = 64
"""Invisible characters after a word that are passed over in search of its end."""


def _fail_closed(method: Callable[[Shield, str], View]) -> Callable[[Shield, str], View]:
    """Turn any error inside the shield into a refusal, without its message or its values."""

    @wraps(method)
    def closed(self: Shield, text: str) -> View:
        try:
            return method(self, text)
        except PrivacyError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is: nothing may leave
            kind = type(error).__name__
        raise EgressError(
            f"the shield failed ({kind}), so nothing is sent: use --mode device, and report this"
        )

    return closed


class Shield:
    """S for one private context and one general instruction. Safe to use from several threads.

    Calls on growing texts, and on texts that share a long beginning with the last one, cost
    the new words only. That is a memo and changes no result.
    """

    __slots__ = ("_beginnings", "_fold", "_lock", "_private")

    def __init__(self, lexicon: Lexicon, general: GeneralInstruction) -> None:
        self._private = PrivateWords(lexicon, general)
        self._beginnings = Beginnings(lexicon.entries, self._private.topic)
        self._fold = _Fold(self._private, self._beginnings)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "Shield(hidden)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a shield is private and is never pickled")

    @_fail_closed
    def view(self, text: str) -> View:
        """S(text), and whether the cloud may be asked there.

        Raises:
            EgressError: the shield failed; nothing may be sent.
        """
        with self._lock:
            return self._view(text)

    def _view(self, text: str) -> View:
        fold = self._fold
        found = fold.read(text)
        settled = fold.settled
        shown = fold.shown[:settled]
        if fold.complete == len(found):
            asks = settled == len(found)
        elif (whole := self._with_last_word(text, found)) is not None:
            asks, shown = True, whole
        else:
            asks = False
        end = len(text) if asks else (found[settled - 1].end if settled else 0)
        out = fold.written(text).copy()
        out.write(text, found, shown, len(shown))
        out.plain(text, end)
        view = View(
            released=ShieldedText(out.text(), _MINT),
            asks=asks,
            spans=tuple(out.spans),
            settled=out.carried(found[settled - 1].end) if settled else 0,
            real_chars=end,
            pieces=tuple(out.pieces),
        )
        check_view(view, text, found, shown)
        return view

    def _with_last_word(self, text: str, found: Sequence[Word]) -> list[Shown] | None:
        """What all words are shown as where letters may follow the last; None: held back."""
        fold, last = self._fold, len(found) - 1
        first, near, held = fold.look(text, last, after="")
        if near[-1].role is None:
            fine = held > last and self._beginnings.word_may_leave(text, found[last])
        else:
            fine = held >= last and not self._beginnings.could_leave_grown(found[last].key)
        # An earlier word that only this one makes private may be free again when it goes on.
        if fine and near[:-1] == fold.shown[first:last]:
            return [*fold.shown[:last], near[-1]]
        return None


class _Fold:
    """The words of the last text, and what was decided after each of them.

    Attributes:
        words: of the text that was read last.
        complete: how many of them are known to end.
        shown: for each complete word what it is shown as.
        settled: how many of them are settled.
    """

    def __init__(self, private: PrivateWords, beginnings: Beginnings) -> None:
        self._private = private
        self._beginnings = beginnings
        self._text = ""
        self.words: list[Word] = []
        self.complete = 0
        self.shown: list[Shown] = []
        # Every change of mind about a pending word: at which word, about which, what it was.
        self._changes: list[tuple[int, int, Shown]] = []
        self._settled: list[int] = []  # after each complete word
        self._writing = Writing()

    @property
    def settled(self) -> int:
        return self._settled[-1] if self._settled else 0

    def read(self, text: str) -> list[Word]:
        """Take the text in, from where it differs from the last one."""
        same = _common(self._text, text)
        keep = len(self.words)
        beginning = text[:same]
        while keep and not _after(beginning, self.words[keep - 1]):
            keep -= 1
        self._forget(keep)
        at = self.words[-1].end if self.words else 0
        self.words += (_moved(word, at) for word in words(text[at:]))
        self._text = text
        whole = len(self.words)
        if whole and not _after(text, self.words[-1]):
            whole -= 1
        for i in range(self.complete, whole):
            self._step(text, i)
        return self.words

    def written(self, text: str) -> Writing:
        """The beginning of the shielded text that is not written anew each time."""
        until = max(0, self.settled - WINDOW)  # so that taking back a draft costs nothing
        while until and self.shown[until].joined:
            until -= 1
        if until > self._writing.words:
            self._writing.write(text, self.words, self.shown, until)
        return self._writing

    def look(self, text: str, i: int, *, after: str) -> tuple[int, list[Shown], int]:
        """Read word `i` and say what that changes for it and the words before it.

        Args:
            text: the real text.
            i: index of a word; all before it are complete.
            after: the character that ends it, "" where letters may still follow.

        Returns:
            The first word of the window, what the words from there to `i` are shown as, and
            the first word that is held.
        """
        found, first = self.words, max(0, i + 1 - WINDOW)
        origin = found[first].start
        window = text[origin : found[i].end]
        near = [_moved(word, -origin) for word in found[first : i + 1]]
        shown = [*self.shown[first:i], PLAIN]
        free = max(0, self.settled - first)  # what is settled has left already
        for mark in self._private.marks(window):
            for at in range(max(free, mark.first), mark.last):
                goes_on = at > mark.first and shown[at - 1].role is not None
                # What is masked stays masked; a longer span or a name says better as what.
                longer = goes_on and not shown[at].joined
                named = mark.kind == "identifier" != shown[at].kind
                if shown[at].role is None or longer or named:
                    shown[at] = Shown(mark.role, joined=goes_on, kind=mark.kind)
        hidden = [s.role is not None for s in shown]
        return first, shown, first + self._beginnings.held_from(window, near, hidden, after=after)

    def _step(self, text: str, i: int) -> None:
        first, near, held = self.look(text, i, after=_after(text, self.words[i]))
        for at in range(max(first, self.settled), i):
            if near[at - first] != self.shown[at]:
                self._changes.append((i, at, self.shown[at]))
                self.shown[at] = near[at - first]
        self.shown.append(near[-1])
        self._settled.append(max(self.settled, min(held, i + 1)))
        self.complete = i + 1

    def _forget(self, keep: int) -> None:
        """Go back to the first `keep` words as if the others had never come."""
        keep = min(keep, self.complete)
        # In this order: should it be interrupted, the rest is forgotten at the next call.
        self.complete = keep
        while self._changes and self._changes[-1][0] >= keep:
            _, at, before = self._changes.pop()
            self.shown[at] = before
        del self.words[keep:], self.shown[keep:], self._settled[keep:]
        if self._writing.words > self.settled:
            self._writing = Writing()


def _after(text: str, word: Word) -> str:
    """The character that ends a word: the first that can be seen; "" if letters may follow."""
    for char in text[word.end : word.end + _LOOK]:
        if char in "\n\t\r" or not (hidden_character(char) or char in _SHAPELESS):
            return char
    return ""


def _moved(word: Word, by: int) -> Word:
    return word._replace(start=word.start + by, end=word.end + by) if by else word


def _common(a: str, b: str) -> int:
    """Length of the common beginning of two texts, by halving: most calls add one token."""
    if b.startswith(a):
        return len(a)
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[:middle] == b[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
