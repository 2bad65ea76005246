"""What `evaluate leaks` shows to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.table import Table

_NOTES: Final = (
    (
        "Floor: the title alone. Sent: what the server received. Ceiling: the whole context, as "
        "the released code of the paper sends it; computed here and sent nowhere. It must be near "
        "100 %, or the attack proves nothing. Ranges: 95 in 100 bootstrap draws over the texts."
    ),
    (
        "Attackers: bm25 counts rare words in common, lsa compares places in an embedding learnt "
        "from the people's own texts, lm takes the likelihood under a language model of each "
        "person, all adds the three up."
    ),
    (
        "Units: private things of the person, looked for by code that shares nothing with the "
        "guard. Related: dictionary words that look alike, which is no inflection. Control: share "
        "that the same search finds in the person's own context."
    ),
)


def show(told: dict[str, Any]) -> None:
    """Print tables and notes."""
    from rich.console import Console

    console = Console()
    for place in told["modes"]:
        console.print(attack_table(told, place))
        console.print(units_table(told, place))
        if place["without_cloud"]:
            reasons = ", ".join(f"{count} {why}" for why, count in place["without_cloud"].items())
            line = f"Something of the cloud's part is missing in: {reasons}."
            console.print(line, style="yellow", highlight=False)
    for note in _NOTES:
        console.print(note, style="dim", highlight=False)


def attack_table(told: dict[str, Any], place: dict[str, Any]) -> Table:
    """Who was recognised, in one mode."""
    from rich import box
    from rich.table import Table

    title = f"{_name(place)}: {place['texts']} texts, {told['candidates']} people"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("Attacker", no_wrap=True)
    table.add_column("Known to the attacker", no_wrap=True)
    for column in ("Top-1", "Range", "Top-5", "MRR", "Over floor\ntop-1", "Over floor\nMRR"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in _of(told["attacks"], place):
        over = row.get("over_floor")
        table.add_row(
            row["attacker"] if row["setting"] == "floor" else "",
            row["setting"],
            f"{row['top1']:.1%}",
            f"{row['low']:.1%}–{row['high']:.1%}",
            f"{row['top5']:.1%}",
            f"{row['mrr']:.3f}",
            *((_over(over["top1"]), _over(over["mrr"])) if over else ()),
        )
    return table


def units_table(told: dict[str, Any], place: dict[str, Any]) -> Table:
    """What was found, in one mode."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("Private units", no_wrap=True)
    for column in ("All", "Sent\nliterally", "Sent\nfuzzily", "Related", "Excepted", "Control"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in _of(told["units"], place):
        control = "" if row["control"] is None else f"{row['control']:.1%}"
        counts = [row[each] for each in ("total", "literal", "fuzzy", "related", "excepted")]
        table.add_row(row["kind"], *map(str, counts), control)
    return table


def _of(rows: list[dict[str, Any]], place: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in rows if (row["mode"], row["zipf"]) == (place["mode"], place["zipf"])]


def _name(place: dict[str, Any]) -> str:
    masked = place.get("masked_words")
    told = f"{place['mode']}, private under Zipf {place['zipf']:g}"
    return told if masked is None else f"{told}, {masked:.1%} of the words masked"


def _over(found: dict[str, float]) -> str:
    return f"{100 * found['value']:+.1f} ({100 * found['low']:+.1f} to {100 * found['high']:+.1f})"
