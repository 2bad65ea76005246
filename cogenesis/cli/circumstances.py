"""When and on what machine something was measured: printed with every measurement."""

from __future__ import annotations

import datetime
import os
import platform
from typing import Any


def when_and_where() -> dict[str, Any]:
    """The date, and of the machine only what numbers depend on."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
            "python": platform.python_version(),
        },
    }
