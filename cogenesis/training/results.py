"""What a tuning run leaves: the adapter or the model, its card, the figures, the picture."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from cogenesis.training.base import Base, GgufBase, quiet_transformers
from cogenesis.training.card import Ingredient, ModelCard
from cogenesis.training.examples import Example
from cogenesis.training.loss_plot import plot_losses
from cogenesis.training.run_folder import RunFolder
from cogenesis.training.settings import TuneSettings
from cogenesis.training.tuning import TuneOutcome

_LIMITS: Final = (
    (
        "It may repeat what it was tuned on, word for word. Learned from private texts, it is as "
        "private as they are: keep it on the device."
    ),
    (
        "It was tuned for the prompts of `cogenesis write`. Other prompts may work worse than "
        "with the base model."
    ),
    "It states things about people that may be wrong. Read a text before you send it.",
    (
        "The validation loss is of texts like those it was tuned on, and the weights were chosen "
        "by it. For a figure to rely on, run `cogenesis evaluate bits` on other people's texts."
    ),
)


def save_result(
    folder: RunFolder,
    model: Any,
    outcome: TuneOutcome,
    *,
    base: Base,
    settings: TuneSettings,
    files: Sequence[Ingredient],
    learned: Sequence[Example],
    held: Sequence[Example],
    command: str,
    processes: int,
) -> dict[str, Any]:
    """Write everything into the run folder; the figures are returned and in `result.json`.

    Checkpoints go last: whatever ends the program before, the run can be gone on with or is done.
    """
    name = "model" if settings.full else "adapter"
    new = folder.path / f".{name}.new"
    shutil.rmtree(new, ignore_errors=True)
    _save_weights(new, model, outcome, base, settings)
    metrics = folder.metrics()
    figures = _figures(outcome, learned, held, metrics, processes)
    card = ModelCard(
        title=f"{Path(base.title).name}, tuned to write in a person's voice",
        summary=_summary(settings),
        ingredients=[Ingredient("base", base.title, base.sha256(), base.licence), *files],
        command=command,
        settings=asdict(settings) | {"learning_rate": settings.rate},
        figures=figures,
        limits=_LIMITS,
        base_model=base.title if "/" in base.title else None,
    )
    (new / "README.md").write_text(card.markdown(), "utf-8")
    result = {"result": str(folder.keep_result(new, name)), **figures, "plot": False}
    folder.write("result.json", _as_json(result))
    if plot_losses(metrics, folder.path / "loss.svg"):
        result["plot"] = True
        folder.write("result.json", _as_json(result))
    folder.forget_checkpoints()
    return result


def _as_json(result: dict[str, Any]) -> bytes:
    return json.dumps(result, indent=2).encode() + b"\n"


def _save_weights(
    place: Path, model: Any, outcome: TuneOutcome, base: Base, settings: TuneSettings
) -> None:
    if not settings.full:
        # Any other value asks the hub whether the base's vocabulary is its own.
        model.save_pretrained(place, state_dict=outcome.weights, save_embedding_layers=False)
        return
    with quiet_transformers():
        model.save_pretrained(place, state_dict=outcome.weights)
    if isinstance(base, GgufBase):
        return  # its tokenizer stays in the GGUF file, see `encoders`
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained(base.path, local_files_only=True).save_pretrained(place)


def _summary(settings: TuneSettings) -> str:
    forms = " and ".join(form.replace("-", " ") for form in settings.forms)
    kind = "The whole model" if settings.full else f"A LoRA of rank {settings.rank}"
    return (
        f"{kind} for the device model of CoGenesis, tuned on texts that people wrote, {forms}. "
        "Only the texts were learned, not the prompts."
    )


def _figures(
    outcome: TuneOutcome,
    learned: Sequence[Example],
    held: Sequence[Example],
    metrics: Sequence[dict[str, Any]],
    processes: int,
) -> dict[str, Any]:
    """What was measured, by names that say their units."""
    steps = [line for line in metrics if "loss" in line]
    seconds = sum(line["seconds"] for line in steps)
    before, after = outcome.base_loss, outcome.best_loss
    return {
        "examples": len(learned),
        "validation_examples": len(held),
        "updates": outcome.steps,
        "best_update": outcome.best_step,
        "validation_loss_base": before,
        "validation_loss": after,
        "validation_ratio": after / before if after is not None and before else None,
        "training_loss_first": steps[0]["loss"],
        "training_loss_last": steps[-1]["loss"],
        "tuned_parameters": sum(weights.numel() for weights in outcome.weights.values()),
        "seconds": round(outcome.seconds, 1),
        "tokens_per_s": round(sum(line["tokens"] for line in steps) / seconds, 1),
        "peak_memory_mb": _peak_memory_mb(),
        "processes": processes,
    }


def _peak_memory_mb() -> int | None:
    """Of this process: on the GPU if it computed there, else in all."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() / 1e6)
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)
