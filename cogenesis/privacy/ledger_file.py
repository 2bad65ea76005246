"""Opening the ledger's database: who may read it, whether it is one, how it reaches the disk.

Write-ahead log, synced at every commit (`synchronous=EXTRA`). Frames carry checksums, so a
half-written record is dropped by whoever opens the file next, and a commit costs one sync
instead of the five of a rollback journal: fusion may write a record for every token. The log
and its index (`-wal`, `-shm`) inherit the database's mode 0600; the last process to close
the ledger folds them into it. A log that was removed after a crash takes the newest records
with it: `verify` and `append` notice by the head file. Where the file system has no shared
memory SQLite stays with the rollback journal, which EXTRA makes as durable.

Not covered: a disk that lies about having written; other users where the file system has no
modes (FAT, Windows shares); a folder whose group members may write.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cogenesis.errors import LedgerError
from cogenesis.privacy.ledger_chain import GENESIS, Head, HeadFile

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
            connection.pragma("synchronous", "EXTRA")
            connection.pragma("fullfsync", True)  # macOS: fsync alone stops at the drive's cache
            _recognise(connection, path, head)
            _close_to_others(path)
            connection.pragma("journal_mode", "wal")
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
        _sync_folder(path.parent.parent)
    except FileExistsError:
        mode = path.parent.stat().st_mode
        if os.name == "posix" and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise LedgerError(
                f"everybody may replace files in {path.parent}. "
                f"Run: chmod o-w '{path.parent}'  or choose another folder for the ledger"
            ) from None
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        _sync_folder(path.parent)
    except FileExistsError:
        _check_existing(path)


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk. Windows has no such call."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _check_existing(path: Path) -> None:
    for file, info in _files(path):
        if not stat.S_ISREG(info.st_mode):
            raise LedgerError(
                f"{file} is a link, a folder or a device, not a file. "
                "Remove it, or give the path of the ledger itself"
            )
        if os.name == "posix" and os.geteuid() not in (0, info.st_uid):
            raise LedgerError(f"{file} belongs to another user. Choose another ledger")


def _close_to_others(path: Path) -> None:
    """Take away what modes others have. Only called once the file is known to be a ledger."""
    for file, info in _files(path):
        if os.name != "posix" or not info.st_mode & 0o077:
            continue
        try:
            file.chmod(0o600)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise LedgerError(
                f"other users can read {file} and its mode cannot be changed "
                f"({error.strerror}). Move it to a folder of your own"
            ) from error


def _files(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The database and the side files that it has at the moment."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        file = path.with_name(path.name + suffix)
        # Another process that closes the ledger removes side files at any time.
        with suppress(FileNotFoundError):
            yield file, file.lstat()


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
        apsw.CorruptError: "it is damaged; move it, its -wal and .head files away for a new one",
        apsw.CantOpenError: "it cannot be opened; if its folder is read-only, copy it elsewhere",
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
        raise LedgerError(f"The ledger {path} cannot keep or read a value: {error}.") from error
