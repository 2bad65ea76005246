"""The picture of `evaluate leaks`: floor, sent and ceiling beside each other for each mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from cogenesis.errors import InputError, MissingExtraError

_SHADES: Final = {"floor": "#9aa5b1", "sent": "#2f6f9f", "ceiling": "#c8553d"}
_TOLD: Final = {
    "floor": "title alone",
    "sent": "what the server received",
    "ceiling": "whole context (control, sent nowhere)",
}


def draw(told: dict[str, Any], path: Path) -> None:
    """Draw top-1 of each attacker with its range into a file; its ending is the format.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot") from error
    groups = list(dict.fromkeys((row["mode"], row["zipf"]) for row in told["attacks"]))
    names = list(dict.fromkeys(row["attacker"] for row in told["attacks"]))
    figure = Figure(figsize=(1.5 + 3.6 * len(groups), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for panel, (mode, zipf) in zip(panels, groups, strict=True):
        for number, setting in enumerate(_SHADES):
            rows = {
                row["attacker"]: row
                for row in told["attacks"]
                if (row["mode"], row["zipf"], row["setting"]) == (mode, zipf, setting)
            }
            chosen = [rows[name] for name in names]
            heights = [100 * row["top1"] for row in chosen]
            below = [100 * (row["top1"] - row["low"]) for row in chosen]
            above = [100 * (row["high"] - row["top1"]) for row in chosen]
            panel.bar(
                [place + 0.27 * (number - 1) for place in range(len(names))],
                heights,
                width=0.25,
                yerr=[below, above],
                capsize=2,
                color=_SHADES[setting],
                label=_TOLD[setting],
            )
        panel.set_xticks(range(len(names)), names)
        panel.axhline(100 * told["chance_top1"], color="black", linewidth=0.6, linestyle=":")
        panel.set_title(mode if len({z for _, z in groups}) == 1 else f"{mode}, Zipf {zipf:g}")
    panels[0].set_ylabel(f"right person among {told['candidates']}, first guess, %")
    panels[0].set_ylim(0, 105)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "give a name that ends in .png"
        raise InputError(f"{path} cannot be used for --plot: {why}") from None
