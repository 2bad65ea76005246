"""The key of a CoGenesis folder: what encrypts the ledger and all that is kept beside it.

The key itself is 32 random bytes. The file `cogenesis.key` in the folder says where it is:

- *passphrase*: in that file, sealed with `COGENESIS_PASSPHRASE` or a passphrase that is asked
  for at the terminal. scrypt (N=2^17, r=8, p=1: 128 MiB and about half a second) makes a pad
  and a check from passphrase and salt; the pad is used once, for this file only.
- *keyring*: in the operating system's keyring (`pip install 'cogenesis[keyring]'`).
- *file*: in that file, in the clear, mode 0600, and a warning says so when it is made.

A new folder takes the first that it can have: the passphrase if `COGENESIS_PASSPHRASE` is set,
else the keyring if one works, else the file. Afterwards the file decides: a key that cannot be
had is an error, never a reason to make another one. While a change of the key is going on, the
file lists the new key first and then the old ones.

Not covered: whoever reads this process's memory or environment has the key. `file` protects
copies of the ledger alone, not of the folder. A short passphrase can be guessed.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import importlib
import json
import logging
import os
import secrets
import stat
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cogenesis.errors import LedgerError
from cogenesis.privacy.encrypted_file import KEY_BYTES, sync_folder

KEY_FILE: Final = "cogenesis.key"
PASSPHRASE: Final = "COGENESIS_PASSPHRASE"  # noqa: S105  (a variable's name)
SERVICE: Final = "cogenesis"
"""What the keyring's entries are filed under."""

SCRYPT_N = 2**17
SCRYPT_R: Final = 8
SCRYPT_P: Final = 1
_MOST_N: Final = 2**20
"""A file that asks for more than 1 GiB of memory is not ours."""

_QUESTION: Final = "Passphrase of your CoGenesis folder: "
_TRIES: Final = 3

_log = logging.getLogger(__name__)
_unlocked: dict[bytes, tuple[bytes, ...]] = {}
"""Content of a key file -> its keys: a passphrase is asked for once in a process."""
_lock = threading.RLock()
_told: set[Path] = set()

Ask = Callable[[], Iterator[str]]
"""Passphrases to try, one after the other."""


class Source(StrEnum):
    """Where a key is kept."""

    PASSPHRASE = "passphrase"  # noqa: S105
    KEYRING = "keyring"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class HomeKey:
    """The keys of a folder: the one for new files first, then those that are being replaced."""

    source: Source
    keys: tuple[bytes, ...] = field(repr=False)
    account: str = ""


def ask_passphrase() -> Iterator[str]:
    """`COGENESIS_PASSPHRASE`, or what is typed at the terminal (three tries).

    Raises:
        LedgerError: there is neither.
    """
    given = os.environ.get(PASSPHRASE)
    if given:
        yield given
        return
    if not sys.stdin.isatty():
        raise LedgerError(
            "the ledger is locked with a passphrase. Run the command in a terminal, or set "
            f"{PASSPHRASE} (never on a command line)."
        )
    for _ in range(_TRIES):
        yield getpass.getpass(_QUESTION)


def read_key(folder: Path, ask: Ask = ask_passphrase) -> HomeKey | None:
    """The folder's key, None if it has none yet.

    Raises:
        LedgerError: the passphrase is wrong, the keyring does not give the key, or the key
            file is damaged. Nothing is changed.
    """
    path = folder / KEY_FILE
    content = _read_private(path)
    if content is None:
        return None
    try:
        record = json.loads(content)
        if record["version"] != 1:
            raise LedgerError(f"{path} was written by a newer version. Upgrade CoGenesis.")
        source = Source(record["source"])
        account = str(record.get("account", ""))
        with _lock:
            if content not in _unlocked:
                _unlocked[content] = _keys_of(path, source, record, ask)
            keys = _unlocked[content]
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError(
            f"{path} is damaged. Put a copy of it back; without it the ledger cannot be read."
        ) from error
    if source is not Source.PASSPHRASE and os.environ.get(PASSPHRASE) and path not in _told:
        _told.add(path)
        _log.warning(
            "%s is set, but the key of %s is kept in the %s. To use the passphrase, run: "
            "cogenesis ledger rekey --passphrase",
            PASSPHRASE,
            folder,
            "keyring" if source is Source.KEYRING else "key file",
        )
    return HomeKey(source, keys, account)


def create_key(folder: Path) -> HomeKey:
    """Make a new key and keep it in the first place that works. Call it under `folder_lock`.

    Raises:
        LedgerError: it cannot be written.
    """
    keys = (secrets.token_bytes(KEY_BYTES),)
    passphrase = os.environ.get(PASSPHRASE)
    if passphrase:
        return write_key(folder, keys, Source.PASSPHRASE, passphrase)
    try:
        return write_key(folder, keys, Source.KEYRING)
    except LedgerError:
        made = write_key(folder, keys, Source.FILE)
    _log.warning(
        "The key of your ledger is in the file %s: whoever can read that file and the ledger "
        "can read what was sent. For more protection run 'cogenesis ledger rekey --passphrase', "
        "or pip install 'cogenesis[keyring]' and then 'cogenesis ledger rekey --keyring'.",
        folder / KEY_FILE,
    )
    return made


def write_key(
    folder: Path, keys: tuple[bytes, ...], source: Source, passphrase: str = ""
) -> HomeKey:
    """Keep the keys in one place, replacing what the folder had, whole or not at all.

    An older entry of the keyring stays: see `drop_from_keyring`.

    Raises:
        LedgerError: the keyring does not keep it, or the file cannot be written.
    """
    account = ""
    record: dict[str, Any] = {"version": 1, "source": source.value}
    match source:
        case Source.PASSPHRASE:
            record |= _sealed(keys, passphrase)
        case Source.KEYRING:
            # A new entry each time: the old one is good until the file names the new one.
            account = record["account"] = secrets.token_hex(8)
            _to_keyring(account, ",".join(key.hex() for key in keys))
        case Source.FILE:
            record["keys"] = [key.hex() for key in keys]
    content = (json.dumps(record) + "\n").encode("ascii")
    try:
        _write_private(folder / KEY_FILE, content)
    except OSError as error:
        raise LedgerError(
            f"{folder / KEY_FILE} cannot be written: {error.strerror}. Check the disk."
        ) from error
    with _lock:
        _unlocked[content] = keys
    return HomeKey(source, keys, account)


def drop_from_keyring(key: HomeKey) -> None:
    """Remove a key that is no longer used; one that cannot be removed is only litter."""
    if key.account:
        try:
            importlib.import_module("keyring").delete_password(SERVICE, key.account)
        except Exception:  # noqa: BLE001  (backends raise what they like)
            _log.warning("An old key stays in your keyring: %s, %s", SERVICE, key.account)


def _keys_of(path: Path, source: Source, record: dict[str, Any], ask: Ask) -> tuple[bytes, ...]:
    match source:
        case Source.PASSPHRASE:
            return _unsealed(record, ask)
        case Source.KEYRING:
            kept = _from_keyring(str(record["account"]), path)
            return _parsed(kept.split(","))
        case Source.FILE:
            return _parsed(record["keys"])


def _parsed(texts: list[str]) -> tuple[bytes, ...]:
    keys = tuple(bytes.fromhex(text) for text in texts)
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise ValueError("not a key")
    return keys


# ---------------------------------------------------------------- passphrase


def _stretched(passphrase: str, salt: bytes, n: int, r: int, p: int, size: int) -> bytes:
    # The same passphrase is different bytes on different keyboards: é in one part or in two.
    secret = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape")
    try:
        return hashlib.scrypt(
            secret, salt=salt, n=n, r=r, p=p, maxmem=256 * n * r + 2**20, dklen=size
        )
    except MemoryError as error:
        raise LedgerError(
            f"there is too little memory for the passphrase ({128 * n * r >> 20} MiB)"
        ) from error


def _sealed(keys: tuple[bytes, ...], passphrase: str) -> dict[str, Any]:
    if not passphrase:
        raise LedgerError("an empty passphrase protects nothing. Choose a longer one.")
    payload, salt, n = b"".join(keys), secrets.token_bytes(16), SCRYPT_N
    stretched = _stretched(passphrase, salt, n, SCRYPT_R, SCRYPT_P, len(payload) + 32)
    sealed = _xor(payload, stretched[32:])
    return {
        "scrypt": {"n": n, "r": SCRYPT_R, "p": SCRYPT_P, "salt": salt.hex()},
        "sealed": sealed.hex(),
        "check": hmac.digest(stretched[:32], sealed, "sha256").hex(),
    }


def _unsealed(record: dict[str, Any], ask: Ask) -> tuple[bytes, ...]:
    cost = record["scrypt"]
    n, r, p, salt = (cost[name] for name in ("n", "r", "p", "salt"))
    sealed, check = bytes.fromhex(record["sealed"]), bytes.fromhex(record["check"])
    if not 2 <= n <= _MOST_N or r != SCRYPT_R or p != SCRYPT_P:
        raise ValueError("not our parameters")
    for passphrase in ask():
        stretched = _stretched(passphrase, bytes.fromhex(salt), n, r, p, len(sealed) + 32)
        if hmac.compare_digest(hmac.digest(stretched[:32], sealed, "sha256"), check):
            payload = _xor(sealed, stretched[32:])
            starts = range(0, len(payload), KEY_BYTES)
            return _parsed([payload[at : at + KEY_BYTES].hex() for at in starts])
    where = f" in {PASSPHRASE}" if os.environ.get(PASSPHRASE) else ""
    raise LedgerError(f"the passphrase{where} is not that of the ledger. Nothing was changed.")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


# ---------------------------------------------------------------- keyring


def _to_keyring(account: str, secret: str) -> None:
    try:
        keyring = importlib.import_module("keyring")
        # Backends under 1 are not recommended: among them are plain files.
        if keyring.get_keyring().priority < 1:
            raise LedgerError("there is no keyring that protects a key")
        keyring.set_password(SERVICE, account, secret)
        kept = keyring.get_password(SERVICE, account)
    except ImportError as error:
        raise LedgerError("install the keyring: pip install 'cogenesis[keyring]'") from error
    except LedgerError:
        raise
    except Exception as error:  # backends raise what they like
        raise LedgerError(f"the keyring did not take the key ({type(error).__name__})") from error
    if kept != secret:
        raise LedgerError("the keyring did not keep the key")


def _from_keyring(account: str, path: Path) -> str:
    try:
        kept = importlib.import_module("keyring").get_password(SERVICE, account)
        reason = "it has no such entry"
    except ImportError:
        kept, reason = None, "run: pip install 'cogenesis[keyring]'"
    except Exception as error:  # noqa: BLE001  (backends raise what they like)
        kept, reason = None, type(error).__name__
    if not kept:
        raise LedgerError(
            f"the key that {path} names is in your keyring, which does not give it: {reason}. "
            "Unlock the keyring (log in to your desktop) and try again."
        )
    return str(kept)


# ---------------------------------------------------------------- file


def _read_private(path: Path) -> bytes | None:
    """The key file's content, None if there is none; closed to other users first."""
    try:
        info = path.lstat()
        if not stat.S_ISREG(info.st_mode):
            raise LedgerError(f"{path} is a link or no file. Remove it, or put the key back.")
        if os.name == "posix" and info.st_mode & 0o077:
            path.chmod(0o600)
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {error.strerror}. Check its mode.") from error


def _write_private(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)
    sync_folder(path.parent)
