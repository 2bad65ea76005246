"""LoRA adapters as GGUF files: which one is used with a model, and whether it fits.

llama.cpp checks the shapes of an adapter's matrices, and says in its log what was wrong.
Everything is checked here before, from the two headers alone, so that the message says what to
do. It would also take an adapter that has the right shapes and was learned on other weights,
and the text would only be worse; so `train export` writes the base's sha256 into the adapter.

Not covered: an adapter without that sum (another program's) of a base with the same shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cogenesis.errors import ModelFileError
from cogenesis.models.gguf_file import check_gguf
from cogenesis.models.gguf_header import STRING, BadHeaderError, open_header
from cogenesis.models.receipts import is_unchanged

BASE_SHA256: Final = "cogenesis.base.sha256"
"""Our key in an adapter's metadata: sha256 of the GGUF file that it was made for."""

NO_ADAPTER: Final = "none"
"""What `--adapter` takes to turn the shipped one off."""

SHIPPED: Final[Mapping[str, str]] = {"demo-device": "demo-device.gguf"}
"""Models by name, and the adapter in `cogenesis/shipped` that is used with each."""

_FOLDER: Final = Path(__file__).resolve().parent.parent / "shipped"
_ENDINGS: Final = (".lora_a", ".lora_b")


@dataclass(frozen=True, slots=True)
class _Header:
    """What a GGUF says of itself: its texts by key, and of each tensor the sizes, fastest first."""

    texts: Mapping[str, str]
    sizes: Mapping[str, tuple[int, ...]]

    def __repr__(self) -> str:
        return f"_Header({len(self.sizes)} tensors)"


def find_adapter(model: str | Path, wanted: str | None) -> Path | None:
    """The adapter that a model is used with.

    Args:
        model: as `get_model` takes it.
        wanted: the path of a file, `none`, or None for the one that is shipped with the model.

    Raises:
        ModelFileError: there is no such file.
    """
    if wanted == NO_ADAPTER:
        return None
    if wanted is not None:
        path = Path(wanted).expanduser()
        if not path.is_file():
            raise ModelFileError(
                f"there is no adapter {wanted}. Give the .gguf file that “cogenesis train export” "
                f"wrote, or “{NO_ADAPTER}”"
            )
        return path
    name = SHIPPED.get(str(model))
    shipped = None if name is None else _FOLDER / name
    return shipped if shipped is not None and shipped.is_file() else None


def check_adapter(adapter: Path, base: Path) -> None:
    """Refuse an adapter that does not fit a model.

    Args:
        adapter: a GGUF file.
        base: the model's GGUF file, which was checked already.

    Raises:
        ModelFileError: it is missing, cut off, no LoRA adapter, or made for another model.
    """
    check_gguf(adapter)
    lora, model = _read(adapter), _read(base)
    if lora.texts.get("general.type") != "adapter" or lora.texts.get("adapter.type") != "lora":
        raise ModelFileError(
            f"{adapter} is no LoRA adapter but a {lora.texts.get('general.type', 'model')}. A "
            "whole model is given with --device; --adapter takes what “cogenesis train export” "
            "made of an adapter's folder"
        )
    kinds = [each.texts.get("general.architecture", "unknown") for each in (lora, model)]
    if kinds[0] != kinds[1]:
        raise _another(adapter, base, lora, f"it is for {kinds[0]}, and the model is {kinds[1]}")
    _check_shapes(adapter, base, lora, model)
    made_for = lora.texts.get(BASE_SHA256)
    if made_for is not None and not is_unchanged(base, made_for):
        raise _another(adapter, base, lora, "the shapes fit, but the weights are others")


def _check_shapes(adapter: Path, base: Path, lora: _Header, model: _Header) -> None:
    """Every tensor is half of a pair that spells a matrix of the base."""
    names = {name.removesuffix(end) for name in lora.sizes for end in _ENDINGS}
    stems = {name for name in names if not name.endswith(_ENDINGS)}
    for name in sorted(stems):
        pair = [lora.sizes.get(name + end) for end in _ENDINGS]
        a, b = pair
        if a is None or b is None or len(a) != 2 or len(b) != 2 or a[1] != b[0]:
            raise ModelFileError(
                f"{adapter} is damaged: the two matrices of {name} do not belong together. "
                "Export it again with: cogenesis train export"
            )
        found = model.sizes.get(name)
        if found is None:
            raise _another(adapter, base, lora, f"the model has no {name}")
        if found != (a[0], b[1]):
            raise _another(
                adapter,
                base,
                lora,
                f"{name} is {a[0]} x {b[1]} there, here {found[0]} x {found[1]}",
            )


def _another(adapter: Path, base: Path, lora: _Header, why: str) -> ModelFileError:
    name = lora.texts.get("general.base_model.0.name")
    known = "" if name is None else f" (“{name}”)"
    return ModelFileError(
        f"{adapter} was made for another model{known} than {base.name}: {why}. Give --device the "
        f"model it was made for, leave it out with --adapter {NO_ADAPTER}, or export it for this "
        "one with: cogenesis train export"
    )


def _read(path: Path) -> _Header:
    texts: dict[str, str] = {}
    sizes: dict[str, tuple[int, ...]] = {}
    with open_header(path) as (header, _):
        tensors, pairs = header.counts()
        for _ in range(pairs):
            key, kind = header.string(), header.u32()
            if kind == STRING:
                texts[key.decode("utf-8", "replace")] = header.string().decode("utf-8", "replace")
            else:
                header.skip_value(kind)
        for _ in range(tensors):
            name, count = header.string().decode("utf-8", "replace"), header.u32()
            if count > 8:
                raise BadHeaderError(f"a tensor has {count} dimensions")
            sizes[name] = tuple(header.u64() for _ in range(count))
            header.skip(12)  # its type, and where its data are
    return _Header(texts, sizes)
