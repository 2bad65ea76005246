"""A LoRA folder of PEFT as a GGUF adapter for llama.cpp.

llama.cpp computes W x + alpha / rank * B A x for each adapted tensor W, with the rank that it
finds in B. Scales that PEFT reckons otherwise (rank-stabilised, or set per layer) are put into
B, so that every adapter that this accepts means the same there.

Not covered: DoRA, trained biases, whole layers that were trained beside the LoRA
(`modules_to_save`) and adapted embeddings; they are refused by name. Merge such a model with
PEFT and export the folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from cogenesis.errors import InputError, MissingExtraError
from cogenesis.models.adapters import BASE_SHA256
from cogenesis.training.export_files import check_target, replacing
from cogenesis.training.export_layout import Layout, Matrix

_CONFIG: Final = "adapter_config.json"
_WEIGHTS: Final = "adapter_model.safetensors"
_PREFIX: Final = "base_model.model."
_FACTOR: Final = re.compile(r"(?P<module>.+)\.lora_(?P<side>A|B)(\.default)?\.weight")

_REFUSED: Final[Mapping[str, str]] = {
    "use_dora": "DoRA",
    "modules_to_save": "whole layers that were trained beside the LoRA",
    "trainable_token_indices": "trained tokens",
    "layer_replication": "replicated layers",
    "use_qalora": "QA-LoRA",
    "use_bdlora": "BD-LoRA",
    "alora_invocation_tokens": "an adapter that a token switches on",
    "lora_bias": "trained biases",
    "target_parameters": "adapted parameters of expert layers",
}


@dataclass(frozen=True, slots=True)
class Factors:
    """One adapted tensor, W + scale * b @ a, rows in the training framework's order.

    Attributes:
        a: (rank, columns).
        b: (rows, rank).
        scale: what PEFT multiplies with.
    """

    a: Matrix
    b: Matrix
    scale: float

    def __repr__(self) -> str:
        return f"Factors({self.b.shape[0]}x{self.a.shape[1]}, rank {self.a.shape[0]})"


@dataclass(frozen=True, slots=True)
class Lora:
    """An adapter by the names that the base's GGUF gives its tensors."""

    factors: Mapping[str, Factors]
    alpha: float

    def __repr__(self) -> str:
        return f"Lora({len(self.factors)} tensors, alpha {self.alpha:g})"


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written: its size in bytes, and its number of tensors."""

    path: Path
    size: int
    tensors: int


def is_lora(folder: Path) -> bool:
    """Whether a folder is an adapter, and not a whole model."""
    return (folder / _CONFIG).is_file()


def read_lora(folder: Path, base: Layout) -> Lora:
    """Read a PEFT folder and fit it to its base.

    Raises:
        InputError: it is no LoRA folder, of a kind that llama.cpp cannot apply, or made for
            another base (a layer or shape that this one does not have).
        MissingExtraError: `safetensors` or torch is not installed.
    """
    config = _read_config(folder)
    pairs: dict[str, dict[str, Matrix]] = {}
    for name, matrix in _read_weights(folder / _WEIGHTS):
        matched = _FACTOR.fullmatch(name.removeprefix(_PREFIX))
        if matched is None:
            raise InputError(
                f"{folder} holds {name}, which is no LoRA matrix of a linear layer. Merge the "
                "adapter with PEFT (merge_and_unload) and export that folder"
            )
        pairs.setdefault(matched["module"], {})[matched["side"]] = matrix
    if not pairs:
        raise InputError(f"{folder / _WEIGHTS} holds no matrices. Train the adapter again")
    found: dict[str, Factors] = {}
    for module, pair in pairs.items():
        name, factors = _fitted(folder, config, base, module, pair)
        found[name] = factors
    return Lora(found, float(config["lora_alpha"]))


def write_adapter(
    lora: Lora,
    base: Layout,
    out: Path,
    *,
    precision: Literal["f16", "f32"] = "f16",
    base_sha256: str | None = None,
    force: bool = False,
) -> Written:
    """Write the adapter as GGUF.

    Raises:
        InputError: the file exists, is the base, or cannot be written.
    """
    import gguf

    dtype = np.dtype(np.float16 if precision == "f16" else np.float32)
    needed = sum((f.a.size + f.b.size) * dtype.itemsize for f in lora.factors.values())
    check_target(out, base.path, force=force, needed=needed)
    with replacing(out) as place:
        writer = gguf.GGUFWriter(place, base.architecture)
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, lora.alpha)
        writer.add_base_model_count(1)
        writer.add_base_model_name(0, base.name)
        if base_sha256 is not None:
            writer.add_string(BASE_SHA256, base_sha256)
        for name, factors in lora.factors.items():
            rank = factors.a.shape[0]
            b = factors.b * np.float32(factors.scale * rank / lora.alpha)
            writer.add_tensor(f"{name}.lora_a", np.ascontiguousarray(factors.a, dtype))
            writer.add_tensor(
                f"{name}.lora_b", np.ascontiguousarray(base.reordered(name, b), dtype)
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return Written(out, out.stat().st_size, 2 * len(lora.factors))


def _read_config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}. Give the one that training wrote")
    path = folder / _CONFIG
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{folder} is no adapter: it has no {_CONFIG}. Give the folder that "
            "“cogenesis train device” or PEFT's save_pretrained wrote"
        ) from None
    except (OSError, ValueError):
        raise InputError(f"{path} cannot be read as JSON. Train the adapter again") from None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise InputError(f"{folder} is no LoRA: llama.cpp applies no other kind of adapter")
    for key, what in _REFUSED.items():
        if config.get(key):
            raise InputError(
                f"{folder} has {what} ({key}), which llama.cpp cannot apply. Merge the adapter "
                "with PEFT (merge_and_unload) and export that folder"
            )
    if config.get("bias", "none") != "none":
        raise InputError(f"{folder} has trained biases, which a GGUF adapter cannot hold")
    alpha, rank = config.get("lora_alpha"), config.get("r")
    if not isinstance(alpha, int | float) or not isinstance(rank, int) or alpha <= 0 or rank <= 0:
        raise InputError(f"{path} names no usable lora_alpha and r. Train the adapter again")
    return config


def _read_weights(path: Path) -> Iterator[tuple[str, Matrix]]:
    """Every tensor as float32 (numpy has no bfloat16, so torch reads them)."""
    try:
        import torch
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise MissingExtraError(error.name or "safetensors", "train") from None
    if not path.is_file():
        raise InputError(f"there is no {path}. Save the adapter with safe_serialization=True")
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  (it is no dictionary)
                yield name, file.get_tensor(name).to(torch.float32).numpy()
    except SafetensorError as error:
        raise InputError(f"{path} is damaged ({error}). Train or copy it again") from None


def _fitted(
    folder: Path, config: Mapping[str, Any], base: Layout, module: str, pair: Mapping[str, Matrix]
) -> tuple[str, Factors]:
    name = base.tensor_name(module)
    if name is None or module.endswith(("lm_head", "embed_tokens")):
        raise InputError(
            f"{folder} adapts {module}, which “{base.name}” ({base.architecture}, {base.blocks} "
            "layers) does not have as a linear layer. Give the GGUF of the base it was trained on"
        )
    if set(pair) != {"A", "B"}:
        raise InputError(f"{folder} has only one of the two matrices of {module}. Copy it again")
    a, b = pair["A"], pair["B"]
    rows, columns = base.shapes[name]
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1]:
        raise InputError(f"the two matrices of {module} in {folder} do not fit each other")
    if (b.shape[0], a.shape[1]) != (rows, columns):
        raise InputError(
            f"{folder} was trained on another base: its {module} is {b.shape[0]} x {a.shape[1]}, "
            f"that of “{base.name}” {rows} x {columns}"
        )
    return name, Factors(a, b, _scale(config, module, a.shape[0]))


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    alpha = float(_for_module(config.get("alpha_pattern") or {}, module, config["lora_alpha"]))
    return alpha / (rank**0.5 if config.get("use_rslora") else rank)


def _for_module(patterns: Mapping[str, Any], module: str, default: float) -> Any:
    """As PEFT reads a pattern: the end of a module's name, as a regular expression."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default
