"""Two Ray nodes on this machine, as an owner of a cluster would start them.

Ray listens on all addresses for any node but one on 127.0.0.1, and two nodes cannot have that
one: so a token keeps others out here. What `--engine ray` starts by itself is on loopback.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]

FIRST: Final = "127.0.0.2"
SECOND: Final = "127.0.0.3"
"""Two addresses of loopback. Ray takes 127.0.0.1 for the address on the network."""


@contextmanager
def two_nodes(processors: int = 2) -> Iterator[str]:
    """Start them, with a token; gives `HOST:PORT` for `--ray-address`, and ends them after.

    Within the block the token is in this process's environment, as it would be for a user.
    """
    folder = Path(tempfile.mkdtemp(prefix="cg-ray-", dir="/tmp"))
    with socket.socket() as probe:
        probe.bind((FIRST, 0))
        port = probe.getsockname()[1]
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = os.environ | token
    environment["RAY_USAGE_STATS_ENABLED"] = "0"
    environment["PYTHONPATH"] = str(ROOT)
    start = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--block",
        "--disable-usage-stats",
    ]
    start += ["--object-store-memory=80000000", f"--num-cpus={processors}"]
    head = [
        *start,
        "--head",
        f"--node-ip-address={FIRST}",
        f"--port={port}",
        "--include-dashboard=false",
        f"--temp-dir={folder}",
    ]
    second = [*start, f"--node-ip-address={SECOND}", f"--address={FIRST}:{port}"]
    running: list[subprocess.Popen[bytes]] = []
    before = {name: os.environ.get(name) for name in token}
    try:
        for command in (head, second):
            with (folder / f"node{len(running)}.log").open("wb") as log:
                running.append(
                    subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=ROOT)
                )
            _wait_for(folder / f"node{len(running) - 1}.log", running[-1])
        os.environ.update(token)
        yield f"{FIRST}:{port}"
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(log: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the node says that it runs."""
    for _ in range(600):
        if b"Ray runtime started" in log.read_bytes():
            return
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    raise RuntimeError(f"a Ray node did not start: {log.read_text('utf-8')[-2000:]}")
