"""One process at a time: a lock that the system releases when its holder dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_S = 0.2

_FAR = (1 << 31) - 2
"""The byte that is locked on Windows: nobody can read a locked byte there, and no file has it."""


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` (created if missing, never deleted).

    Waits without limit: the holder is at work, and its death frees the lock. The file
    stays, because deleting it would let two processes lock two files of one name.

    Raises:
        OSError: the file cannot be created or its file system has no locks.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _try_lock(handle):
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(handle)


def lock_open_file(handle: int) -> bool:
    """Lock a file for as long as `handle` is open; False if another handle has locked it.

    Does not wait. On a file system without locks it is as if nobody else were there.
    """
    before = os.lseek(handle, 0, os.SEEK_CUR)
    try:
        os.lseek(handle, _FAR, os.SEEK_SET)
        return _try_lock(handle)
    except OSError:
        return True
    finally:
        os.lseek(handle, before, os.SEEK_SET)


def _try_lock(handle: int) -> bool:
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
    else:
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
