"""The header of a GGUF file: its metadata by name, and lists of its tensors.

Every count and length in it is a claim of the file. None is believed: nothing is read past
the file's end, and a header larger than that of any real model is refused.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from cogenesis.errors import ModelFileError

# Bytes per scalar value type of the metadata.
_SCALARS: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING: Final = 8
ARRAY: Final = 9
UINT32: Final = 4
INT32: Final = 5

# Bounds far above any real model: a hostile header must not make us read for ever.
_MAX_PAIRS: Final = 65_536
_MAX_TENSORS: Final = 1_000_000
_MAX_ITEMS: Final = 16_000_000
_MAX_STRING: Final = 16_000_000
_MAX_HEADER: Final = 200_000_000


class BadHeaderError(Exception):
    """The header cannot be a GGUF's; the text says what is wrong with it."""


class HeaderReader:
    """Reads the header's little-endian values, never past the end of the file.

    Its methods raise `EOFError` there, and `BadHeaderError` for what no real model has.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self.at = 0

    def take(self, count: int) -> bytes:
        """The next bytes."""
        self._advance(count)
        return self._file.read(count)

    def skip(self, count: int) -> None:
        """Leave bytes out."""
        self._advance(count)
        self._file.seek(count, 1)

    def u32(self) -> int:
        """An unsigned number of 32 bits."""
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        """An unsigned number of 64 bits."""
        return int.from_bytes(self.take(8), "little")

    def count(self, limit: int, what: str) -> int:
        """How many of something follow."""
        value = self.u64()
        if value > limit:
            raise BadHeaderError(f"its header claims {value:,} {what}")
        return value

    def string(self) -> bytes:
        """A string: a name, mostly."""
        return self.take(self.count(_MAX_STRING, "bytes in one name"))

    def counts(self) -> tuple[int, int]:
        """After the magic: the numbers of tensors and of metadata entries."""
        version = self.u32()
        if version not in (2, 3):
            raise BadHeaderError(
                f"its header has version {version}; versions 2 and 3 are known (a big-endian "
                "file or a very old one cannot be used)"
            )
        return self.count(_MAX_TENSORS, "tensors"), self.count(_MAX_PAIRS, "metadata entries")

    def list_head(self) -> tuple[int, int]:
        """The type and the number of a list's items, which follow."""
        return self.u32(), self.count(_MAX_ITEMS, "items in one list")

    def strings(self, count: int) -> list[bytes]:
        """That many strings. Quick, because a vocabulary has 262,144."""
        found = []
        read = self._file.read
        for _ in range(count):
            length = int.from_bytes(read(8), "little")
            if length > _MAX_STRING:
                raise BadHeaderError(f"its header claims {length:,} bytes in one text")
            self._advance(8 + length)
            found.append(read(length))
        return found

    def skip_value(self, kind: int, *, depth: int = 0) -> None:
        """Leave a metadata value out."""
        if kind in _SCALARS:
            self.skip(_SCALARS[kind])
        elif kind == STRING:
            self.skip(self.count(_MAX_STRING, "bytes in one text"))
        elif kind == ARRAY and depth < 4:
            item, count = self.list_head()
            if item in _SCALARS:
                self.skip(_SCALARS[item] * count)
                return
            for _ in range(count):
                self.skip_value(item, depth=depth + 1)
        else:
            raise BadHeaderError(f"its metadata has a value of unknown type {kind}")

    def _advance(self, count: int) -> None:
        self.at += count
        if self.at > self._size:
            raise EOFError
        if self.at > _MAX_HEADER:
            raise BadHeaderError("its header is larger than that of any real model")


@contextmanager
def open_header(path: Path) -> Iterator[tuple[HeaderReader, int]]:
    """A reader behind the magic, and the file's size.

    Raises:
        ModelFileError: missing, unreadable, empty, not a GGUF, or (from what the block reads)
            cut off inside the header or damaged; the message says what to do.
    """
    try:
        found = path.stat()
        # Also keeps a named pipe from blocking the open below for ever.
        if not stat.S_ISREG(found.st_mode):
            raise ModelFileError(f"{path} is not a file. Give the path of a .gguf file.")
        with path.open("rb") as file:
            _check_magic(file, path, found.st_size)
            yield HeaderReader(file, found.st_size - 4), found.st_size
    except FileNotFoundError as error:
        raise ModelFileError(
            f"there is no model file {path}. Check the path, or see: cogenesis models list"
        ) from error
    except EOFError:
        raise ModelFileError(
            f"{path} is cut off: its {found.st_size:,} bytes end inside the header. "
            "Download it again."
        ) from None
    except BadHeaderError as error:
        raise ModelFileError(f"{path} is damaged: {error}. Download it again.") from error
    except OSError as error:
        raise ModelFileError(
            f"cannot read the model file {path}: {error.strerror}. Check its permissions."
        ) from error


def _check_magic(file: BinaryIO, path: Path, size: int) -> None:
    if size == 0:
        raise ModelFileError(f"{path} is empty. Download it again.")
    magic = file.read(4)
    if magic != b"GGUF":
        raise ModelFileError(
            f"{path} is not a GGUF model file{_what_it_is(magic)}. llama.cpp reads .gguf files "
            "only; most models have them on the hub under a name that ends in -GGUF."
        )


def _what_it_is(magic: bytes) -> str:
    if magic[:2] == b"PK":
        return " (it is a zip or wheel; unpack it first)"
    if magic[:1] == b"<":
        return " (it looks like a web page; the download asked for a login or failed)"
    if magic == b"vers":
        return " (it is a Git LFS pointer; run: git lfs pull)"
    return ""
