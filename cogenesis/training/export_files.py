"""Where an exported file goes: whole or not at all, and never over another by accident.

What is exported was learned from private texts, so only its owner may read it (0600), as the
run folder. Who wants to share it changes that on purpose; its card says how.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cogenesis.errors import InputError


def check_target(path: Path, base: Path, *, force: bool, needed: int = 0) -> None:
    """Refuse before the work what would fail after it.

    Args:
        path: of the file to write.
        base: the GGUF file that is read meanwhile, and again whenever a text is written.
        force: an existing file may be replaced.
        needed: bytes that it will have.

    Raises:
        InputError: it exists, or is the base; its folder does not; or the disk is too full.
    """
    if path.exists() and path.samefile(base):  # also through a link
        raise InputError(f"{path} is the base itself. Give another --out")
    if path.exists() and not force:
        raise InputError(f"{path} exists. Give --force to replace it, or another --out")
    if path.is_dir():
        raise InputError(f"{path} is a folder. Give the name of a file")
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent}. Make it first")
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise InputError(
            f"{path.parent} has {free / 1e6:,.0f} MB left and {path.name} needs "
            f"{needed / 1e6:,.0f} MB. Make room, or give another --out"
        )


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file beside `path`, its owner's alone, that takes its name if the block ends well.

    Raises:
        InputError: the disk is full, or nothing may be written there.
    """
    made: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(descriptor)
        made = Path(name)
        yield made
        made.replace(path)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise InputError(f"the disk of {path.parent} is full. Make room, then try again") from (
                error
            )
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    finally:
        if made is not None:
            made.unlink(missing_ok=True)
