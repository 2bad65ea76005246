"""The ledger: the append-only record of every request that left for a cloud model.

A request is written and synced before its first byte goes out, so there may be a row for a
request that never left (the process died in between), but never the reverse. What came back
is a second record: status and size, no reply text. Both are chained by hash.

What `verify` finds: any changed, missing, inserted, swapped or repeated record, a cut tail
(by the head file beside the ledger) and missing triggers. Old rows go by `forget` alone: it
writes into the chain which rows it removes, so that the rest can still be checked and a
removal without such a record is found.

Not covered: an attacker with the user's own rights can rewrite records, hashes and head file
together, or remove them all; sha256 is not a signature. Keep the head that `ledger verify`
prints in another place to be able to show that nothing was rewritten since. The head file is
not encrypted (a number and a hash). Nothing here proves that a request was *not* sent by
something that does not use the ledger: that is the work of the import and socket tests around
the egress.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TextIO

from cogenesis.errors import LedgerError
from cogenesis.privacy.encrypted_file import sync_folder
from cogenesis.privacy.ledger_chain import (
    COLUMNS,
    GENESIS,
    Cut,
    Head,
    HeadFile,
    LedgerEntry,
    Outcome,
    Value,
    chain_hash,
    forgotten_fields,
    outcome_fields,
    request_fields,
    to_bytes,
    utc_now,
    utc_text,
)
from cogenesis.privacy.ledger_check import RawRecord, Verification, check_chain
from cogenesis.privacy.ledger_file import open_database, translated
from cogenesis.privacy.ledger_query import (
    EXPORT,
    INSERT,
    LAST,
    RAW,
    REQUESTS,
    Row,
    cut_before,
    hash_of,
    to_row,
)
from cogenesis.privacy.ledger_schema import SCHEMA, schema_of

if TYPE_CHECKING:
    import apsw

__all__ = ["Ledger", "LedgerEntry", "Outcome", "Row", "Totals", "Verification"]

_BATCH: Final = 64
"""Records read at a time: bounds memory, and a slow reader keeps no old state of the file
alive (the write-ahead log could not be folded in meanwhile)."""


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
    def open(cls, path: Path, *, key: bytes | None = None) -> Ledger:
        """Open the ledger, creating it if there is none.

        A new folder gets mode 0700, the file and its side files 0600; a file that others
        can read is closed to them first. It is encrypted with the key of its folder
        (`home_key`), or with `key`, 32 bytes that are kept nowhere, for a ledger that goes
        with the program. A ledger that an older version wrote in the clear is encrypted now.

        Raises:
            LedgerError: the path is a link or no file, belongs to another user, lies in a
                folder where everybody may replace files, is no ledger, has another key, was
                written by a newer version, is locked for longer than two seconds, or cannot
                be created.
        """
        with translated(path):
            # Only the folder is resolved: the file itself must not be a link.
            path = path.parent.resolve() / path.name
            if path.suffix == ".head" or not path.name:
                raise LedgerError(f"{path} cannot name a ledger. Try: {path}.sqlite")
        head = HeadFile(path)
        return cls(path, open_database(path, head, key), head)

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

    def forget(self, before: datetime) -> Cut | None:
        """Remove the records from before a time; None if there are none.

        Only whole beginnings go: the records up to the first one that is not older. The chain
        says what went and when; a record of that is the newest then. What is removed is
        overwritten with zeros, in the write-ahead log too.

        Not covered: copies, exports and what the disk or its snapshots keep.

        Raises:
            LedgerError: the ledger is not as it was written, or is in use. Where it is only
                the log that cannot be emptied (another program reads), the records are gone
                and the message says so.
        """
        result = self.verify()
        if not result.ok:
            raise LedgerError(
                f"The ledger {self.path} is not as it was written: {result.problem}. Nothing was "
                "forgotten. Look at it with 'cogenesis ledger verify'."
            )
        with self._lock:
            with self._writing() as connection:
                last = self._last(connection)
                self._check_head(connection, last)
                # A head that names a row that is gone would look like a changed ledger.
                self._head.write(last)
                sync_folder(self.path.parent)
                cut = cut_before(connection, utc_text(before))
                if cut is None:
                    return None
                self._insert(connection, last, forgotten_fields(cut))
                connection.execute("DELETE FROM records WHERE row <= ?", (cut.last,))
            with self._writing() as connection:
                self._head.write(self._last(connection))
            with translated(self.path):
                busy = self._usable().execute("PRAGMA wal_checkpoint(TRUNCATE)").get[0]
        if busy:
            raise LedgerError(
                f"rows 1 to {cut.last} are forgotten, but {self.path.name}-wal may hold them until "
                "the programs that have the ledger open are closed."
            )
        return cut

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
            rows = self._read(REQUESTS + order, (low, high, _BATCH))[:left]
            if not rows:
                return
            with translated(self.path):
                found = [to_row(row) for row in rows]
            yield from found
            if newest_first:
                high = rows[-1][0]
            else:
                low = rows[-1][0]
            left = None if left is None else left - len(rows)

    def last_row(self) -> int:
        """The number of the newest record, 0 if there is none; a mark for `totals`."""
        return self._last(self._usable()).rows

    def older_than(self, time: datetime) -> int:
        """How many requests and outcomes have an earlier time."""
        query = "SELECT count(*) FROM records WHERE kind <> 'forgotten' AND time < ?"
        ((count,),) = self._read(query, (utc_text(time),))
        return int(count)

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
        while records := self._read(EXPORT, (row, _BATCH)):
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
        while records := self._read(RAW, (start, _BATCH)):
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
                self._insert(connection, last, fields)
            # Under the lock again, and from what is there now: another process may have
            # added records and moved the head on, which must never go backwards.
            with self._writing() as connection:
                self._head.write(self._last(connection))
        return last.rows + 1

    @staticmethod
    def _insert(connection: apsw.Connection, last: Head, fields: dict[str, Value]) -> None:
        record = fields | {"previous": last.hash, "row": last.rows + 1, "time": utc_now()}
        values = [record.get(name) for name in COLUMNS]
        connection.execute(INSERT, (*values, chain_hash(map(to_bytes, values))))

    def _last(self, connection: apsw.Connection) -> Head:
        with self._lock, translated(self.path):
            for row, digest in connection.execute(LAST):
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
            if hash_of(connection, head.rows) == head.hash:
                return
            problem = f"row {head.rows} was replaced"
        raise LedgerError(
            f"The ledger {self.path} is not as it was left: {problem}. Look at it with "
            f"'cogenesis ledger verify'. To start a new one, move it, its -wal file if there is "
            f"one, and {self._head.path.name} to another folder, with a copy of cogenesis.key."
        )
