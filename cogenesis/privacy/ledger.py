"""The ledger: the append-only record of every request that left for a cloud model.

A request is written and synced before its first byte goes out, so there may be a row for a
request that never left (the process died in between), but never the reverse. What came back
is a second record: status and size, no reply text. Both are chained by hash.

What `verify` finds: any changed, missing, inserted, swapped or repeated record, a cut tail
(by the head file beside the ledger) and missing triggers.

Not covered: an attacker with the user's own rights can rewrite records, hashes and head file
together, or remove them all; sha256 is not a signature. Keep the head that `ledger verify`
prints in another place to be able to show that nothing was rewritten since. Nothing here
proves that a request was *not* sent by something that does not use the ledger: that is the
work of the import and socket tests around the egress.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TextIO

from cogenesis.errors import LedgerError
from cogenesis.privacy.ledger_chain import (
    COLUMNS,
    GENESIS,
    Head,
    HeadFile,
    LedgerEntry,
    Outcome,
    Value,
    chain_hash,
    outcome_fields,
    parse_headers,
    request_fields,
    to_bytes,
    utc_now,
)
from cogenesis.privacy.ledger_check import RawRecord, Verification, check_chain
from cogenesis.privacy.ledger_file import SCHEMA, open_database, schema_of, translated

if TYPE_CHECKING:
    import apsw

__all__ = ["Ledger", "LedgerEntry", "Outcome", "Row", "Totals", "Verification"]

_BATCH: Final = 64
"""Records read at a time: bounds memory, and a slow reader keeps no old state of the file
alive (the write-ahead log could not be folded in meanwhile)."""

_LAST = "SELECT row, hash FROM records ORDER BY row DESC LIMIT 1"
_INSERT = (
    f"INSERT INTO records ({', '.join(COLUMNS)}, hash) "  # noqa: S608  (fixed names)
    f"VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"
)
_RAW = (
    "SELECT row, CAST(hash AS BLOB), "  # noqa: S608  (fixed names)
    + ", ".join(f"CAST({name} AS BLOB)" for name in COLUMNS)
    + " FROM records WHERE row >= ? ORDER BY row LIMIT ?"
)
_EXPORT = (
    f"SELECT {', '.join(COLUMNS)}, hash FROM records "  # noqa: S608  (fixed names)
    "WHERE row > ? ORDER BY row LIMIT ?"
)
_REQUESTS = """SELECT r.row, r.time, r.purpose, r.method, r.url, r.headers, r.body, r.attempt,
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


@dataclass(frozen=True, slots=True)
class Totals:
    """Requests written and the bytes of their bodies."""

    requests: int
    bytes: int


class Ledger:
    """An open ledger. Safe to use from several threads and several processes at once."""

    def __init__(self, path: Path, connection: apsw.Connection, head: HeadFile) -> None:
        self.path = path
        self._connection: apsw.Connection | None = connection
        self._head = head
        self._lock = threading.RLock()
        self._pid = os.getpid()

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """Open the ledger, creating it if there is none.

        A new folder gets mode 0700, the file and its side files 0600; a file that others
        can read is closed to them first.

        Raises:
            LedgerError: the path is a link or no file, belongs to another user, lies in a
                folder where everybody may replace files, is no ledger, was written by a newer
                version, is locked for longer than two seconds, or cannot be created.
        """
        with translated(path):
            # Only the folder is resolved: the file itself must not be a link.
            path = path.parent.resolve() / path.name
            if path.suffix == ".head" or not path.name:
                raise LedgerError(f"{path} cannot name a ledger. Try: {path}.sqlite")
        head = HeadFile(path)
        return cls(path, open_database(path, head), head)

    def append(self, entry: LedgerEntry) -> int:
        """Write a request that is about to leave; return its row number.

        When this returns the record is on disk. When it raises, the request must not be sent.

        Raises:
            LedgerError: it cannot be written, or the ledger is not as it was left.
        """
        return self._record(request_fields(entry))

    def outcome(self, row: int, outcome: Outcome) -> None:
        """Write what came of the request in `row`, once.

        The request has already left, so a caller may go on without it.

        Raises:
            LedgerError: it cannot be written, or `row` is no request without an outcome.
        """
        with self._lock:
            found = self._read("SELECT kind FROM records WHERE row = ?", (row,))
            if found != [("request",)]:
                raise LedgerError(f"row {row} of the ledger is no request")
            self._record(outcome_fields(row, outcome))

    def entries(
        self, *, newest_first: bool = True, limit: int | None = None, after: int = 0
    ) -> Iterator[Row]:
        """The requests after row `after`, at most `limit`, each with its outcome.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        low, high = after, 2**63 - 1
        order = ("DESC" if newest_first else "ASC") + " LIMIT ?"
        left = limit
        while left is None or left > 0:
            rows = self._read(_REQUESTS + order, (low, high, _BATCH))[:left]
            if not rows:
                return
            with translated(self.path):
                found = [_to_row(row) for row in rows]
            yield from found
            if newest_first:
                high = rows[-1][0]
            else:
                low = rows[-1][0]
            left = None if left is None else left - len(rows)

    def last_row(self) -> int:
        """The number of the newest record, 0 if there is none; a mark for `totals`."""
        return self._last(self._usable()).rows

    def totals(self, after: int = 0) -> Totals:
        """Requests and body bytes in records after row `after`, by whichever process."""
        query = (
            "SELECT count(*), coalesce(sum(length(body)), 0) FROM records "
            "WHERE kind = 'request' AND row > ?"
        )
        ((requests, size),) = self._read(query, (after,))
        return Totals(requests, size)

    def export(self, out: TextIO) -> int:
        """Write every record as one JSON object a line; return how many.

        The body is base64. docs/ledger.md has a script that checks such a file with sha256
        alone. Only ASCII is written.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        count = row = 0
        while records := self._read(_EXPORT, (row, _BATCH)):
            for values in records:
                record: dict[str, Any] = dict(zip((*COLUMNS, "hash"), values, strict=True))
                if record["body"] is not None:
                    record["body"] = base64.b64encode(record["body"]).decode("ascii")
                out.write(json.dumps(record) + "\n")
                row = record["row"]
                count += 1
        return count

    def verify(self) -> Verification:
        """Check every record, the chain, the head file and the triggers.

        Finds the first record that was changed, removed, inserted or moved. A head file
        that lags behind is legal: a process died between the record and the head.

        Raises:
            LedgerError: the file cannot be read at all.
        """
        # Read before the records: another process may be adding to both.
        try:
            head, head_problem = self._head.read(), ""
        except LedgerError as error:
            head, head_problem = Head(0, GENESIS), str(error)
        with self._lock, translated(self.path):
            altered = schema_of(self._usable()) != set(SCHEMA)
        result = check_chain(self._raw_records(), head, self._head.path.name)
        if result.ok and head_problem:
            return replace(result, problem=head_problem)
        if result.ok and altered:
            problem = "the tables, or the triggers that forbid changes, were altered"
            return replace(result, problem=problem)
        return result

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        with self._lock:
            connection, self._connection = self._connection, None
            # A connection made before a fork belongs to the parent; closing it here would
            # interfere with the parent's locks.
            if connection is not None and self._pid == os.getpid():
                with translated(self.path):
                    connection.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _usable(self) -> apsw.Connection:
        if self._connection is None:
            raise LedgerError("the ledger is closed; open it again")
        if self._pid != os.getpid():
            raise LedgerError("the ledger was opened before a fork; open it again in this process")
        return self._connection

    def _read(self, query: str, values: tuple[Value, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows at once, so that no read lock outlives the call."""
        with self._lock, translated(self.path):
            return list(self._usable().execute(query, values))

    def _raw_records(self) -> Iterator[RawRecord]:
        """Every record in ascending order."""
        start = -(2**63)
        while records := self._read(_RAW, (start, _BATCH)):
            for row, digest, *values in records:
                yield row, digest, tuple(values)
                start = row + 1

    @contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        """Hold the write lock of the file; commit at the end, undo after any error."""
        with self._lock, translated(self.path):
            connection = self._usable()
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _record(self, fields: dict[str, Value]) -> int:
        with self._lock:
            with self._writing() as connection:
                last = self._last(connection)
                self._check_head(connection, last)
                record = fields | {"previous": last.hash, "row": last.rows + 1, "time": utc_now()}
                values = [record.get(name) for name in COLUMNS]
                digest = chain_hash(map(to_bytes, values))
                connection.execute(_INSERT, (*values, digest))
            # Under the lock again, and from what is there now: another process may have
            # added records and moved the head on, which must never go backwards.
            with self._writing() as connection:
                self._head.write(self._last(connection))
        return last.rows + 1

    def _last(self, connection: apsw.Connection) -> Head:
        with self._lock, translated(self.path):
            for row, digest in connection.execute(_LAST):
                return Head(row, digest)
        return Head(0, GENESIS)

    def _check_head(self, connection: apsw.Connection, last: Head) -> None:
        """Refuse to continue a chain whose end was cut or replaced."""
        try:
            head = self._head.read()
            problem = f"{head.rows - last.rows} rows are missing at its end"
        except LedgerError as error:
            head, problem = None, str(error)
        if head is not None and head.rows <= last.rows:
            found = connection.execute("SELECT hash FROM records WHERE row = ?", (head.rows,))
            if (found.get if head.rows else GENESIS) == head.hash:
                return
            problem = f"row {head.rows} was replaced"
        raise LedgerError(
            f"The ledger {self.path} is not as it was left: {problem}. Look at it with "
            f"'cogenesis ledger verify'. To start a new one, move it, its -wal file if there is "
            f"one, and {self._head.path.name} to another folder."
        )


def _to_row(values: tuple[Any, ...]) -> Row:
    number, time, purpose, method, url, headers, body, attempt, note = values[:9]
    outcome_row, status, error, received, milliseconds = values[9:]
    entry = LedgerEntry(purpose, method, url, parse_headers(headers), body, attempt, note)
    if outcome_row is None:
        return Row(number, time, entry, None)
    return Row(number, time, entry, Outcome(status, error, received, milliseconds / 1000))
