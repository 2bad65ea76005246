"""The model card of a gate: what it was fitted to, and what it brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from cogenesis.errors import InputError
from cogenesis.fusion.gate_file import TrainedGate
from cogenesis.training.card import UNKNOWN, Ingredient, ModelCard, terms

_LIMITS: Final = (
    (
        "It is for these two models, this adapter and this mixing rule; with others it weighs "
        "badly, which costs quality and no privacy."
    ),
    (
        "The figures are of people whom the scored gate was not fitted to (cross-fitting). The "
        "gate in the file was fitted to all of them: measure it on other people's texts."
    ),
)
_LEARNED: Final = {
    "small": (
        "Fitted to private texts, its few numbers say next to nothing about them; that was not "
        "proven."
    ),
    "paper": (
        "It is as private as the texts it was fitted to: the rows that were learned are the "
        "tokens that stood in them or were likely there. Keep it on the device."
    ),
}


def write_card(out: Path, trained: TrainedGate, told: dict[str, Any], command: str) -> Path:
    """Write `OUT.md` beside a gate; an older one is replaced.

    Args:
        out: the gate's file.
        trained: what is in it.
        told: the report of the fit, as the command prints it.
        command: that makes it again.

    Raises:
        InputError: it cannot be written.
    """
    card = ModelCard(
        title=out.name,
        summary=f"A {trained.kind} gate for fusion by the rule {trained.rule}: the device "
        "model's share at each token.",
        ingredients=_ingredients(trained),
        command=command,
        settings={name: told[name] for name in ("kind", "rule", "folds", "seed")}
        | trained.about.get("options", {}),
        figures={
            "parameters": told["parameters"],
            "samples": told["samples"],
            **{
                f"{each['name']}, bits per byte (ratio to the device model alone, 95 %)": (
                    f"{each['bits_per_byte']:.4f} ({each['ratio_to_device']:.4f}, "
                    f"{each['ratio_low']:.4f} to {each['ratio_high']:.4f})"
                )
                for each in told["systems"]
            },
        },
        limits=(*_LIMITS, _LEARNED[trained.kind]),
    )
    place = out.with_name(f"{out.name}.md")
    try:
        place.write_text(card.markdown(), "utf-8")
    except OSError as error:
        raise InputError(f"cannot write {place}: {error.strerror}") from error
    return place


def _ingredients(trained: TrainedGate) -> list[Ingredient]:
    found = []
    for role, model in (("device model", trained.device), ("cloud model", trained.cloud)):
        sums = model.get("sha256")
        known = ", ".join(dict.fromkeys(map(str, sums))) if isinstance(sums, list) else sums
        found.append(Ingredient(role, str(model.get("name")), str(known or "unknown"), UNKNOWN))
    if adapters := trained.device.get("adapter"):
        several = adapters if isinstance(adapters, list) else [adapters]
        known = ", ".join(dict.fromkeys(str(each or "none") for each in several))
        found.append(Ingredient("its adapter", "adapter", known, UNKNOWN))
    found += [
        Ingredient("data", each["name"], each["sha256"], terms(each.get("origins", ())))
        for each in trained.about.get("data", [])
    ]
    return found
