"""A folder gets a new key: every file of it can be read before, after and in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from cogenesis.errors import LedgerError
from cogenesis.privacy import encrypted_file
from cogenesis.privacy import rekey as rekey_module
from cogenesis.privacy.home_key import KEY_FILE, Source, read_key
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.rekey import rekey
from tests.unit.privacy.key_samples import (
    NAMES,
    Keyring,
    forget_keys,
    key_of,
    passphrases,
    readable,
    two_ledgers,
)
from tests.unit.privacy.key_samples import keyring as keyring
from tests.unit.privacy.key_samples import quick as quick
from tests.unit.privacy.ledger_samples import request


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return two_ledgers(tmp_path / "home")


def test_every_file_of_the_folder_gets_the_new_key_and_no_other(folder: Path) -> None:
    old = key_of(folder)
    names = {file.name for file in folder.iterdir()}
    others = {name: (folder / name).read_bytes() for name in ("foreign.sqlite", "theirs.sqlite")}
    done = rekey(folder)
    assert (done.source, done.files) == (Source.FILE, tuple(sorted(NAMES)))
    new = key_of(folder)
    assert len(new.keys) == 1
    assert new.keys != old.keys
    assert old.keys[0].hex() not in (folder / KEY_FILE).read_text()
    assert readable(folder)
    for name in NAMES:
        assert encrypted_file.key_of(folder / name, (*old.keys, *new.keys)) == new.keys[0]
    assert {name: (folder / name).read_bytes() for name in others} == others
    assert {file.name for file in folder.iterdir()} == names
    assert all(file.stat().st_mode & 0o077 == 0 for file in folder.glob("ledger*"))


def test_the_passphrase_can_be_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rekey(folder, Source.PASSPHRASE, "first")
    forget_keys()
    assert read_key(folder, passphrases("first")) is not None
    rekey(folder, Source.PASSPHRASE, "second")
    forget_keys()
    with pytest.raises(LedgerError, match="not that of the ledger"):
        read_key(folder, passphrases("first"))
    monkeypatch.setenv("COGENESIS_PASSPHRASE", "second")
    assert readable(folder)
    with pytest.raises(LedgerError, match="empty passphrase"):
        rekey(folder, Source.PASSPHRASE, "")
    assert readable(folder)


def test_the_keyring_holds_the_newest_key_alone(folder: Path, keyring: Keyring) -> None:
    rekey(folder, Source.KEYRING)
    first = dict(keyring.kept)
    assert len(first) == 1
    assert readable(folder)
    rekey(folder)
    assert len(keyring.kept) == 1
    assert not first.keys() & keyring.kept.keys()
    assert readable(folder)
    rekey(folder, Source.FILE)
    assert keyring.kept == {}
    assert readable(folder)


def test_a_keyring_that_does_not_work_changes_nothing(folder: Path, keyring: Keyring) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    keyring.failure = RuntimeError("locked")
    with pytest.raises(LedgerError, match="did not take the key"):
        rekey(folder, Source.KEYRING)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    keyring.failure = None
    assert readable(folder)


def test_a_file_in_use_keeps_its_key_until_the_next_try(folder: Path) -> None:
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        with pytest.raises(LedgerError, match="another program has locked it"):
            rekey(folder)
        assert ledger.append(request(1)) == 2
        assert ledger.verify().ok
    assert len(key_of(folder).keys) == 2
    assert rekey(folder).files == tuple(sorted(NAMES))
    assert len(key_of(folder).keys) == 1
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        assert ledger.verify().rows == 2


def test_an_empty_folder_has_no_key_to_change(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no key"):
        rekey_module.rekey(tmp_path)
