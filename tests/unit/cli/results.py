"""Results as the assistant gives them, made by hand: for tests of what is shown of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from cogenesis.assistant import Result, Timing, Token
from cogenesis.events import FusionFigures
from cogenesis.privacy.egress import Traffic
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.released import GeneralInstruction

TOKENS = (
    Token("Dear", 0.5, "both"),
    Token(" Tobias", 1.0, "device"),
    Token(",\n", 0.5, "cloud"),
    Token("come", 1.0, "device", "timeout"),
    Token("!", 1.0, "device", "timeout"),
)


def general(text: str = "Write a short note", allow: Sequence[str] = ()) -> GeneralInstruction:
    return Guard(Lexicon(()), allow=allow).release(text)


def result(
    tokens: Sequence[Token] = TOKENS,
    mode: Literal["sketch", "fusion", "device"] = "fusion",
    **options: Any,
) -> Result:
    fields: dict[str, Any] = {
        "general": general(),
        "sketch": None,
        "notes": (),
        "traffic": Traffic(3, 4_321, 2),
        "timing": Timing(0.5, 2.0, 20.0, None, 0.1),
        "degraded": None,
        "fusion": FusionFigures(False, 0.875, 0.25, 2) if mode == "fusion" else None,
    }
    text = "".join(token.text for token in tokens).strip()
    return Result(text=text, mode=mode, tokens=tuple(tokens), **(fields | options))
