"""The tables of a ledger, and how those of an older version become those of this one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import apsw

APPLICATION_ID: Final = 0x43474C31  # "CGL1": tells our files from other SQLite files
VERSION: Final = 2
"""1: not encrypted, nothing could be forgotten. The records and their hashes are the same."""

_RECORDS: Final = """CREATE TABLE records (
  row INTEGER PRIMARY KEY,
  previous TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ({kinds})),
  time TEXT NOT NULL,
  purpose TEXT, method TEXT, url TEXT, headers TEXT, attempt INTEGER, note TEXT,
  request INTEGER, status INTEGER, error TEXT, received INTEGER, milliseconds INTEGER,
  hash TEXT NOT NULL,
  body BLOB
) STRICT"""

_OUTCOME_OF: Final = "CREATE UNIQUE INDEX outcome_of ON records (request) WHERE request IS NOT NULL"

# INSERT OR REPLACE removes rows without firing a DELETE trigger: what may be inserted is
# therefore checked too.
_ONLY_APPEND: Final = """CREATE TRIGGER only_append BEFORE INSERT ON records
WHEN NEW.row <> (SELECT coalesce(max(row), 0) + 1 FROM records)
  OR NEW.request IN (SELECT request FROM records WHERE request = NEW.request)
BEGIN SELECT RAISE(ABORT, 'the ledger only grows at its end'); END"""

_NO_UPDATE: Final = """CREATE TRIGGER no_update BEFORE UPDATE ON records
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"""

SCHEMA_1: Final = (
    _RECORDS.format(kinds="'request', 'outcome'"),
    _OUTCOME_OF,
    _ONLY_APPEND,
    _NO_UPDATE,
    """CREATE TRIGGER no_delete BEFORE DELETE ON records
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
)

SCHEMA: Final = (
    _RECORDS.format(kinds="'request', 'outcome', 'forgotten'"),
    _OUTCOME_OF,
    # Finds the record of what was forgotten without reading all others.
    "CREATE INDEX cuts ON records (row) WHERE kind = 'forgotten'",
    _ONLY_APPEND,
    _NO_UPDATE,
    # A row may only go once the chain says so.
    """CREATE TRIGGER no_delete BEFORE DELETE ON records
WHEN NOT EXISTS (
  SELECT 1 FROM records WHERE kind = 'forgotten' AND OLD.row <= json_extract(note, '$.last'))
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
)


def schema_of(connection: apsw.Connection) -> set[str]:
    """The statements that made the tables, indexes and triggers of a database."""
    return {sql for (sql,) in connection.execute("SELECT coalesce(sql, '') FROM sqlite_schema")}


def upgrade(connection: apsw.Connection) -> None:
    """Give a ledger of version 1 the tables of this version; keep one that was altered.

    What was altered must stay for `verify` to report.
    """
    if schema_of(connection) != set(SCHEMA_1):
        return
    connection.execute("BEGIN IMMEDIATE")
    for name in ("only_append", "no_update", "no_delete"):
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("DROP INDEX outcome_of")
    connection.execute("ALTER TABLE records RENAME TO older")
    table, *rest = SCHEMA
    connection.execute(table)
    connection.execute("INSERT INTO records SELECT * FROM older ORDER BY row")
    connection.execute("DROP TABLE older")
    for statement in rest:
        connection.execute(statement)
    connection.pragma("user_version", VERSION)
    connection.execute("COMMIT")
