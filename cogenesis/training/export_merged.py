"""A tuned model as one GGUF: the base's file with other weights.

The base's GGUF is the skeleton: its metadata, tokenizer and chat template are copied, so the
tuned model is prompted exactly as its base. The weights are the base's with a LoRA added, or
those of a folder that full tuning (or PEFT's merge_and_unload) wrote.

A base that exists only as a folder needs some GGUF of the same model beside it, of any type:
llama.cpp's convert_hf_to_gguf.py makes one, and the hub has most under a name ending in -GGUF.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from cogenesis.errors import InputError, MissingExtraError
from cogenesis.training.export_adapter import Lora, Written
from cogenesis.training.export_files import check_target, replacing
from cogenesis.training.export_layout import Layout, Matrix, open_gguf
from cogenesis.training.export_quantise import (
    FileType,
    Quantiser,
    file_number,
    find_quantiser,
    ggml_type,
)

if TYPE_CHECKING:
    from gguf import GGUFReader, GGUFWriter

Progress = Callable[[int, int], None]
"""Is told the bytes written so far and in all."""

_REPLACED: Final = {
    "general.architecture",  # the writer has written it
    "general.file_type",
    "general.name",
    "general.quantization_version",
    "general.alignment",
}
_COMPUTED: Final = {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"}
"""Tensors that converters compute from the configuration: never trained."""

_SHARDS: Final = "model.safetensors.index.json"


class Weights(Protocol):
    """Where the tuned weights come from."""

    def __call__(self, name: str, base: Matrix) -> Matrix:
        """A tensor of the tuned model in llama.cpp's order, given that of the base."""
        ...


@dataclass(frozen=True, slots=True)
class LoraWeights:
    """The base's weights with a LoRA added, scaled by `strength`. Without one, the base's."""

    layout: Layout
    lora: Lora | None = None
    strength: float = 1.0

    def __call__(self, name: str, base: Matrix) -> Matrix:
        found = None if self.lora is None else self.lora.factors.get(name)
        if found is None:
            return base
        scale = np.float32(found.scale * self.strength)
        return base + scale * (self.layout.reordered(name, found.b) @ found.a)


class FolderWeights:
    """The weights of a model folder (`*.safetensors`), for `with FolderWeights(...) as it`."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        """Look where each tensor is; nothing is read yet.

        Raises:
            InputError: it is no model folder, or of another model than the base.
            MissingExtraError: `safetensors` or torch is not installed.
        """
        self._folder, self._layout = folder, layout
        self._stack = contextlib.ExitStack()
        self._places: dict[str, tuple[Any, str]] = {}
        for file in _weight_files(folder):
            opened = self._stack.enter_context(_opened(file))
            for stored in opened.keys():  # noqa: SIM118  (it is no dictionary)
                name = layout.tensor_name(_plain(stored))
                if name is not None:
                    self._places[name] = (opened, stored)
                elif not stored.endswith(("lm_head.weight", "rotary_emb.inv_freq")):
                    raise InputError(
                        f"{folder} has a tensor {stored}, which “{layout.name}” "
                        f"({layout.architecture}) has not. Give a GGUF of the same model"
                    )
        missing = set(layout.shapes) - set(self._places) - _COMPUTED
        if missing:
            raise InputError(
                f"{folder} lacks {len(missing)} tensors of “{layout.name}”, {min(missing)} for "
                "one. Give the whole folder, and a GGUF of the same model"
            )

    def __call__(self, name: str, base: Matrix) -> Matrix:
        if name not in self._places:
            return base
        import torch

        opened, stored = self._places[name]
        found: Matrix = opened.get_tensor(stored).to(torch.float32).numpy()
        if found.shape != base.shape:
            raise InputError(
                f"{self._folder} is of another model: its {stored} is {found.shape}, that of "
                f"“{self._layout.name}” {base.shape}"
            )
        if self._layout.kind.adds_one and name.endswith("norm.weight"):
            found = found + np.float32(1.0)
        return self._layout.reordered(name, found)

    def __enter__(self) -> FolderWeights:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def write_merged(
    layout: Layout,
    weights: Weights,
    out: Path,
    *,
    kind: FileType,
    name: str | None = None,
    quantiser: Quantiser | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> Written:
    """Write a model as GGUF. Two tensors at most are in memory at once.

    Args:
        layout: of the base.
        weights: what becomes of each of its tensors.
        out: the new file.
        kind: the type of its weights.
        name: what it is to be called; the base's name otherwise.
        quantiser: whose arithmetic; `find_quantiser` otherwise.
        progress: is told as it grows.
        force: replace an existing file.

    Raises:
        InputError: the file exists, is the base, or cannot be written; or as `weights`.
    """
    import gguf

    reader = open_gguf(layout.path)
    kinds = {
        tensor: ggml_type(kind, tensor, shape, layout.blocks)
        for tensor, shape in layout.shapes.items()
    }
    total = sum(_bytes(layout.shapes[tensor], kinds[tensor]) for tensor in kinds)
    check_target(out, layout.path, force=force, needed=total)
    quantise = quantiser or find_quantiser()
    done = 0
    with replacing(out) as place:
        writer = gguf.GGUFWriter(place, layout.architecture)
        _copy_metadata(reader, writer)
        writer.add_name(name or layout.name)
        writer.add_file_type(file_number(kind))
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        for tensor, shape in layout.shapes.items():
            number = gguf.GGMLQuantizationType[kinds[tensor]]
            size = _bytes(shape, kinds[tensor])
            writer.add_tensor_info(tensor, shape, np.dtype(np.float32), size, number)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for found in reader.tensors:
            base = gguf.dequantize(found.data, found.tensor_type)
            data = quantise(weights(found.name, base), kinds[found.name])
            writer.write_tensor_data(data)
            done += data.nbytes
            if progress is not None:
                progress(done, total)
        writer.close()
    return Written(out, out.stat().st_size, len(kinds))


def _copy_metadata(reader: GGUFReader, writer: GGUFWriter) -> None:
    import gguf

    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in _REPLACED:
            continue
        kind = field.types[0]
        items = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=items)


def _bytes(shape: tuple[int, ...], kind: str) -> int:
    import gguf

    per_block, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    return int(np.prod(shape)) // per_block * block_bytes


def _weight_files(folder: Path) -> list[Path]:
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{folder} is neither an adapter nor a model: it has no adapter_config.json and no "
            "config.json. Give the folder that “cogenesis train device” wrote"
        )
    index = folder / _SHARDS
    if index.is_file():
        try:
            names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError):
            raise InputError(f"{index} cannot be read. Copy the folder again") from None
        files = [folder / str(name) for name in sorted(names)]
    else:
        files = [folder / "model.safetensors"]
    for file in files:
        if not file.is_file():
            raise InputError(f"there is no {file}. Save the model with safe_serialization=True")
    return files


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Any]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise MissingExtraError("safetensors", "train") from None
    try:
        with safe_open(file, framework="pt") as opened:
            yield opened
    except SafetensorError as error:
        raise InputError(f"{file} is damaged ({error}). Copy it again") from None


def _plain(stored: str) -> str:
    """A tensor's name without what wrappers put before it."""
    return re.sub(r"^(base_model\.model\.)?(model\.language_model\.|language_model\.)?", "", stored)
