"""Builds very small but well-formed GGUF files."""

from __future__ import annotations

import struct

F32 = 0


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def tiny_gguf(
    payload: bytes = bytes(64), *, version: int = 3, alignment: int | None = None, kind: int = F32
) -> bytes:
    """One tensor that holds `payload` (as float32 unless `kind` says otherwise).

    The metadata has a value of every shape that real models use: a string, a number, a
    list of strings, a list of numbers, a truth value.
    """
    pairs = [
        _text("general.architecture") + struct.pack("<I", 8) + _text("llama"),
        _text("llama.block_count") + struct.pack("<II", 4, 1),
        _text("tokenizer.ggml.tokens")
        + struct.pack("<IIQ", 9, 8, 2)
        + _text("<s>")
        + _text("naïve"),
        _text("tokenizer.ggml.scores") + struct.pack("<IIQ2f", 9, 6, 2, 0.0, 1.0),
        _text("tokenizer.ggml.add_bos_token") + struct.pack("<IB", 7, 1),
    ]
    if alignment is not None:
        pairs.append(_text("general.alignment") + struct.pack("<II", 4, alignment))
    tensor = _text("w") + struct.pack("<IQIQ", 1, len(payload) // 4, kind, 0)
    header = b"GGUF" + struct.pack("<IQQ", version, 1, len(pairs)) + b"".join(pairs) + tensor
    unit = alignment or 32
    return header + bytes(-len(header) % unit) + payload
