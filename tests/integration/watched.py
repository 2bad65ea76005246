"""Runs the real command line in a child process, with every socket of it watched.

A `sitecustomize` of its own comes first on the child's path. So the watch is set up before
anything else, in the child and in every Python process that it starts. It writes each
connection, datagram and name look-up to a file. What would leave this machine is refused, so
that a test that fails does not leak either.

Sockets that C code opens go unseen there. `namespace.py` sees those.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

COMMAND: Final = [sys.executable, "-m", "cogenesis"]

_WATCH: Final = """
import ipaddress, json, os, sys

PLACES = {
    "socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1, "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0, "socket.gethostbyaddr": 0, "socket.getnameinfo": 0,
}
FILE = os.open(os.environ["WATCHED_SOCKETS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

def watch(event, args):
    place = PLACES.get(event)
    if place is None:
        return
    target = args[place]
    port = args[1] if event == "socket.getaddrinfo" else None
    if isinstance(target, tuple):
        target, port = target[0], target[1]
    elif event in ("socket.connect", "socket.sendto"):
        event = "unix"
    elif event == "socket.sendmsg":
        return  # connected: seen before
    target = os.fsdecode(target) if isinstance(target, bytes) else target
    line = {"event": event, "target": target, "port": port, "pid": os.getpid(),
            "program": sys.argv[1:2] if hasattr(sys, "argv") else []}
    os.write(FILE, json.dumps(line).encode() + b"\\n")
    if event != "unix" and target not in (None, "", "localhost"):
        try:
            here = ipaddress.ip_address(target).is_loopback
        except ValueError:
            here = False
        if not here:
            raise ConnectionRefusedError("not from a test")

sys.addaudithook(watch)
"""


@dataclass(frozen=True)
class Seen:
    """One thing that a process did with a socket: `event` is Python's own name for it."""

    event: str
    target: str | None
    port: Any
    pid: int


class Watch:
    """Where the watched processes write what they do."""

    def __init__(self, folder: Path) -> None:
        """`folder` is this watch's own."""
        folder.mkdir()
        self._file = folder / "sockets.jsonl"
        (folder / "sitecustomize.py").write_text(_WATCH)
        self._folder = folder

    def environment(self, **changed: str) -> Mapping[str, str]:
        """This process's environment, less what would tell of this test, with the watch."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("COGENESIS_", "PYTEST"))}
        return {
            **kept,
            "PYTHONPATH": str(self._folder),
            "WATCHED_SOCKETS": str(self._file),
            **changed,
        }

    def seen(self) -> list[Seen]:
        """All of it, in order."""
        if not self._file.exists():
            return []
        lines = map(json.loads, self._file.read_text("utf-8").splitlines())
        return [Seen(x["event"], x["target"], x["port"], x["pid"]) for x in lines]


def run(
    arguments: list[str], environment: Mapping[str, str], *, stdin: str = "", command: list[str]
) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [*command, *arguments],
        env=dict(environment),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
