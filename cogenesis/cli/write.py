"""`cogenesis write`: write a text with private context through a cloud model."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cogenesis.cli.device_model import AdapterOption
from cogenesis.cli.privacy_options import PolicyOption, RecogniserOption
from cogenesis.errors import InputError, LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cogenesis.assistant import Assistant, Result, Task
    from cogenesis.cli.screen import Screen
    from cogenesis.context.private_context import PrivateContext
    from cogenesis.fusion.gate_file import TrainedGate
    from cogenesis.fusion.settings import FusionSettings
    from cogenesis.models.protocol import DeviceModel
    from cogenesis.protection import Protection

STOPPED = 130

# Written out once more, so that --help loads no model code; a test compares them.
Mode = Literal["auto", "sketch", "fusion", "device"]
CloudKind = Literal[
    "auto",
    "llama-server",
    "vllm",
    "sglang",
    "openai-chat",
    "openai-completion",
    "openai-echo",
    "openai-echo-last",
]
Rule = Literal["mixture", "logits", "product", "max"]
Decoding = Literal["draft-and-verify", "lockstep"]
Schedule = Literal["always", "paper", "unsure"]

FUSION = "Fusion"
"""Panel of the options that belong to fusion alone."""


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
        typer.Option(
            help="auto: sketch if a cloud is given, else device. fusion also sends the shielded "
            "text as it grows (docs/fusion.md)."
        ),
    ] = "auto",
    general: Annotated[
        str | None, typer.Option(help="What the cloud model is told, in your own words.")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Let this word through (repeatable); the ledger notes it."),
    ] = None,
    policy: PolicyOption = "strict",
    recogniser: RecogniserOption = None,
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
        float,
        typer.Option(min=0.1, max=3600, help="Seconds to wait for the outline or connection."),
    ] = 60.0,
    device: Annotated[
        str,
        typer.Option(
            envvar="COGENESIS_DEVICE",
            help="Device model: see “cogenesis models list”; or a llama.cpp server on this "
            "device, as http://127.0.0.1:PORT.",
        ),
    ] = "demo-device",
    adapter: AdapterOption = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Default: cores - 1, fewer on a busy machine.")
    ] = None,
    window: Annotated[int, typer.Option(min=256, help="Device model's window in tokens.")] = 4096,
    max_tokens: Annotated[int, typer.Option(min=1, help="Length of the text at most.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same text.")] = 0,
    ledger: Annotated[
        Path | None, typer.Option(help="The ledger's file. Default: in your CoGenesis folder.")
    ] = None,
    weight: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="The device model's share, for rules that have one.",
            show_default="0.5",
            rich_help_panel=FUSION,
        ),
    ] = None,
    rule: Annotated[
        Rule | None,
        typer.Option(
            help="How the two predictions are mixed.",
            show_default="mixture",
            rich_help_panel=FUSION,
        ),
    ] = None,
    decoding: Annotated[
        Decoding | None,
        typer.Option(
            help="One round trip for a block of tokens, or for each token: the same text.",
            show_default="draft-and-verify",
            rich_help_panel=FUSION,
        ),
    ] = None,
    schedule: Annotated[
        Schedule | None,
        typer.Option(
            help="Where the cloud is asked: at every token, by the paper's clock, or where the "
            "device is unsure.",
            show_default="always",
            rich_help_panel=FUSION,
        ),
    ] = None,
    gate: Annotated[
        Path | None,
        typer.Option(
            help="A gate of “cogenesis train gate”: sets the device model's share at each token. "
            "demo: the one for the two demo models.",
            rich_help_panel=FUSION,
        ),
    ] = None,
    save_html: Annotated[
        Path | None,
        typer.Option(
            help="Also write a page with the text and what left; an older one is replaced."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print the text and errors only.")
    ] = False,
) -> None:
    """Write a text in your voice. The cloud model sees a general instruction only.

    In fusion mode, which is never a default, it also sees the shielded text as it grows.

    Examples:

      cogenesis write "Write a speech for a farewell: Bertrand leaves the choir" -c me.json

      cogenesis write "Write an e-mail: ..." -c me.json --preview

      cogenesis write - -c me.json --cloud-url http://127.0.0.1:8090 --mode fusion < task.txt

      cogenesis write - -c me.json --policy standard --recogniser presidio --preview < task.txt
    """
    from cogenesis.assistant import Task
    from cogenesis.cli.connect import open_device
    from cogenesis.cli.html_page import check_place
    from cogenesis.cli.preview import show_preview
    from cogenesis.cli.privacy_options import protection_of
    from cogenesis.cli.screen import Screen

    screen = Screen(quiet=quiet or as_json, text=not as_json, about_is_output=preview)
    task = Task(
        instruction=_instruction(instruction),
        context=_context(context, screen),
        mode=mode,
        general=general,
        allow=tuple(allow or ()),
        seed=seed,
        max_tokens=max_tokens,
        cloud_deadline_s=cloud_deadline,
        fusion=_fusion(mode, (weight, rule, decoding, schedule, gate), (device, adapter), quiet),
    )
    protection = protection_of(policy, recogniser)
    if preview:
        if save_html is not None:
            raise InputError("--save-html keeps a written text: leave out --preview")
        show_preview(task, protection, screen, as_json=as_json, kind=cloud_kind)
        return
    if save_html is not None:
        check_place(save_html)
    with ExitStack() as stack:
        connected = _connected(
            stack, mode, cloud_url, cloud_model, cloud_kind, cloud_key_env, ledger, protection
        )
        model = open_device(
            stack, device, window=window, threads=threads, quiet=quiet or as_json, adapter=adapter
        )
        result = run(connected(model), task, screen)
    _hand_over(result, screen, as_json=as_json, save_html=save_html)


def _connected(
    stack: ExitStack,
    mode: Mode,
    url: str | None,
    name: str | None,
    kind: CloudKind,
    key_env: str,
    ledger: Path | None,
    protection: Protection,
) -> Callable[[DeviceModel], Assistant]:
    """Connect the cloud first, because loading a device model for a typing mistake takes long.

    Raises:
        InputError: the mode needs a cloud and none was given; or as `connect`.
        EgressError: as `connect`.
    """
    from cogenesis.assistant import Assistant, Degraded
    from cogenesis.cli.connect import connect

    if url is None and mode in {"sketch", "fusion"}:
        raise InputError(f"{mode} mode needs a cloud model: give --cloud-url URL")
    if url is None or mode == "device":
        return partial(Assistant, protection=protection)
    try:
        cloud, egress = connect(stack, url, name, kind, key_env, ledger, protection)
    except LedgerError as error:
        no_cloud = Degraded("ledger", f"nothing is sent: {error}")
        return partial(Assistant, no_cloud=no_cloud, protection=protection)
    return partial(Assistant, cloud=cloud, traffic=lambda: egress.traffic, protection=protection)


def _hand_over(result: Result, screen: Screen, *, as_json: bool, save_html: Path | None) -> None:
    """What comes after the text itself. A text that was stopped is handed over too."""
    from cogenesis.cli.html_page import save_page
    from cogenesis.cli.screen import result_json

    if as_json:
        typer.echo(result_json(result))
    if save_html is not None:
        save_page(save_html, result)
        screen.say(f"The page is {save_html}; only you can read it.", "dim")
    end_if_stopped(result, screen)


def end_if_stopped(result: Result, screen: Screen) -> None:
    """End the program with the exit code of Ctrl-C where that ended the text."""
    if result.stopped:
        screen.say("stopped: the text so far is above", "yellow")
        raise typer.Exit(STOPPED)


def run(assistant: Assistant, task: Task, screen: Screen) -> Result:
    """Show the events of one text; Ctrl-C keeps what is written so far.

    A second Ctrl-C, or one before the first token, ends at once.
    """
    from cogenesis.assistant import Degraded, Outlined, Result, Started, Token
    from cogenesis.cli.decided import who_decided

    fusion = task.mode == "fusion"
    status = screen.err.status("reading", spinner="dots")
    result: Result | None = None
    late: list[Degraded] = []  # told below the text, not in the middle of it
    written = False
    stop = threading.Event()
    try:
        status.start()
        for event in assistant.stream(task, stop=stop):
            if isinstance(event, Token):
                status.stop()
                signal.signal(signal.SIGINT, _stop_once(stop))
                screen.token(event, by_source=fusion)
                written = True
            elif isinstance(event, Started):
                screen.general(event.general)
                for note in event.notes:
                    screen.say(note, "dim")
                waits = "" if event.general is None or fusion else ", the cloud outlines"
                status.update(f"the device reads your context{waits}")
                if fusion and event.general is not None:
                    screen.legend()
            elif isinstance(event, Outlined):
                screen.sketch(event.sketch)
                status.update("the device reads the outline")
            elif isinstance(event, Degraded) and written:
                late.append(event)
            elif isinstance(event, Degraded):
                screen.degraded(event)
            elif isinstance(event, Result):
                result = event
    finally:
        status.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if result is None:
        raise RuntimeError("a stream ended without a result")
    screen.piece("\n")
    for each in late:
        if each.reason not in who_decided(result).fallbacks:  # the summary tells those
            screen.degraded(each, late=True)
    screen.summary(result)
    return result


def _stop_once(stop: threading.Event) -> Callable[[int, object], None]:
    def handler(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    return handler


def _fusion(
    mode: Mode, given: tuple[Any, ...], model: tuple[str, str | None], quiet: bool
) -> FusionSettings:
    """Settings of fusion; one that is given for another mode is a mistake, not a wish.

    A gate that was not fitted to the `model` (device and adapter) is used, and that is told.
    """
    from cogenesis.fusion.settings import FusionSettings

    names = ("weight", "rule", "decoding", "schedule", "gate")
    chosen = {name: value for name, value in zip(names, given, strict=True) if value is not None}
    if chosen and mode != "fusion":
        options = ", ".join(f"--{name}" for name in chosen)
        raise InputError(f"{options} belongs to fusion: add --mode fusion")
    if "gate" in chosen:
        from cogenesis.fusion.gate_file import load_gate

        if "weight" in chosen:
            raise InputError("--gate sets the weight at each token: leave out --weight")
        chosen["gate"] = trained = load_gate(chosen["gate"])
        chosen.setdefault("rule", trained.rule)
        if not quiet:
            _tell_of_other_adapter(trained, *model)
    return FusionSettings(**chosen)


def _tell_of_other_adapter(gate: TrainedGate, device: str, adapter: str | None) -> None:
    from cogenesis.cli.device_model import adapter_id
    from cogenesis.untrusted import clean

    if device.startswith(("http://", "https://")):
        return  # whether a server uses an adapter is not known
    warning = gate.adapter_warning(adapter_id(device, adapter).get("adapter"))
    if warning is not None:
        typer.echo(f"warning: {clean(warning)}", err=True)


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
