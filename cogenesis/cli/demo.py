"""`cogenesis demo`: two real models write a personal text together, and show what left.

In both modes, one after the other, for the same person: so one can compare what each costs
in privacy.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

if TYPE_CHECKING:
    from rich.panel import Panel
    from rich.table import Table

    from cogenesis.assistant import Assistant, Result, Task
    from cogenesis.cli.left import Left
    from cogenesis.cli.screen import Screen
    from cogenesis.fusion.settings import FusionSettings
    from cogenesis.privacy.ledger import Row

DemoMode = Literal["sketch", "fusion", "both"]
Written = Literal["sketch", "fusion"]

STAND_INS = (
    "These are two tiny stand-ins (135 and 270 million parameters), small enough for any "
    "laptop: they show how it works, not how well it can write. For real use pick a device "
    "model with “cogenesis models list” and point --cloud-url at a real cloud model."
)

_HOW: Final[dict[Written, str]] = {
    "sketch": "Sketch: the cloud model outlines, the device model fills the outline in",
    "fusion": "Fusion: both models predict every token, one with your context and one without",
}


def demo(
    mode: Annotated[
        DemoMode, typer.Option(help="sketch, fusion, or one after the other.")
    ] = "both",
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same text.")] = 3,
    max_tokens: Annotated[int, typer.Option(min=1, help="Length of a text at most.")] = 220,
    delay_ms: Annotated[
        float, typer.Option(min=0, max=10_000, help="Network delay to add to each round trip.")
    ] = 0.0,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object, as “write --json”; for both modes one that holds two.",
        ),
    ] = False,
) -> None:
    """Watch two real models write a text together, with nothing private leaving.

    Fetches both demo models (330 MB) at the first run. The device model is tuned by an adapter,
    and a trained gate weighs the two; both come with the program. The person is invented.

    Examples:

      cogenesis demo

      cogenesis demo --mode fusion --seed 7 --delay-ms 80
    """
    from cogenesis.assistant import Assistant, Task
    from cogenesis.cli.connect import connect
    from cogenesis.cli.models import fetch_model
    from cogenesis.cli.screen import Screen, result_object
    from cogenesis.cloud_server import DemoCloud
    from cogenesis.demo import DEMO_INSTRUCTION, demo_person
    from cogenesis.home import home
    from cogenesis.models import LlamaCpp
    from cogenesis.models.adapters import find_adapter
    from cogenesis.privacy.ledger import Ledger

    screen = Screen(quiet=as_json, text=not as_json)
    device_path = fetch_model("demo-device", quiet=as_json)
    cloud_path = fetch_model("demo-cloud", quiet=as_json)
    adapter = find_adapter("demo-device", None)
    ledger_path = home() / "demo-ledger.sqlite"
    person, length = demo_person(), max_tokens
    task = Task(DEMO_INSTRUCTION, person, seed=seed, max_tokens=length, fusion=_weighed())
    modes: tuple[Written, ...] = ("sketch", "fusion") if mode == "both" else (mode,)
    results = {}
    with ExitStack() as stack:
        with screen.err.status("starting both models"):
            server = stack.enter_context(DemoCloud(cloud_path, delay_ms=delay_ms))
            device = stack.enter_context(LlamaCpp(device_path, threads=1, adapter=adapter))
        ledger = stack.enter_context(Ledger.open(ledger_path))
        cloud, egress = connect(stack, server.url, server.model, "auto", "", ledger_path)
        assistant = Assistant(device, cloud=cloud, traffic=lambda: egress.traffic)
        _introduce(screen, assistant, task)
        for each in modes:
            before = ledger.last_row()
            result = _written(screen, assistant, replace(task, mode=each))
            results[each] = result_object(result)
            sent = tuple(ledger.entries(after=before, newest_first=False))
            _show_left(screen, assistant, task, result, sent, mode=each)
    shown = results if mode == "both" else results[mode]
    if as_json:
        typer.echo(json.dumps(shown, ensure_ascii=False))
    screen.say(f"The record stays: cogenesis ledger show --ledger '{ledger_path}'", "dim")
    screen.say(f"\n{STAND_INS}")


def _weighed() -> FusionSettings:
    """Fusion with the trained gate of the demo pair."""
    from cogenesis.fusion.gate_file import SHIPPED, load_gate
    from cogenesis.fusion.settings import FusionSettings

    gate = load_gate(Path(SHIPPED))
    return FusionSettings(rule=gate.rule, gate=gate)


def _introduce(screen: Screen, assistant: Assistant, task: Task) -> None:
    guard = assistant.guard(task)
    screen.heading("What the person asks for, with everything private marked")
    screen.marked(task.instruction, guard.inspect(task.instruction))
    size = guard.lexicon.size
    screen.say(
        f"The device model also reads the profile, {len(task.context.activities)} activities and "
        f"{len(task.context.writings)} past texts: {size.identifiers} identifiers, "
        f"{size.rare_words} rare words and {size.runs} runs of words that may not leave.",
        "dim",
    )


def _written(screen: Screen, assistant: Assistant, task: Task) -> Result:
    from cogenesis.cli.write import end_if_stopped, run

    screen.heading(_HOW["fusion" if task.mode == "fusion" else "sketch"])
    result = run(assistant, task, screen)
    end_if_stopped(result, screen)
    return result


def _show_left(
    screen: Screen,
    assistant: Assistant,
    task: Task,
    result: Result,
    sent: Sequence[Row],
    *,
    mode: Written,
) -> None:
    """Everything that left, from the ledger, checked once more against the lexicon."""
    from cogenesis.cli.left import what_left

    guard = assistant.guard(task)
    left = what_left(sent, guard, result.general, mode)
    screen.heading(f"What left this device in {mode} mode")
    if mode == "sketch":
        screen.err.print(_table(sent))
    else:
        _show_growing(screen, left)
    screen.say(f"What kind of thing: {left.kind()}.", "bold")
    size = guard.lexicon.size
    checked = size.identifiers + size.rare_words + size.runs
    found = len(left.found)
    verdict = "none of them left" if found == 0 else f"{found} LEFT: this is a fault"
    screen.say(
        f"{left.size:,} bytes of bodies in all. {checked:,} private terms were looked for in "
        "every body, except the topic words of the general instruction and the fixed text that "
        f"is the same for everybody: {verdict}.",
        "bold green" if found == 0 else "bold red",
    )


def _show_growing(screen: Screen, left: Left) -> None:
    """Of many requests with nearly the same body the first and the last; the rest in numbers."""
    from cogenesis.cli.left import bytes_of

    count = len(left.asking)
    if count:
        screen.say(
            f"{count:,} requests asked about the text as it grew, {bytes_of(left.asking):,} bytes. "
            "A body holds the text once for each position that it asks about. The first and the "
            "last, byte for byte:"
        )
        screen.err.print(_panel(f"request 1 of {count}", left.asking[0]))
        if count > 1:
            screen.err.print(_panel(f"request {count} of {count}", left.asking[-1]))
    if left.others:
        screen.say(
            f"{len(left.others):,} more requests, {bytes_of(left.others):,} bytes, found out what "
            "the server can do; they are checked too, and the ledger shows them.",
            "dim",
        )


def _panel(title: str, row: Row) -> Panel:
    from rich.panel import Panel
    from rich.text import Text

    from cogenesis.cli.ledger import printable

    entry = row.entry
    headers = ", ".join(f"{name}: {value}" for name, value in entry.headers)
    head = Text(printable(f"{entry.method} ({entry.purpose}) {entry.url}, {headers}"), "dim")
    body = Text(printable(entry.body.decode()))
    title = f"{title}, {len(entry.body):,} bytes"
    return Panel(Text("\n").join((head, body)), title=title, title_align="left")


def _table(rows: Sequence[Row]) -> Table:
    from rich.table import Table
    from rich.text import Text

    from cogenesis.cli.ledger import printable

    table = Table(show_lines=True, title="Every request, byte for byte")
    for column in ("request and headers", "bytes", "body"):
        table.add_column(column, overflow="fold")
    for row in rows:
        entry = row.entry
        head = [entry.url, *(f"{name}: {value}" for name, value in entry.headers)]
        request = "\n".join(map(printable, [f"{entry.method} ({entry.purpose})", *head]))
        table.add_row(Text(request), f"{len(entry.body):,}", Text(printable(entry.body.decode())))
    return table
