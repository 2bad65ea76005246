"""Requests to write into a ledger, and a way to tamper with one behind its back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from cogenesis.privacy.encrypted_file import connect
from cogenesis.privacy.home_key import read_key
from cogenesis.privacy.ledger import Ledger, LedgerEntry, Outcome
from cogenesis.privacy.ledger_chain import COLUMNS
from cogenesis.privacy.ledger_schema import APPLICATION_ID, SCHEMA, SCHEMA_1

TRIGGERS = tuple(sql for sql in SCHEMA if sql.startswith("CREATE TRIGGER"))


def request(number: int, size: int = 0) -> LedgerEntry:
    """A request that differs from every other in its body."""
    text = f"Outline for a letter, number {number}: größer 🙂 " + "x" * size
    return LedgerEntry(
        purpose="outline",
        method="POST",
        url="https://cloud.example/v1/chat/completions",
        headers=(("content-type", "application/json"), ("authorization", "<secret>")),
        body=f'{{"model":"big","messages":[{{"role":"user","content":"{text}"}}]}}'.encode(),
        attempt=1 + number % 2,
        note="allowed: Ångström" if number % 3 == 0 else "",
    )


def behind_its_back(path: Path) -> apsw.Connection:
    """A connection that knows the key and nothing of ledgers."""
    key = read_key(path.parent)
    assert key is not None
    return connect(path.resolve(), key.keys[0], busy_ms=0)


@contextmanager
def tampering(path: Path) -> Iterator[apsw.Connection]:
    """A connection without the triggers, which are put back afterwards.

    They are put back so that `verify` has to find the changed record itself.
    """
    connection = behind_its_back(path)
    connection.pragma("ignore_check_constraints", True)
    connection.pragma("synchronous", "OFF")  # tests tamper hundreds of times
    connection.execute("BEGIN")
    for name in ("only_append", "no_update", "no_delete"):
        connection.execute(f"DROP TRIGGER {name}")
    try:
        yield connection
        for sql in TRIGGERS:
            connection.execute(sql)
        connection.execute("COMMIT")
    finally:
        connection.close()


def write_version_1(path: Path, rows: int = 4, size: int = 0) -> apsw.Connection:
    """A ledger as version 1 wrote it, in the clear, with its head; the connection is open.

    While it is open, and after a crash, the newest records lie in the write-ahead log alone.
    """
    names = ", ".join((*COLUMNS, "hash"))
    other = path.with_name("made-with-a-key.sqlite")
    with Ledger.open(other, key=bytes(32)) as ledger:
        for number in range(rows // 2):
            ledger.outcome(ledger.append(request(number, size)), Outcome(200, "", 10, 0.5))
    encrypted = connect(other, bytes(32), busy_ms=0)
    records = list(encrypted.execute(f"SELECT {names} FROM records ORDER BY row"))
    encrypted.close()
    other.unlink()
    other.with_suffix(".head").replace(path.with_suffix(".head"))
    connection = apsw.Connection(str(path))
    for statement in SCHEMA_1:
        connection.execute(statement)
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", 1)
    connection.pragma("journal_mode", "wal")
    marks = ", ".join("?" * (len(COLUMNS) + 1))
    for record in records:
        connection.execute(f"INSERT INTO records ({names}) VALUES ({marks})", record)
    path.chmod(0o600)
    return connection
