"""Every socket that a test opens is accounted for.

An audit hook sees each connection before it is made. It may lead to this machine only, and
if code of the package makes it, then from one of the modules whose job it is. The audit
hook cannot be removed, so it holds for everything that any test does in this process.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import FrameType

import pytest

import cogenesis

PACKAGE = Path(cogenesis.__file__).resolve().parent

# The modules that may open a connection, and why.
DOORS = {
    "privacy/egress.py": "the cloud",
    "models/local_wire.py": "a device model",
    "models/hub.py": "public model files",
    "models/llama_cpp.py": "looks for a free loopback port",
    "cloud_server.py": "the demo cloud, a separate process",
    "delay_proxy.py": "the demo cloud's network delay",
}


def _watch(event: str, args: tuple[object, ...]) -> None:
    if event != "socket.connect":
        return
    address = args[1]
    if isinstance(address, tuple) and not _is_here(str(address[0])):
        raise ConnectionRefusedError(f"a test tried to reach {address[0]}")
    callers = _package_files()
    if callers and not any(caller in DOORS for caller in callers):
        raise ConnectionRefusedError(f"a connection outside the doors, from {callers}")


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


def pytest_configure(config: pytest.Config) -> None:
    """Keep test folders in memory where the system has a place for that.

    The ledger syncs every row to disk, on purpose; hundreds of tests that do so would wait
    for the disk most of their time. What must be tested on a real disk asks for one.
    """
    memory = Path("/dev/shm")
    if config.option.basetemp is None and os.access(memory, os.W_OK):
        config.option.basetemp = tempfile.mkdtemp(prefix="cogenesis-", dir=memory)
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))
