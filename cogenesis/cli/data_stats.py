"""`cogenesis data stats`: whom a data set covers, and how long its parts are."""

from __future__ import annotations

import json
from typing import Any

import typer

from cogenesis.cli.data_files import FilesArgument, JsonOption, PlotsOption, ticking


def stats(files: FilesArgument, plots: PlotsOption = None, as_json: JsonOption = False) -> None:
    """Count samples, groups, lengths, and coverage by age, field, region and register.

    Field of work and register are read off the profile and the instruction by word lists.

    Examples:

      cogenesis data stats train.json

      cogenesis data stats FOLDER --plots report
    """
    from cogenesis.data.splits import splits_of
    from cogenesis.data.stats import Statistics

    found = Statistics()
    with ticking("counted") as tick:
        for name, paths in splits_of(files).items():
            for path in paths:
                found.read(name, path, tick)
    told = found.told()
    coverage = found.all_coverage()
    if plots is not None:
        from cogenesis.data.page import coverage_tables, save_page
        from cogenesis.data.plots import draw_coverage, draw_lengths

        drawn = [draw_coverage(coverage), draw_lengths(found.lengths())]
        page = save_page(plots, "stats", "What the data covers", coverage_tables(coverage), drawn)
        told["page"] = str(page)
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        _show(told, coverage)


def _show(told: dict[str, Any], coverage: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    for name, split in told["splits"].items():
        unusable = f", {split['unusable']:,} unusable" if split["unusable"] else ""
        console.print(
            f"[bold]{escape(name)}[/]: {split['samples']:,} samples{unusable}, "
            f"{split['groups']:,} groups"
        )
        for part, words in split["words"].items():
            if words and words["max"]:
                console.print(
                    f"  words of {part}: median {words['median']:,.0f}, "
                    f"5 to 95 % {words['p5']:,.0f}-{words['p95']:,.0f}, most {words['max']:,.0f}"
                )
    for mistake in told["mistakes"]:
        console.print(f"Not counted: {escape(mistake)}", soft_wrap=True)
    console.print()
    for name, dimension in coverage.items():
        shown = list(dimension["values"].items())
        listed = ", ".join(f"{escape(value)} {count:,}" for value, count in shown[:12])
        more = f", {len(shown) - 12} more" if len(shown) > 12 else ""
        console.print(f"[bold]{name}[/] (evenness {dimension['evenness']:.2f}): {listed}{more}")
    if "page" in told:
        console.print(f"The page is {escape(told['page'])}", soft_wrap=True)
