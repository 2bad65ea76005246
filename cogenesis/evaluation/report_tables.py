"""The tables of a report: systems by measures as in the paper, then leaks, speed and people.

A cell is a figure with its range, and the numbers of the sources it is from. What no source
measured is a dash; nothing is computed here that a source does not say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cogenesis.evaluation.report_blocks import Cell, Table
from cogenesis.evaluation.report_inputs import Figure, Kind, Source, figures, shown

NONE: Final = "—"

_ORDER: Final = (
    "reference",
    "cloud:context",
    "cloud:instruction",
    "cloud",
    "device:zero-shot",
    "device",
    "sketch",
)
"""As in the paper's table: the cloud with and without context, the device, sketch, then fusion."""

_LABELS: Final[dict[str, str]] = {
    "bits_per_byte": "bits per byte",
    "ratio_to_device": "ratio to device",
    "overall_with": "Ovl. (w)",
    "personal": "Per.",
    "personalisation": "Per.",
    "overall_without": "Ovl. (w/o)",
    "rouge_l": "ROUGE-L",
    "rougeL": "ROUGE-L",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "chrf": "chrF",
}
_SIDE: Final = frozenset(
    {
        *("rouge1", "rouge2", "words", "distinct_2", "longest_repeat", "facts", "statements"),
        *("style_js", "length_ratio"),
    }
)
"""Measures that stand in a table of their own, so that the first one can be read."""

_SHORT: Final = 12
"""Letters of a hash that are shown."""

_SYSTEM_KINDS: Final[tuple[Kind, ...]] = ("judge", "bits", "text")

Numbered = Sequence[tuple[int, Source]]
"""Sources with the numbers that cells refer to them by."""


def of_kind(sources: Numbered, kind: Kind) -> Numbered:
    """Those of one kind."""
    return [(number, each) for number, each in sources if each.kind == kind]


def system_key(name: str) -> tuple[int, str]:
    """Where a system stands in tables."""
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


def written(figure: Figure | None) -> str:
    """A figure as people read it, with its range."""
    if figure is None:
        return NONE
    digits = _digits(figure)
    value = f"{figure.value:,.{digits}f}"
    if figure.low is None or figure.high is None:
        return f"{value} (no interval)"
    return f"{value} ({figure.low:,.{digits}f}–{figure.high:,.{digits}f})"


def _digits(figure: Figure) -> int:
    """Three significant digits or so, never more than three behind the point."""
    size = abs(figure.value)
    if size >= 100:
        return 1
    return 2 if size >= 10 else 3


def systems_tables(sources: Numbered) -> list[Table]:
    """Systems by measures; sources that tell of other data or other models get another table."""
    groups: list[tuple[dict[str, str], list[tuple[int, Source]]]] = []
    for number, source in sources:
        if source.kind not in _SYSTEM_KINDS:
            continue
        work = _work(source)
        for known, found in groups:
            if all(known.get(name, value) == value for name, value in work.items()):
                known.update(work)
                found.append((number, source))
                break
        else:
            groups.append((work, [(number, source)]))
    tables = [_systems(work, found, side=False) for work, found in groups]
    tables += [_systems(work, found, side=True) for work, found in groups]
    return [table for table in tables if len(table.columns) > 1]


def _work(source: Source) -> dict[str, str]:
    """What was measured, as far as the source tells it: the data and the models."""
    told = source.told
    models = told.get("models", _gate_models(told))
    work = {f"{k} model": v for k, v in models.items()} if isinstance(models, Mapping) else {}
    if "adapter model" in work:
        work["adapter"] = _short(work.pop("adapter model"))
    data = told.get("data_sha256", told.get("data"))
    if isinstance(data, list):
        data = [each.get("sha256") for each in data if isinstance(each, Mapping)]
    if data and isinstance(data, str | list):
        work["data"] = _short(data)
    return {shown(name): shown(value) for name, value in work.items()}


def _gate_models(told: Mapping[str, Any]) -> dict[str, Any]:
    """What `train gate` tells of its models, as the evaluations do; it always knows the adapter."""
    heads = {role: told[role] for role in ("device", "cloud") if isinstance(told.get(role), dict)}
    found = {role: head.get("name") for role, head in heads.items()}
    return found | {"adapter": heads["device"].get("adapter")} if "device" in heads else found


def _short(sums: object) -> str:
    """The beginnings of one hash or several."""
    told = sums if isinstance(sums, list) else [sums]
    several = dict.fromkeys(str(each or "none") for each in told)
    return ", ".join(each if len(each) <= _SHORT else f"{each[:_SHORT]}…" for each in several)


def _systems(work: Mapping[str, str], found: Numbered, *, side: bool) -> Table:
    cells: dict[str, dict[tuple[int, str], Figure]] = {}
    columns: dict[tuple[int, str], str] = {}
    for kind in _SYSTEM_KINDS:
        several = len(of_kind(found, kind)) > 1
        for number, source in of_kind(found, kind):
            samples = source.told.get("samples")
            count = f", {samples} texts" if isinstance(samples, int) else ""
            for row in source.told["systems"]:
                for name, figure in figures(row).items():
                    if (name in _SIDE) != side:
                        continue
                    label = _LABELS.get(name, shown(name).replace("_", " "))
                    label = f"{label} ({source.name})" if several else label
                    columns[number, name] = f"{label}{count}"
                    cells.setdefault(shown(row.get("name", "?")), {})[number, name] = figure
    rows = []
    for system in sorted(cells, key=system_key):
        row = [Cell(system)]
        for column in columns:
            known = cells[system].get(column)
            row.append(Cell(written(known), () if known is None else (column[0],)))
        rows.append(tuple(row))
    told = ", ".join(f"{name} {value}" for name, value in work.items()) or "nothing more is told"
    shown_here = "further measures" if side else "measures"
    return Table(f"Systems by {shown_here}; {told}", ("System", *columns.values()), tuple(rows))


_LEAK_COLUMNS: Final = (
    "Mode, attacker",
    "What is known",
    "First guess",
    "First five",
    "Mean rank⁻¹",
)


def leaks_tables(sources: Numbered) -> list[Table]:
    """Who was recognised from what was sent, and how many private units were in it."""
    tables = []
    for number, source in of_kind(sources, "leaks"):
        told = source.told
        rows = []
        for attack in told["attacks"]:
            zipf = attack.get("zipf")
            limit = f", Zipf {zipf:g}" if isinstance(zipf, int | float) else ""
            name = f"{shown(attack.get('mode', '?'))}{limit}, {shown(attack.get('attacker', '?'))}"
            reached = [attack_figure(attack, each) for each in ("top1", "top5", "mrr")]
            cells = [Cell(written(each), (number,)) for each in reached]
            rows.append((Cell(name), Cell(shown(attack.get("setting", "?"))), *cells))
        caption = (
            f"Attacks on {shown(told.get('samples', '?'))} texts among "
            f"{shown(told.get('candidates', '?'))} people; private units sent, all modes and "
            f"thresholds together: {shown(told.get('units_sent', '?'))} of "
            f"{shown(told.get('units_total', '?'))}"
        )
        tables.append(Table(caption, _LEAK_COLUMNS, tuple(rows)))
    return tables


def attack_figure(attack: Mapping[str, Any], measure: str) -> Figure | None:
    """One measure of an attack; the plain `low` and `high` are those of `top1`."""
    prefix = "" if measure == "top1" else f"{measure}_"
    row = {measure: attack.get(measure)}
    row |= {f"{measure}_{end}": attack.get(f"{prefix}{end}") for end in ("low", "high")}
    return figures(row).get(measure)


_SPEED: Final = (
    ("tokens_per_s", "Tokens/s"),
    ("replayed_tokens_per_s", "Replayed"),
    ("round_trips_per_token", "Round trips/token"),
    ("bytes_per_token", "Bytes/token"),
    ("acceptance", "Acceptance"),
)


def speed_tables(sources: Numbered) -> list[Table]:
    """A table for each pair of models."""
    tables = []
    for number, source in of_kind(sources, "speed"):
        rows: dict[str, list[tuple[Cell, ...]]] = {}
        for row in source.told["rows"]:
            trip = figures(row).get("rtt_ms")
            name = f"{'?' if trip is None else f'{trip.value:g}'} ms, "
            name += shown(row.get("decoding", "?"))
            cells = [Cell(name), Cell(shown(row.get("texts", NONE)), (number,))]
            for measure, _ in _SPEED:
                figure = figures(row).get(measure)
                cells.append(Cell(written(figure), () if figure is None else (number,)))
            rows.setdefault(shown(row.get("pair", "?")), []).append(tuple(cells))
        columns = ("Round trip, decoding", "Texts", *(label for _, label in _SPEED))
        tables += [Table(f"Speed, pair {pair}", columns, tuple(of)) for pair, of in rows.items()]
    return tables


def human_tables(sources: Numbered) -> list[Table]:
    """What people preferred."""
    tables = []
    for number, source in of_kind(sources, "human"):
        rows = []
        for each in source.told["comparisons"]:
            named = each.get("systems")
            pair = named if isinstance(named, list) else []
            first, second = (shown(name) for name in (*pair, "?", "?")[:2])
            row = [Cell(f"{first} against {second}: {shown(each.get('question', '?'))}")]
            row.append(Cell(shown(each.get("pairs", NONE)), (number,)))
            found = figures(each)
            row += [Cell(written(found.get(n)), (number,)) for n in ("win", "tie", "loss", "net")]
            rows.append(tuple(row))
        caption = f"People, blind, side by side: {len(source.told.get('raters', []))} raters"
        if agreed := _agreed(source.told.get("agreement", [])):
            caption += f"; {agreed}"
        columns = ("Systems and question", "Pairs", "Win", "Tie", "Loss", "Net")
        tables.append(Table(caption, columns, tuple(rows)))
    return tables


def _agreed(told: Iterable[Mapping[str, Any]]) -> str:
    """Krippendorff's alpha of each question that two people or more answered."""
    alphas = [
        f"{shown(each.get('question', '?'))} {each['alpha']:.2f}"
        for each in told
        if isinstance(each.get("alpha"), int | float)
    ]
    return f"Krippendorff's alpha: {', '.join(alphas)}" if alphas else ""
