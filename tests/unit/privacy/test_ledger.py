"""The ledger keeps what it is given, in order, and notices every change."""

from __future__ import annotations

import io
import re
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cogenesis.errors import LedgerError
from cogenesis.privacy import ledger as ledger_module
from cogenesis.privacy.ledger import Ledger, LedgerEntry, Outcome, Totals, Verification
from cogenesis.privacy.ledger_chain import COLUMNS, chain_hash, to_bytes
from tests.unit.privacy.ledger_samples import TRIGGERS, behind_its_back, request, tampering

DOCS = Path(__file__).parents[3] / "docs" / "ledger.md"
ROWS = 7
"""Records in the sample ledger: requests 1, 3, 5, 6, 7; outcomes 2 (of 1) and 4 (of 3)."""
NUMBERS = {"row", "attempt", "request", "status", "received", "milliseconds"}


def fill(path: Path) -> None:
    with Ledger.open(path) as ledger:
        for number, outcome in enumerate(
            (Outcome(200, "", 512, 1.25), Outcome(None, "timeout", 0, 30.0), None, None, None)
        ):
            row = ledger.append(request(number))
            if outcome is not None:
                ledger.outcome(row, outcome)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "ledger.sqlite"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled ledger that tests only copy: filling one takes many trips to the disk."""
    path = tmp_path_factory.mktemp("sample") / "ledger" / "ledger.sqlite"
    fill(path)
    return path


@pytest.fixture
def filled(sample: Path, path: Path) -> Path:
    shutil.copytree(sample.parent, path.parent)
    return path


@contextmanager
def copy_of(sample: Path) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        for file in (sample, sample.with_suffix(".head"), sample.with_name("cogenesis.key")):
            shutil.copy(file, folder)
        yield Path(folder) / sample.name


def checked(path: Path) -> Verification:
    with Ledger.open(path) as ledger:
        return ledger.verify()


# ---------------------------------------------------------------- what is kept


def test_entries_come_back_as_written_with_their_outcomes(filled: Path) -> None:
    with Ledger.open(filled) as ledger:
        rows = list(ledger.entries())
        assert [row.number for row in rows] == [7, 6, 5, 3, 1]
        assert [row.entry for row in rows] == [request(n) for n in (4, 3, 2, 1, 0)]
        assert [row.outcome for row in rows[3:]] == [
            Outcome(None, "timeout", 0, 30.0),
            Outcome(200, "", 512, 1.25),
        ]
        assert rows[0].outcome is None
        oldest_first = list(ledger.entries(newest_first=False, limit=2, after=1))
        assert [row.number for row in oldest_first] == [3, 5]
        assert [row.number for row in ledger.entries(limit=1)] == [7]
        assert list(ledger.entries(limit=0)) == []


def test_entries_are_read_in_batches_and_in_order(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "_BATCH", 2)
    numbers = [1, 3, 5, 6, 7]
    with Ledger.open(filled) as ledger:
        assert [row.number for row in ledger.entries(newest_first=False)] == numbers
        assert [row.number for row in ledger.entries(limit=3)] == [7, 6, 5]
        assert ledger.export(io.StringIO()) == ledger.verify().rows == ROWS


def test_a_reader_in_mid_iteration_does_not_stop_a_writer(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "_BATCH", 2)
    with Ledger.open(filled) as reader, Ledger.open(filled) as writer:
        rows = reader.entries()
        next(rows)
        assert writer.append(request(9)) == ROWS + 1
        assert len(list(rows)) == 4


def test_times_are_utc_with_milliseconds(filled: Path) -> None:
    with Ledger.open(filled) as ledger:
        for row in ledger.entries():
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row.time)
            age = datetime.now(UTC) - datetime.fromisoformat(row.time)
            assert 0 <= age.total_seconds() < 60


def test_totals_count_requests_and_body_bytes_after_a_row(filled: Path) -> None:
    with Ledger.open(filled) as ledger:
        sizes = [len(request(n).body) for n in range(5)]
        assert ledger.totals() == Totals(5, sum(sizes))
        assert ledger.totals(after=5) == Totals(2, sum(sizes[3:]))
        mark = ledger.last_row()
        assert (mark, ledger.totals(after=mark)) == (ROWS, Totals(0, 0))


@settings(max_examples=15)
@given(
    body=st.binary(max_size=300),
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=3, max_size=3),
    value=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")),
)
def test_any_bytes_and_text_come_back_unchanged(
    sample: Path, body: bytes, texts: list[str], value: str
) -> None:
    purpose, note, method = texts
    entry = LedgerEntry(purpose, method, "https://h/", (("name", value),), body, 3, note)
    with copy_of(sample) as path, Ledger.open(path) as ledger:
        row = ledger.append(entry)
        assert next(ledger.entries()).entry == entry
        assert ledger.verify().rows == row == ROWS + 1


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://me:secret@cloud.example/"},
        {"headers": (("x", "a\nb"),)},
        {"headers": (("x:y", "a"),)},
        {"note": "\ud800"},
        {"attempt": 2**63},
    ],
)
def test_what_cannot_be_kept_exactly_is_refused(filled: Path, change: dict[str, object]) -> None:
    values = {name: getattr(request(0), name) for name in LedgerEntry.__slots__} | change
    with Ledger.open(filled) as ledger:
        with pytest.raises(LedgerError):
            ledger.append(LedgerEntry(**values))
        assert ledger.append(request(1)) == ROWS + 1
        assert ledger.verify().ok


@pytest.mark.parametrize("row", [0, 1, 2, 99], ids=["none", "has one", "an outcome", "unknown"])
def test_an_outcome_belongs_to_one_request(filled: Path, row: int) -> None:
    with Ledger.open(filled) as ledger:
        with pytest.raises(LedgerError):
            ledger.outcome(row, Outcome(200))
        assert ledger.verify() == checked(filled)
        assert ledger.last_row() == ROWS


def test_a_closed_ledger_refuses_everything(filled: Path) -> None:
    ledger = Ledger.open(filled)
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        ledger.append(request(0))
    with pytest.raises(LedgerError, match="closed"):
        ledger.verify()
    with pytest.raises(LedgerError, match="closed"):
        list(ledger.entries())


# ---------------------------------------------------------------- who may read it


def modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def test_folder_and_files_are_closed_to_others(filled: Path) -> None:
    assert stat.S_IMODE(filled.parent.stat().st_mode) == 0o700
    names = ("ledger.sqlite", "ledger.head", "cogenesis.key", "cogenesis.lock")
    assert modes(filled.parent) == dict.fromkeys(names, 0o600)
    with Ledger.open(filled) as ledger:
        ledger.append(request(9))
        assert modes(filled.parent) == dict.fromkeys(
            (*names, "ledger.sqlite-wal", "ledger.sqlite-shm"), 0o600
        )


def test_a_ledger_that_others_can_read_is_closed_to_them(filled: Path) -> None:
    filled.chmod(0o644)
    with Ledger.open(filled) as ledger:
        ledger.append(request(9))
        assert set(modes(filled.parent).values()) == {0o600}


def test_an_existing_folder_keeps_its_mode_unless_everybody_may_write(filled: Path) -> None:
    filled.parent.chmod(0o755)
    Ledger.open(filled).close()
    assert stat.S_IMODE(filled.parent.stat().st_mode) == 0o755
    filled.parent.chmod(0o777)
    with pytest.raises(LedgerError, match="chmod o-w"):
        Ledger.open(filled)


def test_links_folders_and_other_files_are_refused_and_left_alone(
    tmp_path: Path, filled: Path
) -> None:
    link = tmp_path / "link.sqlite"
    link.symlink_to(filled)
    (tmp_path / "folder.sqlite").mkdir()
    text = tmp_path / "text.sqlite"
    text.write_text("Dear diary, " * 100)
    text.chmod(0o644)
    other = tmp_path / "other.sqlite"
    connection = apsw.Connection(str(other))
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    other.chmod(0o644)
    before = other.read_bytes()
    for path in (link, tmp_path / "folder.sqlite", text, other, filled.with_suffix(".head")):
        with pytest.raises(LedgerError):
            Ledger.open(path)
    assert other.read_bytes() == before
    assert text.read_text() == "Dear diary, " * 100
    assert modes(tmp_path)["text.sqlite"] == modes(tmp_path)["other.sqlite"] == 0o644


def test_a_linked_folder_may_lead_to_the_ledger(tmp_path: Path, filled: Path) -> None:
    (tmp_path / "there").symlink_to(filled.parent)
    assert checked(tmp_path / "there" / filled.name).ok


def test_a_newer_format_is_refused(filled: Path) -> None:
    connection = behind_its_back(filled)
    connection.pragma("user_version", 3)
    connection.close()
    with pytest.raises(LedgerError, match="Upgrade"):
        Ledger.open(filled)


# ---------------------------------------------------------------- tampering


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE records SET note = 'x' WHERE row = 3",
        "DELETE FROM records WHERE row = 7",
        "INSERT OR REPLACE INTO records SELECT * FROM records WHERE row = 3",
        """INSERT OR REPLACE INTO records (row, previous, kind, time, request, hash)
        VALUES (8, '', 'outcome', '', 1, '')""",
        "INSERT INTO records (previous, kind, time, hash) VALUES ('', 'request', '', '')",
        "UPDATE OR REPLACE records SET row = 2 WHERE row = 3",
    ],
)
def test_sql_cannot_change_or_remove_rows(filled: Path, sql: str) -> None:
    before = checked(filled)
    connection = behind_its_back(filled)
    with pytest.raises(apsw.ConstraintError, match="ledger"):
        connection.execute(sql)
    connection.close()
    assert checked(filled) == before


@given(data=st.data())
def test_one_changed_byte_of_any_field_is_found(sample: Path, data: st.DataObject) -> None:
    with copy_of(sample) as path:
        row = data.draw(st.integers(1, ROWS), "row")
        column = data.draw(st.sampled_from([*COLUMNS, "hash"]), "column")
        with tampering(path) as connection:
            ((kind, old),) = connection.execute(
                f"SELECT typeof({column}), CAST({column} AS BLOB) FROM records WHERE row = ?",
                (row,),
            )
            new: bytes | int
            if kind == "integer":
                new = int(old) + data.draw(st.sampled_from([-100, 100]), "change")
            elif old:
                changed = bytearray(old)
                at = data.draw(st.integers(0, len(old) - 1), "byte")
                changed[at] ^= data.draw(st.integers(1, 255), "change")
                new = bytes(changed)
            else:  # nothing becomes an empty value, an empty text one character
                new = 0 if column in NUMBERS else b"" if kind == "null" else b"x"
            target = "?" if column in {*NUMBERS, "body"} else "CAST(? AS TEXT)"
            connection.execute(f"UPDATE records SET {column} = {target} WHERE row = ?", (new, row))
            assert connection.changes() == 1
        result = checked(path)
    assert not result.ok
    if column != "row":
        assert (result.bad_row, result.rows) == (row, row - 1)


@given(
    row=st.integers(1, ROWS),
    other=st.integers(1, ROWS),
    how=st.sampled_from(["delete", "delete and close the gap", "swap", "repeat", "repeat inside"]),
)
def test_a_deleted_swapped_or_repeated_row_is_found(
    sample: Path, row: int, other: int, how: str
) -> None:
    if how == "swap" and row == other:
        return
    with copy_of(sample) as path:
        with tampering(path) as connection:
            first_bad = tamper(connection, how, row, other)
        result = checked(path)
        assert (result.bad_row, result.rows) == (first_bad, first_bad - 1), result


def tamper(connection: apsw.Connection, how: str, row: int, other: int) -> int:
    """Change the ledger; return the first row that is then wrong."""
    rest = ", ".join((*COLUMNS, "hash")).replace(" row,", "")
    move = "UPDATE records SET row = ? WHERE row = ?"
    if how == "swap":
        for new, old in ((1000, row), (row, other), (other, 1000)):
            connection.execute(move, (new, old))
        return min(row, other)
    if how.startswith("delete"):
        connection.execute("DELETE FROM records WHERE row = ?", (row,))
        if how == "delete and close the gap":
            for later in range(row + 1, ROWS + 1):
                connection.execute(move, (later - 1, later))
        return row
    place = ROWS + 1
    if how == "repeat inside":
        place = row + 1
        for later in range(ROWS, row, -1):
            connection.execute(move, (later + 1, later))
    connection.execute("DROP INDEX outcome_of")
    connection.execute(
        f"INSERT INTO records (row, {rest}) SELECT ?, {rest} FROM records WHERE row = ?",
        (place, row),
    )
    return place


def test_a_rewritten_chain_is_found_by_its_head(filled: Path) -> None:
    """Even with correct hashes up to the end, the last one is not the one in the head."""
    with tampering(filled) as connection:
        connection.execute("UPDATE records SET body = x'7b7d' WHERE row = 5")
        previous = ""
        for row in range(5, ROWS + 1):
            if previous:
                connection.execute("UPDATE records SET previous = ? WHERE row = ?", (previous, row))
            ((*values,),) = connection.execute(
                f"SELECT {', '.join(COLUMNS)} FROM records WHERE row = ?", (row,)
            )
            previous = chain_hash(map(to_bytes, values))
            connection.execute("UPDATE records SET hash = ? WHERE row = ?", (previous, row))
    result = checked(filled)
    assert (result.bad_row, result.rows) == (ROWS, ROWS)
    assert "ledger.head" in result.problem


def test_missing_triggers_are_found(filled: Path) -> None:
    connection = behind_its_back(filled)
    connection.execute("DROP TRIGGER no_delete")
    connection.close()
    assert "triggers" in checked(filled).problem
    connection = behind_its_back(filled)
    connection.execute(TRIGGERS[-1])
    connection.close()
    assert checked(filled).ok


# ---------------------------------------------------------------- the head


def test_a_head_that_lags_is_legal_and_mended_by_the_next_append(path: Path) -> None:
    head = path.with_suffix(".head")
    with Ledger.open(path) as ledger:
        older = [head.read_bytes()]
        for number in range(3):
            ledger.append(request(number))
            older.append(head.read_bytes())
        for text in older[:3]:
            head.write_bytes(text)
            assert ledger.verify() == Verification(3, older[3].split()[1].decode())
        ledger.append(request(3))
        assert head.read_text() == f"4 {ledger.verify().head}\n"


@pytest.mark.parametrize("cut", [1, 3, ROWS])
def test_a_cut_tail_is_found_and_not_continued(filled: Path, cut: int) -> None:
    with tampering(filled) as connection:
        connection.execute("DELETE FROM records WHERE row > ?", (ROWS - cut,))
    with Ledger.open(filled) as ledger:
        result = ledger.verify()
        assert (result.rows, result.bad_row) == (ROWS - cut, ROWS - cut + 1)
        assert f"the last {cut} of {ROWS} rows are missing" in result.problem
        with pytest.raises(LedgerError, match=f"{cut} rows are missing"):
            ledger.append(request(0))
        assert ledger.last_row() == ROWS - cut


def test_a_removed_ledger_is_missed(filled: Path) -> None:
    filled.unlink()
    assert checked(filled).bad_row == 1
    with Ledger.open(filled) as ledger, pytest.raises(LedgerError, match="7 rows are missing"):
        ledger.append(request(0))


@pytest.mark.parametrize(
    "text", [None, b"", b"garbage", b"7 " + b"0" * 64 + b"\n", b"0 " + b"0" * 64 + b"\n"]
)
def test_a_missing_or_changed_head_is_found_and_not_continued(
    filled: Path, text: bytes | None
) -> None:
    head = filled.with_suffix(".head")
    if text is None:
        head.unlink()
    else:
        head.write_bytes(text)
    with Ledger.open(filled) as ledger:
        assert not ledger.verify().ok
        with pytest.raises(LedgerError, match="ledger verify"):
            ledger.append(request(0))


# ---------------------------------------------------------------- several writers


def test_threads_may_append_at_once(path: Path) -> None:
    rows: list[int] = []
    with Ledger.open(path) as ledger:

        def write(first: int) -> None:
            for number in range(first, first + 4):
                row = ledger.append(request(number))
                ledger.outcome(row, Outcome(200))
                rows.append(row)

        threads = [threading.Thread(target=write, args=(100 * n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(rows)) == 16
        assert ledger.verify().rows == 32
        assert all(row.outcome for row in ledger.entries())


WRITER = """
import sys
from pathlib import Path
from cogenesis.privacy import ledger as ledger_module
from cogenesis.privacy.ledger import Ledger, LedgerEntry
with Ledger.open(Path(sys.argv[1])) as ledger:
    for number in range(8):
        body = f"{sys.argv[2]} {number}".encode()
        ledger.append(LedgerEntry("outline", "POST", "https://h/", (), body, 1))
"""


def test_processes_may_open_and_append_at_once(path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in "abc"]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    with Ledger.open(path) as ledger:
        bodies = [row.entry.body.decode() for row in ledger.entries(newest_first=False)]
        assert sorted(bodies) == sorted(f"{name} {n}" for name in "abc" for n in range(8))
        for name in "abc":
            assert [b for b in bodies if b[0] == name] == [f"{name} {n}" for n in range(8)]
        result = ledger.verify()
        assert path.with_suffix(".head").read_text() == f"24 {result.head}\n"


# ---------------------------------------------------------------- export


def recipe() -> str:
    """The checking script that the documentation gives to third parties."""
    (script,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    return str(script)


def run_recipe(tmp_path: Path, lines: list[str], *noted: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "sent.jsonl"
    file.write_text("".join(lines), encoding="utf-8")
    command = [sys.executable, "-I", "-c", recipe(), str(file), *noted]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def exported(path: Path) -> tuple[list[str], str]:
    """The lines of an export, and the head that `verify` prints."""
    out = io.StringIO()
    with Ledger.open(path) as ledger:
        ledger.export(out)
        return out.getvalue().splitlines(keepends=True), ledger.verify().head


def test_the_documented_script_checks_an_export(filled: Path, tmp_path: Path) -> None:
    lines, head = exported(filled)
    assert len(lines) == ROWS
    assert "".join(lines).isascii()
    good = run_recipe(tmp_path, lines, head)
    assert (good.returncode, good.stdout) == (0, f"rows 1 to {ROWS}, head {head}\n")
    changed = [*lines[:2], lines[2].replace("timeout", "timeouts").replace("POST", "PUT")]
    assert changed[2] != lines[2]
    swapped = [*lines[:2], lines[3], lines[2], *lines[4:]]
    for bad in ([*changed, *lines[3:]], lines[:3] + lines[4:], lines[:1] + lines, swapped):
        result = run_recipe(tmp_path, bad)
        assert result.returncode == 1
        assert "not as written" in result.stderr
    beginning = run_recipe(tmp_path, lines[2:])
    assert beginning.returncode == 1
    assert "rows 1 to 2 are missing" in beginning.stderr
    # A chain whose end was cut is still a chain: only a head noted elsewhere shows it.
    assert run_recipe(tmp_path, lines[:-1]).returncode == 0
    assert "the noted head is not in it" in run_recipe(tmp_path, lines[:-1], head).stderr


def test_the_documented_script_knows_what_was_forgotten(filled: Path, tmp_path: Path) -> None:
    with Ledger.open(filled) as ledger:
        assert ledger.forget(datetime.now(UTC) + timedelta(days=1)) is not None
        ledger.append(request(7))
    lines, head = exported(filled)
    good = run_recipe(tmp_path, lines, head)
    assert (good.returncode, good.stdout) == (0, f"rows 8 to 9, head {head}\n"), good.stderr
    assert "rows 1 to 8 are missing" in run_recipe(tmp_path, lines[1:]).stderr
    edited = [lines[0].replace('\\"last\\": 7', '\\"last\\": 6'), *lines[1:]]
    assert edited != lines
    assert "line 1 is not as written" in run_recipe(tmp_path, edited).stderr


def test_the_documented_script_is_not_fooled_by_a_record_that_does_not_fit(
    filled: Path, tmp_path: Path
) -> None:
    """A later record that claims other rows, or that rows are gone which are there."""
    complete, _ = exported(filled)
    with Ledger.open(filled) as ledger:
        assert ledger.forget(datetime.now(UTC) + timedelta(days=1)) is not None
    (record,), _ = exported(filled)
    more = run_recipe(tmp_path, [*complete, record])
    assert "line 8 is not as written" in more.stderr
    for cut in (2, 5):
        assert run_recipe(tmp_path, [*complete[cut:], record]).returncode == 1
