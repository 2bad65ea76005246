"""`cogenesis evaluate human`: people compare texts blindly, and what they said is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cogenesis.cli.circumstances import when_and_where
from cogenesis.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from cogenesis.evaluation.human import Pairs


_RANGES: Final = (
    "Each pair of texts counts once, as the mean of its raters. Range: 95% (Wilson; net: bootstrap "
    "over samples)."
)


def human(
    texts: Annotated[
        list[Path] | None,
        typer.Option(help="A file of texts that “evaluate text” wrote (repeatable)."),
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option(help="A system to compare (repeatable). Default: all in the files."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where the page goes; its key goes beside it.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="The texts' data: the page then tells who writes, and asks whom a text fits. "
            "Raters read it, so use made-up or published people."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first samples.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of sides and order.")] = 0,
    ratings: Annotated[
        list[Path] | None, typer.Option(help="A file that the page saved (repeatable).")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The key that came with the page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make a page on which people compare texts blindly; later count what they said.

    The page is one file that works without a network and sends nothing. It does not know whose
    texts it shows: that is in the key, PAGE.key.json, which raters should not get.

    Examples:

      cogenesis evaluate human --texts texts.jsonl --system device --system sketch
      --out page.html

      cogenesis evaluate human --ratings ratings-ann.json --ratings ratings-bo.json
      --key page.key.json
    """
    if bool(texts) == bool(ratings):
        raise InputError("give --texts and --out to make a page, or --ratings and --key to count")
    if texts:
        if out is None:
            raise InputError("name the page with --out, such as --out page.html")
        if key is not None:
            raise InputError("--key belongs to --ratings: a new page gets a key of its own")
        _make(texts, system, out, data, limit=limit, seed=seed, as_json=as_json)
        return
    given = {"--system": system, "--out": out, "--data": data, "--limit": limit}
    for name, value in given.items():
        if value is not None:
            raise InputError(f"{name} belongs to --texts: leave it out to count ratings")
    if key is None:
        raise InputError("whose texts were rated is in the key: name it with --key PAGE.key.json")
    _count(ratings or [], key, as_json=as_json)


def _make(
    texts: list[Path],
    systems: list[str] | None,
    out: Path,
    data: Path | None,
    *,
    limit: int | None,
    seed: int,
    as_json: bool,
) -> None:
    from cogenesis.evaluation.generation import file_digest, read_texts
    from cogenesis.evaluation.human import pairs_of
    from cogenesis.evaluation.human_page import human_page
    from cogenesis.pages import write_private

    digest = None if data is None else file_digest(data)
    written = [each for path in texts for each in read_texts(path, data_digest=digest)]
    found = pairs_of(written, systems, limit=limit, seed=seed)
    place = out.with_name(f"{out.stem}.key.json")
    for path in (out, place):
        if path.exists():
            # Answers in some browser belong to it, and its key may be the only one.
            raise InputError(f"{path} exists: give another name to --out, or remove it")
        if not path.parent.is_dir():
            raise InputError(f"{path.parent} is no folder: give --out another place")
    page = human_page(found, None if data is None else _people(data, found))
    write_private(place, json.dumps(found.key(), indent=1) + "\n")
    write_private(out, page)
    if as_json:
        told = found.key() | {"out": str(out), "key": str(place), "pairs": len(found.pairs)}
        typer.echo(json.dumps(told | when_and_where(), indent=2))
    else:
        _told(found, out, place)


def _people(data: Path, wanted: Pairs) -> dict[int, str]:
    """What the page tells of each pair's person: profile and activities, no past texts."""
    from cogenesis.evaluation.numbered_samples import numbered_samples

    samples, people = numbered_samples(data), dict[int, str]()
    for number in sorted({each.sample for each in wanted.pairs} & samples.keys()):
        sample = samples[number]
        lines = [f"{each.name}: {each.value}" for each in sample.context.fields]
        lines += [f"{each.source}: {each.text}" for each in sample.context.activities]
        people[number] = "\n".join(lines)
    return people


def _told(found: Pairs, out: Path, key: Path) -> None:
    count, systems = len(found.pairs), ", ".join(found.systems)
    typer.echo(f"{out}: {count} pairs of {systems}. Open it in a browser, or hand it to raters.")
    typer.echo(f"{key}: whose texts they are. Keep it from the raters.")
    for why, counted in (("missing a text", found.missing), ("the same text", found.equal)):
        for (first, second), number in counted.items():
            typer.echo(f"left out, {why}: {number} of {first} and {second}", err=True)


def _count(paths: list[Path], key_path: Path, *, as_json: bool) -> None:
    from cogenesis.evaluation.human_ratings import human_report, read_key, read_ratings

    key = read_key(key_path)
    raters, notes = read_ratings(paths, key)
    told = human_report(key, raters, notes) | {"date": when_and_where()["date"]}
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        _show(told)


def _show(told: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console()
    console.print(_table(told))
    lines = [_RANGES]
    for each in told["agreement"]:
        if each["pairs"]:
            alpha = "" if each["alpha"] is None else f", Krippendorff's alpha {each['alpha']:.2f}"
            lines.append(
                f"Agreement on “{each['question']}”, {each['pairs']} pairs with two raters or "
                f"more: {each['same']:.0%} the same{alpha}."
            )
    left = told["left_chosen"]
    if left["decided"]:
        lines.append(
            f"The left text was chosen in {left['value']:.0%} ({left['low']:.0%}–"
            f"{left['high']:.0%}) of {left['decided']} decisions: half, if raters have no side."
        )
    for line in (*lines, *told["notes"]):
        console.print(line, style="dim", highlight=False)


def _table(told: dict[str, Any]) -> Table:
    from rich import box
    from rich.table import Table

    people = ", ".join(each["rater"] for each in told["raters"])
    table = Table(title=f"Raters: {people}", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("Question", "System", "against"):
        table.add_column(column)
    for column in ("Pairs", "Wins", "Ties", "Losses", "Net"):
        table.add_column(column, justify="right")
    for row in told["comparisons"]:
        cells = [_share(row[name]) for name in ("win", "tie", "loss")]
        net = row["net"]
        cells.append(f"{net['value']:+.0%}\n{net['low']:+.0%} to {net['high']:+.0%}")
        table.add_row(row["question"], *row["systems"], str(row["pairs"]), *cells)
    return table


def _share(figure: dict[str, float]) -> str:
    return f"{figure['value']:.0%}\n{figure['low']:.0%}–{figure['high']:.0%}"
