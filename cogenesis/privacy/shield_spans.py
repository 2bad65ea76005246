"""What is private in the text that the device is writing, word by word from the left.

The guard reads a finished text; here a text grows, and what was shown once cannot be taken
back. So a word is judged from the words up to it alone (the last WINDOW of them), and rules
that need the words after it are asked for what could still come (`shield_beginnings`).

One rule differs from the guard's for that reason: capitals are never taken for those of a
heading, because whether a stretch is one shows at its end only. So capitals in a heading are
masked where they stand side by side; those of the general instruction are not.

Not covered: what `lexicon`, `identifiers`, `notations` and `normal` list as not covered, and
a span of more than WINDOW words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from cogenesis.privacy.identifiers import proper_names
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.normal import Word, foreign, joined, words
from cogenesis.privacy.released import Finding, FindingKind, GeneralInstruction, Role
from cogenesis.privacy.words import base, content, families

WINDOW: Final = 32
"""Words that are looked at together: no name or number of the rules is longer."""


class Mark(NamedTuple):
    """Words [first, last) of a window are private."""

    first: int
    last: int
    kind: FindingKind
    role: Role


class PrivateWords:
    """Finds private words in a window of text, for one context and general instruction."""

    __slots__ = ("_allowed", "_lexicon", "_phrases", "_runs", "_topic_forms", "topic")

    def __init__(self, lexicon: Lexicon, general: GeneralInstruction) -> None:
        found = words(general.text)
        self._lexicon = lexicon
        self.topic = frozenset(w.key for w in found)
        self._topic_forms = frozenset().union(*(families(w.key) for w in found))
        self._phrases = frozenset(key for _, _, key in joined(found))
        self._allowed = frozenset("".join(w.key for w in words(text)) for text in general.allowed)
        self._runs = frozenset(_content_keys(f.text) for f in lexicon.runs(general.text))

    def __repr__(self) -> str:
        return "PrivateWords(hidden)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("private words are never pickled")

    def marks(self, window: str) -> tuple[Mark, ...]:
        """Everything private in a window; of a run only its last word. Identifiers first."""
        found = words(window)
        named = sorted(self._identifiers(window, found), key=lambda m: (m.first, -m.last))
        out = [
            *named,
            *_placed(found, self._not_of_the_topic(self._lexicon.sensitive(window))),
            *_placed(found, self._not_of_the_topic(self._lexicon.rare(window))),
        ]
        for run in self._lexicon.runs(window):
            if _content_keys(run.text) not in self._runs:
                out += (
                    Mark(mark.last - 1, mark.last, "run", "words") for mark in _placed(found, [run])
                )
        return tuple(out)

    def _identifiers(self, window: str, found: Sequence[Word]) -> Iterator[Mark]:
        by_shape = (
            f
            for f in proper_names(window, found, headings=False)
            if _joined_keys(f.text) not in self._phrases
        )
        unreadable = (
            Finding(start, end, "identifier", "name", window[start:end])
            for start, end in foreign(window)
        )
        known = self._lexicon.identifiers(window)
        for mark in _placed(found, [*known, *by_shape, *unreadable]):
            keys = [w.key for w in found[mark.first : mark.last]]
            if "".join(keys) not in self._allowed and not self._allowed.issuperset(keys):
                yield mark

    def _not_of_the_topic(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        for finding in findings:
            if any(self._topic_forms.isdisjoint(families(w.key)) for w in words(finding.text)):
                yield finding


def _placed(found: Sequence[Word], findings: Iterable[Finding]) -> Iterator[Mark]:
    """Findings count characters; marks count the words that they touch."""
    for f in findings:
        touched = [i for i, w in enumerate(found) if w.start < f.end and f.start < w.end]
        if touched:
            yield Mark(touched[0], touched[-1] + 1, f.kind, f.role)


def _joined_keys(text: str) -> str:
    return "".join(w.key for w in words(text))


def _content_keys(text: str) -> tuple[str, ...]:
    return tuple(base(w.key) for w in words(text) if content(w.key))
