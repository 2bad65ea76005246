"""When, on what machine and by what command something was measured: told with every measurement."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any


def when_and_where() -> dict[str, Any]:
    """The date, the command, and of the machine only what numbers depend on."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": command(sys.argv),
        "machine": {
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
            "python": platform.python_version(),
        },
    }


def command(arguments: Sequence[str]) -> str:
    """The command as somebody else would give it: of a path from the root only the name is left.

    Results are published, and folders tell who measured them and where.
    """
    return shlex.join(["cogenesis", *map(_shown, arguments[1:])])


def _shown(argument: str) -> str:
    option, equals, value = argument.partition("=")
    if option.startswith("--") and equals:
        return f"{option}={_shown(value)}"
    path = PurePath(argument)
    return path.name if path.is_absolute() or argument.startswith("~") else argument
