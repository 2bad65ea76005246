"""Putting the results of the evaluations together: one report with tables, plots and sources.

    sources = read_sources(paths)
    blocks = report(sources)
    as_markdown(TITLE, blocks, "results"), as_html(TITLE, blocks)

No number is made here: each is in one of the files, and says in which. What was not measured is
named, with the command that would measure it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cogenesis.evaluation import report_paper as paper
from cogenesis.evaluation.report_blocks import (
    Block,
    Cell,
    Heading,
    Listed,
    Paragraph,
    Picture,
    Table,
)
from cogenesis.evaluation.report_inputs import KINDS, Source, shown
from cogenesis.evaluation.report_plots import draw_lines, draw_plane, draw_weights
from cogenesis.evaluation.report_points import (
    Gap,
    against_leakage,
    against_round_trips,
    speed_lines,
    weights_along,
)
from cogenesis.evaluation.report_tables import (
    Numbered,
    human_tables,
    leaks_tables,
    speed_tables,
    systems_tables,
)

TITLE: Final = "Results"

_TO_MEASURE: Final = {
    "bits": ("bits per byte", "cogenesis evaluate bits --data FILE --json"),
    "text": ("text measures", "cogenesis evaluate text --data FILE --json"),
    "judge": ("a judge's scores", "cogenesis evaluate judge --data FILE --json"),
    "leaks": ("leakage", "cogenesis evaluate leaks --data FILE --json"),
    "speed": ("speed", "cogenesis evaluate speed --json"),
    "human": ("what people prefer", "cogenesis evaluate human --ratings FILE --key FILE --json"),
    "weights": ("weight along a text", "cogenesis write … --mode fusion --json"),
}


def report(sources: Sequence[Source], *, plots: bool = True) -> list[Block]:
    """All blocks of a report.

    Args:
        sources: what `read_sources` read.
        plots: whether to draw.

    Raises:
        MissingExtraError: something is to be drawn and matplotlib is not installed.
    """
    numbered = list(enumerate(sources, start=1))
    blocks: list[Block] = [Paragraph(_how_to_read(sources))]
    blocks += _section("Systems", systems_tables(numbered), _notes(numbered))
    blocks += _section("What people prefer", human_tables(numbered))
    if plots:
        blocks += _plots(sources)
    blocks += _section("What the server side learns", leaks_tables(numbered))
    blocks += _section("Speed", speed_tables(numbered))
    blocks += _missing(sources)
    blocks += _paper()
    blocks += [Heading("Where the numbers come from"), Listed(tuple(map(_origin, sources)))]
    return blocks


def _section(name: str, tables: Sequence[Table], notes: Sequence[str] = ()) -> list[Block]:
    if not tables:
        return []
    return [Heading(name), *tables, *(Paragraph(note) for note in notes)]


def _how_to_read(sources: Sequence[Source]) -> str:
    dates = sorted({shown(each.told["date"]) for each in sources if "date" in each.told})
    when = f" Measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))}." if dates else ""
    return (
        "In brackets the range that chance leaves, 95 in 100, where it was measured. The small "
        "number after a figure names its source, listed at the end with the command that made "
        f"it. A dash is something that was not measured.{when}"
    )


def _notes(numbered: Numbered) -> list[str]:
    """What the sources say about their own figures, each once."""
    notes = [
        f"Source {number}: {shown(note)}"
        for number, source in numbered
        for note in _texts(source.told.get("notes"))
    ]
    return list(dict.fromkeys(notes))


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _plots(sources: Sequence[Source]) -> list[Block]:
    blocks: list[Block] = []
    gaps: list[Gap] = []
    for name, plane in (
        ("leakage", against_leakage(sources)),
        ("round-trips", against_round_trips(sources)),
    ):
        if isinstance(plane, Gap):
            gaps.append(plane)
        else:
            caption = f"{plane.caption} From {' and '.join(plane.sources)}."
            blocks.append(Picture(name, caption, draw_plane(plane)))
    lines = speed_lines(sources)
    if isinstance(lines, Gap):
        gaps.append(lines)
    else:
        blocks.append(
            Picture("speed", f"{lines.caption} From {lines.sources[0]}.", draw_lines(lines))
        )
    along = weights_along(sources)
    if isinstance(along, Gap):
        gaps.append(along)
    else:
        for number, each in enumerate(along, start=1):
            name = "weights" if len(along) == 1 else f"weights-{number}"
            blocks.append(Picture(name, each.caption, draw_weights(each)))
    blocks += [Paragraph(f"Not drawn, {gap.what}: {gap.why}.") for gap in gaps]
    return [Heading("Plots"), *blocks]


def _missing(sources: Sequence[Source]) -> list[Block]:
    given = {each.kind for each in sources}
    lacking = [_TO_MEASURE[kind] for kind in KINDS if kind not in given]
    if not lacking:
        return []
    return [
        Heading("Not measured"),
        *(Paragraph(f"{name[0].upper()}{name[1:]}: {command}") for name, command in lacking),
    ]


def _paper() -> list[Block]:
    columns = ("System", *(f"{task}: {score}" for task in paper.TASKS for score in paper.SCORES))
    rows = tuple(tuple(Cell(each) for each in row) for row in paper.rows())
    said = (
        "The paper's Table 1, as the paper gives it: scores from 1 to 10 by GPT-4 as the judge, "
        "up to 50 samples a cell, no intervals. Its models, judge and samples are others than "
        "ours, so the two cannot be subtracted: it stands here to compare the order of systems."
    )
    return [
        Heading("What the paper reports"),
        Paragraph(said),
        Table("Table 1 of the paper (arXiv 2403.03129)", columns, rows),
    ]


def _origin(source: Source) -> tuple[str, str, str]:
    told = source.told
    remarks = [f"SHA-256 {source.digest}…"]
    if source.rebuilt:
        remarks.append("the command is put together from the file's settings")
    remarks += [
        f"{name} {shown(told[name])}"
        for name in ("date", "version")
        if isinstance(told.get(name), str)
    ]
    machine = told.get("machine")
    if isinstance(machine, Mapping):
        system, cores = (shown(machine.get(each, "?")) for each in ("system", "cores"))
        remarks.append(f"machine: {system}, {cores} cores")
    if isinstance(told.get("models"), Mapping):
        named = (f"{shown(role)} {shown(name)}" for role, name in told["models"].items())
        remarks.append(f"models: {', '.join(named)}")
    skipped = told.get("skipped")
    if isinstance(skipped, list) and skipped:
        remarks.append(f"{len(skipped)} samples left out")
    return source.label, source.command, "; ".join(remarks)
