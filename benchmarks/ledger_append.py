"""How long does a ledger record take until it is on disk? Prints JSON.

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
from pathlib import Path

import apsw

from cogenesis.privacy.ledger import Ledger, LedgerEntry, Outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--bytes", type=int, default=2000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    entry = LedgerEntry("probe", "POST", "https://h/v1/completions", (), bytes(options.bytes), 1)
    append_ms: list[float] = []
    outcome_ms: list[float] = []
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        Ledger.open(Path(folder) / "ledger.sqlite") as ledger,
    ):
        for _ in range(options.rows):
            start = time.perf_counter()
            row = ledger.append(entry)
            middle = time.perf_counter()
            ledger.outcome(row, Outcome(200, "", 100, 0.5))
            outcome_ms.append((time.perf_counter() - middle) * 1000)
            append_ms.append((middle - start) * 1000)
        start = time.perf_counter()
        result = ledger.verify()
        verify_s = time.perf_counter() - start
    report = {
        "append_ms": summary(append_ms),
        "outcome_ms": summary(outcome_ms),
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


def summary(times: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(times, n=100)
    return {
        "median": round(statistics.median(times), 3),
        "p95": round(cuts[94], 3),
        "max": round(max(times), 3),
    }


if __name__ == "__main__":
    main()
