"""The hub library's own switches."""

from __future__ import annotations

import os
import subprocess
import sys


def test_the_librarys_own_offline_switch_is_understood() -> None:
    code = "from cogenesis.models.catalogue import get_model; get_model('owner/name')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "CatalogueError: cannot reach a model hub" in done.stderr
