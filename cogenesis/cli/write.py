"""`cogenesis write`: write a text with private context through a cloud model."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cogenesis.errors import GuardRefusedError, InputError, LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cogenesis.assistant import Assistant, Result, Task
    from cogenesis.cli.screen import Screen
    from cogenesis.context.private_context import PrivateContext
    from cogenesis.models.protocol import Prompt
    from cogenesis.privacy.released import GeneralInstruction, Released

STOPPED = 130

Mode = Literal["auto", "sketch", "device"]
CloudKind = Literal["auto", "llama-server", "openai-chat", "openai-completion"]


def write(
    instruction: Annotated[
        str,
        typer.Argument(
            help="What to write, “general part: details”. - reads standard input: other users "
            "of this machine can see a command's arguments."
        ),
    ],
    context: Annotated[
        Path | None,
        typer.Option("--context", "-c", help="Your private context (docs/context-format.md)."),
    ] = None,
    mode: Annotated[
        Mode,
        typer.Option(help="auto: sketch if a cloud is given, else device."),
    ] = "auto",
    general: Annotated[
        str | None, typer.Option(help="What the cloud model is told, in your own words.")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Let this word through (repeatable); the ledger notes it."),
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show what would leave, and send nothing.")
    ] = False,
    cloud_url: Annotated[
        str | None,
        typer.Option(envvar="COGENESIS_CLOUD_URL", help="Such as https://api.example.com/v1."),
    ] = None,
    cloud_model: Annotated[
        str | None,
        typer.Option(envvar="COGENESIS_CLOUD_MODEL", help="The model's name on that server."),
    ] = None,
    cloud_kind: Annotated[
        CloudKind, typer.Option(help="The server's kind; auto asks it.")
    ] = "auto",
    cloud_key_env: Annotated[
        str, typer.Option(help="Environment variable that holds the API key.")
    ] = "COGENESIS_CLOUD_KEY",
    cloud_deadline: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds to wait for the outline.")
    ] = 60.0,
    device: Annotated[
        str,
        typer.Option(
            envvar="COGENESIS_DEVICE",
            help="Device model: see “cogenesis models list”; or a llama.cpp server on this "
            "device, as http://127.0.0.1:PORT.",
        ),
    ] = "demo-device",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Default: cores - 1, fewer on a busy machine.")
    ] = None,
    window: Annotated[int, typer.Option(min=256, help="Device model's window in tokens.")] = 4096,
    max_tokens: Annotated[int, typer.Option(min=1, help="Length of the text at most.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same text.")] = 0,
    ledger: Annotated[
        Path | None, typer.Option(help="The ledger's file. Default: in your CoGenesis folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print the text and errors only.")
    ] = False,
) -> None:
    """Write a text in your voice. The cloud model sees a general instruction only.

    Examples:

      cogenesis write "Write a speech for a farewell: Bertrand leaves the choir" -c me.json

      cogenesis write - -c me.json --cloud-url http://127.0.0.1:8090 < task.txt

      cogenesis write "Write an e-mail: ..." -c me.json --preview
    """
    from cogenesis.assistant import Assistant, Degraded, Task
    from cogenesis.cli.screen import Screen

    screen = Screen(quiet=quiet or as_json, about_is_output=preview)
    task = Task(
        instruction=_instruction(instruction),
        context=_context(context, screen),
        mode=mode,
        general=general,
        allow=tuple(allow or ()),
        seed=seed,
        max_tokens=max_tokens,
        cloud_deadline_s=cloud_deadline,
    )
    if preview:
        _preview(task, screen, as_json=as_json)
        return
    with ExitStack() as stack:
        from cogenesis.cli.connect import connect, open_device

        cloud, traffic, no_cloud = None, None, None
        if cloud_url is not None and mode != "device":
            try:
                cloud, egress = connect(
                    stack, cloud_url, cloud_model, cloud_kind, cloud_key_env, ledger
                )
                traffic = lambda: egress.traffic  # noqa: E731
            except LedgerError as error:
                no_cloud = Degraded("ledger", f"nothing is sent: {error}")
        elif mode == "sketch":
            raise InputError("sketch mode needs a cloud model: give --cloud-url URL")
        model = open_device(stack, device, window=window, threads=threads, quiet=quiet or as_json)
        assistant = Assistant(model, cloud=cloud, traffic=traffic, no_cloud=no_cloud)
        run(assistant, task, screen, as_json=as_json)


def run(assistant: Assistant, task: Task, screen: Screen, *, as_json: bool = False) -> Result:
    """Show the events of one text; Ctrl-C keeps what is written so far (exit code 130).

    A second Ctrl-C, or one before the first token, ends at once.
    """
    from cogenesis.assistant import Degraded, Outlined, Result, Started, Token
    from cogenesis.cli.screen import result_json

    status = screen.err.status("reading", spinner="dots")
    result: Result | None = None
    stop = threading.Event()
    try:
        status.start()
        for event in assistant.stream(task, stop=stop):
            if isinstance(event, Token):
                status.stop()
                signal.signal(signal.SIGINT, _stop_once(stop))
                if not as_json:
                    screen.piece(event.text)
            elif isinstance(event, Started):
                screen.general(event.general)
                for note in event.notes:
                    screen.say(note, "dim")
                waits = "" if event.general is None else ", the cloud outlines"
                status.update(f"the device reads your context{waits}")
            elif isinstance(event, Outlined):
                screen.sketch(event.sketch)
                status.update("the device reads the outline")
            elif isinstance(event, Degraded):
                screen.degraded(event)
            elif isinstance(event, Result):
                result = event
    finally:
        status.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if result is None:
        raise RuntimeError("a stream ended without a result")
    if as_json:
        typer.echo(result_json(result))
    else:
        screen.piece("\n")
        screen.summary(result)
    if result.stopped:
        screen.say("stopped: the text so far is above", "yellow")
        raise typer.Exit(STOPPED)
    return result


def _stop_once(stop: threading.Event) -> Callable[[int, object], None]:
    def handler(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    return handler


def _preview(task: Task, screen: Screen, *, as_json: bool) -> None:
    """What would leave: decided by the same guard as the real thing. No model is loaded."""
    from cogenesis.assistant import general_instruction, lexicon_of
    from cogenesis.cli.screen import preview_json
    from cogenesis.privacy.guard import Guard
    from cogenesis.sketch.prompt import outline_prompt

    guard = Guard(lexicon_of(task.context), allow=task.allow)
    general: GeneralInstruction | None = None
    refused: str | None = None
    if task.mode == "device":
        guard.check_instruction(task.instruction)
    else:
        try:
            general = general_instruction(task, guard)
        except GuardRefusedError as error:
            if task.general is not None:
                raise
            refused = str(error)
    prompt = None if general is None else outline_prompt(general)
    sent = "" if prompt is None else _as_text(prompt)
    if as_json:
        typer.echo(preview_json(general, guard.inspect(task.instruction), sent, refused))
        return
    screen.heading("What you typed")
    screen.marked(task.instruction, guard.inspect(task.instruction))
    screen.heading("What would leave in sketch mode (nothing was sent)")
    screen.general(general)
    if refused is not None:
        screen.say(refused, "yellow")
    if sent:
        screen.say("inside this fixed text, the same for everybody:", "dim")
        screen.say(sent, "dim")


def _as_text(prompt: Prompt[Released]) -> str:
    return "\n".join(
        f"{message.role}: {''.join(part.text for part in message.parts)}"
        for message in prompt.messages
    )


def _instruction(given: str) -> str:
    if given != "-":
        return given
    data = sys.stdin.buffer.read(1_000_000)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InputError("standard input is not UTF-8 text") from None


def _context(path: Path | None, screen: Screen) -> PrivateContext:
    from cogenesis.context.private_context import PrivateContext
    from cogenesis.context.reader import read_context

    if path is None:
        screen.say("no --context: nothing private to write from", "dim")
        return PrivateContext()
    return read_context(path, on_warning=lambda warning: screen.say(warning, "yellow"))
