"""Every socket that a test opens is accounted for.

An audit hook sees each connection, datagram and name look-up before it is made. It may lead
to this machine only, and if code of the package makes it, then from one of the modules whose
job it is. The audit hook cannot be removed, so it holds for everything that any test does in
this process. What it refuses also fails the test, because code that is ready for a broken
network would hide it.

Not covered: a name given to `connect` or `sendto` itself is looked up in C before Python
tells (HTTP libraries look names up first, which is seen); other processes.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

import cogenesis

PACKAGE = Path(cogenesis.__file__).resolve().parent

sys.dont_write_bytecode = False
"""Compiled tests are kept, whatever the environment says: or each worker compiles all of them
in every run, which takes longer than most of what they test."""

# The modules that may open a connection, and why.
DOORS = {
    "privacy/egress.py": "the cloud",
    "models/local_wire.py": "a device model",
    "models/hub.py": "public model files",
    "models/llama_cpp.py": "looks for a free loopback port",
    "cloud_server.py": "the demo cloud, a separate process",
    "engines/ray_cluster.py": "whether the user's own Ray cluster is there; Ray does the rest",
    "delay_proxy.py": "the demo cloud's network delay",
    "evaluation/replayed_cloud.py": "the demo cloud's earlier answers, on this machine",
}


# Audit event -> which of its arguments says where it leads.
_EVENTS = {
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
    "socket.gethostbyaddr": 0,
    "socket.getnameinfo": 0,
}

LEAKS: list[str] = []
"""What was refused during the test that runs. A test that means to be refused clears it."""


def _watch(event: str, args: tuple[object, ...]) -> None:
    place = _EVENTS.get(event)
    if place is None:
        return
    host = _host_of(event, args[place])
    callers = _package_files()
    if host is not None and not _is_here(host):
        _refuse(f"a test tried to reach {host}")
    if callers and not any(caller in DOORS for caller in callers):
        _refuse(f"a connection outside the doors, from {callers}")


def _refuse(message: str) -> None:
    LEAKS.append(message)
    raise ConnectionRefusedError(message)


def _host_of(event: str, target: object) -> str | None:
    """The name or address; None for a UNIX socket, and where nothing new is named."""
    if isinstance(target, tuple):
        target = target[0]
    elif event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        return None  # a path, or (sendmsg) the peer that `connect` was checked for
    if target is None:
        return None  # getaddrinfo's word for this machine
    return target.decode("ascii", "replace") if isinstance(target, bytes) else str(target)


def _is_here(host: str) -> bool:
    if host in {"localhost", ""}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _package_files() -> list[str]:
    files = []
    frame: FrameType | None = sys._getframe(2)
    prefix = f"{PACKAGE}{os.sep}"
    while frame is not None:
        if frame.f_code.co_filename.startswith(prefix):
            files.append(frame.f_code.co_filename.removeprefix(prefix).replace(os.sep, "/"))
        frame = frame.f_back
    return files


sys.addaudithook(_watch)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Fail a test that was refused a connection, even if it did not notice."""
    yield
    leaks = tuple(LEAKS)
    LEAKS.clear()
    if leaks:
        pytest.fail(f"{item.name}: {'; '.join(leaks)}", pytrace=False)


def pytest_configure(config: pytest.Config) -> None:
    """Keep test folders in memory where the system has a place for that.

    The ledger syncs every row to disk, on purpose; hundreds of tests that do so would wait
    for the disk most of their time. What must be tested on a real disk asks for one.
    """
    # No test may touch the developer's keyring, or be locked out by their passphrase.
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    os.environ.pop("COGENESIS_PASSPHRASE", None)
    memory = Path("/dev/shm")
    if config.option.basetemp is None and os.access(memory, os.W_OK):
        config.option.basetemp = tempfile.mkdtemp(prefix="cogenesis-", dir=memory)
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))
