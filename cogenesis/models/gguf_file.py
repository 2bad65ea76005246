"""Is this file a whole GGUF? Answered from its header, before llama.cpp sees it.

llama.cpp's own answer to a damaged file is a failed assertion or a line in its log. A GGUF
says in its header where its last tensor ends, so a download that was cut off is found by
reading a few megabytes at most.

Not covered: changed bytes inside the tensors (the catalogue's sha256 finds those), and
whether this llama.cpp knows the architecture.
"""

from __future__ import annotations

import math
from pathlib import Path

from cogenesis.errors import ModelFileError
from cogenesis.models.gguf_header import UINT32, BadHeaderError, HeaderReader, open_header

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


def check_gguf(path: Path) -> None:
    """Refuse a file that llama.cpp could not load whole.

    Raises:
        ModelFileError: missing, unreadable, empty, not a GGUF, or cut off; the message
            says what to do.
    """
    with open_header(path) as (header, size):
        needed = _needed_bytes(header) + 4
    if size < needed:
        raise ModelFileError(
            f"{path} is cut off: it has {size:,} bytes and its header asks for {needed:,}. "
            "Download it again."
        )


def _needed_bytes(header: HeaderReader) -> int:
    """Read the whole header; return where the last tensor ends, counted from the magic's end."""
    tensors, pairs = header.counts()
    if tensors == 0:
        raise BadHeaderError("it holds no tensors (a vocabulary alone is no model)")
    alignment = 32
    for _ in range(pairs):
        name = header.string()
        kind = header.u32()
        if name == b"general.alignment" and kind == UINT32:
            alignment = header.u32()
        else:
            header.skip_value(kind)
    if alignment == 0 or alignment > 65_536:
        raise BadHeaderError(f"its header claims an alignment of {alignment}")
    end = 0
    for _ in range(tensors):
        end = max(end, _tensor_end(header))
    # The data begins at the next multiple of the alignment, counted from the file's start.
    data_start = -(-(header.at + 4) // alignment) * alignment - 4
    return data_start + end


def _tensor_end(header: HeaderReader) -> int:
    """Where this tensor ends, in bytes from the start of the tensor data."""
    header.string()
    dimensions = header.u32()
    if dimensions > 8:
        raise BadHeaderError(f"a tensor has {dimensions} dimensions")
    shape = [header.u64() for _ in range(dimensions)]
    kind = header.u32()
    offset = header.u64()
    per_block, block_bytes = _BLOCKS.get(kind, (0, 1))
    if per_block == 0:
        return offset + 1
    return offset + math.prod(shape) // per_block * block_bytes
