"""From options to models: the cloud behind its egress, the device model in or beside us."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cogenesis.cli.left import earlier_instructions
from cogenesis.cli.models import fetch_model
from cogenesis.engines.cloud import CloudAddress
from cogenesis.errors import InputError
from cogenesis.home import home
from cogenesis.models import DeviceModel, LlamaCpp, LlamaServer, LocalWire
from cogenesis.models.adapters import NO_ADAPTER, find_adapter
from cogenesis.models.cloud_connection import CloudConnection, CloudKind
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint, Secret
from cogenesis.privacy.ledger import Ledger

if TYPE_CHECKING:
    from cogenesis.protection import Protection

REMEMBERED: Final = 300
"""Newest requests of the ledger whose instructions are remembered: reading them takes moments."""

CLOUD_KEY_ENV = "COGENESIS_CLOUD_KEY"
DEVICE_KEY_ENV = "COGENESIS_DEVICE_KEY"


def connect(
    stack: ExitStack,
    url: str,
    model: str | None,
    kind: CloudKind,
    key_env: str,
    ledger: Path | None,
    protection: Protection | None = None,
) -> tuple[CloudConnection, Egress]:
    """A cloud model behind the egress; all is closed with `stack`. Sends nothing yet.

    `protection` is told what the ledger holds: a process has no memory of its own.
    `key_env` names the environment variable with the API key; empty means no key.

    Raises:
        InputError: a variable was named that is empty.
        EgressError: the address or the key cannot be used.
        LedgerError: the ledger cannot be opened, so nothing may be sent.
    """
    key = _api_key(key_env)
    endpoint = CloudEndpoint.parse(url, Secret(key) if key else None)
    opened = stack.enter_context(Ledger.open(ledger or home() / "ledger.sqlite"))
    if protection is not None:
        protection.recall(earlier_instructions(opened.entries(limit=REMEMBERED)))
    egress = stack.enter_context(Egress(endpoint, opened))
    return CloudConnection(egress, model, kind), egress


def cloud_address(
    url: str, model: str | None, kind: CloudKind, key_env: str, ledger: Path | None
) -> CloudAddress:
    """Where the workers of an engine reach a cloud model, which each of them opens for itself.

    Raises:
        InputError, EgressError: as `connect`.
    """
    _api_key(key_env)
    return CloudAddress.of(url, model, kind, key_env=key_env, ledger=ledger)


def _api_key(key_env: str) -> str | None:
    """Raises InputError: a variable was named that is empty."""
    key = os.environ.get(key_env) if key_env else None
    if not key and key_env not in {"", CLOUD_KEY_ENV}:
        raise InputError(f"the environment variable {key_env} is empty: put the API key in it")
    return key


def open_device(
    stack: ExitStack,
    device: str,
    *,
    window: int,
    threads: int | None,
    quiet: bool,
    adapter: str | None = None,
) -> DeviceModel:
    """A device model: loaded here, or a llama.cpp server on this device's own address.

    `device` is what `models get` takes, or `http://127.0.0.1:PORT` (its key, if it asks for
    one, in the environment variable COGENESIS_DEVICE_KEY). `adapter` as in `find_adapter`.

    Raises:
        InputError: an adapter is given for a server, which loads its own.
        ModelError: it cannot be found, loaded or reached.
        EgressError: the address is not this device.
    """
    if device.startswith(("http://", "https://")):
        if adapter not in {None, NO_ADAPTER}:
            raise InputError(
                "a server loads its adapter itself: start llama-server with --lora FILE, and "
                "leave out --adapter"
            )
        wire = LocalWire.loopback(device, os.environ.get(DEVICE_KEY_ENV))
        return stack.enter_context(LlamaServer(wire))
    found = find_adapter(device, adapter)
    path = fetch_model(device, quiet=quiet)
    return stack.enter_context(
        LlamaCpp(path, context_tokens=window, threads=threads, adapter=found)
    )
