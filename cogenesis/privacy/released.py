"""Text that may leave the device, as types of its own.

A cloud request is a tree whose every string is a `Released` value. `Released` is not a
`str`, so a plain string on its way to a cloud model is a type error before it runs and an
`EgressError` when it does. There are six ways to get one:

* `public("...")`  fixed text that ships with the program (a test checks that every call
  passes a literal, so nothing computed can hide in it);
* `Setting.of(...)`  a short technical name from the configuration, such as a model name;
* `GeneralInstruction`  what the guard cleared; only `privacy.guard` can mint it;
* `ShieldedText`  the text so far with placeholders; only `privacy.shield` can mint it;
* `PublishedText`  a string out of a data file that is marked as published or made-up, where
  the user gave `--unsafe-send-context` (`privacy.published`): for evaluations only;
* `MadeUpText`  what `data build` made up, or a model made up for it (`privacy.made_up`).

`ReleasedIds` and `ReturnedText` are what a server said about released text; they go back to
it alone, and only `privacy.returned` mints them.

Not covered: Python has no true privacy. Code that reaches into `_MINT` on purpose can
forge a release; the import-boundary tests look for that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from cogenesis.errors import EgressError
from cogenesis.privacy.made_up import MadeUp
from cogenesis.privacy.published import PublishedData

FindingKind = Literal["identifier", "sensitive", "rare", "run"]

IdentifierRole = Literal[
    "person",
    "organisation",
    "place",
    "name",
    "contact",
    "date",
    "amount",
    "number",
    "address",
]
SensitiveRole = Literal["health", "sexuality", "religion", "politics", "money", "law"]

Role = IdentifierRole | SensitiveRole | Literal["word", "words"]
"""What a private span is."""


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
    """Text that may leave the device. Not a `str`: it cannot be mixed with one by accident.

    `fixed` tells text that is the same for every user from text made of somebody's.
    """

    __slots__ = ("_text",)
    fixed: ClassVar[bool] = False

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
    fixed = True


class Setting(Released):
    """A short technical name from the configuration (a model name, say)."""

    __slots__ = ()
    fixed = True
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


class _Echo:
    """Capability to mark what a server itself said. Held here and by `privacy.returned`."""

    __slots__ = ()


_ECHO: Final = _Echo()


class ReleasedIds:
    """Token ids that a server itself gave for released text, and may be sent back to it.

    They are that server's own words about something it already has, so returning them tells
    it nothing. To keep it so there is no way to make them from numbers, to join two of them
    or to choose among them: only whole ones and their beginnings exist.

    Not covered: a beginning of a long text's ids need not be the ids of the short text, and
    its length is chosen by the caller.
    """

    __slots__ = ("_ids", "_server")

    def __init__(self, ids: tuple[int, ...], server: str, mint: _Echo) -> None:
        if mint is not _ECHO:
            raise EgressError("token ids can only be released by the server that gave them")
        self._ids = ids
        self._server = server

    @property
    def ids(self) -> tuple[int, ...]:
        """The numbers that leave."""
        return self._ids

    @property
    def server(self) -> str:
        """Whose vocabulary they are of: for any other server they mean another text."""
        return self._server

    def prefix(self, length: int) -> ReleasedIds:
        """The first `length` ids, at least one and at most all."""
        if not 0 < length <= len(self._ids):
            raise EgressError("a beginning of token ids has at least one and at most all of them")
        return ReleasedIds(self._ids[:length], self._server, _ECHO)

    def __len__(self) -> int:
        return len(self._ids)

    def __repr__(self) -> str:
        return f"ReleasedIds({len(self._ids)} tokens)"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ReleasedIds)
            and other._ids == self._ids
            and other._server == self._server
        )

    def __hash__(self) -> int:
        return hash((self._ids, self._server))

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("released ids are not pickled: the server must give them again")


class ReturnedText(Released):
    """Text that a server itself gave for released text: its chat template, filled in.

    As with `ReleasedIds`, sending it back tells that server nothing. It is untrusted: it is
    for the server only, never for a device model or the screen.
    """

    __slots__ = ("server",)

    def __init__(self, text: str, server: str, mint: _Echo) -> None:
        if mint is not _ECHO:
            raise EgressError("returned text can only come from the server that gave it")
        super().__init__(text, _MINT)
        self.server = server


class ShieldedText(Released):
    """The text written so far as the shield shows it to the cloud; only `privacy.shield` mints it.

    Every private span in it is a typed placeholder, and it ends before anything that could
    still become private; or it is a beginning of such a text.
    """

    __slots__ = ()

    def beginning(self, end: int) -> ShieldedText:
        """Its first `end` characters: they say nothing that the whole does not say.

        It is for a request that also holds the whole, or for one that follows it.
        """
        if not 0 <= end <= len(self.text):
            raise EgressError("a beginning of a text is no longer than the text")
        return ShieldedText(self.text[:end], _MINT)


def public(literal: str) -> PublicText:
    """Wrap text that ships with the program. The argument must be a literal."""
    return PublicText(literal, _MINT)


class PublishedText(Released):
    """Text of a data set that may be seen by anybody; `source` names the file for the ledger.

    Only `published` and `written_from` make it, and both want the proof.
    """

    __slots__ = ("source",)

    def __init__(self, text: str, mint: _Mint, *, source: str) -> None:
        super().__init__(text, mint)
        self.source = source


def published(data: PublishedData, sample: int, *where: str | int) -> PublishedText:
    """The string at one place of a marked file, word for word. Nothing else can be given.

    Raises:
        EgressError: there is no such place, or `data` is no proof.
    """
    return PublishedText(_proven(data).at(sample, *where), _MINT, source=_source(data))


def written_from(data: PublishedData, text: str, made_from: str) -> PublishedText:
    """A text that a model wrote from a marked file, for a judge.

    Args:
        data: the proof.
        text: what was written.
        made_from: SHA-256 of the data that it was written from, as the file of texts tells it.

    Raises:
        EgressError: it was written from other data, or `data` is no proof.

    Not covered: what a device model learnt in training. One that was tuned on private texts
    may write them down whatever it is given; do not judge its texts with somebody's cloud.
    """
    if made_from != _proven(data).sha256:
        raise EgressError("the text was written from other data than the published")
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return PublishedText(whole, _MINT, source=_source(data))


class MadeUpText(Released):
    """Text about a person who does not exist; `source` says for the ledger what made it up."""

    __slots__ = ("source",)

    def __init__(self, text: str, mint: _Mint, *, source: str) -> None:
        super().__init__(text, mint)
        self.source = source


def made_up(data: MadeUp, text: str) -> MadeUpText:
    """A text that was made up in this build, word for word. Nothing else can be given.

    Raises:
        EgressError: the build does not know the text, or `data` is no proof.
    """
    if type(data) is not MadeUp:
        raise EgressError("made-up text is released with the proof of its build only")
    return MadeUpText(data.known(text), _MINT, source=data.source)


def _proven(data: PublishedData) -> PublishedData:
    if type(data) is not PublishedData:
        raise EgressError("text of a data set is released with the proof that it is published only")
    return data


def _source(data: PublishedData) -> str:
    return f"{data.name} ({data.sha256[:12]})"
