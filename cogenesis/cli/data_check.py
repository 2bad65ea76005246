"""`cogenesis data check`: what is wrong with a data set, before anybody learns from it."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from cogenesis.cli.data_files import FilesArgument, JsonOption, PlotsOption, ticking


def check(
    files: FilesArgument,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Leave out a check that takes time: leaks, near or language."
        ),
    ] = None,
    near: Annotated[
        float,
        typer.Option(
            help="Two texts are nearly the same from this share of common runs of words; 0.6 to 1."
        ),
    ] = 0.7,
    plots: PlotsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for what makes data unfit: mistakes, leaks, leftovers, repeats, shared groups.

    Every general instruction is shown to the privacy guard, as before anything is sent. Splits
    are held against each other: no group, person or text may be in two. Nothing is sent, and
    nothing is changed. Exit code 1 if there are errors; warnings alone are 0.

    Examples:

      cogenesis data check train.json validation.json

      cogenesis data check FOLDER --plots report --json
    """
    from cogenesis.data.check import SKIPPABLE, Checked
    from cogenesis.data.splits import splits_of
    from cogenesis.errors import InputError

    unknown = set(skip or ()) - SKIPPABLE
    if unknown:
        raise InputError(f"--skip knows {', '.join(sorted(SKIPPABLE))}, not {unknown.pop()}")
    splits = splits_of(files)
    checked = Checked(skip=frozenset(skip or ()), threshold=near)
    with ticking("checked") as tick:
        for name, paths in splits.items():
            for path in paths:
                checked.read(name, path, tick)
    report = checked.report()
    if plots is not None:
        from cogenesis.data.page import check_blocks, save_page
        from cogenesis.data.plots import draw_lengths, draw_problems

        drawn = [draw_lengths(checked.lengths()), draw_problems(report["problems"])]
        page = save_page(plots, "check", "Data check", check_blocks(report), drawn)
        report["page"] = str(page)
    if as_json:
        typer.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        _show(report)
    if report["errors"]:
        raise typer.Exit(1)


def _show(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape

    from cogenesis.data.page import split_table

    console = Console(highlight=False)
    console.print(_table(split_table(report["splits"])))
    for name, told in report["splits"].items():
        guard = told["guard"]
        if guard.get("whole_names_person"):
            console.print(
                f"{escape(name)}: {guard['whole_names_person']:,} whole instructions name the "
                f"person; sent whole, the guard would refuse {guard['named_and_refused']:,} of "
                f"these, and {guard['whole_refused']:,} of all {guard['asked']:,}."
            )
    for each in report["shared"]:
        first, second = each["splits"]
        total, other = each["of_groups"]
        console.print(
            f"{escape(first)} and {escape(second)} share {each['groups']:,} groups (of {total:,} "
            f"and {other:,}), {each['people']:,} profiles, {each['texts']:,} texts, "
            f"{each['earlier_texts']:,} earlier texts."
        )
    for each in report["problems"]:
        colour = "red" if each["severity"] == "error" else "yellow"
        console.print(
            f"\n[{colour}]{each['severity']}[/] {each['kind']} in {escape(each['split'])}: "
            f"{each['count']:,} times. {each['meaning'][0].upper()}{each['meaning'][1:]}."
        )
        for example in each["examples"]:
            where = f"sample {example['number']}: " if example["number"] else ""
            console.print(f"  {where}{example['detail']}", style="dim", markup=False)
    console.print(f"\n{report['errors']:,} errors, {report['warnings']:,} warnings.")
    if "page" in report:
        console.print(f"The page is {escape(report['page'])}", soft_wrap=True)


def _table(table: Any) -> Any:
    """A table of the page, for the screen."""
    from rich import box
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, name in enumerate(table.columns):
        shown.add_column(name, justify="left" if number == 0 else "right")
    for row in table.rows:
        shown.add_row(*(cell.text.replace("[", "\\[") for cell in row))
    return shown
