"""The tables that `evaluate judge` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.table import Table

_COLUMNS: Final = {
    "overall_with": "Overall\n(with profile)",
    "personal": "Personal",
    "overall_without": "Overall\n(without)",
}


def score_table(told: dict[str, Any]) -> Table:
    """The three scores, with their ranges."""
    from rich import box
    from rich.table import Table

    things = "sample" if told["samples"] == 1 else "samples"
    title = f"Scores from 1 to 10 by {told['judge']['model']} ({told['samples']} {things})"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("System", no_wrap=True)
    for column in _COLUMNS.values():
        table.add_column(column, justify="right", no_wrap=True)
    for row in told["systems"]:
        cells = []
        for score in _COLUMNS:
            found = row["measures"][score]
            value, low, high = found["value"], found["low"], found["high"]
            cells.append("" if value is None else f"{value:.2f} [dim]{low:.2f}–{high:.2f}[/dim]")
        table.add_row(row["name"], *cells)
    return table


def pair_table(told: dict[str, Any]) -> Table:
    """Who won against the baseline."""
    from rich import box
    from rich.table import Table

    title = f"Chosen over {told['baseline']}, in both orders"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("System", no_wrap=True)
    columns = ("Wins", "Ties", "Losses", "Net", "Range", "Same in\nboth orders", "Chose\nthe first")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for row in told["pairs"]:
        net = row["net"]
        known = net["value"] is not None
        table.add_row(
            row["systems"][0],
            *(str(row[each]) for each in ("wins", "ties", "losses")),
            f"{net['value']:+.2f}" if known else "",
            f"{net['low']:+.2f} to {net['high']:+.2f}" if known else "",
            *(
                "" if row[each] is None else f"{row[each]:.0%}"
                for each in ("same_in_both_orders", "first_place")
            ),
        )
    return table
