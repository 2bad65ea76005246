"""Cloud quality, in your own voice, with nothing private leaving your device.

    from pathlib import Path
    from cogenesis import Assistant, LlamaCpp, Task, read_context

    task = Task("Write a toast: to Petra", read_context(Path("me.json")))
    with LlamaCpp("model.gguf") as device:
        print(Assistant(device).write(task).text)

Names are loaded at their first use, so that importing the package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cogenesis.assistant import Assistant
    from cogenesis.context.private_context import PrivateContext
    from cogenesis.context.reader import read_context
    from cogenesis.errors import CogenesisError
    from cogenesis.events import Degraded, Outlined, Result, Started, Task, Token
    from cogenesis.models.llama_cpp import LlamaCpp

__version__ = "0.1.0"

__all__ = [
    "Assistant",
    "CogenesisError",
    "Degraded",
    "LlamaCpp",
    "Outlined",
    "PrivateContext",
    "Result",
    "Started",
    "Task",
    "Token",
    "__version__",
    "read_context",
]

_MODULES = {
    "Assistant": "assistant",
    "CogenesisError": "errors",
    "LlamaCpp": "models.llama_cpp",
    "PrivateContext": "context.private_context",
    "read_context": "context.reader",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'events')}"), name)
