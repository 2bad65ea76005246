"""Changing the key of a folder: a new key for all its encrypted files, kept where one likes.

The new key is kept together with the old ones before the first file is changed, and alone
after the last one: whatever happens in between, what is kept opens every file, and calling
`rekey` again finishes the work. With a passphrase it is the new one from the start.

Not covered: copies of a file that lie elsewhere stay under the old key, which is then gone
from the folder. Export what should be readable for longer.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cogenesis.errors import LedgerError
from cogenesis.privacy.encrypted_file import KEY_BYTES, LOCK_NAME, folder_lock, key_of, reencrypt
from cogenesis.privacy.home_key import KEY_FILE, Source, drop_from_keyring, read_key, write_key
from cogenesis.privacy.ledger_file import BUSY_MS, translated

_NOT_DATABASES: Final = ("-wal", "-shm", "-journal", ".new", ".tmp", ".head", KEY_FILE, LOCK_NAME)


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """What `rekey` did: where the key is now, and the files that it changed."""

    source: Source
    files: tuple[str, ...]


def rekey(folder: Path, source: Source | None = None, passphrase: str = "") -> Rekeyed:
    """Give the folder a new key, kept in `source` (where it was, if None).

    Every file in the folder that the old key opens is encrypted anew; others are left alone.

    Raises:
        LedgerError: there is no key, the place does not keep one, or a file is in use: then
            some files may have the new key already, all can be read, and calling it again
            goes on.
    """
    folder = folder.resolve()
    old = read_key(folder)
    if old is None:
        raise LedgerError(f"there is no key in {folder} yet: nothing was written there")
    chosen = source or old.source
    new = secrets.token_bytes(KEY_BYTES)
    changed: list[str] = []
    with translated(folder), folder_lock(folder):
        if read_key(folder) != old:
            raise LedgerError(f"another program has just changed the key of {folder}. Try again")
        both = write_key(folder, (new, *old.keys), chosen, passphrase)
        drop_from_keyring(old)
        for path, key in _encrypted(folder, both.keys):
            if key != new:
                with translated(path):
                    reencrypt(path, key, new, busy_ms=BUSY_MS)
                changed.append(path.name)
        write_key(folder, (new,), chosen, passphrase)
        drop_from_keyring(both)
    return Rekeyed(chosen, tuple(changed))


def _encrypted(folder: Path, keys: tuple[bytes, ...]) -> list[tuple[Path, bytes]]:
    """The files that one of the keys opens, with that key."""
    import apsw

    found = []
    for path in sorted(folder.iterdir()):
        if path.name.endswith(_NOT_DATABASES) or path.is_symlink() or not path.is_file():
            continue
        if not path.stat().st_size:
            continue  # opens with any key: there is nothing in it
        try:
            key = key_of(path, keys)
        except apsw.NotADBError:
            continue
        if key is not None:
            found.append((path, key))
    return found
