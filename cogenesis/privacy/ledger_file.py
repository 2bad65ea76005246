"""Opening the ledger's database: who may read it, whether it is one, how it reaches the disk.

Rollback journal, not WAL. With WAL the newest records lie in a second file: removing it
removes them without a trace, and it stays behind when a process is killed. With the rollback
journal a committed record is in the one file, synced, with its folder (`synchronous=EXTRA`),
before the commit returns; a half-written record is rolled back by whoever opens the file
next. The journal inherits the database's mode 0600. The price is about a millisecond.

Not covered: a disk that lies about having written; other users where the file system has no
modes (FAT, Windows shares); a folder whose group members may write.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cogenesis.errors import LedgerError
from cogenesis.privacy.ledger_chain import GENESIS, Head, HeadFile, sync_folder

if TYPE_CHECKING:
    import apsw

BUSY_MS: Final = 2000
"""How long to wait for another process before giving up (milliseconds)."""

APPLICATION_ID: Final = 0x43474C31  # "CGL1": tells our files from other SQLite files
VERSION: Final = 1

SCHEMA: Final = (
    """CREATE TABLE records (
  row INTEGER PRIMARY KEY,
  previous TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('request', 'outcome')),
  time TEXT NOT NULL,
  purpose TEXT, method TEXT, url TEXT, headers TEXT, attempt INTEGER, note TEXT,
  request INTEGER, status INTEGER, error TEXT, received INTEGER, milliseconds INTEGER,
  hash TEXT NOT NULL,
  body BLOB
) STRICT""",
    "CREATE UNIQUE INDEX outcome_of ON records (request) WHERE request IS NOT NULL",
    # INSERT OR REPLACE removes rows without firing a DELETE trigger: what may be inserted is
    # therefore checked too.
    """CREATE TRIGGER only_append BEFORE INSERT ON records
WHEN NEW.row <> (SELECT coalesce(max(row), 0) + 1 FROM records)
  OR NEW.request IN (SELECT request FROM records WHERE request = NEW.request)
BEGIN SELECT RAISE(ABORT, 'the ledger only grows at its end'); END""",
    """CREATE TRIGGER no_update BEFORE UPDATE ON records
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER no_delete BEFORE DELETE ON records
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
)


def open_database(path: Path, head: HeadFile) -> apsw.Connection:
    """Open the ledger's database, creating folder (0700), file (0600) and tables as needed.

    `path` must have a resolved parent. An existing folder keeps its mode: it may be one that
    the user shares on purpose.

    Raises:
        LedgerError: see `Ledger.open`.
    """
    import apsw

    with translated(path):
        _prepare_file(path)
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
        connection = apsw.Connection(str(path), flags=flags)
        try:
            # A key for encryption would be applied here, before anything is read.
            connection.set_busy_timeout(BUSY_MS)
            connection.pragma("trusted_schema", False)
            connection.pragma("temp_store", "memory")  # no copies in the shared /tmp
            _recognise(connection, path, head)
            _close_to_others(path)
            if connection.pragma("journal_mode", "delete") != "delete":
                raise LedgerError(f"{path} cannot be used with a rollback journal; move it away")
            connection.pragma("synchronous", "EXTRA")
            connection.pragma("fullfsync", True)  # macOS: fsync alone stops at the drive's cache
        except BaseException:
            connection.close()
            raise
    return connection


def _prepare_file(path: Path) -> None:
    """Create the file, or check the existing one without opening it.

    Closing any descriptor of a file drops all POSIX locks that this process holds on it, so
    a database that SQLite may have open elsewhere must only be looked at by name.
    """
    try:
        path.parent.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        mode = path.parent.stat().st_mode
        if os.name == "posix" and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise LedgerError(
                f"everybody may replace files in {path.parent}. "
                f"Run: chmod o-w '{path.parent}'  or choose another folder for the ledger"
            ) from None
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        sync_folder(path.parent)
    except FileExistsError:
        _check_existing(path)


def _check_existing(path: Path) -> None:
    info = path.lstat()
    if not stat.S_ISREG(info.st_mode):
        raise LedgerError(
            f"{path} is a link, a folder or a device, not a file. Give the path of the file itself"
        )
    if os.name == "posix" and os.geteuid() not in (0, info.st_uid):
        raise LedgerError(f"{path} belongs to another user. Choose another ledger")


def _close_to_others(path: Path) -> None:
    """Take away what modes others have. Only called once the file is known to be a ledger."""
    if os.name != "posix" or not path.lstat().st_mode & 0o077:
        return
    try:
        path.chmod(0o600)
    except OSError as error:
        raise LedgerError(
            f"other users can read {path} and its mode cannot be changed "
            f"({error.strerror}). Move it to a folder of your own"
        ) from error


def _recognise(connection: apsw.Connection, path: Path, head: HeadFile) -> None:
    """Check that the database is a ledger of a version that we know; fill an empty one."""
    if _marks(connection) == (0, 0) and not schema_of(connection):
        connection.execute("BEGIN IMMEDIATE")
        # Looked at again under the lock: two processes may have found it empty.
        if _marks(connection) == (0, 0):
            for statement in SCHEMA:
                connection.execute(statement)
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", VERSION)
            # Before the commit: a ledger without a head file is then always a damaged one.
            # A head that is there already belongs to records that are gone; it stays.
            if not head.path.exists():
                head.write(Head(0, GENESIS))
        connection.execute("COMMIT")
    application, version = _marks(connection)
    if application != APPLICATION_ID:
        raise LedgerError(f"{path} is a database of another program. Choose another ledger path")
    if version > VERSION:
        raise LedgerError(
            f"{path} was written by a newer version of CoGenesis. Upgrade: pip install -U cogenesis"
        )


def _marks(connection: apsw.Connection) -> tuple[int, int]:
    return int(connection.pragma("application_id")), int(connection.pragma("user_version"))


def schema_of(connection: apsw.Connection) -> set[str]:
    """The statements that made the tables, indexes and triggers of a database."""
    return {sql for (sql,) in connection.execute("SELECT coalesce(sql, '') FROM sqlite_schema")}


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn every failure of SQLite, the file system or an encoding into a LedgerError."""
    import apsw

    advice = {
        apsw.BusyError: "another program has locked it; close that program and try again",
        apsw.LockedError: "another program has locked it; close that program and try again",
        apsw.FullError: "the disk is full; free some space",
        apsw.ReadOnlyError: "it is read-only; allow writing, or choose another ledger",
        apsw.NotADBError: "it is not a ledger; choose another path",
        apsw.CorruptError: "it is damaged; move it and its .head file away to start a new one",
        apsw.CantOpenError: "it, or a file beside it, cannot be opened; check the folder",
        apsw.ConnectionClosedError: "it is closed",
    }
    try:
        yield
    except apsw.Error as error:
        reason = advice.get(type(error), f"{error}; check the disk")
        raise LedgerError(f"The ledger {path} cannot be used: {reason}.") from error
    except OSError as error:
        raise LedgerError(
            f"The ledger {path} cannot be used: {error.strerror}; check the disk and the folder."
        ) from error
    except (UnicodeError, OverflowError, TypeError) as error:
        raise LedgerError(f"The ledger {path} cannot hold this value: {error}.") from error
