"""Encrypted SQLite files (SQLite Multiple Ciphers): opening, finding the key, changing it.

Each page is encrypted and authenticated with ChaCha20-Poly1305 under a 32-byte key that is
used as it is: no key derivation when a file is opened. The write-ahead log and rollback
journals are encrypted like the file; temporary tables stay in memory. The log's index
(`-shm`) holds page numbers and checksums, no content.

Two rules keep a wrong key from doing harm. A key is tried on a read-only, `immutable` view
first, because SQLite that cannot decrypt a write-ahead log takes it for empty and removes it
when it closes. And a key is changed by writing a new file and renaming it over the old one,
because a journal of a half-changed file can be read with neither key.

Not covered: the blocks of a replaced file stay on the disk until they are used again (they
are encrypted, unless the file was from before version 2 of the ledger); an older version of
CoGenesis that opens the file in the very moment of the rename.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cogenesis.errors import LedgerError

if TYPE_CHECKING:
    import apsw

KEY_BYTES: Final = 32
LOCK_NAME: Final = "cogenesis.lock"
LOCK_SECONDS: Final = 10.0

_CIPHER: Final = "chacha20"
_LOOKS: Final = 3
"""How often to look: another process may be writing the first page just now."""


def connect(path: Path, key: bytes | None, *, busy_ms: int) -> apsw.Connection:
    """Open an existing file for reading and writing; `key` None means that it is plain.

    `key` must be one that `key_of` found.
    """
    import apsw

    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(path.as_uri(), flags=flags)
    try:
        if key is not None:
            _unlock(connection, key)
        connection.set_busy_timeout(busy_ms)
        connection.pragma("trusted_schema", False)
        connection.pragma("temp_store", "memory")  # no copies in the shared /tmp
        connection.pragma("secure_delete", True)  # what is removed is overwritten with zeros
        connection.pragma("synchronous", "EXTRA")
        connection.pragma("fullfsync", True)  # macOS: fsync alone stops at the drive's cache
    except BaseException:
        connection.close()
        raise
    return connection


def key_of(path: Path, keys: Sequence[bytes]) -> bytes | None:
    """Which of the keys opens the file; None if it is not encrypted. Changes nothing.

    An empty file opens with the first key.

    Raises:
        apsw.NotADBError: none of them does, or it is no SQLite file.
    """
    import apsw

    for look in range(_LOOKS):
        if look:
            time.sleep(0.02)
        for key in (*keys, None):
            if _opens(path, key):
                return key
    raise apsw.NotADBError("no key opens it")


@contextmanager
def look_into(path: Path, key: bytes | None) -> Iterator[apsw.Connection]:
    """A view of the file without its write-ahead log, that cannot change anything.

    No lock is taken and no log or journal is looked at, so the key need not be right.
    """
    import apsw

    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_NOFOLLOW | apsw.SQLITE_OPEN_URI
    with _closing(apsw.Connection(f"{path.as_uri()}?immutable=1", flags=flags)) as connection:
        if key is not None:
            _unlock(connection, key)
        yield connection


def reencrypt(
    path: Path,
    old: bytes | None,
    new: bytes,
    *,
    busy_ms: int,
    upgrade: Callable[[apsw.Connection], None] | None = None,
) -> None:
    """Replace the file by one with the same content under another key.

    Killed at any moment it leaves the old file or the new one, whole; beside the old one there
    may be a `.new` file, which the next call removes. `upgrade` may change the new file before
    it takes the old one's place. Call it only under `folder_lock`.

    Raises:
        apsw.Error: another connection has the file open, or it is damaged; it is as it was.
    """
    import apsw

    fresh = path.with_name(path.name + ".new")
    for leftover in (fresh, fresh.with_name(fresh.name + "-journal")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with _closing(connect(path, old, busy_ms=busy_ms)) as connection:
        # Folds the write-ahead log in, and fails while anybody else has the file open.
        if connection.pragma("journal_mode", "delete") != "delete":
            raise apsw.BusyError("the file is in use")
        target = f"{fresh.as_uri()}?cipher={_CIPHER}&key={_raw(new)}"
        connection.execute("VACUUM INTO ?", (target,))
    with _closing(connect(fresh, new, busy_ms=busy_ms)) as connection:
        if connection.pragma("quick_check") != "ok":
            raise apsw.CorruptError("the copy cannot be read back")
        if upgrade is not None:
            upgrade(connection)
    # SQLite has no file open any more: closing a descriptor drops nobody's locks.
    descriptor = os.open(fresh, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)
    sync_folder(path.parent)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keep other processes of this program from opening files here or changing keys.

    Held for milliseconds while a file is opened, and as long as a change of the key takes.
    A process that dies lets go. File systems without such locks are used without.

    Raises:
        LedgerError: another process held it for ten seconds.
    """
    flags = os.O_CREAT | (os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    descriptor = os.open(folder / LOCK_NAME, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        limit = time.monotonic() + LOCK_SECONDS
        while not _try_lock(descriptor):
            if time.monotonic() > limit:
                raise LedgerError(
                    f"another CoGenesis program is changing the key of {folder}. "
                    "Wait until it is done and try again."
                )
            time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk. Windows has no such call."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in {errno.EAGAIN, errno.EACCES, errno.EDEADLK}
    return True


def _opens(path: Path, key: bytes | None) -> bool:
    import apsw

    with look_into(path, key) as connection:
        try:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        except (apsw.NotADBError, apsw.IOError):
            return False
        except apsw.CorruptError:
            return True  # the first page could be read, so this is the key
    return True


def _unlock(connection: apsw.Connection, key: bytes) -> None:
    connection.pragma("cipher", _CIPHER)
    connection.pragma("key", _raw(key))


def _raw(key: bytes) -> str:
    """A key that is used as it is, not as a password."""
    return f"raw:{key.hex()}"


@contextmanager
def _closing(connection: apsw.Connection) -> Iterator[apsw.Connection]:
    """apsw's own context manager is a transaction and leaves the connection open."""
    try:
        yield connection
    finally:
        connection.close()
