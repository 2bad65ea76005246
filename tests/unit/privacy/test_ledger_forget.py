"""Old records go for good, the rest can be checked, and only a recorded forgetting is one."""

from __future__ import annotations

import io
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest

from cogenesis.errors import LedgerError
from cogenesis.privacy import ledger as ledger_module
from cogenesis.privacy import ledger_file
from cogenesis.privacy.ledger import Ledger, Outcome
from cogenesis.privacy.ledger_chain import (
    COLUMNS,
    GENESIS,
    Cut,
    chain_hash,
    forgotten_fields,
    to_bytes,
    utc_text,
)
from tests.unit.privacy.ledger_samples import behind_its_back, request, tampering

START = datetime(2026, 1, 1, tzinfo=UTC)
CANARY = b"quokka-zanzibar-4471"


def day(number: float) -> datetime:
    return START + timedelta(days=number)


class Clock:
    """Each record is a day later than the one before: row n is of day n."""

    def __init__(self) -> None:
        self.days = 0.0

    def __call__(self) -> str:
        self.days += 1
        return utc_text(day(self.days))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(ledger_module, "utc_now", clock)
    return clock


@pytest.fixture
def path(tmp_path: Path, clock: Clock) -> Path:
    """Requests 1, 3, 5, 7 and their outcomes 2, 4, 6, 8."""
    path = tmp_path / "home" / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        for number in range(4):
            ledger.outcome(ledger.append(request(number)), Outcome(200))
    return path


def forget(path: Path, days: float) -> Cut | None:
    with Ledger.open(path) as ledger:
        return ledger.forget(day(days))


def test_what_is_older_goes_and_the_rest_is_as_it_was(path: Path) -> None:
    with Ledger.open(path) as ledger:
        before = list(ledger.entries())
        fourth = next(iter(behind_its_back(path).execute("SELECT hash FROM records WHERE row = 4")))
        cut = ledger.forget(day(4.5))
        assert cut == Cut(4, fourth[0], "2026-01-05T12:00:00.000Z")
        result = ledger.verify()
        assert (result.ok, result.rows, result.forgotten) == (True, 9, cut)
        assert list(ledger.entries()) == before[:2]
        assert ledger.append(request(9)) == 10
        assert ledger.verify().ok
    with Ledger.open(path) as ledger:
        assert ledger.verify().rows == 10


def test_a_request_may_go_before_its_outcome(path: Path) -> None:
    assert forget(path, 5.5) is not None
    with Ledger.open(path) as ledger:
        assert ledger.verify().ok
        assert [row.number for row in ledger.entries()] == [7]
        with pytest.raises(LedgerError, match="row 5 of the ledger is no request"):
            ledger.outcome(5, Outcome(200))


def test_forgetting_again_forgets_the_record_of_it_too(path: Path) -> None:
    assert forget(path, 2.5) is not None
    assert forget(path, 4.5) is not None
    with Ledger.open(path) as ledger:
        assert ledger.verify().rows == 10  # 5 to 8, and two that say what was forgotten
        cut = ledger.forget(day(100))
        assert cut is not None
        assert cut.last == 10
        assert ledger.verify().ok
        assert list(ledger.entries()) == []
        assert ledger.append(request(1)) == 12
        assert ledger.verify().ok


def test_nothing_that_is_old_enough_changes_nothing(path: Path) -> None:
    with Ledger.open(path) as ledger:
        before = ledger.verify()
        assert ledger.forget(day(0)) is None
        assert ledger.verify() == before


def test_a_clock_that_went_back_keeps_what_lies_behind_a_later_time(
    path: Path, clock: Clock
) -> None:
    clock.days = 1
    with Ledger.open(path) as ledger:
        ledger.append(request(4))  # row 9 is of day 2
        cut = ledger.forget(day(4.5))
        assert cut is not None
        assert cut.last == 4
        assert ledger.older_than(day(4.5)) == 1


def test_a_ledger_that_was_changed_forgets_nothing(path: Path) -> None:
    with tampering(path) as connection:
        connection.execute("UPDATE records SET note = 'x' WHERE row = 2")
    with pytest.raises(LedgerError, match=r"row 2 was changed.*Nothing was forgotten"):
        forget(path, 4.5)
    with Ledger.open(path) as ledger:
        assert len(list(ledger.entries())) == 4


# ---------------------------------------------------------------- no trace in the file


def decrypted(path: Path) -> bytes:
    """Every page of the database with its key taken off, free ones too."""
    connection = behind_its_back(path)
    try:
        return connection.serialize("main")
    finally:
        connection.close()


@pytest.mark.parametrize("secure", [True, False], ids=["as it is", "positive control"])
def test_no_page_holds_what_was_forgotten(tmp_path: Path, clock: Clock, secure: bool) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        for size in (1, 40, 400, 4000):  # within a page, and over many
            entry = request(size)
            body = entry.body + CANARY * size
            ledger.append(type(entry)("outline", "POST", "https://h/", (), body, 1))
        ledger.append(request(0))
        assert decrypted(path).count(CANARY) > 4000
        assert ledger._connection is not None
        ledger._connection.pragma("secure_delete", secure)
        assert ledger.forget(day(4.5)) is not None
        assert path.with_name("ledger.sqlite-wal").stat().st_size == 0
        assert (CANARY in decrypted(path)) == (not secure)
        assert ledger.verify().ok


def test_a_reader_that_holds_the_log_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_file, "BUSY_MS", 20)
    with Ledger.open(path) as ledger:
        reader = behind_its_back(path)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM records").get == 8
        with pytest.raises(LedgerError, match=r"rows 1 to 4 are forgotten, but .*-wal may hold"):
            ledger.forget(day(4.5))
        reader.close()
        assert ledger.verify().rows == 9


# ---------------------------------------------------------------- a removal is no forgetting


def remove(connection: apsw.Connection, last: int) -> None:
    connection.execute("DELETE FROM records WHERE row <= ?", (last,))


def test_sql_may_only_delete_what_the_chain_says_is_forgotten(path: Path) -> None:
    assert forget(path, 2.5) is not None
    connection = behind_its_back(path)
    with pytest.raises(apsw.ConstraintError, match="append-only"):
        remove(connection, 3)
    with pytest.raises(apsw.ConstraintError, match="append-only"):
        connection.execute("DELETE FROM records WHERE row = 9")
    connection.close()


@pytest.mark.parametrize("last", [1, 3, 8])
def test_a_beginning_removed_without_a_record_is_found(path: Path, last: int) -> None:
    with tampering(path) as connection:
        remove(connection, last)
    with Ledger.open(path) as ledger:
        assert (ledger.verify().bad_row, ledger.verify().rows) == (1, 0)


@pytest.mark.parametrize("last", [5, 8, 9])
def test_more_removed_than_was_forgotten_is_found(path: Path, last: int) -> None:
    assert forget(path, 4.5) is not None
    with tampering(path) as connection:
        remove(connection, last)
    with Ledger.open(path) as ledger:
        assert not ledger.verify().ok
        assert ledger.verify().rows == 0
        if last < 9:
            assert "no record says that they were forgotten" in ledger.verify().problem
        with pytest.raises(LedgerError):
            ledger.forget(day(5.5))


def test_a_removal_elsewhere_after_a_forgetting_is_found(path: Path) -> None:
    assert forget(path, 4.5) is not None
    with tampering(path) as connection:
        connection.execute("DELETE FROM records WHERE row = 6")
    with Ledger.open(path) as ledger:
        assert (ledger.verify().bad_row, ledger.verify().rows) == (6, 5)


def test_the_record_of_a_forgetting_cannot_be_removed_or_changed(path: Path) -> None:
    assert forget(path, 4.5) is not None
    for sql, row in (
        ("DELETE FROM records WHERE row = 9", 1),
        ("UPDATE records SET note = replace(note, '\"last\": 4', '\"last\": 3') WHERE row = 9", 9),
        ("UPDATE records SET kind = 'request' WHERE row = 9", 9),
    ):
        copy = path.parent.with_name(f"copy{row}{len(sql)}")
        shutil.copytree(path.parent, copy)
        with tampering(copy / path.name) as connection:
            connection.execute(sql)
            assert connection.changes() == 1
        with Ledger.open(copy / path.name) as ledger:
            assert ledger.verify().bad_row == row


def forged(path: Path, cut: Cut, *, remove_up_to: int) -> None:
    """Append a record with a right hash that says something else than what was done."""
    with tampering(path) as connection:
        last = connection.execute("SELECT max(row) FROM records").get
        previous = connection.execute("SELECT hash FROM records WHERE row = ?", (last,)).get
        record = forgotten_fields(cut) | {"previous": previous, "row": last + 1, "time": "now"}
        values = [record.get(name) for name in COLUMNS]
        connection.execute(
            f"INSERT INTO records ({', '.join(COLUMNS)}, hash) VALUES ({', '.join('?' * 17)})",
            (*values, chain_hash(map(to_bytes, values))),
        )
        remove(connection, remove_up_to)


@pytest.mark.parametrize(
    ("said", "removed", "problem"),
    [
        (3, 4, "rows 1 to 4 are missing, and no record"),
        (4, 3, "rows up to 4 were forgotten, but some are there"),
        (4, 4, "rows 1 to 4 are missing, and no record"),
    ],
    ids=["more went", "less went", "another hash"],
)
def test_a_record_that_does_not_fit_the_cut_is_found(
    path: Path, said: int, removed: int, problem: str
) -> None:
    forged(path, Cut(said, "0" * 64, "2026-01-05T12:00:00.000Z"), remove_up_to=removed)
    with Ledger.open(path) as ledger:
        assert problem in ledger.verify().problem


def test_a_forgetting_cut_off_with_its_tail_is_found_by_the_head(path: Path) -> None:
    """Rows 1 to 4 gone, and the tail with the record of it: what is left claims nothing."""
    assert forget(path, 4.5) is not None
    with tampering(path) as connection:
        connection.execute("DELETE FROM records WHERE row > 7")
    with Ledger.open(path) as ledger:
        assert not ledger.verify().ok


def test_a_head_from_before_the_forgetting_is_found(path: Path) -> None:
    head = path.with_suffix(".head")
    with Ledger.open(path) as ledger:
        older = f"3 {behind_its_back(path).execute('SELECT hash FROM records WHERE row = 3').get}\n"
        assert ledger.forget(day(4.5)) is not None
        newest = head.read_text()
        for text in (older, "0 " + GENESIS + "\n"):
            head.write_text(text)
            assert "from before rows were forgotten" in ledger.verify().problem
            with pytest.raises(LedgerError, match="not as it was left"):
                ledger.append(request(0))
        head.write_text(newest)
        assert ledger.verify().ok


def test_a_head_that_lags_behind_the_forgetting_is_legal(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process died after the records were removed and before the head was moved on."""
    with Ledger.open(path) as ledger:
        lagging = path.with_suffix(".head").read_text()
        assert ledger.forget(day(100)) is not None  # all of them: the head's own row is gone
        path.with_suffix(".head").write_text(lagging)
        assert ledger.verify().ok
        assert ledger.append(request(0)) == 10
        assert ledger.verify().ok


def test_the_export_says_what_was_forgotten(path: Path) -> None:
    assert forget(path, 4.5) is not None
    out = io.StringIO()
    with Ledger.open(path) as ledger:
        assert ledger.export(out) == 5
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["row"] for line in lines] == [5, 6, 7, 8, 9]
    assert lines[-1]["kind"] == "forgotten"
    note = json.loads(lines[-1]["note"])
    assert note == {"last": 4, "hash": lines[0]["previous"], "before": "2026-01-05T12:00:00.000Z"}
