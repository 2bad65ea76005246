"""Training and validation loss over the updates, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def plot_losses(metrics: Sequence[dict[str, Any]], path: Path) -> bool:
    """Draw the lines of `metrics.jsonl` as SVG; False where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        return False
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    learned = [(line["step"], line["loss"]) for line in metrics if "loss" in line]
    held = [(line["step"], line["validation"]) for line in metrics if "validation" in line]
    axes.plot(*zip(*learned, strict=True), color="0.7", label="training, each update")
    if held:
        axes.plot(*zip(*held, strict=True), "o-", color="tab:blue", label="validation")
    axes.set_xlabel("update")
    axes.set_ylabel("loss (nats a token)")
    axes.legend()
    figure.savefig(path, format="svg", metadata={"Date": None})
    return True
