"""How long does a ledger record take until it is on disk, encrypted and not? Prints JSON.

    python benchmarks/ledger_append.py [--rows 500] [--bytes 2000] [--folder DIR]

The folder decides which disk is measured; the default is the system's temporary folder,
which on some systems is memory: look at "folder" before quoting a number.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import apsw

from cogenesis.privacy.encrypted_file import connect
from cogenesis.privacy.ledger import Ledger, LedgerEntry, Outcome
from cogenesis.privacy.ledger_chain import GENESIS, Head, HeadFile
from cogenesis.privacy.ledger_schema import SCHEMA

KEY: Final = bytes(range(32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--bytes", type=int, default=2000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    entry = LedgerEntry("probe", "POST", "https://h/v1/completions", (), bytes(options.bytes), 1)
    append_ms: dict[str, list[float]] = {"encrypted": [], "plain": []}
    outcome_ms: list[float] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        ledger = stack.enter_context(Ledger.open(folder / "ledger.sqlite", key=KEY))
        plain = stack.enter_context(plain_ledger(folder / "plain.sqlite"))
        # In turns, so that a busy moment of the disk meets both.
        for _ in range(options.rows):
            append_ms["plain"].append(timed(lambda: plain.append(entry)))
            append_ms["encrypted"].append(timed(lambda: ledger.append(entry)))
            answered = partial(ledger.outcome, ledger.last_row(), Outcome(200, "", 9, 0.5))
            outcome_ms.append(timed(answered))
        start = time.perf_counter()
        result = ledger.verify()
        verify_s = time.perf_counter() - start
        open_ms = [timed(lambda: Ledger.open(ledger.path, key=KEY).close()) for _ in range(100)]
    report = {
        "append_ms": summary(append_ms["encrypted"]),
        "append_plain_ms": summary(append_ms["plain"]),
        "outcome_ms": summary(outcome_ms),
        "open_ms": summary(open_ms),
        "verify_rows_per_s": round(result.rows / verify_s),
        "rows": options.rows,
        "body_bytes": options.bytes,
        "folder": str(options.folder),
        "machine": {
            "system": platform.platform(),
            "cpu": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load_1min": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
            "sqlite": apsw.sqlite_lib_version(),
        },
    }
    print(json.dumps(report, indent=2))


def plain_ledger(path: Path) -> Ledger:
    """The same without encryption, which only exists to be compared with."""
    path.touch(mode=0o600)
    connection, head = connect(path, None, busy_ms=2000), HeadFile(path)
    for statement in SCHEMA:
        connection.execute(statement)
    connection.pragma("journal_mode", "wal")
    head.write(Head(0, GENESIS))
    return Ledger(path, connection, head)


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def summary(times: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(times, n=100)
    return {
        "median": round(statistics.median(times), 3),
        "p95": round(cuts[94], 3),
        "max": round(max(times), 3),
    }


if __name__ == "__main__":
    main()
