"""Plots of a data set, as SVG for a page and as PNG for files."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from cogenesis.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SETTINGS: Final = {
    "svg.fonttype": "path",
    "svg.hashsalt": "cogenesis",
    "text.parse_math": False,  # a "$" may be in a name
    "font.size": 10,
}
_SHADES: Final = ("#0b57c2", "#c0161d", "#8a2ba0", "#2e7d32", "#b26a00", "#00695c")
_MOST: Final = 15
"""Bars of one plot; the rest are one bar."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture in both forms."""

    name: str
    caption: str
    svg: bytes = field(repr=False)
    png: bytes = field(repr=False)


def draw_lengths(lengths: Mapping[str, Sequence[int]]) -> Plot:
    """How long the texts of each split are: shares of texts by words.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    import numpy as np

    with _figure(7.0, 3.8) as figure:
        axes = figure.subplots()
        every = np.concatenate([np.asarray(each, dtype=float) for each in lengths.values()])
        # The longest one in a hundred would squeeze all others into a corner.
        edge = float(np.quantile(every, 0.99)) if every.size else 1.0
        bins = np.linspace(0.0, max(edge, 1.0), 41).tolist()
        for number, (name, values) in enumerate(lengths.items()):
            if values:
                cut = np.minimum(np.asarray(values, dtype=float), bins[-1])
                axes.hist(
                    cut,
                    bins=bins,
                    weights=np.full(len(values), 100.0 / len(values)),
                    histtype="step",
                    linewidth=1.6,
                    color=_SHADES[number % len(_SHADES)],
                    label=f"{name} ({len(values):,})",
                )
        axes.set_xlabel("words of a text (the last bin: all longer ones)")
        axes.set_ylabel("texts, %")
        axes.grid(alpha=0.3)
        if axes.has_data():
            axes.legend(frameon=False, fontsize="small")
        return _plot("lengths", "How long the texts are.", figure)


def draw_problems(problems: Sequence[Mapping[str, Any]]) -> Plot:
    """How often each kind of problem comes, errors in red.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    counts: dict[str, int] = {}
    severities: dict[str, str] = {}
    for each in problems:
        counts[each["kind"]] = counts.get(each["kind"], 0) + each["count"]
        severities[each["kind"]] = each["severity"]
    names = sorted(counts, key=lambda name: counts[name])
    colours = ["#c0161d" if severities[name] == "error" else "#b26a00" for name in names]
    with _figure(7.0, 1.0 + 0.3 * max(len(names), 1)) as figure:
        axes = figure.subplots()
        _bars(axes, names, [counts[name] for name in names], colours)
        axes.set_xlabel("how often")
        caption = "What was found: errors in red, warnings in brown."
        return _plot("problems", caption, figure)


def draw_coverage(coverage: Mapping[str, Any]) -> Plot:
    """How many samples have each value of each dimension.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    shown = {name: _most(told["values"]) for name, told in coverage.items()}
    rows = [max(len(values), 1) for values in shown.values()]
    with _figure(7.5, 1.2 * len(rows) + 0.24 * sum(rows)) as figure:
        panels = figure.subplots(len(rows), 1, height_ratios=rows, squeeze=False)[:, 0]
        for panel, (name, values) in zip(panels, shown.items(), strict=True):
            names = list(values)[::-1]
            _bars(panel, names, [values[each] for each in names], [_SHADES[0]] * len(names))
            panel.set_title(f"{name} (evenness {coverage[name]['evenness']:.2f})", loc="left")
        panels[-1].set_xlabel("samples")
        return _plot("coverage", "Whom and what the samples cover.", figure)


def _most(values: Mapping[str, int]) -> dict[str, int]:
    """The most frequent values, and all others as one."""
    ordered = sorted(values.items(), key=lambda each: -each[1])
    found = dict(ordered[:_MOST])
    rest = ordered[_MOST:]
    if rest:
        found[f"{len(rest)} others"] = sum(count for _, count in rest)
    return found


def _bars(axes: Any, names: Sequence[str], counts: Sequence[int], colours: Sequence[str]) -> None:
    drawn = axes.barh(range(len(names)), counts, color=colours, height=0.7)
    axes.set_yticks(range(len(names)), [name[:40] for name in names])
    axes.bar_label(drawn, labels=[f"{count:,}" for count in counts], padding=3, fontsize=8)
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    """A figure in inches, without a window or a state that others could see."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "data") from error
    settings: dict[Any, Any] = dict(_SETTINGS)
    with rc_context(settings):
        yield Figure(figsize=(width, height), layout="constrained")


def _plot(name: str, caption: str, figure: Figure) -> Plot:
    svg, png = BytesIO(), BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # characters that the font lacks are boxes
        # Without the date, so that the same numbers give the same file.
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(png, format="png", dpi=144, metadata={"Software": None})
    return Plot(name, caption, svg.getvalue(), png.getvalue())
