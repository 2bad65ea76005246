"""Faults of disk, file system and process, provoked for real: no row means no request."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from cogenesis.errors import LedgerError
from cogenesis.privacy import ledger_file
from cogenesis.privacy.ledger import Ledger, Outcome
from tests.unit.privacy.ledger_samples import request

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "ledger.sqlite"


def run(*command: str) -> dict[str, Any]:
    """Run a program in the project's folder; return the JSON object that it prints."""
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


# ---------------------------------------------------------------- killed


def test_a_hundred_kills_lose_no_sent_request_and_tear_no_row(tmp_path: Path) -> None:
    # What a kill can tear does not depend on the disk: in memory where there is such a folder.
    memory = Path("/dev/shm")
    folder = memory if os.access(memory, os.W_OK) else tmp_path
    with TemporaryDirectory(dir=folder) as name:
        loop = "tests.unit.privacy.ledger_kill_loop"
        found = run(sys.executable, "-m", loop, f"{name}/ledger.sqlite", "100")
    assert (found["kills"], found["ended"]) == (100, 0)
    assert (found["lost"], found["bad"]) == (0, 0)
    # The kills must have hit the work, not only the start or the end of it.
    assert found["sent"] > 50
    assert found["unsent"] > 0
    assert found["lagging_heads"] > 0


FORK = """
import os, sys
from pathlib import Path
from cogenesis.errors import LedgerError
from cogenesis.privacy.ledger import Ledger
from tests.unit.privacy.ledger_samples import request
ledger = Ledger.open(Path(sys.argv[1]))
ledger.append(request(0))
pid = os.fork()
if pid == 0:
    try:
        ledger.append(request(1))
    except LedgerError as error:
        os._exit(0 if "fork" in str(error) else 1)
    os._exit(2)
status = os.waitpid(pid, 0)[1]
ledger.append(request(2))
print(f'{{"child": {status}, "rows": {ledger.verify().rows}}}')
"""


def test_a_forked_process_must_open_its_own(path: Path) -> None:
    assert run(sys.executable, "-c", FORK, str(path)) == {"child": 0, "rows": 2}


# ---------------------------------------------------------------- locked

HOLDER = """
import sys
from pathlib import Path
from tests.unit.privacy.ledger_samples import behind_its_back
connection = behind_its_back(Path(sys.argv[1]))
connection.execute(f"PRAGMA locking_mode={sys.argv[2]}")
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(path: Path, mode: str) -> Iterator[None]:
    """Another process locks the ledger: writers only (normal), or readers too (exclusive)."""
    command = [sys.executable, "-c", HOLDER, str(path), mode]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        yield
        holder.communicate()


def test_a_ledger_locked_by_a_writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ledger_file.BUSY_MS == 2000
    monkeypatch.setattr(ledger_file, "BUSY_MS", 300)
    with Ledger.open(path) as ledger:
        first = ledger.append(request(0))
        with held(path, "normal"):
            start = time.monotonic()
            with pytest.raises(LedgerError, match="another program has locked it"):
                ledger.append(request(1))
            assert 0.25 < time.monotonic() - start < 2.0
            with pytest.raises(LedgerError, match="another program has locked it"):
                ledger.outcome(first, Outcome(200))
            with Ledger.open(path) as reader:
                assert [row.entry for row in reader.entries()] == [request(0)]
                assert reader.verify().ok
        assert ledger.append(request(2)) == 2
        assert [row.entry for row in ledger.entries()] == [request(2), request(0)]
        assert ledger.verify().ok


def test_a_ledger_locked_against_readers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_file, "BUSY_MS", 100)
    Ledger.open(path).close()
    with held(path, "exclusive"), pytest.raises(LedgerError, match="another program has locked"):
        Ledger.open(path)
    with Ledger.open(path) as ledger:
        assert ledger.append(request(0)) == 1


# ---------------------------------------------------------------- disk full

FILL = """
import json, sys
from pathlib import Path
from cogenesis.errors import LedgerError
from cogenesis.privacy.ledger import Ledger
from tests.unit.privacy.ledger_samples import request

def limit(size):
    {limit}

ledger = Ledger.open(Path(sys.argv[1]))
limit(True)
errors = []
kept = 0
for number in range(200):
    try:
        ledger.append(request(kept, size=3000))
        kept += 1
    except LedgerError as error:
        errors.append(str(error))
        if len(errors) == 3:
            break
full = ledger.verify()
limit(False)
row = ledger.append(request(kept))
entries = [entry.entry for entry in ledger.entries(newest_first=False)]
print(json.dumps({{
    "kept": kept, "errors": errors, "full": [full.rows, full.problem], "row": row,
    "ok": ledger.verify().ok,
    "same": all(request(n, size=3000) in entries for n in range(kept)),
    "entries": len(entries),
}}))
"""

BY_SIZE = """import resource
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000 if size else hard, hard))"""

BY_DISK = """import os
    filler = Path(sys.argv[1]).with_name("filler")
    filler.write_bytes(bytes(150_000)) if size else filler.unlink()"""


def check_full(found: dict[str, Any], word: str) -> None:
    assert 5 < found["kept"] < 100
    assert len(found["errors"]) == 3
    assert all(word in error for error in found["errors"])
    # A row may have been committed whose head was not: then it was not sent either.
    rows, problem = found["full"]
    assert problem == ""
    assert found["kept"] <= rows <= found["kept"] + 3
    assert found["row"] == rows + 1
    assert found["ok"]
    assert found["same"]


def test_a_file_that_may_not_grow(path: Path) -> None:
    """Real EFBIG errors from the kernel, by a limit on file sizes."""
    script = FILL.format(limit=BY_SIZE)
    check_full(run(sys.executable, "-c", script, str(path)), "cannot be used")


MOUNT = "mount -t tmpfs -o mode=700,size={size}k tmpfs {folder} && "


def mounted(folder: Path, size: int, command: str, *arguments: str) -> dict[str, Any]:
    """Run a shell command in a namespace of its own with a small file system at `folder`."""
    folder.mkdir(mode=0o700)
    probe = ["unshare", "-rm", "sh", "-c", MOUNT.format(size=size, folder=folder) + "true"]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("this system does not let the test mount a file system")
    shell = MOUNT.format(size=size, folder=folder) + command
    return run("unshare", "-rm", "sh", "-c", shell, "sh", *arguments)


def test_a_full_disk(path: Path) -> None:
    script = FILL.format(limit=BY_DISK)
    command = 'exec "$1" -c "$2" "$3"'
    found = mounted(path.parent, 300, command, sys.executable, script, str(path))
    check_full(found, "cannot be used")
    assert any("disk is full" in error or "No space" in error for error in found["errors"])


# ---------------------------------------------------------------- read-only

READ_ONLY = """
import json, subprocess, sys
from pathlib import Path
from cogenesis.errors import LedgerError
from cogenesis.privacy.ledger import Ledger
from tests.unit.privacy.ledger_samples import request

path = Path(sys.argv[1])
with Ledger.open(path) as ledger:
    ledger.append(request(0))
subprocess.run(["mount", "-o", "remount,ro", str(path.parent)], check=True)
errors = []
for name in ("ledger.sqlite", "new.sqlite", "new/ledger.sqlite"):
    try:
        Ledger.open(path.parent / name)
    except LedgerError as error:
        errors.append(str(error))
print(json.dumps({"errors": errors}))
"""


def test_a_read_only_disk(path: Path) -> None:
    command = 'exec "$1" -c "$2" "$3"'
    found = mounted(path.parent, 300, command, sys.executable, READ_ONLY, str(path))
    assert len(found["errors"]) == 3
    assert "if its folder is read-only, copy it elsewhere" in found["errors"][0]
    assert all("Read-only file system" in error for error in found["errors"][1:])


def test_a_head_that_cannot_be_written(path: Path) -> None:
    """A real error for root too, whom modes do not stop: a folder lies where the file goes."""
    blocked = path.with_name("ledger.head.tmp")
    with Ledger.open(path) as ledger:
        ledger.append(request(0))
        blocked.mkdir()
        for _ in range(2):
            with pytest.raises(LedgerError, match="cannot be used"):
                ledger.append(request(1))
        blocked.rmdir()
        assert ledger.append(request(2)) == ledger.last_row()
        assert ledger.verify().ok


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_a_side_file_that_is_none(path: Path, tmp_path: Path, suffix: str) -> None:
    Ledger.open(path).close()
    side = path.with_name(path.name + suffix)
    target = tmp_path / "target"
    target.write_text("")
    target.chmod(0o644)
    side.symlink_to(target)
    with pytest.raises(LedgerError, match=f"sqlite{suffix} is a link"):
        Ledger.open(path)
    side.unlink()
    side.mkdir()
    with pytest.raises(LedgerError, match="a folder"):
        Ledger.open(path)
    assert target.stat().st_mode & 0o777 == 0o644


def test_a_log_removed_after_a_crash_is_missed(path: Path) -> None:
    """The newest records are in the log alone until it is folded into the database."""
    with Ledger.open(path) as ledger:
        ledger.append(request(0))
    with Ledger.open(path) as ledger:
        ledger.append(request(1))
        crashed = path.parent.with_name("crashed")
        shutil.copytree(path.parent, crashed)
    for suffix in ("-wal", "-shm"):
        (crashed / (path.name + suffix)).unlink()
    with Ledger.open(crashed / path.name) as ledger:
        assert ledger.verify().bad_row == 2
        with pytest.raises(LedgerError, match="1 rows are missing"):
            ledger.append(request(2))


def test_a_ledger_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "ledger.sqlite", Path("/proc/none/ledger.sqlite")):
        with pytest.raises(LedgerError):
            Ledger.open(path)


def test_a_damaged_file(path: Path) -> None:
    with Ledger.open(path) as ledger:
        for number in range(20):
            ledger.append(request(number, size=2000))
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 6] = os.urandom(4096 * 3)
    path.write_bytes(content)
    with Ledger.open(path) as ledger:
        try:
            assert not ledger.verify().ok
        except LedgerError as error:
            assert "damaged" in str(error)


def test_a_truncated_file(path: Path) -> None:
    with Ledger.open(path) as ledger:
        for number in range(20):
            ledger.append(request(number, size=2000))
    os.truncate(path, 4096 * 4)
    with pytest.raises(LedgerError, match="damaged"), Ledger.open(path) as ledger:
        ledger.append(request(1))
