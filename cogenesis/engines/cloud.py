"""A cloud model as workers reach it: each process opens its own egress, and a ledger first.

What goes to a worker is an address, not a connection. The API key is never part of it: a
worker reads it from its own environment, where the cluster's owner put it, so that it is in no
message and no record of the cluster. Everything fails closed: without the key that the run
was started with, or without a ledger that can be written, the worker sends nothing.

Processes of one machine write one ledger: it is safe for several processes, each record waits
for the ones before it. A worker on another machine writes a ledger of its own there
(`Place.own`), which `cogenesis ledger` reads with `--ledger`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cogenesis.engines.engine import Place
from cogenesis.errors import InputError
from cogenesis.home import home
from cogenesis.models.cloud_connection import CloudConnection, CloudKind
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint, Secret
from cogenesis.privacy.ledger import Ledger


@dataclass(frozen=True, slots=True)
class CloudAddress:
    """Where a cloud model is, and how it is asked. Made by `of`; it can be pickled.

    Attributes:
        url, model, kind: as in `CloudConnection` and `CloudEndpoint`.
        key_env: the environment variable with the API key; empty for none.
        keyed: whether there was a key where the run was started: then each worker needs it.
        ledger: on the machine where the run was started.
        elsewhere: the ledger on other machines; None for the one of their own CoGenesis folder.
    """

    url: str
    model: str | None
    kind: CloudKind
    key_env: str
    keyed: bool
    ledger: Path
    elsewhere: Path | None

    @classmethod
    def of(
        cls,
        url: str,
        model: str | None = None,
        kind: CloudKind = "auto",
        *,
        key_env: str = "",
        ledger: Path | None = None,
    ) -> CloudAddress:
        """Check the address where the run is started.

        Raises:
            EgressError: the address or the key cannot be used.
            InputError: the CoGenesis folder cannot be used.
        """
        key = os.environ.get(key_env) if key_env else None
        CloudEndpoint.parse(url, Secret(key) if key else None)
        path = (ledger or home() / "ledger.sqlite").absolute()
        return cls(url, model, kind, key_env, bool(key), path, ledger and path)

    @property
    def name(self) -> str:
        """As `CloudConnection.name`: the model's where one was given, else the server's."""
        return CloudEndpoint.parse(self.url).host if self.model is None else self.model

    @contextmanager
    def open(self, place: Place) -> Iterator[tuple[CloudConnection, Egress]]:
        """The model behind an egress of this process. Sends nothing yet.

        Raises:
            InputError: the key is missing here.
            LedgerError: the ledger cannot be opened, so nothing may be sent.
        """
        key = os.environ.get(self.key_env) if self.key_env else None
        if self.keyed and not key:
            raise InputError(
                f"the environment variable {self.key_env} is not set for the workers on "
                f"{place.machine.name}: set it before “ray start” there. Nothing was sent from it"
            )
        endpoint = CloudEndpoint.parse(self.url, Secret(key) if key else None)
        with Ledger.open(self.ledger_at(place)) as ledger, Egress(endpoint, ledger) as egress:
            yield CloudConnection(egress, self.model, self.kind), egress

    def ledger_at(self, place: Place) -> Path:
        """Where a worker at this place writes what it sends."""
        if place.machine == place.driver:
            return self.ledger
        return place.own(self.elsewhere or home() / "ledger.sqlite")
