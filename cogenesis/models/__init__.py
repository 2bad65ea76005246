"""Language models behind one small contract: llama.cpp, OpenAI-style servers, a scripted fake.

    from cogenesis.models import LlamaCpp, Message, Prompt, Sampling

    with LlamaCpp("model.gguf") as model:
        prompt = Prompt((Message("user", ("Hello!",)),), ("Hello!",))
        for piece in model.generate(prompt, Sampling()):
            print(piece.text, end="", flush=True)

A model on this device is reached through a `LocalWire`, a model in the cloud through the
wire that `cogenesis.privacy.egress` gives out.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import (
    Capabilities,
    CloudModel,
    DeviceModel,
    DeviceText,
    Message,
    Model,
    Piece,
    Prompt,
    Sampling,
    TokenIds,
)

if TYPE_CHECKING:
    from cogenesis.models.cloud_connection import CloudConnection
    from cogenesis.models.draft_scoring import Scoring, Turns
    from cogenesis.models.gguf_vocabulary import read_vocabulary
    from cogenesis.models.llama_cpp import LlamaCpp
    from cogenesis.models.llama_server import LlamaServer, Usage
    from cogenesis.models.local_wire import LocalWire
    from cogenesis.models.openai_chat import OpenAIChat
    from cogenesis.models.scripted import ScriptedModel
    from cogenesis.models.token_scorer import TokenScorer

__all__ = [
    "Capabilities",
    "CloudConnection",
    "CloudModel",
    "DeviceModel",
    "DeviceText",
    "Distribution",
    "LlamaCpp",
    "LlamaServer",
    "LocalWire",
    "Message",
    "Model",
    "OpenAIChat",
    "Piece",
    "Prompt",
    "Sampling",
    "Scoring",
    "ScriptedModel",
    "TokenIds",
    "TokenScorer",
    "Turns",
    "Usage",
    "read_vocabulary",
]

# Adapters open connections: who only needs the contract must not load an HTTP client.
_LAZY = {
    "CloudConnection": "cloud_connection",
    "LlamaCpp": "llama_cpp",
    "LlamaServer": "llama_server",
    "LocalWire": "local_wire",
    "OpenAIChat": "openai_chat",
    "Scoring": "draft_scoring",
    "ScriptedModel": "scripted",
    "TokenScorer": "token_scorer",
    "Turns": "draft_scoring",
    "Usage": "llama_server",
    "read_vocabulary": "gguf_vocabulary",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
