"""Stands in for `python -m pip`: brings wheels from a folder, or fails as pip fails.

FAKE_INDEX is the folder; every call adds a line to `calls.txt` in it. A wheel named in
`hang.txt` is brought half and then never finished, until whoever started this is gone.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path


def main(arguments: list[str]) -> int:
    index = Path(os.environ["FAKE_INDEX"])
    requirement = Path(arguments[arguments.index("-r") + 1]).read_text().split()[0]
    out = Path(arguments[arguments.index("-d") + 1])
    with (index / "calls.txt").open("a") as calls:
        calls.write(requirement + "\n")
    error = index / "error.txt"
    if error.exists():
        sys.stderr.write(error.read_text())
        return 1
    project, _, version = requirement.partition("==")
    name = f"{project.replace('-', '_')}-{version}-py3-none-any.whl"
    hang = index / "hang.txt"
    if hang.exists() and hang.read_text() == name:
        raw = (index / name).read_bytes()
        (Path(os.environ["TMPDIR"]) / "half").write_bytes(raw[: len(raw) // 2])
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(0.02)
        return 1
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(index / name, out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
