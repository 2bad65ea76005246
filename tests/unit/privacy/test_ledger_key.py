"""The ledger is encrypted, its key is kept where the user can have it, and is never replaced."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from pathlib import Path

import apsw
import pytest

from cogenesis.errors import LedgerError
from cogenesis.privacy import ledger_file
from cogenesis.privacy.home_key import KEY_FILE, Source, create_key, read_key, write_key
from cogenesis.privacy.ledger import Ledger, LedgerEntry, Outcome
from tests.unit.privacy.key_samples import (
    PARAMETERS,
    Keyring,
    forget_keys,
    passphrases,
)
from tests.unit.privacy.key_samples import keyring as keyring
from tests.unit.privacy.key_samples import quick as quick
from tests.unit.privacy.ledger_samples import behind_its_back, request, write_version_1

CANARY = b"zanzibar-quokka-7719"
TEXT = CANARY.decode()
ENTRY = LedgerEntry(
    f"purpose {TEXT}", "POST", f"https://h/{TEXT}", (("x-header", TEXT),),
    b"body " + CANARY * 400, 1, f"allowed: {TEXT}",
)  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "ledger.sqlite"


def files_with_canary(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir() if CANARY in file.read_bytes()]


# ---------------------------------------------------------------- nothing readable on the disk


def test_no_file_of_the_folder_shows_what_was_sent_also_while_open(path: Path) -> None:
    with Ledger.open(path) as ledger:
        row = ledger.append(ENTRY)
        ledger.outcome(row, Outcome(None, TEXT, 0, 1.0))
        assert path.with_name("ledger.sqlite-wal").stat().st_size > len(ENTRY.body)
        assert files_with_canary(path.parent) == []
        assert next(ledger.entries()).entry == ENTRY
    assert path.stat().st_size > len(ENTRY.body)
    assert files_with_canary(path.parent) == []
    assert not path.read_bytes().startswith(b"SQLite format 3")


def test_a_rollback_journal_and_a_large_sort_are_not_readable_either(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.append(ENTRY)
    connection = behind_its_back(path)
    connection.pragma("journal_mode", "delete")
    connection.pragma("cache_size", 1)
    connection.execute("BEGIN IMMEDIATE; DROP TRIGGER no_delete; DELETE FROM records")
    connection.execute("CREATE TABLE spill (a)")
    for _ in range(50):
        connection.execute("INSERT INTO spill VALUES (?)", (CANARY * 400,))
    rows = connection.execute("SELECT a FROM spill ORDER BY a || random()").fetchall()
    assert len(rows) == 50
    assert path.with_name("ledger.sqlite-journal").stat().st_size > 4096
    assert files_with_canary(path.parent) == []
    connection.execute("ROLLBACK")
    connection.close()


def test_the_check_for_readable_text_can_fail(path: Path) -> None:
    path.parent.mkdir()
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE t (a)")
    connection.execute("INSERT INTO t VALUES (?)", (ENTRY.body,))
    connection.close()
    assert files_with_canary(path.parent) == ["ledger.sqlite"]


# ---------------------------------------------------------------- another key


@pytest.mark.parametrize("crashed", [False, True], ids=["closed", "crashed"])
def test_a_wrong_key_says_so_and_loses_nothing(path: Path, tmp_path: Path, crashed: bool) -> None:
    """With the records in the log alone too: SQLite would drop a log that it cannot read."""
    copy = tmp_path / "copy"
    with Ledger.open(path) as ledger:
        for number in range(3):
            ledger.append(request(number))
        if crashed:
            shutil.copytree(path.parent, copy)
    if not crashed:
        shutil.copytree(path.parent, copy)
    right = (copy / KEY_FILE).read_bytes()
    before = {file.name: file.read_bytes() for file in copy.iterdir() if file.name != KEY_FILE}
    write_key(copy, (bytes(32),), Source.FILE)
    for _ in range(2):
        with pytest.raises(LedgerError, match="encrypted with another key") as caught:
            Ledger.open(copy / path.name)
        assert "Put the key file back" in str(caught.value)
    (copy / KEY_FILE).unlink()
    with pytest.raises(LedgerError, match=r"key file .* is missing"):
        Ledger.open(copy / path.name)
    assert not (copy / KEY_FILE).exists()
    after = {file.name: file.read_bytes() for file in copy.iterdir()}
    assert after == before
    (copy / KEY_FILE).write_bytes(right)
    with Ledger.open(copy / path.name) as ledger:
        assert [row.entry for row in ledger.entries()] == [request(n) for n in (2, 1, 0)]
        assert ledger.verify().ok


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version": 1, "source": "file", "keys": ["00"]}',
                b'{"version": 1, "source": "elsewhere"}'],
)  # fmt: skip
def test_a_damaged_key_file_is_not_replaced(path: Path, content: bytes) -> None:
    Ledger.open(path).close()
    (path.parent / KEY_FILE).write_bytes(content)
    with pytest.raises(LedgerError, match="damaged"):
        Ledger.open(path)
    assert (path.parent / KEY_FILE).read_bytes() == content


def test_a_key_file_of_a_newer_version_or_a_link_is_refused(path: Path, tmp_path: Path) -> None:
    Ledger.open(path).close()
    key = path.parent / KEY_FILE
    good = key.read_bytes()
    key.write_bytes(good.replace(b'"version": 1', b'"version": 2'))
    with pytest.raises(LedgerError, match="Upgrade"):
        Ledger.open(path)
    key.unlink()
    (tmp_path / "elsewhere").write_bytes(good)
    key.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LedgerError, match="is a link"):
        Ledger.open(path)


def test_a_key_of_its_own_is_kept_nowhere(path: Path) -> None:
    with Ledger.open(path, key=bytes(range(32))) as ledger:
        ledger.append(ENTRY)
    assert not (path.parent / KEY_FILE).exists()
    with Ledger.open(path, key=bytes(range(32))) as ledger:
        assert ledger.verify().rows == 1
    with pytest.raises(LedgerError, match="another key"):
        Ledger.open(path, key=bytes(32))


# ---------------------------------------------------------------- where the key is


def test_without_a_keyring_the_key_is_a_private_file_and_that_is_said_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        Ledger.open(path).close()
        forget_keys()
    (message,) = caplog.messages
    assert f"in the file {path.parent / KEY_FILE}" in message
    assert "ledger rekey --passphrase" in message
    key = path.parent / KEY_FILE
    assert json.loads(key.read_text())["source"] == "file"
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o644)
    Ledger.open(path).close()
    assert key.stat().st_mode & 0o777 == 0o600


def test_the_keyring_keeps_the_key(
    path: Path, keyring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    with Ledger.open(path) as ledger:
        ledger.append(request(0))
    ((service, account),) = keyring.kept
    (secret,) = keyring.kept.values()
    record = json.loads((path.parent / KEY_FILE).read_text())
    assert (service, record) == (
        "cogenesis", {"version": 1, "source": "keyring", "account": account}
    )  # fmt: skip
    assert bytes.fromhex(secret) == read_key(path.parent).keys[0]  # type: ignore[union-attr]
    assert caplog.messages == []
    forget_keys()
    with Ledger.open(path) as ledger:
        assert ledger.verify().rows == 1


@pytest.mark.parametrize("how", ["missing", "failing", "plain file", "forgetful"])
def test_a_keyring_that_does_not_work_falls_through_to_the_file(
    path: Path, keyring: Keyring, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "missing":
        monkeypatch.setitem(sys.modules, "keyring", None)
    elif how == "failing":
        keyring.failure = RuntimeError("no recommended backend was available")
    elif how == "plain file":
        keyring.priority = 0.5
    else:
        monkeypatch.setattr(keyring, "get_password", lambda service, account: None)
    Ledger.open(path).close()
    key = read_key(path.parent)
    assert key is not None
    assert key.source is Source.FILE


def test_the_real_package_without_a_backend_falls_through(path: Path) -> None:
    pytest.importorskip("keyring")
    assert os.environ["PYTHON_KEYRING_BACKEND"] == "keyring.backends.fail.Keyring"
    path.parent.mkdir()
    assert create_key(path.parent).source is Source.FILE


@pytest.mark.parametrize("how", ["locked", "emptied", "uninstalled"])
def test_a_key_that_the_keyring_does_not_give_is_not_replaced(
    path: Path, keyring: Keyring, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger.open(path).close()
    forget_keys()
    before = (path.parent / KEY_FILE).read_bytes()
    if how == "locked":
        keyring.failure = RuntimeError("locked")
    elif how == "emptied":
        keyring.kept.clear()
    else:
        monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(LedgerError, match=r"in your keyring, which does not give it"):
        Ledger.open(path)
    assert (path.parent / KEY_FILE).read_bytes() == before


def test_a_passphrase_comes_before_the_keyring(
    path: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("COGENESIS_PASSPHRASE", "größer als 7")
    with Ledger.open(path) as ledger:
        ledger.append(request(0))
    assert (keyring.kept, caplog.messages) == ({}, [])
    content = (path.parent / KEY_FILE).read_text()
    key = read_key(path.parent)
    assert key is not None
    assert key.keys[0].hex() not in content
    assert "größer" not in content
    forget_keys()
    monkeypatch.setenv("COGENESIS_PASSPHRASE", "größer als 8")
    with pytest.raises(LedgerError, match="in COGENESIS_PASSPHRASE is not that of the ledger"):
        Ledger.open(path)
    monkeypatch.setenv("COGENESIS_PASSPHRASE", "größer als 7")
    with Ledger.open(path) as ledger:
        assert ledger.verify().rows == 1


def test_a_passphrase_typed_in_two_parts_is_the_same(path: Path) -> None:
    path.parent.mkdir()
    key = write_key(path.parent, (bytes(32),), Source.PASSPHRASE, "caf\u00e9 au lait")
    forget_keys()
    assert read_key(path.parent, passphrases("cafe\u0301 au lait")) == key


def test_the_terminal_may_try_again_and_no_terminal_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    key = write_key(path.parent, (bytes(32),), Source.PASSPHRASE, "right")
    forget_keys()
    assert read_key(path.parent, passphrases("wrong", "right")) == key
    forget_keys()
    with pytest.raises(LedgerError, match="not that of the ledger"):
        read_key(path.parent, passphrases("wrong", "Right", "right "))
    monkeypatch.setattr(sys, "stdin", io.StringIO("right\n"))
    with pytest.raises(LedgerError, match="set COGENESIS_PASSPHRASE"):
        Ledger.open(path)


def test_a_passphrase_is_asked_for_once_in_a_process(path: Path) -> None:
    path.parent.mkdir()
    write_key(path.parent, (bytes(32),), Source.PASSPHRASE, "right")
    forget_keys()
    assert read_key(path.parent, passphrases("right")) is not None
    assert read_key(path.parent, passphrases()) is not None


def test_a_passphrase_costs_memory_to_guess() -> None:
    """The parameters that the module's docstring and docs/ledger.md state."""
    assert PARAMETERS == (2**17, 8, 1)


def test_parameters_that_are_not_ours_are_not_followed(path: Path) -> None:
    path.parent.mkdir()
    write_key(path.parent, (bytes(32),), Source.PASSPHRASE, "right")
    forget_keys()
    file = path.parent / KEY_FILE
    record = json.loads(file.read_text())
    record["scrypt"]["n"] = 2**40
    file.write_text(json.dumps(record))
    with pytest.raises(LedgerError, match="damaged"):
        read_key(path.parent, passphrases("right"))


def test_a_passphrase_that_is_not_used_is_pointed_out(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Ledger.open(path).close()
    caplog.clear()
    monkeypatch.setenv("COGENESIS_PASSPHRASE", "secret words")
    for _ in range(2):
        Ledger.open(path).close()
    (message,) = caplog.messages
    assert "COGENESIS_PASSPHRASE is set, but" in message
    assert "secret words" not in message


# ---------------------------------------------------------------- ledgers in the clear


@pytest.mark.parametrize("crashed", [False, True], ids=["closed", "crashed"])
def test_a_ledger_in_the_clear_is_encrypted_without_loss(
    path: Path, tmp_path: Path, crashed: bool
) -> None:
    path.parent.mkdir(mode=0o700)
    connection = write_version_1(path, rows=6)
    if crashed:
        shutil.copytree(path.parent, tmp_path / "crashed")
        path = tmp_path / "crashed" / path.name
    connection.close()
    assert any(b"Outline for a letter" in file.read_bytes() for file in path.parent.iterdir())
    with Ledger.open(path) as ledger:
        result = ledger.verify()
        assert (result.ok, result.rows) == (True, 6)
        assert [row.entry for row in ledger.entries()] == [request(n) for n in (2, 1, 0)]
        assert all(row.outcome == Outcome(200, "", 10, 0.5) for row in ledger.entries())
        assert ledger.append(request(9)) == 7
        files = list(path.parent.iterdir())
        assert not any(b"Outline for a letter" in file.read_bytes() for file in files)
        assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    with Ledger.open(path) as ledger:
        assert ledger.verify().rows == 7


def test_a_ledger_in_the_clear_that_is_in_use_stays_as_it_is(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    connection = write_version_1(path)
    with pytest.raises(LedgerError, match="another program has locked it"):
        Ledger.open(path)
    connection.execute("SELECT * FROM records").fetchall()
    connection.close()
    with Ledger.open(path) as ledger:
        assert ledger.verify().rows == 4


def test_what_was_altered_in_the_clear_is_found_after_it_is_encrypted(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    connection = write_version_1(path)
    connection.execute("DROP TRIGGER no_update; UPDATE records SET note = 'x' WHERE row = 3")
    connection.close()
    with Ledger.open(path) as ledger:
        assert ledger.verify().bad_row == 3


def test_missing_triggers_stay_missing(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    connection = write_version_1(path)
    connection.execute("DROP TRIGGER no_update")
    connection.close()
    with Ledger.open(path) as ledger:
        assert "triggers" in ledger.verify().problem
    assert not path.read_bytes().startswith(b"SQLite format 3")


def test_two_first_openings_at_once_share_one_key(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process makes key and ledger just after this one saw that there is none."""
    real = ledger_file._check_plain
    others: list[Ledger] = []

    def check(checked: Path) -> None:
        if not others:
            monkeypatch.setattr(ledger_file, "_check_plain", real)
            others.append(Ledger.open(path))
            others[0].append(request(0))
        real(checked)

    monkeypatch.setattr(ledger_file, "_check_plain", check)
    with Ledger.open(path) as ledger:
        assert ledger.append(request(1)) == 2
        assert others[0].verify().rows == 2
    others[0].close()
