"""From options to a cloud model: address, key, ledger, egress."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from cogenesis.home import home
from cogenesis.models.cloud_connection import CloudConnection, CloudKind
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint, Secret
from cogenesis.privacy.ledger import Ledger


def connect(
    stack: ExitStack,
    url: str,
    model: str | None,
    kind: CloudKind,
    key_env: str,
    ledger: Path | None,
) -> tuple[CloudConnection, Egress]:
    """A cloud model behind the egress; all is closed with `stack`. Sends nothing yet.

    Raises:
        EgressError: the address or the key cannot be used.
        LedgerError: the ledger cannot be opened, so nothing may be sent.
    """
    key = os.environ.get(key_env)
    endpoint = CloudEndpoint.parse(url, Secret(key) if key else None)
    opened = stack.enter_context(Ledger.open(ledger or home() / "ledger.sqlite"))
    egress = stack.enter_context(Egress(endpoint, opened))
    return CloudConnection(egress, model, kind), egress
