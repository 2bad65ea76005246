"""Every command block of the README runs, from a clean home, as a reader would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(m[1], m[2]) for m in BLOCK.finditer((ROOT / "README.md").read_text("utf-8"))]


@pytest.fixture(scope="module")
def environment(
    tmp_path_factory: pytest.TempPathFactory, device_gguf: Path, cloud_gguf: Path
) -> dict[str, str]:
    """A home that holds the models already: fetching has a test of its own."""
    home = tmp_path_factory.mktemp("home")
    models = Path(device_gguf).parent
    if (models / "smol.gguf").exists():
        pytest.skip("the README is run with models that the catalogue has fetched")
    (home / "models").symlink_to(models, target_is_directory=True)
    home.chmod(0o700)
    return {
        **os.environ,
        "COGENESIS_HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        # `make test` runs this very test: there it only collects, and so cannot go on forever.
        "PYTEST_ADDOPTS": "--collect-only -q",
        "COLUMNS": "100",
    }


def test_there_is_something_to_run() -> None:
    assert len(BLOCKS) >= 9
    assert BLOCKS[0] == ("sh", "make demo\nmake test\n")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block_runs(number: int, environment: dict[str, str]) -> None:
    kind, code = BLOCKS[number]
    command = (
        ["bash", "-euo", "pipefail", "-c", code] if kind == "sh" else [sys.executable, "-c", code]
    )
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=590
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
    assert "Traceback" not in done.stderr
