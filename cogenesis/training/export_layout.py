"""How a base model lies in its GGUF: names, shapes, and the order of attention rows.

Training frameworks and llama.cpp rotate the pairs of an attention head in different order. So
in Llama-family files the rows of the query and key matrices are reordered, and whatever is
added to them (LoRA's B matrix, merged weights) must be reordered the same way. Nothing fails
where that is forgotten: the model only writes worse.

Supported are the architectures of `ARCHITECTURES`, each with what its files do differently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from cogenesis.errors import InputError, MissingExtraError, ModelFileError
from cogenesis.models.gguf_file import check_gguf

if TYPE_CHECKING:
    from gguf import GGUFReader, TensorNameMap

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Architecture:
    """What files of an architecture do differently from the training framework.

    Attributes:
        reorders: rows of query and key are in llama.cpp's order of pairs.
        adds_one: scales of normalisation layers are stored with 1 added.
    """

    reorders: bool = False
    adds_one: bool = False


ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    "llama": Architecture(reorders=True),  # also Mistral and SmolLM2
    "gemma3": Architecture(adds_one=True),
}

_REORDERED: Final = re.compile(r"blk\.\d+\.attn_(q|k)\.(weight|bias)")


@dataclass(frozen=True, slots=True)
class Layout:
    """What an exporter must know of a base model.

    Attributes:
        path: its GGUF file.
        architecture: llama.cpp's name of it.
        name: what the file calls the model.
        blocks: number of layers.
        heads, key_heads: attention heads of queries, and of keys and values.
        shapes: of each tensor as the training framework has it: (rows, columns).
    """

    path: Path
    architecture: str
    name: str
    blocks: int
    heads: int
    key_heads: int
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def kind(self) -> Architecture:
        """What is special about the architecture."""
        return ARCHITECTURES[self.architecture]

    def tensor_name(self, module: str) -> str | None:
        """`model.layers.3.mlp.up_proj.weight` (or without `.weight`) as the file names it.

        None where the file has no such tensor.
        """
        stem, ending = module, "weight"
        if module.endswith((".weight", ".bias")):
            stem, ending = module.rsplit(".", 1)
        found = _names(self.architecture, self.blocks).get_name(stem)
        name = f"{found}.{ending}"
        return name if found is not None and name in self.shapes else None

    def reordered(self, name: str, rows: Matrix) -> Matrix:
        """Rows of a tensor of this name in llama.cpp's order: (rows,) or (rows, columns)."""
        matched = _REORDERED.fullmatch(name)
        if matched is None or not self.kind.reorders:
            return rows
        heads = self.heads if matched[1] == "q" else self.key_heads
        # A head's first half and second half, each in order, become pairs of neighbours.
        pairs = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
        return pairs.swapaxes(1, 2).reshape(rows.shape)


def read_layout(path: Path) -> Layout:
    """Read it from the header of a GGUF file.

    Raises:
        ModelFileError: the file is missing, damaged, or no model.
        InputError: its architecture cannot be exported.
    """
    reader = open_gguf(path)
    architecture = str(_field(reader, "general.architecture", ""))
    if str(_field(reader, "general.type", "model")) != "model":
        raise ModelFileError(f"{path} is no model. Give the base model's own GGUF file.")
    if architecture not in ARCHITECTURES:
        raise InputError(
            f"{path} holds a model of the architecture “{architecture}”; exporting is known for "
            f"{', '.join(ARCHITECTURES)}. llama.cpp's own convert_lora_to_gguf.py and "
            "convert_hf_to_gguf.py know more"
        )
    heads = _whole(reader, f"{architecture}.attention.head_count", path)
    return Layout(
        path=path,
        architecture=architecture,
        name=str(_field(reader, "general.name", path.stem)),
        blocks=_whole(reader, f"{architecture}.block_count", path),
        heads=heads,
        key_heads=int(_field(reader, f"{architecture}.attention.head_count_kv", heads)),
        shapes={t.name: tuple(int(size) for size in reversed(t.shape)) for t in reader.tensors},
    )


def open_gguf(path: Path) -> GGUFReader:
    """A reader of a file that was checked first. It maps the file: tensors cost no memory.

    Raises:
        ModelFileError: missing, damaged or cut off.
        MissingExtraError: the package `gguf` is not installed.
    """
    check_gguf(path)
    try:
        import gguf
    except ImportError:
        raise MissingExtraError("gguf", "train") from None
    return gguf.GGUFReader(path)


def _field(reader: GGUFReader, key: str, default: object) -> Any:
    field = reader.get_field(key)
    return default if field is None else field.contents()


def _whole(reader: GGUFReader, key: str, path: Path) -> int:
    found = _field(reader, key, None)
    if not isinstance(found, int):
        raise ModelFileError(f"{path} does not say its {key}. Get another file of that model.")
    return found


@cache
def _names(architecture: str, blocks: int) -> TensorNameMap:
    import gguf

    numbers = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
    return gguf.get_tensor_name_map(numbers[architecture], blocks)
