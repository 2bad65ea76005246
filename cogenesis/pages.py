"""HTML pages that need nothing but themselves: what all pages of this project share.

No page loads anything: no font, no picture, no address. Its content security policy names its
own style sheet and its own script by hash and forbids all else. So even if a mark of some text
got through as markup, it could load and run nothing, and send nothing anywhere.

Everything that a model, the user or a server wrote goes through `plain` first.
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import os
import tempfile
from base64 import b64encode
from pathlib import Path
from typing import Final

from cogenesis.errors import InputError
from cogenesis.untrusted import visible

PALETTE: Final = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1c1c1e; --quiet: #5b5b62; --line: #d9d9de;
  --device: #0b57c2; --cloud: #c0161d; --both: #8a2ba0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #17171a; --ink: #ececf0; --quiet: #a5a5ae; --line: #3a3a40;
    --device: #7fb0ff; --cloud: #ff8a80; --both: #dc9df0;
  }
}
"""
"""Colours by meaning, for light and dark screens; each has a contrast of 4.5 or more to paper."""


def plain(text: str) -> str:
    """Text of anybody as text: no markup, nothing that hides or turns other characters."""
    return html.escape("".join(char for char in text if visible(char)), quote=True)


def content_policy(style: str, script: str | None = None) -> str:
    """A content security policy that lets this style sheet and this script work, nothing else."""
    parts = ["default-src 'none'", f"style-src '{_hash(style)}'"]
    if script is not None:
        parts.append(f"script-src '{_hash(script)}'")
    return "; ".join([*parts, "base-uri 'none'", "form-action 'none'"])


def write_private(path: Path, text: str) -> None:
    """Write a page, readable by its owner alone; an older one is replaced whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    try:
        # mkstemp makes mode 0600; in the same folder, because a rename must not cross disks.
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


def _hash(part: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(part.encode()).digest()).decode('ascii')}"
