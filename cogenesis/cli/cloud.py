"""`cogenesis cloud`: serve the demo cloud model on this machine."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cogenesis.errors import InputError

if TYPE_CHECKING:
    from cogenesis.cloud_server import Ready


def cloud(
    model: Annotated[
        str, typer.Option(help="demo-cloud, or any model that `models get` takes.")
    ] = "demo-cloud",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free port.")] = 8090,
    host: Annotated[str, typer.Option(help="A loopback address; no other is served.")] = (
        "127.0.0.1"
    ),
    delay_ms: Annotated[
        float,
        typer.Option(min=0, max=60_000, help="Milliseconds added to every round trip."),
    ] = 0.0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Default: half of the cores, at least 1.")
    ] = None,
    ctx: Annotated[int, typer.Option(min=128, help="Context window in tokens.")] = 4096,
    api_key_env: Annotated[
        str | None,
        typer.Option(help="Ask for the API key that this environment variable holds."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the ready line as JSON.")] = False,
    with_parent: Annotated[
        bool, typer.Option("--with-parent", hidden=True, help="End when standard input ends.")
    ] = False,
) -> None:
    """Serve a stand-in for a cloud model: a real llama.cpp server on this machine.

    It speaks the OpenAI protocol under /v1; its model is called demo-cloud.

    It prints one line when it is ready and serves until Ctrl-C.

    Examples:

      cogenesis cloud

      cogenesis cloud --port 0 --delay-ms 80

      cogenesis cloud --model ~/models/big.gguf --threads 8
    """
    from cogenesis.cli.models import fetch_model
    from cogenesis.cloud_server import CloudSettings, default_threads, require_loopback, serve

    require_loopback(host)
    settings = CloudSettings(
        model=fetch_model(model),
        host=host,
        port=port,
        delay_ms=delay_ms,
        threads=threads or default_threads(),
        context_tokens=ctx,
        api_key=_read_key(api_key_env),
    )

    def announce(ready: Ready) -> None:
        if as_json:
            line = json.dumps(asdict(ready))
        else:
            delay = f", {ready.delay_ms:g} ms added to each round trip" if ready.delay_ms else ""
            line = f"ready {ready.url} model {ready.model}{delay}. Stop it with Ctrl-C."
        # Not typer.echo: whoever waits for this line reads it through a pipe.
        print(line, flush=True)  # noqa: T201

    serve(settings, announce, until_stdin_closes=with_parent)


def _read_key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise InputError(f"the environment variable {variable} is empty. Put the API key in it.")
    return key
