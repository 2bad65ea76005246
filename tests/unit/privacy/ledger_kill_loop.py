"""Kill processes that write a ledger and then "send", again and again; print what was found.

Run as a script, in a process without threads, because it forks. Each worker opens the
ledger, appends a request, sends its row number through a pipe, writes an outcome, and so on
until it is killed. After each kill the parent checks the chain and that every number that
came through the pipe has its request in the ledger.

    python -m tests.unit.privacy.ledger_kill_loop LEDGER KILLS
"""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import sys
import time
from pathlib import Path

import apsw  # noqa: F401  (loaded once here, not in every worker)

from cogenesis.privacy.ledger import Ledger, Outcome
from tests.unit.privacy.ledger_samples import request

SENT = struct.Struct("qq")  # row, number of the request: shorter than a pipe's atomic write


def work(path: Path, pipe: int, first: int) -> None:
    """Write and send until killed."""
    with Ledger.open(path) as ledger:
        number = first
        while True:
            row = ledger.append(request(number))
            os.write(pipe, SENT.pack(row, number))
            ledger.outcome(row, Outcome(200, "", 10, 0.1))
            number += 1


def kill_one(path: Path, first: int, chance: random.Random) -> tuple[bytes, int]:
    """What a worker sent until it was killed, and the status it ended with.

    It is killed after a few requests and then a random time of up to twice what one request
    took it, so that kills fall anywhere in the work however slow the disk is.
    """
    reader, writer = os.pipe()
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            work(path, writer, first)
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        message, wanted = b"", chance.randint(0, 2)
        while len(message) < wanted * SENT.size:
            part = pipe.read(SENT.size)
            if not part:
                break
            message += part
        pace = (time.monotonic() - start) / wanted if wanted else 0.01
        time.sleep(chance.uniform(0.0, 2 * pace))
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        while part := pipe.read(4096):
            message += part
    return message, status


def main(path: Path, kills: int) -> dict[str, int]:
    """Kill `kills` workers; return counts, among them those of everything that went wrong."""
    chance = random.Random(7)
    counts = dict.fromkeys(
        ("kills", "sent", "rows", "unsent", "lagging_heads", "lost", "bad", "ended"), 0
    )
    head = path.with_suffix(".head")
    checked = 0
    for number in range(kills):
        message, status = kill_one(path, 1000 * number, chance)
        counts["kills"] += 1
        counts["ended"] += not os.WIFSIGNALED(status)
        sent = {row: request(wanted) for row, wanted in SENT.iter_unpack(message)}
        with Ledger.open(path) as ledger:
            result = ledger.verify()
            written = {row.number: row.entry for row in ledger.entries(after=checked)}
        counts["bad"] += not result.ok
        counts["lagging_heads"] += int(head.read_text().split()[0]) < result.rows
        counts["lost"] += sum(written.get(row) != entry for row, entry in sent.items())
        counts["sent"] += len(sent)
        counts["unsent"] += len(written) - len(sent)
        counts["rows"] = checked = result.rows
    return counts


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
