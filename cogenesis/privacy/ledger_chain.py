"""What a ledger record holds and how records are chained, without any database.

A record's hash is sha256 over all its other columns, in the order of `COLUMNS`, each as a
netstring (`length:bytes,`), a missing value as a bare `-`. Numbers are written in decimal,
text as UTF-8, the body as its bytes. Netstrings are unambiguous (no two different records
have the same encoding) and take three lines in any language, so a third party can check an
export with sha256 alone (docs/ledger.md). `previous` is the hash of the record before.

The hashes are not signatures. They show a change to anybody who knows a later hash, such
as the one in the head file; somebody with the user's own rights can rewrite rows, hashes and
head file together, and nothing on the device can tell.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from cogenesis.errors import LedgerError

Value: TypeAlias = str | int | bytes | None

COLUMNS: Final = (
    "previous",
    "row",
    "kind",
    "time",
    "purpose",
    "method",
    "url",
    "headers",
    "body",
    "attempt",
    "note",
    "request",
    "status",
    "error",
    "received",
    "milliseconds",
)
"""The columns a hash covers, in order; the table has one more, `hash`."""

FORGOTTEN: Final = "forgotten"
"""The kind of a record that says which rows were removed."""

GENESIS: Final = hashlib.sha256(b"cogenesis ledger 1").hexdigest()
"""What the first record is chained to."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A request that is about to leave.

    `url` is complete but holds no credentials. `headers` are as sent, with the value of
    secret ones replaced by "<secret>". `body` is byte for byte what leaves. `attempt` counts
    from 1. `note` says what the user let through (`--allow`, sensitive topic words).
    """

    purpose: str
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    attempt: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back: a status code or one word for what went wrong. Never reply text.

    `received` counts bytes of the reply, `seconds` the time from sending to its end; they
    are kept as whole milliseconds.
    """

    status: int | None = None
    error: str = ""
    received: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Head:
    """How far the chain reaches: number of records and the hash of the last one."""

    rows: int
    hash: str


@dataclass(frozen=True, slots=True)
class Cut:
    """What a `forgotten` record says: the rows up to `last` were removed because they were
    older than `before`; `hash` is that of row `last`, which the first row that is left
    follows.
    """

    last: int
    hash: str
    before: str


def utc_text(time: datetime) -> str:
    """A time in UTC, ISO 8601 with milliseconds: `2025-03-01T09:30:00.125Z`. These sort."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_now() -> str:
    """The time now, as `utc_text` writes it."""
    return utc_text(datetime.now(UTC))


def forgotten_fields(cut: Cut) -> dict[str, Value]:
    """The columns of a `forgotten` record: the note is JSON."""
    note = {"last": cut.last, "hash": cut.hash, "before": cut.before}
    return {"kind": FORGOTTEN, "note": json.dumps(note)}


def parse_cut(note: str | bytes | None) -> Cut:
    """The note that `forgotten_fields` wrote.

    Raises:
        ValueError: it is not of that form.
    """
    try:
        values = json.loads(note or "")
        last, digest, before = values["last"], values["hash"], values["before"]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("not a note on what was forgotten") from error
    if type(last) is not int or not isinstance(digest, str) or not isinstance(before, str):
        raise ValueError("not a note on what was forgotten")
    return Cut(last, digest, before)


def request_fields(entry: LedgerEntry) -> dict[str, Value]:
    """The columns of a request.

    Raises:
        LedgerError: the URL holds credentials, or a header cannot be one line of HTTP.
    """
    if "@" in urlsplit(entry.url).netloc:
        raise LedgerError("the ledger does not store URLs that hold a user name or password")
    for name, value in entry.headers:
        if not name or re.search(r"[:\r\n]", name) or re.search(r"[\r\n]", value):
            raise LedgerError("a header name or value that is no single line cannot be sent")
    return {
        "kind": "request",
        "purpose": entry.purpose,
        "method": entry.method,
        "url": entry.url,
        "headers": "\n".join(f"{name}: {value}" for name, value in entry.headers),
        "body": entry.body,
        "attempt": entry.attempt,
        "note": entry.note,
    }


def parse_headers(text: str) -> tuple[tuple[str, str], ...]:
    """The headers that `request_fields` joined."""
    pairs = (line.partition(": ") for line in text.split("\n") if line)
    return tuple((name, value) for name, _, value in pairs)


def outcome_fields(request: int, outcome: Outcome) -> dict[str, Value]:
    """The columns of an outcome. Times are whole milliseconds: floats have no one spelling."""
    return {
        "kind": "outcome",
        "request": request,
        "status": outcome.status,
        "error": outcome.error,
        "received": outcome.received,
        "milliseconds": round(outcome.seconds * 1000),
    }


def to_bytes(value: Value) -> bytes | None:
    """A column's value as the bytes that are hashed."""
    if value is None or isinstance(value, bytes):
        return value
    return str(value).encode()


def chain_hash(values: Iterable[bytes | None]) -> str:
    """sha256 over the values of `COLUMNS`, in order, as netstrings."""
    digest = hashlib.sha256()
    for data in values:
        digest.update(b"-" if data is None else b"%d:%b," % (len(data), data))
    return digest.hexdigest()


class HeadFile:
    """The end of the chain, kept beside the database, because a file cannot show its own end.

    It is written after the record is committed, so it may lag behind when a process died in
    between; it is never ahead unless records were removed.
    """

    _FORM: Final = re.compile(r"(\d{1,18}) ([0-9a-f]{64})\n")

    def __init__(self, ledger: Path) -> None:
        self.path = ledger.with_suffix(".head")

    def read(self) -> Head:
        """The stored head.

        Raises:
            LedgerError: it is missing or not of its form.
        """
        try:
            text = self.path.read_bytes().decode("ascii", "replace")
        except FileNotFoundError:
            raise LedgerError(f"{self.path} is missing") from None
        except OSError as error:
            raise LedgerError(f"{self.path} cannot be read: {error.strerror}") from error
        match = self._FORM.fullmatch(text)
        if match is None:
            raise LedgerError(f"{self.path} was changed: it is not of the form that is written")
        return Head(int(match[1]), match[2])

    def write(self, head: Head) -> None:
        """Replace the head atomically: a crash leaves the old one or the new one, whole.

        The content is synced before the rename, the rename itself is not: after a power
        failure the old head may be back, which is only a head that lags.

        Call it only while holding the database's write lock: the name of the temporary file
        is fixed, so that a killed process leaves one file behind at most.

        Raises:
            OSError: it cannot be written.
        """
        temporary = self.path.with_name(self.path.name + ".tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(temporary, flags, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(f"{head.rows} {head.hash}\n".encode("ascii"))
            file.flush()
            os.fsync(descriptor)
        temporary.replace(self.path)
