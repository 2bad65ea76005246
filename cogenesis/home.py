"""Where CoGenesis keeps its files on this device: one private folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from cogenesis.errors import InputError


def home() -> Path:
    """The folder of this user's ledger, store and models; created with mode 0700.

    `$COGENESIS_HOME` if it is set, else the platform's place for user data. Other users of
    the device must not read it, so a folder that is open to them is closed first.

    Raises:
        InputError: the folder cannot be created or closed to others.
    """
    chosen = os.environ.get("COGENESIS_HOME")
    path = (
        Path(chosen).expanduser() if chosen else platformdirs.user_data_path("cogenesis")
    ).absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkdir leaves the mode of an existing folder alone. Windows keeps its own access
        # lists, which already close the user's folders to others.
        if os.name == "posix" and path.stat().st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise InputError(
            f"cannot use the folder {path}: {error.strerror}. "
            "Set COGENESIS_HOME to a folder that you own."
        ) from error
    return path
