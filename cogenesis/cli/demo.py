"""`cogenesis demo`: two real models write a personal text together, and show what left."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from cogenesis.privacy.released import PublicText
from cogenesis.sketch.prompt import outline_prompt

if TYPE_CHECKING:
    from cogenesis.assistant import Assistant, Result, Task
    from cogenesis.cli.screen import Screen
    from cogenesis.privacy.ledger import Ledger

STAND_INS = (
    "These are two tiny stand-ins (135 and 270 million parameters), small enough for any "
    "laptop: they show how it works, not how well it can write. For real use pick a device "
    "model with “cogenesis models list” and point --cloud-url at a real cloud model."
)


def demo(
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same text.")] = 6,
    max_tokens: Annotated[int, typer.Option(min=1, help="Length of the text at most.")] = 220,
    delay_ms: Annotated[
        float, typer.Option(min=0, max=10_000, help="Network delay to add to each round trip.")
    ] = 0.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, as “write --json”.")
    ] = False,
) -> None:
    """Watch two real models write a text together, with nothing private leaving.

    Fetches both demo models (330 MB) at the first run. The person is invented.

    Examples:

      cogenesis demo

      cogenesis demo --seed 7 --delay-ms 80
    """
    from cogenesis.assistant import Assistant, Task
    from cogenesis.cli.connect import connect
    from cogenesis.cli.models import fetch_model
    from cogenesis.cli.screen import Screen
    from cogenesis.cli.write import run
    from cogenesis.cloud_server import DemoCloud
    from cogenesis.demo import DEMO_INSTRUCTION, demo_person
    from cogenesis.home import home
    from cogenesis.models import LlamaCpp
    from cogenesis.privacy.ledger import Ledger

    screen = Screen(quiet=as_json)
    device_path = fetch_model("demo-device", quiet=as_json)
    cloud_path = fetch_model("demo-cloud", quiet=as_json)
    ledger_path = home() / "demo-ledger.sqlite"
    task = Task(DEMO_INSTRUCTION, demo_person(), mode="sketch", seed=seed, max_tokens=max_tokens)
    with ExitStack() as stack:
        with screen.err.status("starting both models"):
            server = stack.enter_context(DemoCloud(cloud_path, delay_ms=delay_ms))
            device = stack.enter_context(LlamaCpp(device_path, threads=1))
        ledger = stack.enter_context(Ledger.open(ledger_path))
        before = ledger.last_row()
        cloud, egress = connect(stack, server.url, server.model, "auto", "", ledger_path)
        assistant = Assistant(device, cloud=cloud, traffic=lambda: egress.traffic)
        _introduce(screen, assistant, task)
        result = run(assistant, task, screen, as_json=as_json)
        _show_sent(screen, assistant, task, result, ledger, before)
    screen.say(f"The record stays: cogenesis ledger show --ledger '{ledger_path}'", "dim")
    screen.say(f"\n{STAND_INS}")


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
    screen.heading("Two models write")


def _show_sent(
    screen: Screen,
    assistant: Assistant,
    task: Task,
    result: Result,
    ledger: Ledger,
    before: int,
) -> None:
    """Everything that left, from the ledger, checked once more against the lexicon."""
    from rich.table import Table
    from rich.text import Text

    from cogenesis.cli.ledger import printable, text_fields

    guard = assistant.guard(task)
    table = Table(show_lines=True, title="Every request of this demo, byte for byte")
    for column in ("request and headers", "bytes", "body"):
        table.add_column(column, overflow="fold")
    fixed = _fixed(result)
    found, sent = 0, 0
    for row in ledger.entries(after=before, newest_first=False):
        body = row.entry.body
        head = [row.entry.url, *(f"{name}: {value}" for name, value in row.entry.headers)]
        texts = [text for _, text in text_fields(body)]
        found += sum(len(guard.audit(text, result.general, fixed)) for text in texts)
        sent += len(body)
        request = [f"{row.entry.method} ({row.entry.purpose})", *head]
        table.add_row(
            Text("\n".join(map(printable, request))), str(len(body)), Text(printable(body.decode()))
        )
    screen.heading("What left this device")
    screen.err.print(table)
    size = guard.lexicon.size
    checked = size.identifiers + size.rare_words + size.runs
    verdict = "none of them left" if found == 0 else f"{found} LEFT: this is a fault"
    screen.say(
        f"{sent:,} bytes of bodies in all. {checked:,} private terms were looked for in every "
        "body, except the topic words of the general instruction and the fixed text that is the "
        f"same for everybody: {verdict}.",
        "bold green" if found == 0 else "bold red",
    )


def _fixed(result: Result) -> list[PublicText]:
    """The text around the general instruction: it ships with the program."""
    if result.general is None:
        return []
    prompt = outline_prompt(result.general)
    parts = [*prompt.completion, *(part for m in prompt.messages for part in m.parts)]
    return [part for part in parts if isinstance(part, PublicText)]
