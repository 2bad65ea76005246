"""`cogenesis evaluate text`: how near the systems' texts are to what the authors wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cogenesis.cli.circumstances import when_and_where
from cogenesis.cli.device_model import AdapterOption
from cogenesis.cli.engine_options import EngineOption, RayAddressOption, WorkersOption
from cogenesis.cli.evaluate_progress import progress
from cogenesis.cli.evaluate_texts import (
    CloudKeyOption,
    CloudKindOption,
    CloudModelOption,
    CloudOption,
    CloudUrlOption,
    DataOption,
    DeviceOption,
    GateOption,
    JsonOption,
    LimitOption,
    MaxTokensOption,
    SeedOption,
    SystemOption,
    TextOptions,
    Texts,
    UnsafeOption,
    WindowOption,
    ZeroShotOption,
    find_texts,
)

if TYPE_CHECKING:
    from rich.table import Table

# Measure -> its column, and the format of a value.
_TABLES: Final[tuple[tuple[str, dict[str, tuple[str, str]]], ...]] = (
    (
        "Nearness to the author's text",
        {
            "rouge1": ("ROUGE-1", ".1f"),
            "rouge2": ("ROUGE-2", ".1f"),
            "rougeL": ("ROUGE-L", ".1f"),
            "chrf": ("chrF", ".1f"),
        },
    ),
    (
        "Length and repetition",
        {
            "words": ("Words", ".0f"),
            "length_ratio": ("Of author's", ".2f"),
            "distinct_2": ("Distinct-2", ".3f"),
            "repeated_4": ("Repeated-4", ".3f"),
            "longest_repeat": ("Longest repeat", ".3f"),
        },
    ),
    (
        "Profile and style",
        {
            "coverage": ("Coverage", ".3f"),
            "facts": ("Facts", ".2f"),
            "contradictions": ("Contra-\ndictions", ".2f"),
            "style_delta": ("Delta", ".3f"),
            "style_js": ("JS", ".3f"),
        },
    ),
)


def text(
    data: DataOption,
    limit: LimitOption = None,
    system: SystemOption = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            "--texts",
            "--save",
            help="Where the texts are kept: those that are there are not written again. Default: "
            "a file in your CoGenesis folder for this data.",
        ),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="The system that the others are compared with.")
    ] = None,
    unsafe_send_context: UnsafeOption = False,
    device: DeviceOption = "demo-device",
    adapter: AdapterOption = None,
    zero_shot_device: ZeroShotOption = None,
    cloud: CloudOption = "demo-cloud",
    cloud_url: CloudUrlOption = None,
    cloud_model: CloudModelOption = None,
    cloud_kind: CloudKindOption = "auto",
    cloud_key_env: CloudKeyOption = "COGENESIS_CLOUD_KEY",
    gate: GateOption = None,
    max_tokens: MaxTokensOption = 400,
    window: WindowOption = 4096,
    seed: SeedOption = 0,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the texts of the data with each system, and measure them.

    ROUGE and chrF, length, repetition, use of the profile and contradictions of it, and the
    distance to the author's style, each with a range and a paired difference. With
    --unsafe-send-context the cloud model with the whole context is measured, too: the upper
    bound. About ten seconds a text with the demo models.

    Examples:

      cogenesis evaluate text --data validation.json --limit 20

      cogenesis evaluate text --data validation.json --texts texts.jsonl --system device
      --system sketch --system fusion:mixture@0.7 --json

      cogenesis evaluate text --data validation.json --unsafe-send-context
      --cloud-url https://api.example.com/v1 --cloud-model NAME

      cogenesis evaluate text --data validation.json --engine ray --workers 4
    """
    options = TextOptions(
        data=data,
        limit=limit,
        systems=tuple(system or _default(unsafe=unsafe_send_context)),
        texts=texts,
        unsafe=unsafe_send_context,
        device=device,
        adapter=adapter,
        zero_shot=zero_shot_device,
        cloud=cloud,
        cloud_url=cloud_url,
        cloud_model=cloud_model,
        cloud_kind=cloud_kind,
        cloud_key_env=cloud_key_env,
        gate=gate,
        max_tokens=max_tokens,
        window=window,
        seed=seed,
        quiet=as_json,
        engine=engine,
        ray_address=ray_address,
        workers=workers,
    )
    found = find_texts(options)
    told = _report(found, options.baseline(baseline))
    told["notes"] += options.gate_notes(found.digest)
    told |= {"settings": options.about(), **when_and_where()}
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        _show(told, found.place)


def _default(*, unsafe: bool) -> tuple[str, ...]:
    from cogenesis.evaluation.systems import DEFAULT, UPPER_BOUND

    return (*DEFAULT, UPPER_BOUND) if unsafe else DEFAULT


def _report(found: Texts, baseline: str) -> dict[str, Any]:
    from cogenesis.evaluation.text_report import measured, notes, style_control, text_report

    with progress() as bar:
        step = bar.add_task("measured", total=len(found.samples))

        def tick() -> None:
            bar.advance(step)
            bar.refresh()

        values = measured(found.samples, found.people, found.written, tick)
    numbers = list(found.samples)
    told = text_report(numbers, values, found.written, baseline)
    told |= {"style_control": style_control(found.samples, found.people), "data": found.digest}
    return told | {"evaluation": "text", "notes": notes(told), "skipped": found.skipped}


def _show(told: dict[str, Any], place: Path) -> None:
    from rich.console import Console

    console = Console()
    for title, columns in _TABLES:
        console.print(table(told, title, columns))
    for row in told["systems"]:
        for reason, count in row.get("degraded", {}).items():
            line = f"{row['name']}: the cloud's part is missing in {count} texts: {reason}."
            console.print(line, style="yellow", highlight=False)
    said = "Cyan: above the baseline, magenta: below it, where the paired range leaves out 0."
    for note in (said, *told["notes"]):
        console.print(note, style="dim", highlight=False)
    console.print(f"The texts are in {place}", style="dim", highlight=False, soft_wrap=True)


def table(told: dict[str, Any], title: str, columns: dict[str, tuple[str, str]]) -> Table:
    """One group of measures: the mean over its range, and how sure the difference is."""
    from rich import box
    from rich.table import Table

    from cogenesis.evaluation.text_intervals import FEW

    things = "sample" if told["samples"] == 1 else "samples"
    shown = Table(
        title=f"{title} ({told['samples']} {things})",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    shown.add_column("System", no_wrap=True)
    for name, _ in columns.values():
        shown.add_column(name, justify="right", no_wrap=True)
    for row in told["systems"]:
        cells = [
            _cell(row, measure, form, sure=told["samples"] >= FEW)
            for measure, (_, form) in columns.items()
        ]
        if any(cells):
            shown.add_row(row["name"], *cells)
    return shown


def _cell(row: dict[str, Any], measure: str, form: str, *, sure: bool) -> str:
    found = row["measures"][measure]
    if found["value"] is None:
        return ""
    mean = f"{found['value']:{form}}"
    over = row["over_baseline"].get(measure)
    if sure and over and over["low"] is not None and (over["low"] > 0 or over["high"] < 0):
        colour = "cyan" if over["value"] > 0 else "magenta"
        mean = f"[{colour}]{mean}[/{colour}]"
    return f"{mean}\n[dim]{found['low']:{form}}–{found['high']:{form}}[/dim]"
