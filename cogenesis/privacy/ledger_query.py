"""The questions that the ledger asks its database, and what comes back as objects."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cogenesis.privacy.ledger_chain import (
    COLUMNS,
    GENESIS,
    Cut,
    LedgerEntry,
    Outcome,
    parse_cut,
    parse_headers,
)

if TYPE_CHECKING:
    import apsw

LAST = "SELECT row, hash FROM records ORDER BY row DESC LIMIT 1"
_NEWEST_CUT = "SELECT note FROM records WHERE kind = 'forgotten' ORDER BY row DESC LIMIT 1"
INSERT = (
    f"INSERT INTO records ({', '.join(COLUMNS)}, hash) "  # noqa: S608  (fixed names)
    f"VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"
)
RAW = (
    "SELECT row, CAST(hash AS BLOB), "  # noqa: S608  (fixed names)
    + ", ".join(f"CAST({name} AS BLOB)" for name in COLUMNS)
    + " FROM records WHERE row >= ? ORDER BY row LIMIT ?"
)
EXPORT = (
    f"SELECT {', '.join(COLUMNS)}, hash FROM records "  # noqa: S608  (fixed names)
    "WHERE row > ? ORDER BY row LIMIT ?"
)
REQUESTS = """SELECT r.row, r.time, r.purpose, r.method, r.url, r.headers, r.body, r.attempt,
  r.note, o.row, o.status, o.error, o.received, o.milliseconds
FROM records AS r LEFT JOIN records AS o ON o.request = r.row
WHERE r.kind = 'request' AND r.row > ? AND r.row < ? ORDER BY r.row """


@dataclass(frozen=True, slots=True)
class Row:
    """A request in the ledger and, once known, what came of it."""

    number: int
    time: str
    entry: LedgerEntry
    outcome: Outcome | None


def hash_of(connection: apsw.Connection, row: int) -> str | None:
    """The hash of a record, also of the last one that was forgotten; None if there is none."""
    found: str | None = connection.execute("SELECT hash FROM records WHERE row = ?", (row,)).get
    if found is None:
        note = connection.execute(_NEWEST_CUT).get
        with suppress(ValueError):
            start = Cut(0, GENESIS, "") if note is None else parse_cut(note)
            found = start.hash if start.last == row else None
    return found


def cut_before(connection: apsw.Connection, before: str) -> Cut | None:
    """The beginning that is older than `before`: clocks go back, so times may not be in order."""
    first = connection.execute("SELECT min(row) FROM records WHERE time >= ?", (before,)).get
    query = "SELECT row, hash FROM records WHERE row < ? ORDER BY row DESC LIMIT 1"
    for row, digest in connection.execute(query, (first or 2**63 - 1,)):
        return Cut(row, digest, before)
    return None


def to_row(values: tuple[Any, ...]) -> Row:
    """A record of `REQUESTS` as an object."""
    number, time, purpose, method, url, headers, body, attempt, note = values[:9]
    outcome_row, status, error, received, milliseconds = values[9:]
    entry = LedgerEntry(purpose, method, url, parse_headers(headers), body, attempt, note)
    if outcome_row is None:
        return Row(number, time, entry, None)
    return Row(number, time, entry, Outcome(status, error, received, milliseconds / 1000))
