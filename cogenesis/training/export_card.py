"""The model card of an exported file: what it was made of, and the card of what was tuned."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from cogenesis.models.fetch import sha256_of
from cogenesis.training.card import Ingredient, ModelCard
from cogenesis.training.export_files import replacing

_FRONT_MATTER: Final = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_OURS: Final = "tags:\n- cogenesis"

_LIMITS: Final = (
    "Learned from private texts, it is as private as they are: keep it on the device.",
    (
        "Only you may read the file. To share it on purpose, make sure that every text behind it "
        "may be known to everybody, then: `chmod a+r FILE`."
    ),
    "Fewer bits make a model smaller and worse: measure it with `cogenesis evaluate bits`.",
)
_UNCHECKED: Final = (
    "Nothing tells the GGUF file that it was tuned on. That it was the base above is the word of "
    "whoever exported it."
)


def write_card(
    out: Path, *, tuned: Path, base: Ingredient, compared: bool, command: str, how: str
) -> Path:
    """Write `OUT.md` beside an exported file; an older one is replaced.

    Args:
        out: the exported file.
        tuned: the folder it was made of; what its own card says is told, too.
        base: the GGUF file that it is for.
        compared: whether that is known to be what it was tuned on, see `export_base`.
        command: that makes it again.
        how: the type of the file, and whose arithmetic it is.

    Raises:
        InputError: it cannot be written.
    """
    weights = sorted(tuned.glob("*.safetensors"))
    made_of = [base]
    made_of += [
        Ingredient("tuned", file.name, sha256_of(file), "as its data and base") for file in weights
    ]
    card = ModelCard(
        title=out.name,
        summary=f"For llama.cpp: {how}.",
        ingredients=made_of,
        command=command,
        settings={"type": how},
        figures={"bytes": out.stat().st_size, "sha256": sha256_of(out)},
        limits=_LIMITS if compared else (*_LIMITS, _UNCHECKED),
    )
    place = out.with_name(f"{out.name}.md")
    with replacing(place) as new:
        new.write_text(card.markdown() + _own_card(tuned), "utf-8")
    return place


def _own_card(tuned: Path) -> str:
    """The card that `train device` wrote, one heading lower; nothing for another program's."""
    try:
        text = (tuned / "README.md").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    if _OURS not in text:
        return ""
    return "\n" + re.sub(r"^(#+ )", r"#\1", _FRONT_MATTER.sub("", text).lstrip(), flags=re.M)
