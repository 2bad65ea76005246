"""Weights in fewer bits, by llama.cpp's own quantiser.

The quantiser of a tensor (`ggml_quantize_chunk`) is part of the llama.cpp inside `xllamacpp`.
What chooses a type for each tensor (`llama_model_quantize`) is not, so `ggml_type` follows
its rules for the types offered here: embeddings and output more exactly than the rest, in
Q4_K_M also some of the value and down matrices, and a neighbouring type where rows are no
multiple of 256.

Where `xllamacpp` shows no such function (Windows), the package `gguf` computes the simple
types. There is no importance matrix: for one, export F16 and run llama.cpp's `llama-quantize`.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from cogenesis.errors import InputError
from cogenesis.training.export_layout import Matrix

FileType = Literal["f32", "f16", "q8_0", "q4_0", "q4_1", "q4_k_m"]

_NUMBER: Final[dict[FileType, int]] = {
    "f32": 0,
    "f16": 1,
    "q4_0": 2,
    "q4_1": 3,
    "q8_0": 7,
    "q4_k_m": 15,
}
_NEIGHBOUR: Final = {"Q4_K": "Q5_0", "Q6_K": "Q8_0"}
"""Of types with blocks of 256, for rows that are no multiple of it; as in llama.cpp."""

_ENDS: Final = ("token_embd.weight", "output.weight")
_FINER: Final = re.compile(r"blk\.(\d+)\.(attn_v|ffn_down)\.weight")


@dataclass(frozen=True, slots=True)
class Quantiser:
    """How tensors are made smaller, and what a person should know about it."""

    chunk: Any

    @property
    def name(self) -> str:
        """Whose arithmetic it is."""
        return "package gguf" if self.chunk is None else "llama.cpp (ggml_quantize_chunk)"

    def __call__(self, weights: Matrix, kind: str) -> npt.NDArray[Any]:
        """A tensor's bytes, in the form that `GGUFWriter` takes: (rows, bytes of a row).

        Raises:
            InputError: the package `gguf` has no quantiser for this type.
        """
        import gguf

        number = gguf.GGMLQuantizationType[kind]
        if kind in {"F32", "F16"}:
            return np.ascontiguousarray(weights, np.float32 if kind == "F32" else np.float16)
        if self.chunk is not None:
            return _by_ggml(self.chunk, weights, number)
        try:
            found: npt.NDArray[Any] = gguf.quants.quantize(weights, number)
        except NotImplementedError:
            raise InputError(
                f"the installed xllamacpp shows no quantiser for {kind}. Choose q8_0 or q4_1, or "
                "export f16 and run llama.cpp's llama-quantize"
            ) from None
        return found


def file_number(kind: FileType) -> int:
    """llama.cpp's number of a file type, for `general.file_type`."""
    return _NUMBER[kind]


def ggml_type(kind: FileType, name: str, shape: tuple[int, ...], blocks: int) -> str:
    """The type of one tensor in a file of this type, by ggml's name."""
    if len(shape) < 2 or kind == "f32":
        return "F32"
    if kind in {"f16", "q8_0"}:
        return kind.upper()
    if name in _ENDS:
        chosen = "Q6_K"
    elif kind == "q4_k_m":
        chosen = "Q6_K" if _is_finer(name, blocks) else "Q4_K"
    else:
        chosen = kind.upper()
    if shape[-1] % 256 and chosen in _NEIGHBOUR:
        return _NEIGHBOUR[chosen]
    return chosen


def _is_finer(name: str, blocks: int) -> bool:
    """Whether Q4_K_M spends more bits here: the first and last eighth, and a third between."""
    matched = _FINER.fullmatch(name)
    if matched is None:
        return False
    block, eighth = int(matched[1]), blocks // 8
    return block < eighth or block >= 7 * blocks // 8 or (block - eighth) % 3 == 2


@cache
def find_quantiser() -> Quantiser:
    """llama.cpp's where it can be called, else that of the package `gguf`."""
    try:
        import xllamacpp.xllamacpp as native

        chunk = ctypes.CDLL(native.__file__).ggml_quantize_chunk
    except (ImportError, OSError, AttributeError):
        return Quantiser(None)
    chunk.restype = ctypes.c_size_t
    chunk.argtypes = [
        ctypes.c_int,  # type
        ctypes.c_void_p,  # weights, float32
        ctypes.c_void_p,  # where to write
        ctypes.c_int64,  # first weight
        ctypes.c_int64,  # rows
        ctypes.c_int64,  # weights in a row
        ctypes.c_void_p,  # importance matrix, or nothing
    ]
    return Quantiser(chunk)


def _by_ggml(chunk: Any, weights: Matrix, number: Any) -> npt.NDArray[Any]:
    import gguf

    rows, columns = weights.shape
    per_block, block_bytes = gguf.GGML_QUANT_SIZES[number]
    if columns % per_block:
        raise InputError(
            f"rows of {columns} weights cannot be written as {number.name}, whose blocks have "
            f"{per_block}. Choose f16"
        )
    source = np.ascontiguousarray(weights, np.float32)
    target = np.empty((rows, columns // per_block * block_bytes), np.uint8)
    written = chunk(int(number), source.ctypes.data, target.ctypes.data, 0, rows, columns, None)
    if written != target.nbytes:
        raise RuntimeError("llama.cpp's quantiser wrote another number of bytes than its type has")
    return target
