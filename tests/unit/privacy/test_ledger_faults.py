"""Faults of disk, file system and process, provoked for real: no row means no request."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
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


def test_a_hundred_kills_lose_no_sent_request_and_tear_no_row(path: Path) -> None:
    found = run(sys.executable, "-m", "tests.unit.privacy.ledger_kill_loop", str(path), "100")
    assert (found["kills"], found["ended"]) == (100, 0)
    assert (found["lost"], found["bad"]) == (0, 0)
    # The kills must have hit the work, not only the start or the end of it.
    assert found["sent"] > 50
    assert found["unsent"] + found["lagging_heads"] + found["journals"] > 0


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
import sys, apsw
connection = apsw.Connection(sys.argv[1])
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_ledger_locked_by_another_process(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ledger_file.BUSY_MS == 2000
    monkeypatch.setattr(ledger_file, "BUSY_MS", 300)
    with Ledger.open(path) as ledger:
        first = ledger.append(request(0))
        command = [sys.executable, "-c", HOLDER, str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"locked\n"
            start = time.monotonic()
            with pytest.raises(LedgerError, match="another program has locked it"):
                ledger.append(request(1))
            assert 0.25 < time.monotonic() - start < 2.0
            for attempt in (
                lambda: ledger.outcome(first, Outcome(200)),
                ledger.verify,
                lambda: list(ledger.entries()),
                lambda: Ledger.open(path),
            ):
                with pytest.raises(LedgerError, match="another program has locked it"):
                    attempt()
            holder.communicate()
        assert ledger.append(request(2)) == 2
        assert [row.entry for row in ledger.entries()] == [request(2), request(0)]
        assert ledger.verify().ok


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
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000 if size else hard, hard))"""

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
ledger = Ledger.open(path)
try:
    ledger.append(request(1))
except LedgerError as error:
    errors.append(str(error))
try:
    Ledger.open(path.with_name("new.sqlite"))
except LedgerError as error:
    errors.append(str(error))
rows = len(list(ledger.entries()))
print(json.dumps({"errors": errors, "rows": rows, "ok": ledger.verify().ok}))
"""


def test_a_read_only_disk_can_be_read_but_not_written(path: Path) -> None:
    command = 'exec "$1" -c "$2" "$3"'
    found = mounted(path.parent, 300, command, sys.executable, READ_ONLY, str(path))
    assert len(found["errors"]) == 2
    assert "it is read-only" in found["errors"][0]
    assert "Read-only file system" in found["errors"][1]
    assert (found["rows"], found["ok"]) == (1, True)


@pytest.mark.parametrize("blocked", ["ledger.sqlite-journal", "ledger.head.tmp"])
def test_a_file_beside_it_that_cannot_be_written(path: Path, blocked: str) -> None:
    """Real errors for root too, whom modes do not stop: a folder lies where the file goes."""
    with Ledger.open(path) as ledger:
        ledger.append(request(0))
        (path.parent / blocked).mkdir()
        for _ in range(2):
            with pytest.raises(LedgerError, match="cannot be used"):
                ledger.append(request(1))
        (path.parent / blocked).rmdir()
        assert ledger.append(request(2)) == ledger.last_row()
        assert ledger.verify().ok


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
