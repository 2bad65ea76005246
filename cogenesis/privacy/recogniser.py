"""Recognisers of private spans that know no context: the guard asks one beside its own rules.

A recogniser reads a text on the device and says which spans are private and what they are. It
can only add to what the guard finds, never take away: a span with one of the nine identifier
roles is an identifier, one with a sensitive role is sensitive. An error in it is a refusal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol, get_args, runtime_checkable

from cogenesis.errors import InputError
from cogenesis.privacy.released import Finding, IdentifierRole, Role

IDENTIFIERS: Final[frozenset[IdentifierRole]] = frozenset(get_args(IdentifierRole))


@dataclass(frozen=True, slots=True)
class RecognisedSpan:
    """Characters [start, end) of the text that was read, and what they are."""

    start: int
    end: int
    role: Role


@runtime_checkable
class Recogniser(Protocol):
    """Anything that finds private spans in a text, on this device and without a connection."""

    def recognise(self, text: str) -> Iterable[RecognisedSpan]:
        """Private spans of the text, in any order; they may overlap."""
        ...


def findings(recogniser: Recogniser | None, text: str) -> list[Finding]:
    """What a recogniser finds, as the guard's findings; nothing without one.

    Raises:
        ValueError: a span lies outside the text (the guard then refuses).
    """
    if recogniser is None:
        return []
    found = []
    for span in recogniser.recognise(text):
        if not 0 <= span.start < span.end <= len(text):
            raise ValueError("a recogniser gave a span outside the text")
        kind = "identifier" if span.role in IDENTIFIERS else "sensitive"
        private = text[span.start : span.end]
        found.append(Finding(span.start, span.end, kind, span.role, private))  # type: ignore[arg-type]
    return found


def recogniser_named(setting: str) -> Recogniser:
    """The recogniser of a setting: `presidio`, or `presidio:MODEL` for one spaCy model.

    Raises:
        InputError: there is no recogniser of that name, or the model is not installed.
        MissingExtraError: the extra `recogniser` is not installed.
    """
    name, _, model = setting.partition(":")
    if name != "presidio":
        raise InputError(
            f"there is no recogniser “{name}”: give presidio, or presidio:MODEL to name an "
            "installed spaCy model"
        )
    # It imports this module for its types.
    from cogenesis.privacy.presidio import PresidioRecogniser

    return PresidioRecogniser.load(model or None)
