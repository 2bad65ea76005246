"""`cogenesis evaluate speed`: tokens a second of every decoding, near and far from the cloud."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cogenesis.cli.circumstances import when_and_where
from cogenesis.cli.device_model import AdapterOption, adapter_id
from cogenesis.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.progress import Progress
    from rich.table import Table

    from cogenesis.evaluation.speed import SpeedSettings
    from cogenesis.evaluation.speed_prompts import SpeedTask

_PAIRS: Final = ("smollm2-smollm2", "demo")
"""The device model with a copy of itself (but no adapter) as the cloud; and with the demo cloud."""

_NOTE: Final = (
    "Tokens/s: with the cloud model on this machine, so that it shares the cores with the device "
    "model. Replayed: with its earlier answers, which take no core; a request takes the round "
    "trip and a flat 10 ms. Requests, bytes and acceptance belong to the former. Same "
    "text: as lockstep's, token for token."
)


def speed(
    rtt: Annotated[
        list[float] | None,
        typer.Option(min=0, max=10_000, help="Round-trip time to add, in ms (repeatable)."),
    ] = None,
    pair: Annotated[
        list[str] | None,
        typer.Option(
            help="smollm2-smollm2: the demo device model with and without the context (one "
            "vocabulary; the adapter with the context only). demo: the two demo models (two "
            "vocabularies). Repeatable."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="People and their tasks, in the published form. Default: the demo's."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Another device model, as `models get` takes it.")
    ] = "demo-device",
    adapter: AdapterOption = None,
    cloud: Annotated[
        str, typer.Option(help="Another cloud model for the pair “demo”.")
    ] = "demo-cloud",
    limit: Annotated[int, typer.Option(min=1, help="Texts at most.")] = 3,
    max_tokens: Annotated[int, typer.Option(min=2, help="Length of a text at most.")] = 120,
    repeat: Annotated[int, typer.Option(min=1, help="How often each text is written.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same text.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure the device alone, lockstep, the paper's schedule, and draft-and-verify.

    Two real models write the same text in every way, at temperature 0.7, with an even
    mixture. A full run takes some minutes a text; do nothing else on the machine meanwhile.

    Examples:

      cogenesis evaluate speed

      cogenesis evaluate speed --pair demo --rtt 50 --limit 1 --json
    """
    from cogenesis.evaluation.speed import SpeedSettings
    from cogenesis.evaluation.speed_prompts import speed_tasks

    settings = SpeedSettings(
        round_trips_ms=tuple(rtt or (0.0, 20.0, 50.0, 100.0)),
        max_tokens=max_tokens,
        repeat=repeat,
        seed=seed,
    )
    pairs = _pairs(pair)
    models = {name: cloud if name == "demo" else device for name in pairs}
    used = {"device": device, "cloud": models, **adapter_id(device, adapter)}
    skipped = _Skipped()
    tasks = speed_tasks(data, skipped.add)
    rows, texts = _measured(settings, device, adapter, models, tasks, limit, skipped, quiet=as_json)
    if as_json:
        about = _about(settings, texts) | {"models": used, "skipped": skipped.samples}
        typer.echo(json.dumps({"rows": rows} | about, indent=2))
        return
    from rich.console import Console

    console = Console()
    for name in pairs:
        own = [row for row in rows if row["pair"] == name]
        console.print(_table(name, own))
        for line in (line for row in own for line in _warnings(row)):
            console.print(line, style="yellow", highlight=False)
    console.print(_NOTE, style="dim", highlight=False)


class _Skipped:
    """Samples that cannot be used, told as they are found."""

    def __init__(self) -> None:
        self.samples: list[dict[str, Any]] = []

    def add(self, number: int, why: str) -> None:
        """One more."""
        self.samples.append({"sample": number, "reason": why})
        typer.echo(f"warning: sample {number} is left out: {why}", err=True)


def _pairs(names: Sequence[str] | None) -> tuple[str, ...]:
    unknown = [name for name in names or () if name not in _PAIRS]
    if unknown:
        raise InputError(f"there is no pair {unknown[0]!r}: choose {' or '.join(_PAIRS)}")
    return tuple(dict.fromkeys(names or _PAIRS))


def _measured(
    settings: SpeedSettings,
    device: str,
    adapter: str | None,
    clouds: dict[str, str],
    tasks: Iterable[SpeedTask],
    limit: int,
    skipped: _Skipped,
    *,
    quiet: bool,
) -> tuple[list[dict[str, Any]], int]:
    """The rows of all pairs, and the number of texts. `clouds`: pair -> its cloud model.

    The device model has its adapter, as in the product. The cloud model never has one, also
    where it is the same file: an adapter is what somebody taught the model on their device.
    """
    from cogenesis.cli.models import fetch_model
    from cogenesis.evaluation.speed import measure, steps_of
    from cogenesis.evaluation.speed_pairs import SpeedPair
    from cogenesis.evaluation.speed_prompts import speed_prompts
    from cogenesis.fused_writing import DeviceTokens
    from cogenesis.models import LlamaCpp
    from cogenesis.models.adapters import find_adapter

    rows: list[dict[str, Any]] = []
    path = fetch_model(device, quiet=quiet)
    paths = {name: fetch_model(cloud, quiet=quiet) for name, cloud in clouds.items()}
    with ExitStack() as stack:
        # One thread, because the cloud model has a core of its own.
        lora = find_adapter(device, adapter)
        model = stack.enter_context(LlamaCpp(path, threads=1, adapter=lora))
        tokens = DeviceTokens(model)
        prompts = speed_prompts(model, tasks, limit, settings.max_tokens, skipped.add)
        bar = stack.enter_context(_progress())
        for name in clouds:
            step = bar.add_task(name, total=steps_of(settings, len(prompts)))

            def tick(step: Any = step) -> None:
                bar.advance(step)
                bar.refresh()

            with SpeedPair(tokens, paths[name], settings) as running:
                rows += measure(name, running.stages(prompts), settings, tick)
    return rows, len(prompts)


def _progress() -> Progress:
    """On stderr, drawn between two runs only: a thread that draws would slow down a run."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
        disable=not sys.stderr.isatty(),
    )


def _about(settings: SpeedSettings, texts: int) -> dict[str, Any]:
    """What one needs to know to compare these numbers with others."""
    from cogenesis.evaluation.replayed_cloud import FLAT_MS

    return {
        "settings": asdict(settings)
        | {"rule": "mixture", "candidates": 64, "texts": texts, "replayed_flat_ms": FLAT_MS},
        **when_and_where(),
    }


def _table(name: str, rows: Sequence[dict[str, Any]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=name, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("Round\ntrip", no_wrap=True)
    table.add_column("Decoding", no_wrap=True)
    for column in ("Tokens/s", "Replayed", "Requests\n/token", "Bytes\n/token", "Accept-\nance"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("Same\ntext", no_wrap=True)
    last = None
    for row in rows:
        first, last = row["rtt_ms"] != last, row["rtt_ms"]
        if first:
            table.add_section()
        table.add_row(
            f"{row['rtt_ms']:g} ms" if first else "",
            row["decoding"],
            _number(row["tokens_per_s"], 1),
            _number(row["replayed_tokens_per_s"], 1),
            _number(row["round_trips_per_token"], 2),
            _number(row["bytes_per_token"], 0),
            _number(row["acceptance"], 2),
            _same(row),
        )
    return table


def _same(row: dict[str, Any]) -> str:
    """How many texts, of both ways to the cloud, are lockstep's token for token."""
    if row["identical_texts"] is None:
        return ""
    return f"{row['identical_texts'] + row['replayed']['identical_texts']}/{2 * row['texts']}"


def _warnings(row: dict[str, Any]) -> list[str]:
    """What makes a row say less than it seems to."""
    which = f"{row['decoding']} at {row['rtt_ms']:g} ms"
    found = []
    failed = row["fallbacks"] + row["replayed"]["fallbacks"]
    if failed:
        found.append(f"{which}: {failed} tokens without the cloud, which was late or failed")
    if row["unknown_prefixes"]:
        found.append(f"{which}: {row['unknown_prefixes']} prefixes were not in the replayed table")
    return found


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
