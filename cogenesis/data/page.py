"""What was found in a data set as one page that needs nothing but itself, and its pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cogenesis.data.plots import Plot
from cogenesis.data.writing_out import whole_file
from cogenesis.errors import InputError
from cogenesis.evaluation.report_blocks import (
    Block,
    Cell,
    Heading,
    Paragraph,
    Picture,
    Table,
    as_html,
)
from cogenesis.pages import write_private


def save_page(
    folder: Path, name: str, title: str, blocks: Sequence[Block], plots: Iterable[Plot]
) -> Path:
    """Write `NAME.html`, and `NAME-PLOT.png` for each picture; returns the page.

    Raises:
        InputError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from error
    pictures: list[Block] = []
    for plot in plots:
        with whole_file(folder / f"{name}-{plot.name}.png") as path:
            path.write_bytes(plot.png)
        pictures.append(Picture(plot.name, plot.caption, plot.svg))
    page = folder / f"{name}.html"
    write_private(page, as_html(title, [*pictures, *blocks]))
    return page


def check_blocks(report: Mapping[str, Any]) -> list[Block]:
    """The tables of `data check`."""
    found = f"{report['errors']:,} errors and {report['warnings']:,} warnings"
    said = f"{report['samples']:,} samples: {found}."
    if report["skipped_checks"]:
        said += f" Not checked: {', '.join(report['skipped_checks'])}."
    rows = [
        _row(
            each["kind"],
            each["severity"],
            each["split"],
            f"{each['count']:,}",
            each["meaning"],
            "; ".join(_example(example) for example in each["examples"][:3]),
        )
        for each in report["problems"]
    ]
    blocks: list[Block] = [Paragraph(said)]
    if rows:
        columns = ("Problem", "", "Split", "How often", "What it means", "For example")
        blocks += [Heading("Problems"), Table("What was found", columns, tuple(rows))]
    return [*blocks, Heading("Splits"), split_table(report["splits"])]


def split_table(splits: Mapping[str, Any]) -> Table:
    """Samples, groups, lengths, languages and the guard's verdicts of each split."""
    rows = []
    for name, told in splits.items():
        words = told["words"]["text"]
        guard = told.get("guard", {})
        rows.append(
            _row(
                name,
                f"{told['samples']:,}",
                f"{told['groups']:,}",
                f"{words['median']:.0f} ({words['p5']:.0f}-{words['p95']:.0f})" if words else "-",
                ", ".join(f"{key} {n:,}" for key, n in list(told["languages"].items())[:4]) or "-",
                f"{guard['refused']:,} of {guard['asked']:,}" if guard.get("asked") else "-",
                f"{guard['whole_names_person']:,} of {guard['with_name']:,}"
                if guard.get("with_name")
                else "-",
            )
        )
    columns = (
        "Split",
        "Samples",
        "Groups",
        "Words of a text: median (5-95 %)",
        "Languages",
        "General part refused by the guard",
        "Instruction names the person",
    )
    return Table("What the splits hold", columns, tuple(rows))


def coverage_tables(coverage: Mapping[str, Any]) -> list[Block]:
    """One table for each dimension."""
    return [
        Table(
            f"{name} (evenness {told['evenness']:.2f})",
            (name, "Samples"),
            tuple(_row(value, f"{count:,}") for value, count in told["values"].items()),
        )
        for name, told in coverage.items()
    ]


def _example(example: Mapping[str, Any]) -> str:
    where = f"sample {example['number']}: " if example["number"] else ""
    return f"{where}{example['detail']}"


def _row(*texts: str) -> tuple[Cell, ...]:
    return tuple(Cell(text) for text in texts)
