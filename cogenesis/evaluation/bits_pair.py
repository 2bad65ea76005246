"""Two real models, and the cloud as seen through the shield or without it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol

from cogenesis.cloud_server import DemoCloud
from cogenesis.errors import InputError, ModelError
from cogenesis.evaluation.bits import (
    BitsSettings,
    ShieldState,
    System,
    TextCost,
    cost,
    device_bits,
)
from cogenesis.evaluation.bits_positions import Position, positions
from cogenesis.evaluation.bits_samples import BitsTask, Tokenises
from cogenesis.fused_writing import CloudLink, DeviceTokens, connect
from cogenesis.fusion.shielded_cloud import ShieldedCloud
from cogenesis.models.cloud_connection import CloudConnection
from cogenesis.models.draft_scoring import Prefix
from cogenesis.models.protocol import DeviceText, Model
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.released import GeneralInstruction
from cogenesis.privacy.shield import Shield
from cogenesis.wire import Deadline

CONNECT_DEADLINE_S: Final = 120.0

LARGEST_VOCABULARY: Final = 300_000
"""Of a device model that cannot tell its own."""

LONGEST_BLOCK: Final = 16
_ENTRIES: Final = 2048
"""Entries in one reply, a position counted once: 0.2 MB of the 1 MB that a reply may have. A
position is asked at a few places where the vocabularies differ."""


def block_of(cloud_k: int) -> int:
    """Positions in one request."""
    return max(1, min(LONGEST_BLOCK, _ENTRIES // cloud_k))


class ScoringDevice(Model[DeviceText], Tokenises, Protocol):
    """A device model that also cuts texts; `LlamaCpp` and `LlamaServer` are such."""


class BitsPair:
    """A device model and a cloud beside it: `with BitsPair(...) as pair`.

    A cloud that is given as a file is a process on this machine, reached through egress and a
    ledger as a real one.
    """

    def __init__(
        self, device: ScoringDevice, cloud: Path | CloudConnection, settings: BitsSettings
    ) -> None:
        """Nothing is started yet. The cloud gets one thread, the device should have one too."""
        self._model, self._tokens, self._settings = device, DeviceTokens(device), settings
        self._cloud = DemoCloud(cloud, threads=1) if isinstance(cloud, Path) else None
        self._stack = ExitStack()
        self._connection = None if isinstance(cloud, Path) else cloud

    def __enter__(self) -> BitsPair:
        if self._cloud is None:
            return self
        with ExitStack() as undo:
            undo.callback(self._stack.close)
            enter = self._stack.enter_context
            folder = Path(enter(tempfile.TemporaryDirectory()))
            ledger = enter(Ledger.open(folder / "ledger.sqlite", key=os.urandom(32)))
            cloud = enter(self._cloud)
            egress = enter(Egress(CloudEndpoint.parse(cloud.url), ledger))
            self._connection = CloudConnection(egress, cloud.model, "llama-server")
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def positions(self, task: BitsTask) -> Generator[Position, None, None]:
        """Every token of a text, with a row for each state of the shield in the settings.

        Raises:
            InputError: the cloud gives fewer entries than `cloud_k`.
            ModelError, PrivacyError: as `bits_positions.positions`.
        """
        settings, link = self._settings, self._link(task.general)
        self._tokens.learn(task.reference.ids, task.reference.pieces)
        known = link.vocabularies(self._tokens)
        clouds: list[ShieldedCloud[Prefix]] = [
            ShieldedCloud(link.scorer, link.begun, shield_of(state, task), known, k=link.k)
            for state in settings.shields
        ]
        yield from positions(
            self._tokens,
            clouds,
            task.reference,
            k=settings.device_k,
            vocabulary=len(self._tokens.whole or ()) or LARGEST_VOCABULARY,
            block=block_of(link.k),
        )

    def cost(self, task: BitsTask, measured: Sequence[System]) -> TextCost:
        """What a text costs by each system. Raises likewise."""
        # Closed at once also if it is interrupted, so that the cloud is left alone.
        with closing(self.positions(task)) as found:
            return cost(found, measured, self._settings.shields)

    def _link(self, general: GeneralInstruction) -> CloudLink:
        if self._connection is None:
            raise ModelError("a pair is used inside `with`")
        deadline, k = Deadline(CONNECT_DEADLINE_S), self._settings.cloud_k
        link = connect(self._connection, general, self._tokens, deadline)
        largest = link.scorer.scoring.largest_k
        if k > largest:
            raise InputError(f"this cloud lists {largest} tokens at most: use --cloud-k {largest}")
        return replace(link, k=k)


def bits_alone(device: ScoringDevice, task: BitsTask, settings: BitsSettings) -> float:
    """What a device model pays for a text, in bits, with nobody to ask."""
    tokens = DeviceTokens(device)
    found = positions(
        tokens,
        (),
        task.reference,
        k=settings.device_k,
        vocabulary=len(tokens.whole or ()) or LARGEST_VOCABULARY,
        block=LONGEST_BLOCK,
    )
    with closing(found):
        return device_bits(found)


def shield_of(state: ShieldState, task: BitsTask) -> Shield:
    """The product's shield, or one that knows nothing of the person.

    The latter still masks what looks like an identifier by its shape alone, and sensitive
    words: a shield without those does not exist.
    """
    lexicon = task.lexicon if state == "on" else Lexicon(())
    return Shield(lexicon, task.general)
