"""A file of lines that one run at a time adds to: what it measured or paid for so far.

Two runs that add to one file lose lines: each writes where it saw the end. So the file is locked
for as long as it is open, and the second run is told before it has done anything. The lock is
the system's: it goes with its holder, however that ends.

Not covered: a file system without locks (there the file is opened all the same); a program that
does not ask for the lock.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

from cogenesis.errors import InputError
from cogenesis.models.file_lock import lock_open_file


def open_growing(path: Path) -> IO[bytes]:
    """Open a file, new or not, to read it and to add to its end; it stands at the beginning.

    Nothing in it is changed by that.

    Raises:
        InputError: another run has it open.
        OSError: it cannot be opened.
    """
    file = path.open("a+b")
    if not lock_open_file(file.fileno()):
        file.close()
        raise InputError(
            f"another run is writing to {path}: wait until that has ended, or name another file"
        )
    file.seek(0)
    return file
