"""Requests to write into a ledger, and a way to tamper with one behind its back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from cogenesis.privacy.encrypted_file import connect
from cogenesis.privacy.home_key import read_key
from cogenesis.privacy.ledger import LedgerEntry
from cogenesis.privacy.ledger_schema import SCHEMA

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
