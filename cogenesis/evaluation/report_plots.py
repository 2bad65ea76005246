"""Drawing the plots of a report as SVG, the same bytes for the same numbers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from cogenesis.errors import MissingExtraError
from cogenesis.evaluation.report_points import Lines, Plane, Weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_SETTINGS: Final = {
    # Text as shapes: the same on every machine. No mathematics: a "$" may be in a name.
    "svg.fonttype": "path",
    "svg.hashsalt": "cogenesis",
    "text.parse_math": False,
    "font.size": 10,
}
_SHADES: Final = ("#0b57c2", "#c0161d", "#8a2ba0", "#2e7d32", "#b26a00")
_LINE: Final = 88
"""Characters of a line of tokens."""


def draw_plane(plane: Plane) -> bytes:
    """Points with their ranges as crosses, and their names.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    with _drawing(6.4, 4.2) as drawing:
        axes = drawing.subplots()
        for number, point in enumerate(plane.points):
            axes.errorbar(
                point.x.value,
                point.y.value,
                xerr=_arms(point.x.value, point.x.low, point.x.high),
                yerr=_arms(point.y.value, point.y.low, point.y.high),
                fmt="o",
                capsize=3,
                color=_SHADES[number % len(_SHADES)],
                label=point.name,
            )
        axes.set_xlabel(plane.x_label)
        axes.set_ylabel(plane.y_label)
        axes.set_xlim(left=min(0.0, *axes.get_xlim()))
        if not plane.up_is_better:
            axes.invert_yaxis()  # better is up in every plot
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize="small")
        return _svg(drawing)


def draw_lines(lines: Lines) -> bytes:
    """One panel for each pair of models.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    with _drawing(1.2 + 4.2 * len(lines.pairs), 4.2) as drawing:
        panels = drawing.subplots(1, len(lines.pairs), sharey=True, squeeze=False)[0]
        for panel, (pair, found) in zip(panels, lines.pairs.items(), strict=True):
            for number, (name, points) in enumerate(found.items()):
                shade = _SHADES[number % len(_SHADES)]
                panel.plot(
                    [ms for ms, _, _ in points],
                    [rate for _, rate, _ in points],
                    marker="o",
                    color=shade,
                    label=name,
                )
                again = [(ms, rate) for ms, _, rate in points if rate is not None]
                if again:
                    x, y = zip(*again, strict=True)
                    panel.plot(x, y, linestyle="--", marker=".", color=shade, alpha=0.7)
            panel.set_title(pair)
            panel.set_xlabel("round-trip time, ms")
            panel.grid(alpha=0.3)
        panels[0].set_ylabel("tokens a second")
        panels[0].set_ylim(bottom=0)
        handles, labels = panels[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
        return _svg(drawing)


def draw_weights(weights: Weights) -> bytes:
    """The text, each token on the colour of its weight.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    placed, lines = _laid_out(weights)
    height = 0.26 * lines + 1.0
    with _drawing(9.0, height) as drawing:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LinearSegmentedColormap, Normalize
        from matplotlib.patches import Rectangle

        shades = LinearSegmentedColormap.from_list("weight", ["#f2b6b8", "#ffffff", "#a9c8f5"])
        axes = drawing.subplots()
        for text, weight, line, column in placed:
            place = (column, lines - line - 1)
            axes.add_patch(Rectangle(place, len(text), 0.86, color=shades(weight), linewidth=0))
            axes.text(
                column, place[1] + 0.24, text, family="monospace", fontsize=11, color="#1c1c1e"
            )
        axes.set_xlim(0, _LINE)
        axes.set_ylim(0, lines)
        axes.set_axis_off()
        scale = ScalarMappable(Normalize(0.0, 1.0), shades)
        bar = drawing.colorbar(
            scale, ax=axes, orientation="horizontal", fraction=0.25 / height, pad=0.02, aspect=60
        )
        bar.set_label("weight of the device model")
        return _svg(drawing)


def _laid_out(weights: Weights) -> tuple[list[tuple[str, float, int, int]], int]:
    """Tokens as (what is shown, weight, line, column), and the number of lines."""
    placed = []
    line = column = 0
    for text, weight in weights.tokens:
        # One character each, so that columns are columns: line ends as a mark, others as boxes.
        told = "".join("↵" if c == "\n" else c if c.isprintable() else "▯" for c in text) or "∅"
        told = told[:_LINE]
        if column + len(told) > _LINE:
            line, column = line + 1, 0
        placed.append((told, weight, line, column))
        column += len(told)
        if "\n" in text:
            line, column = line + 1, 0
    return placed, line + 1


@contextmanager
def _drawing(width: float, height: float) -> Iterator[Drawing]:
    """A figure in inches. No window, no state that a caller of matplotlib could see."""
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot") from error
    settings: dict[Any, Any] = dict(_SETTINGS)
    with rc_context(settings):
        drawing = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(drawing)
        yield drawing


def _svg(drawing: Drawing) -> bytes:
    out = BytesIO()
    with warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes: texts may hold any.
        warnings.simplefilter("ignore", UserWarning)
        # Without the date, so that the same numbers give the same file.
        drawing.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _arms(value: float, low: float | None, high: float | None) -> list[list[float]] | None:
    """Lengths of the two arms of a range; a range that misses its value has none on that side."""
    if low is None or high is None:
        return None
    return [[max(0.0, value - low)], [max(0.0, high - value)]]
