"""Opening the ledger's database: who may read it, whether it is one, how it reaches the disk.

The file is encrypted with the key of its folder (`home_key`). A ledger of version 1, which was
not, is replaced by an encrypted one when it is opened.

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
from cogenesis.privacy import home_key
from cogenesis.privacy.encrypted_file import (
    connect,
    folder_lock,
    key_of,
    look_into,
    reencrypt,
    sync_folder,
)
from cogenesis.privacy.ledger_chain import GENESIS, Head, HeadFile
from cogenesis.privacy.ledger_schema import APPLICATION_ID, SCHEMA, VERSION, schema_of, upgrade

if TYPE_CHECKING:
    import apsw

BUSY_MS: Final = 2000
"""How long to wait for another process before giving up (milliseconds)."""


def open_database(path: Path, head: HeadFile, key: bytes | None = None) -> apsw.Connection:
    """Open the ledger's database, creating folder (0700), file (0600), key and tables as needed.

    `path` must have a resolved parent. An existing folder keeps its mode: it may be one that
    the user shares on purpose. `key` replaces the folder's key.

    Raises:
        LedgerError: see `Ledger.open`.
    """
    with translated(path):
        _prepare_file(path)
        # Before the lock: a passphrase may be asked for, and takes time. And where there is
        # no ledger, no lock and no key may be left behind.
        if key is None and home_key.read_key(path.parent) is None:
            try:
                _check_plain(path)
            except LedgerError:
                # Another process may just have made key and ledger, in this order.
                if home_key.read_key(path.parent) is None:
                    raise
        with folder_lock(path.parent):
            keys = (key,) if key is not None else _folder_keys(path)
            found = _find_key(path, keys)
            if found is None:
                found = _encrypt(path, keys[0])
            connection = connect(path, found, busy_ms=BUSY_MS)
            try:
                _recognise(connection, path, head)
                _close_to_others(path)
                connection.pragma("journal_mode", "wal")
            except BaseException:
                connection.close()
                raise
    return connection


def _folder_keys(path: Path) -> tuple[bytes, ...]:
    """The keys of the ledger's folder; a new one only where nothing needs an old one."""
    known = home_key.read_key(path.parent)
    if known is None:
        _check_plain(path)
        known = home_key.create_key(path.parent)
    return known.keys


def _find_key(path: Path, keys: tuple[bytes, ...]) -> bytes | None:
    import apsw

    try:
        return key_of(path, keys)
    except apsw.NotADBError:
        key_file = path.with_name(home_key.KEY_FILE)
        if keys:
            raise LedgerError(
                f"{path} is encrypted with another key than that of {key_file}, or its beginning "
                "is damaged, or it is not a ledger. Nothing was changed. Put the key file back "
                "that belongs to it, or choose another path"
            ) from None
        raise LedgerError(
            f"{path} is encrypted and its key file {key_file} is missing, or it is not a ledger. "
            "Nothing was changed. Put the key file back, or choose another path"
        ) from None


def _check_plain(path: Path) -> None:
    """Check that the file is empty or a ledger that is not encrypted; change nothing."""
    _find_key(path, ())
    # Without its log: a ledger of version 1 was marked as one before it had a log.
    with look_into(path, None) as plain:
        _check_marks(plain, path, fresh_is_fine=True)


def _encrypt(path: Path, key: bytes) -> bytes:
    """Replace a ledger that is not encrypted by one that is; return its key."""
    _check_plain(path)
    _close_to_others(path)
    reencrypt(path, None, key, busy_ms=BUSY_MS, upgrade=upgrade)
    return key


def _prepare_file(path: Path) -> None:
    """Create the file, or check the existing one without opening it.

    Closing any descriptor of a file drops all POSIX locks that this process holds on it, so
    a database that SQLite may have open elsewhere must only be looked at by name.
    """
    try:
        path.parent.mkdir(parents=True, mode=0o700)
        sync_folder(path.parent.parent)
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
    _check_marks(connection, path)


def _check_marks(connection: apsw.Connection, path: Path, *, fresh_is_fine: bool = False) -> None:
    application, version = _marks(connection)
    if fresh_is_fine and (application, version) == (0, 0) and not schema_of(connection):
        return
    if application != APPLICATION_ID:
        raise LedgerError(f"{path} is a database of another program. Choose another ledger path")
    if version > VERSION:
        raise LedgerError(
            f"{path} was written by a newer version of CoGenesis. Upgrade: pip install -U cogenesis"
        )


def _marks(connection: apsw.Connection) -> tuple[int, int]:
    return int(connection.pragma("application_id")), int(connection.pragma("user_version"))


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn every failure of SQLite, the file system or an encoding into a LedgerError."""
    import apsw

    advice = {
        apsw.BusyError: "another program has locked it; close that program and try again",
        apsw.LockedError: "another program has locked it; close that program and try again",
        apsw.FullError: "the disk is full; free some space",
        apsw.ReadOnlyError: "it is read-only; allow writing, or choose another ledger",
        apsw.NotADBError: "its key does not open it, or it is not a ledger",
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
