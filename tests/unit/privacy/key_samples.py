"""Keyrings and passphrases for tests; fixtures to import where keys are tested."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from cogenesis.privacy import home_key
from cogenesis.privacy.home_key import HomeKey, read_key
from cogenesis.privacy.ledger import Ledger
from tests.unit.privacy.ledger_samples import request

NAMES = ("ledger.sqlite", "a demo.db")

PARAMETERS = (home_key.SCRYPT_N, home_key.SCRYPT_R, home_key.SCRYPT_P)
"""Before the tests make them cheap."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cheap scrypt, and no key known from another test."""
    monkeypatch.setattr(home_key, "SCRYPT_N", 2)
    forget_keys()


def forget_keys() -> None:
    """What a new process knows."""
    home_key._unlocked.clear()
    home_key._told.clear()


class Keyring(types.ModuleType):
    """A keyring as the `keyring` package shows one."""

    def __init__(self, priority: float = 5.0) -> None:
        super().__init__("keyring")
        self.priority = priority
        self.kept: dict[tuple[str, str], str] = {}
        self.failure: Exception | None = None

    def get_keyring(self) -> Keyring:
        return self

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def set_password(self, service: str, account: str, secret: str) -> None:
        self._check()
        self.kept[service, account] = secret

    def get_password(self, service: str, account: str) -> str | None:
        self._check()
        return self.kept.get((service, account))

    def delete_password(self, service: str, account: str) -> None:
        self._check()
        del self.kept[service, account]


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Keyring:
    module = Keyring()
    monkeypatch.setitem(sys.modules, "keyring", module)
    return module


def passphrases(*texts: str) -> home_key.Ask:
    def ask() -> Iterator[str]:
        yield from texts

    return ask


def two_ledgers(folder: Path) -> Path:
    """A folder with two ledgers under one key, and files that are none of ours."""
    for name in NAMES:
        with Ledger.open(folder / name) as ledger:
            ledger.append(request(len(name)))
    (folder / "notes.txt").write_text("Dear diary")
    other = apsw.Connection(str(folder / "theirs.sqlite"))
    other.execute("CREATE TABLE t (a)")
    other.close()
    with Ledger.open(folder / "foreign.sqlite", key=bytes(32)) as ledger:
        ledger.append(request(0))
    return folder


def readable(folder: Path) -> bool:
    forget_keys()
    for name in NAMES:
        with Ledger.open(folder / name) as ledger:
            assert [row.entry for row in ledger.entries()] == [request(len(name))]
            assert ledger.verify().ok
    return True


def key_of(folder: Path) -> HomeKey:
    key = read_key(folder)
    assert key is not None
    return key
