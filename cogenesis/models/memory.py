"""How much memory this machine has."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


def total_memory() -> int | None:
    """Bytes of memory that this process may use; None where the system does not say.

    A container's limit counts where it is lower. Not covered: memory of a GPU, and what
    other programs use now.
    """
    found = _machine_memory()
    limit = _container_limit()
    if found is None or limit is None:
        return found
    return min(found, limit)


def _machine_memory() -> int | None:
    if sys.platform == "win32":
        return _windows_memory()
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _container_limit() -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
    return None  # no cgroup, or "max"


def _windows_memory() -> int | None:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            ("total", ctypes.c_ulonglong),
            ("others", ctypes.c_ulonglong * 6),
        )

    status = Status()
    status.length = ctypes.sizeof(Status)
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009  (mypy knows it on Windows only)
    if not kernel.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return int(status.total)
