"""Checking a chain of ledger records against itself and against its head."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from cogenesis.privacy.ledger_chain import (
    COLUMNS,
    FORGOTTEN,
    GENESIS,
    Cut,
    Head,
    chain_hash,
    parse_cut,
)

RawRecord: TypeAlias = tuple[int, bytes, tuple[bytes | None, ...]]
"""Row number, stored hash and the columns that the hash covers, all as bytes.

Bytes, because a record that was tampered with may hold what is no valid text."""

_PREVIOUS: Final = COLUMNS.index("previous")
_KIND: Final = COLUMNS.index("kind")
_NOTE: Final = COLUMNS.index("note")


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of checking a ledger.

    `rows` is the number of the last record that was found good before the first problem,
    `head` its hash. If `problem` is not empty it says what is wrong, at record `bad_row` where
    one can be named. `forgotten` is what the chain itself says was removed at its beginning.
    """

    rows: int
    head: str
    problem: str = ""
    bad_row: int | None = None
    forgotten: Cut | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem


@dataclass(slots=True)
class _Walk:
    """How far the check has come. `start`: rows that are gone at the beginning."""

    start: Head
    rows: int
    last: str
    at_head: str = ""
    cut: Cut | None = None


def check_chain(records: Iterable[RawRecord], head: Head, head_name: str) -> Verification:
    """Check records in ascending order; the head must lie on their chain.

    More records than the head names are legal: a process may die between the two writes.
    A beginning may be missing only if a later record of the chain says that exactly these
    rows were forgotten, and names the hash that the first row left follows.
    """
    walk: _Walk | None = None
    for row, digest, values in records:
        if walk is None:
            start = _start(row, values)
            walk = _Walk(start, start.rows, start.hash)
            walk.at_head = start.hash if head.rows == start.rows else ""
        problem = _record_problem(walk.rows + 1, walk.last, row, digest, values)
        problem = problem or _cut_problem(walk, row, values)
        if problem:
            good = Head(walk.rows, walk.last) if walk.rows > walk.start.rows else Head(0, GENESIS)
            return Verification(good.rows, good.hash, problem, min(row, walk.rows + 1))
        walk.rows, walk.last = row, digest.decode("ascii")
        if walk.rows == head.rows:
            walk.at_head = walk.last
    if walk is None:
        walk = _Walk(Head(0, GENESIS), 0, GENESIS, GENESIS if head.rows == 0 else "")
    return _end_problem(walk, head, head_name)


def _start(row: int, values: tuple[bytes | None, ...]) -> Head:
    """Where the chain claims to begin; whether it may is known when all records are read."""
    if row <= 1:
        return Head(0, GENESIS)
    return Head(row - 1, (values[_PREVIOUS] or b"").decode("ascii", "replace"))


def _cut_problem(walk: _Walk, row: int, values: tuple[bytes | None, ...]) -> str:
    """What is wrong with a record that says that rows were forgotten; remember the newest."""
    if values[_KIND] != FORGOTTEN.encode():
        return ""
    try:
        walk.cut = parse_cut(values[_NOTE])
    except ValueError:
        return f"row {row} does not say which rows were forgotten"
    if walk.cut.last > walk.start.rows:
        return f"row {row} says that rows up to {walk.cut.last} were forgotten, but some are there"
    return ""


def _end_problem(walk: _Walk, head: Head, head_name: str) -> Verification:
    start, cut = walk.start, walk.cut
    if start.rows and (cut is None or (cut.last, cut.hash) != (start.rows, start.hash)):
        gone = "row 1 is" if start.rows == 1 else f"rows 1 to {start.rows} are"
        problem = f"{gone} missing, and no record says that they were forgotten"
        return Verification(0, GENESIS, problem, 1)
    result = Verification(walk.rows, walk.last, forgotten=cut)
    if head.rows > walk.rows:
        problem = f"the last {head.rows - walk.rows} of {head.rows} rows are missing"
        return replace(result, problem=problem, bad_row=walk.rows + 1)
    if head.rows < start.rows:
        problem = f"{head_name} is from before rows were forgotten"
        return replace(result, problem=problem, bad_row=start.rows + 1)
    if walk.at_head != head.hash:
        problem = f"row {head.rows} is not the one that {head_name} names"
        return replace(result, problem=problem, bad_row=head.rows)
    return result


def _record_problem(
    expected: int, last: str, row: int, digest: bytes, values: tuple[bytes | None, ...]
) -> str:
    """What is wrong with a record that should be number `expected` and follow hash `last`."""
    if row > expected:
        return f"row {expected} is missing"
    if row < expected:
        return f"row {row} was inserted"
    if chain_hash(values).encode() != digest:
        return f"row {row} was changed after it was written"
    if values[_PREVIOUS] != last.encode():
        return f"row {row} does not follow the row before it: one was removed, added or moved"
    return ""
