"""The model that is tuned: a hub model, a folder of `transformers`, or a GGUF file.

A GGUF file is dequantised: its weights are spread to 16 or 32 bits, which keeps the error of
the quantisation but lets gradients through. So the adapter that is learned fits the very
weights it will be used with.

Weights are read from `safetensors` files only and no code of a model is run: a pickle, or
`trust_remote_code`, may do anything.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Final

from cogenesis.errors import CatalogueError, ModelError, ModelFileError
from cogenesis.models.fetch import sha256_of
from cogenesis.models.gguf_header import STRING, UINT32, open_header

_HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_WANTED: Final = ("*.json", "*.safetensors", "*.model", "*.jinja", "README.md", "LICENSE*")
_LICENCE: Final = re.compile(r"^license(?:_name)?:\s*[\"']?([\w.+ -]+)", re.MULTILINE)
NO_LICENCE: Final = "not stated: see the model's page"


@dataclass(frozen=True, slots=True)
class Base:
    """A folder in the form of `transformers`.

    Attributes:
        name: as the user gave it.
        path: of the folder, or of the GGUF file.
        licence: as its card states it.
    """

    name: str
    path: Path
    licence: str

    @property
    def title(self) -> str:
        """What a model card calls it: a hub model as owner/name, else without its folder."""
        return self.path.name if Path(self.name).expanduser().exists() else self.name

    def sha256(self) -> str:
        """Of all weights, in the order of their names."""
        sums = [sha256_of(file) for file in sorted(self.path.glob("*.safetensors"))]
        return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class GgufBase(Base):
    """A GGUF file; `end_of_text` is the token that its header names."""

    end_of_text: int | None

    def sha256(self) -> str:
        """Of the file."""
        return sha256_of(self.path)


def find_base(name: str) -> Base:
    """A folder as it is; a hub model, fetched first if need be. GGUF: see `gguf_base`.

    Raises:
        ModelFileError: the folder holds no model.
        CatalogueError: the name is none, or the hub cannot be reached.
    """
    path = Path(name).expanduser()
    if not path.is_dir():
        if not _HUB_NAME.fullmatch(name):
            raise CatalogueError(
                f"there is no base model {name}. Give a folder with config.json, a .gguf file, "
                "a name from: cogenesis models list, or a hub model as owner/name"
            )
        path = _fetch(name)
    if not (path / "config.json").is_file():
        raise ModelFileError(
            f"{name} holds no config.json, so it is no model that can be tuned. Give a folder "
            "of a whole model, not of an adapter; or a .gguf file"
        )
    if not any(path.glob("*.safetensors")):
        raise ModelFileError(
            f"{name} holds no weights as .safetensors. Other forms can run code and are not read"
        )
    card = path / "README.md"
    stated = _LICENCE.search(card.read_text("utf-8", "replace")) if card.is_file() else None
    return Base(name, path, stated[1].strip() if stated else NO_LICENCE)


def gguf_base(name: str, path: Path) -> GgufBase:
    """A GGUF file that `models.get_model` found for this name.

    Raises:
        ModelFileError: it cannot be read.
    """
    licence, end = NO_LICENCE, None
    with open_header(path) as (header, _):
        _, pairs = header.counts()
        for _ in range(pairs):
            key, kind = header.string(), header.u32()
            if key == b"general.license" and kind == STRING:
                licence = header.string().decode("utf-8", "replace")
            elif key == b"tokenizer.ggml.eos_token_id" and kind == UINT32:
                end = header.u32()
            else:
                header.skip_value(kind)
    return GgufBase(name, path, licence, end)


def load_model(base: Base, *, half: bool) -> Any:
    """The model for `torch`, on the CPU, in bfloat16 (`half`) or float32.

    Raises:
        ModelFileError: it is no language model that `transformers` knows.
    """
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    wanted: dict[str, Any] = {"dtype": torch.bfloat16 if half else torch.float32}
    folder = base.path
    if isinstance(base, GgufBase):
        folder = base.path.parent
        wanted |= {
            "gguf_file": base.path.name,
            "quantization_config": GgufConfig(dequantize=True),
        }
    else:
        wanted |= {"use_safetensors": True}
    try:
        with quiet_transformers():
            return AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, **wanted)
    except MemoryError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" in str(error):
            raise
        raise ModelFileError(
            f"{base.name} cannot be loaded for training: {_first_line(error)}. It must be a "
            "language model of a kind that `transformers` knows (Llama, Qwen, Gemma, Mistral ...)"
        ) from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without its bars of loading and saving: ours are shown. That of GGUF files has no switch."""
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with redirect_stderr(StringIO()):
            yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _fetch(name: str) -> Path:
    """The folder of a hub model. One that is on disk already is used without asking the hub."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import huggingface_hub
    from huggingface_hub import errors

    for local in (True, False):
        try:
            found = huggingface_hub.snapshot_download(
                name, allow_patterns=list(_WANTED), local_files_only=local
            )
            if local and not any(Path(found).glob("*.safetensors")):
                continue  # an earlier download was cut short
            return Path(found)
        except errors.LocalEntryNotFoundError as error:
            if not local:
                raise CatalogueError(_unreachable(name)) from error
        except errors.HfHubHTTPError as error:
            raise CatalogueError(
                f"the hub gives no model {name} (it answered {error.response.status_code}). "
                "Check the spelling; for a model behind a licence form, accept the form on its "
                "page and run: hf auth login"
            ) from error
        except (OSError, errors.HFValidationError) as error:
            raise CatalogueError(_unreachable(name)) from error
    raise ModelError(f"{name} was fetched, but holds no weights")


def _unreachable(name: str) -> str:
    return (
        f"cannot fetch {name} from the hub. Connect to the internet and run the same command "
        "again; or give the folder of a model that you have"
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:300].rstrip(".") if text else type(error).__name__
