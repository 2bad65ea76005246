"""Checking a chain of ledger records against itself and against its head."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from cogenesis.privacy.ledger_chain import GENESIS, Head, chain_hash

RawRecord: TypeAlias = tuple[int, bytes, tuple[bytes | None, ...]]
"""Row number, stored hash and the columns that the hash covers, all as bytes.

Bytes, because a record that was tampered with may hold what is no valid text."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of checking a ledger.

    `rows` records were found good before the first problem, `head` is the hash of the last
    of them. If `problem` is not empty it says what is wrong, at record `bad_row` where one
    can be named.
    """

    rows: int
    head: str
    problem: str = ""
    bad_row: int | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem


def check_chain(records: Iterable[RawRecord], head: Head, head_name: str) -> Verification:
    """Check records in ascending order; the head must lie on their chain.

    More records than the head names are legal: a process may die between the two writes.
    """
    rows, last, at_head = 0, GENESIS, GENESIS
    for row, digest, values in records:
        problem = _record_problem(rows + 1, last, row, digest, values)
        if problem:
            return Verification(rows, last, problem, min(row, rows + 1))
        rows, last = row, digest.decode("ascii")
        if rows == head.rows:
            at_head = last
    if head.rows > rows:
        gone = f"the last {head.rows - rows} of {head.rows} rows are missing"
        return Verification(rows, last, gone, rows + 1)
    if at_head != head.hash:
        problem = f"row {head.rows} is not the one that {head_name} names"
        return Verification(rows, last, problem, head.rows)
    return Verification(rows, last)


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
    if values[0] != last.encode():
        return f"row {row} does not follow the row before it: one was removed, added or moved"
    return ""
