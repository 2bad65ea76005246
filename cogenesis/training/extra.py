"""Whether the libraries for training are there."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from cogenesis.errors import MissingExtraError

LIBRARIES: Final = ("torch", "transformers", "peft", "accelerate")

_CPU_HINT: Final = (
    "Without a GPU, install the small build of torch first: "
    "pip install torch --index-url https://download.pytorch.org/whl/cpu"
)


def need_training_libraries() -> None:
    """Tell at once what is missing, before any data is read. Loads none of them.

    Raises:
        MissingExtraError: one of them is not installed.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        hint = _CPU_HINT if "torch" in missing else ""
        raise MissingExtraError(" and ".join(missing), "train", hint)
