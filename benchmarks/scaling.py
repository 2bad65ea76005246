"""Does the work of a run grow with its workers, and is its output the same? Prints JSON.

    python -m benchmarks.scaling [--seconds 0.5] [--items 120] [--each 4]

Two Ray nodes on this machine work against a server that takes `--seconds` for each answer.
Each worker asks for `--each` at a time, through egress, ledger and cache as a real run. Then a
worker is killed in the middle, and a run is repeated from the cache.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.ray_nodes import two_nodes
from benchmarks.scaling_work import Answered, Asking, SlowServer
from cogenesis.engines.cloud import CloudAddress
from cogenesis.engines.engine import Done, Engine, open_engine
from cogenesis.privacy.ledger import Ledger

WORKERS = (1, 2, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--items", type=int, default=120)
    parser.add_argument("--each", type=int, default=4)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with two_nodes() as address:
        for at_a_time in (1, options.each, options.each * 4):
            with open_engine("local", at_a_time=at_a_time) as engine:
                rows.append(measured(engine, options, workers=1))
        for workers in WORKERS:
            at_a_time = workers * options.each
            with open_engine(
                "ray", at_a_time=at_a_time, workers=workers, ray_address=address
            ) as engine:
                rows.append(measured(engine, options, workers=workers))
        with open_engine("ray", at_a_time=8, workers=2, ray_address=address) as engine:
            killed = measured(engine, options, workers=2, kill=True)
    hashes = {row["output_sha256"] for row in [*rows, killed]}
    print(
        json.dumps(
            {
                "rows": rows,
                "worker_killed": killed,
                "same_output": len(hashes) == 1,
                "server_seconds": options.seconds,
                "items": options.items,
                "nodes": 2,
                "machine": {
                    "system": platform.platform(),
                    "cores": os.cpu_count(),
                    "load_1min": round(os.getloadavg()[0], 2),
                },
            },
            indent=2,
        )
    )


def measured(
    engine: Engine, options: argparse.Namespace, *, workers: int, kill: bool = False
) -> dict[str, Any]:
    """One run with a fresh ledger and cache; the start of workers is told apart."""
    with fresh(options.seconds) as (asking, server):
        begun, first, found = time.perf_counter(), 0.0, []
        for outcome in engine.map(asking, ((str(n), n) for n in range(options.items))):
            assert isinstance(outcome, Done), outcome
            found.append(outcome)
            first = first or time.perf_counter()
            if kill and len(found) == options.items // 3:
                os.kill(outcome.result.process, signal.SIGKILL)
        ended = time.perf_counter()
        with Ledger.open(asking.cloud.ledger) as ledger:
            verified = ledger.verify()
            requests = ledger.totals().requests
        again = list(open_and_repeat(asking, options.items))
        return {
            "engine": type(engine).__name__.removesuffix("Engine").lower(),
            "workers": workers,
            "at_a_time": engine.at_a_time,
            # From the first result on: starting a process takes seconds, once. As many as are asked
            # at a time come with it.
            "items_per_s": round((len(found) - engine.at_a_time) / (ended - first), 2),
            "seconds_to_first": round(first - begun, 2),
            "processes": len({each.result.process for each in found}),
            "results": len({each.key for each in found}),
            "requests": requests,
            "asked_twice": sum(count - 1 for count in Counter(server.asked[:requests]).values()),
            "ledger_ok": verified.ok,
            "hits_when_repeated": sum(each.result.hit for each in again),
            "output_sha256": output_hash(found),
        }


def open_and_repeat(asking: Asking, items: int) -> Iterator[Done[Answered]]:
    with open_engine("local", at_a_time=4) as engine:
        for outcome in engine.map(asking, ((str(n), n) for n in range(items))):
            assert isinstance(outcome, Done)
            yield outcome


def output_hash(found: list[Done[Answered]]) -> str:
    """Of the texts in the order of their keys."""
    lines = [f"{each.key} {each.result.text}\n" for each in sorted(found, key=lambda d: int(d.key))]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


@contextmanager
def fresh(seconds: float) -> Iterator[tuple[Asking, SlowServer]]:
    with tempfile.TemporaryDirectory() as name, SlowServer(seconds) as server:
        folder = Path(name)
        cloud = CloudAddress.of(server.url, "m", "openai-chat", ledger=folder / "ledger.sqlite")
        yield Asking(cloud, folder / "replies"), server


if __name__ == "__main__":
    main()
