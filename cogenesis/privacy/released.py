"""Text that may leave the device, as types of its own.

A cloud request is a tree whose every string is a `Released` value. `Released` is not a
`str`, so a plain string on its way to a cloud model is a type error before it runs and an
`EgressError` when it does. There are three ways to get one:

* `public("...")`  fixed text that ships with the program (a test checks that every call
  passes a literal, so nothing computed can hide in it);
* `Setting.of(...)`  a short technical name from the configuration, such as a model name;
* `GeneralInstruction`  what the guard cleared; only `privacy.guard` can mint it.

Not covered: Python has no true privacy. Code that reaches into `_MINT` on purpose can
forge a release; the import-boundary tests look for that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal

from cogenesis.errors import EgressError

FindingKind = Literal["identifier", "sensitive", "rare", "run"]

Role = Literal[
    "person",
    "organisation",
    "place",
    "name",
    "contact",
    "date",
    "amount",
    "number",
    "address",
    "health",
    "sexuality",
    "religion",
    "politics",
    "money",
    "law",
    "word",
    "words",
]
"""What a private span is. Identifiers have the first nine, sensitive words the next six."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A private span found in a text: characters [start, end), its class and its role.

    `source` says how it was known: "context" or "pattern" (recognised without the context).
    """

    start: int
    end: int
    kind: FindingKind
    role: Role
    text: str = field(repr=False)
    source: Literal["context", "pattern"] = "pattern"


class _Mint:
    """Capability to create releases. Held by this module and by `privacy.guard`."""

    __slots__ = ()


_MINT: Final = _Mint()


class Released:
    """Text that may leave the device. Not a `str`: it cannot be mixed with one by accident."""

    __slots__ = ("_text",)

    def __init__(self, text: str, mint: _Mint) -> None:
        if mint is not _MINT:
            raise EgressError("released text can only be created by the guard")
        self._text = text

    @property
    def text(self) -> str:
        """The characters that leave."""
        return self._text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._text)} characters)"

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is type(self)
            and isinstance(other, Released)
            and (other._text == self._text)
        )

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._text))

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("released text is not pickled: the guard must clear it again")


class PublicText(Released):
    """Fixed text that ships with the program."""

    __slots__ = ()


class Setting(Released):
    """A short technical name from the configuration (a model name, say)."""

    __slots__ = ()
    _FORM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")

    @classmethod
    def of(cls, value: str) -> Setting:
        """Accept a technical name of at most 200 characters without spaces.

        Raises:
            EgressError: the value is not of that form.
        """
        if not cls._FORM.fullmatch(value):
            raise EgressError(
                "a model name may hold letters, digits and . _ : / @ + - only, 200 at most"
            )
        return cls(value, _MINT)


class GeneralInstruction(Released):
    """The instruction as the guard released it.

    `sensitive` lists the sensitive words in it (DESIGN class 2): the user gave them with
    `--general` or allowed them; every preview shows them. `allowed` lists the words
    that the user let through by `--allow`. `source` says how it was made.
    """

    __slots__ = ("allowed", "sensitive", "source")

    def __init__(
        self,
        text: str,
        mint: _Mint,
        *,
        source: Literal["given", "title", "derived"],
        sensitive: tuple[str, ...] = (),
        allowed: tuple[str, ...] = (),
    ) -> None:
        super().__init__(text, mint)
        self.source = source
        self.sensitive = sensitive
        self.allowed = allowed


def public(literal: str) -> PublicText:
    """Wrap text that ships with the program. The argument must be a literal."""
    return PublicText(literal, _MINT)
