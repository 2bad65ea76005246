"""Programs that die while a folder's key is changed, or a ledger in the clear encrypted."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cogenesis.privacy import home_key
from cogenesis.privacy.home_key import Source, read_key, write_key
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.rekey import rekey
from tests.unit.privacy.key_samples import (
    PARAMETERS,
    Keyring,
    forget_keys,
    key_of,
    passphrases,
    readable,
    two_ledgers,
)
from tests.unit.privacy.key_samples import keyring as keyring
from tests.unit.privacy.key_samples import quick as quick
from tests.unit.privacy.ledger_samples import request, write_version_1

ROOT = Path(__file__).parents[2]


class DiedError(BaseException):
    """Stands for a process that ends at this point."""


@contextmanager
def dying(die_at: int) -> Iterator[None]:
    """Let the program die at the given one of the moments that change something on the disk."""
    count = 0
    real_write, real_replace = home_key._write_private, Path.replace

    def moment() -> None:
        nonlocal count
        count += 1
        if count == die_at:
            raise DiedError

    def write(path: Path, content: bytes) -> None:
        moment()
        real_write(path, content)
        moment()

    def replace(path: Path, target: Path) -> Path:
        if path.suffix != ".new":
            return real_replace(path, target)
        moment()
        done = real_replace(path, target)
        moment()
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(home_key, "_write_private", write)
        patch.setattr(Path, "replace", replace)
        yield


@pytest.mark.parametrize("source", [Source.FILE, Source.KEYRING, Source.PASSPHRASE])
def test_dying_at_any_step_loses_nothing_and_can_be_finished(
    tmp_path: Path, source: Source, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring.failure = RuntimeError("locked")
    folder = two_ledgers(tmp_path / "home")  # its key is in a file
    keyring.failure = None
    died = 0
    for die_at in range(1, 20):
        copy = tmp_path / f"{die_at}"
        shutil.copytree(folder, copy)
        finished = False
        with dying(die_at):
            try:
                rekey(copy, source, "words")
                finished = True
            except DiedError:
                died += 1
        # The old key holds before the first write, the passphrase after it.
        monkeypatch.setenv("COGENESIS_PASSPHRASE", "words")
        assert readable(copy)
        if finished:
            break
        rekey(copy, source, "words")
        assert readable(copy)
        assert len(key_of(copy).keys) == 1
        monkeypatch.delenv("COGENESIS_PASSPHRASE")
    assert died == 8  # two writes of the key and two files, before and after each


KILLED = """
import sys
from pathlib import Path
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.rekey import rekey
path = Path(sys.argv[1])
print("ready", flush=True)
if sys.argv[2] == "open":
    Ledger.open(path).close()
else:
    rekey(path.parent)
print("done", flush=True)
"""


def run(path: Path, what: str, kill_after: float | None) -> tuple[bool, float]:
    """Whether the program ended by itself, and how long it worked (seconds)."""
    command = [sys.executable, "-c", KILLED, str(path), what]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        start = time.monotonic()
        if kill_after is None:
            assert program.stdout.readline() == "done\n"
        else:
            time.sleep(kill_after)
            program.send_signal(signal.SIGKILL)
        program.wait()
        return program.returncode == 0, time.monotonic() - start


@pytest.mark.parametrize("what", ["open", "rekey"])
def test_a_program_killed_while_it_encrypts_loses_no_record(tmp_path: Path, what: str) -> None:
    rows, kills = 20, 25
    original = tmp_path / "original"
    original.mkdir(mode=0o700)
    write_version_1(original / "ledger.sqlite", rows, size=300_000).close()
    if what == "rekey":
        Ledger.open(original / "ledger.sqlite").close()
    whole = tmp_path / "whole"
    shutil.copytree(original, whole)
    _, seconds = run(whole / "ledger.sqlite", what, None)
    chance, interrupted, halfway = random.Random(11), 0, 0
    for tried in range(8 * kills):
        # The kills must have hit the work, not only the start or the end of it: on a machine
        # that is busy now and then, the time that the work takes is known badly.
        if tried >= kills and interrupted > kills // 4 and halfway:
            break
        copy = tmp_path / "copy"
        shutil.copytree(original, copy)
        ended, _ = run(copy / "ledger.sqlite", what, chance.uniform(0, 1.2 * seconds))
        interrupted += not ended
        halfway += (copy / "ledger.sqlite.new").exists()
        forget_keys()
        with Ledger.open(copy / "ledger.sqlite") as ledger:
            assert (ledger.verify().ok, ledger.verify().rows) == (True, rows)
            entries = [row.entry for row in ledger.entries(newest_first=False)]
        assert entries == [request(number, 300_000) for number in range(rows // 2)]
        assert not any(b"Outline for" in file.read_bytes() for file in copy.iterdir())
        shutil.rmtree(copy)
    assert interrupted > kills // 4
    assert halfway > 0


def test_the_real_cost_of_a_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home_key, "SCRYPT_N", PARAMETERS[0])
    key = write_key(tmp_path, (bytes(32),), Source.PASSPHRASE, "words")
    forget_keys()
    start = time.perf_counter()
    assert read_key(tmp_path, passphrases("words")) == key
    assert time.perf_counter() - start > 0.05
