"""Is this file a whole GGUF? Answered from its header, before llama.cpp sees it.

llama.cpp's own answer to a damaged file is a failed assertion or a line in its log. A GGUF
says in its header where its last tensor ends, so a download that was cut off is found by
reading a few megabytes at most.

Not covered: changed bytes inside the tensors (the catalogue's sha256 finds those), and
whether this llama.cpp knows the architecture.
"""

from __future__ import annotations

import math
import stat
from pathlib import Path
from typing import BinaryIO

from cogenesis.errors import ModelFileError

# Bytes per scalar value type of the metadata; 8 is a string, 9 an array.
_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_UINT32 = 4

# ggml tensor type -> (weights per block, bytes per block), from ggml.c of llama.cpp.
# A type that is missing here counts as one byte: its tensor's end is then not checked,
# its start still is, so a newer llama.cpp's files are not refused.
_BLOCKS = {
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    9: (32, 36),  # Q8_1
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    15: (256, 292),  # Q8_K
    16: (256, 66),  # IQ2_XXS
    17: (256, 74),  # IQ2_XS
    18: (256, 98),  # IQ3_XXS
    19: (256, 50),  # IQ1_S
    20: (32, 18),  # IQ4_NL
    21: (256, 110),  # IQ3_S
    22: (256, 82),  # IQ2_S
    23: (256, 136),  # IQ4_XS
    24: (1, 1),  # I8
    25: (1, 2),  # I16
    26: (1, 4),  # I32
    27: (1, 8),  # I64
    28: (1, 8),  # F64
    29: (256, 56),  # IQ1_M
    30: (1, 2),  # BF16
    34: (256, 54),  # TQ1_0
    35: (256, 66),  # TQ2_0
    39: (32, 17),  # MXFP4
}

# Bounds far above any real model: a hostile header must not make us read for ever.
_MAX_PAIRS = 65_536
_MAX_TENSORS = 1_000_000
_MAX_ITEMS = 16_000_000
_MAX_STRING = 16_000_000
_MAX_HEADER = 200_000_000


class _BadHeaderError(Exception):
    """The header cannot be a GGUF's; the text says what is wrong with it."""


class _Reader:
    """Reads the header's little-endian values, never past the end of the file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self.at = 0

    def take(self, count: int) -> bytes:
        self._advance(count)
        return self._file.read(count)

    def skip(self, count: int) -> None:
        self._advance(count)
        self._file.seek(count, 1)

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def count(self, limit: int, what: str) -> int:
        value = self.u64()
        if value > limit:
            raise _BadHeaderError(f"its header claims {value:,} {what}")
        return value

    def string(self) -> bytes:
        return self.take(self.count(_MAX_STRING, "bytes in one name"))

    def _advance(self, count: int) -> None:
        self.at += count
        if self.at > self._size:
            raise EOFError
        if self.at > _MAX_HEADER:
            raise _BadHeaderError("its header is larger than that of any real model")


def check_gguf(path: Path) -> None:
    """Refuse a file that llama.cpp could not load whole.

    Raises:
        ModelFileError: missing, unreadable, empty, not a GGUF, or cut off; the message
            says what to do.
    """
    try:
        found = path.stat()
        # Also keeps a named pipe from blocking the open below for ever.
        if not stat.S_ISREG(found.st_mode):
            raise ModelFileError(f"{path} is not a file. Give the path of a .gguf file.")
        size = found.st_size
        with path.open("rb") as file:
            needed = _needed_bytes(file, path, size)
    except FileNotFoundError as error:
        raise ModelFileError(
            f"there is no model file {path}. Check the path, or see: cogenesis models list"
        ) from error
    except OSError as error:
        raise ModelFileError(
            f"cannot read the model file {path}: {error.strerror}. Check its permissions."
        ) from error
    if size < needed:
        raise ModelFileError(
            f"{path} is cut off: it has {size:,} bytes and its header asks for {needed:,}. "
            "Download it again."
        )


def _needed_bytes(file: BinaryIO, path: Path, size: int) -> int:
    """Where the last tensor ends; for a header that is itself cut off, more than `size`."""
    if size == 0:
        raise ModelFileError(f"{path} is empty. Download it again.")
    magic = file.read(4)
    if magic != b"GGUF":
        raise ModelFileError(
            f"{path} is not a GGUF model file{_what_it_is(magic)}. llama.cpp reads .gguf files "
            "only; most models have them on the hub under a name that ends in -GGUF."
        )
    try:
        return _parse(_Reader(file, size - 4)) + 4
    except EOFError:
        raise ModelFileError(
            f"{path} is cut off: its {size:,} bytes end inside the header. Download it again."
        ) from None
    except _BadHeaderError as error:
        raise ModelFileError(f"{path} is damaged: {error}. Download it again.") from error


def _what_it_is(magic: bytes) -> str:
    if magic[:2] == b"PK":
        return " (it is a zip or wheel; unpack it first)"
    if magic[:1] == b"<":
        return " (it looks like a web page; the download asked for a login or failed)"
    if magic == b"vers":
        return " (it is a Git LFS pointer; run: git lfs pull)"
    return ""


def _parse(header: _Reader) -> int:
    """Read the whole header; return the needed bytes after the magic."""
    version = header.u32()
    if version not in (2, 3):
        raise _BadHeaderError(
            f"its header has version {version}; versions 2 and 3 are known (a big-endian file "
            "or a very old one cannot be used)"
        )
    tensors = header.count(_MAX_TENSORS, "tensors")
    pairs = header.count(_MAX_PAIRS, "metadata entries")
    if tensors == 0:
        raise _BadHeaderError("it holds no tensors (a vocabulary alone is no model)")
    alignment = 32
    for _ in range(pairs):
        name = header.string()
        kind = header.u32()
        if name == b"general.alignment" and kind == _UINT32:
            alignment = header.u32()
        else:
            _skip_value(header, kind, depth=0)
    if alignment == 0 or alignment > 65_536:
        raise _BadHeaderError(f"its header claims an alignment of {alignment}")
    end = 0
    for _ in range(tensors):
        end = max(end, _tensor_end(header))
    # The data begins at the next multiple of the alignment, counted from the file's start.
    data_start = -(-(header.at + 4) // alignment) * alignment - 4
    return data_start + end


def _tensor_end(header: _Reader) -> int:
    """Where this tensor ends, in bytes from the start of the tensor data."""
    header.string()
    dimensions = header.u32()
    if dimensions > 8:
        raise _BadHeaderError(f"a tensor has {dimensions} dimensions")
    shape = [header.u64() for _ in range(dimensions)]
    kind = header.u32()
    offset = header.u64()
    per_block, block_bytes = _BLOCKS.get(kind, (0, 1))
    if per_block == 0:
        return offset + 1
    return offset + math.prod(shape) // per_block * block_bytes


def _skip_value(header: _Reader, kind: int, *, depth: int) -> None:
    if kind in _SCALARS:
        header.skip(_SCALARS[kind])
    elif kind == _STRING:
        header.skip(header.count(_MAX_STRING, "bytes in one text"))
    elif kind == _ARRAY and depth < 4:
        item = header.u32()
        count = header.count(_MAX_ITEMS, "items in one list")
        if item in _SCALARS:
            header.skip(_SCALARS[item] * count)
            return
        for _ in range(count):
            _skip_value(header, item, depth=depth + 1)
    else:
        raise _BadHeaderError(f"its metadata has a value of unknown type {kind}")
