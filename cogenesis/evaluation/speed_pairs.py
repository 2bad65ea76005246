"""Two real models, the ways between them, and prompts read by both: what `speed` measures."""

from __future__ import annotations

import math
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final

from cogenesis.cloud_server import DemoCloud
from cogenesis.errors import ModelError
from cogenesis.evaluation.speed import SpeedSettings, timed
from cogenesis.evaluation.speed_network import Network
from cogenesis.evaluation.speed_prompts import SpeedPrompt
from cogenesis.evaluation.speed_rows import DECODINGS, DecodingName, Run, Way
from cogenesis.fused_writing import CloudLink, DeviceTokens, Habits, connect
from cogenesis.fusion.asking import Breaker
from cogenesis.fusion.decoding import Decoding
from cogenesis.fusion.draft import DraftAndVerify
from cogenesis.fusion.lockstep import Lockstep
from cogenesis.fusion.pace import LONGEST, Pacer
from cogenesis.fusion.settings import FusionSettings
from cogenesis.fusion.shielded_cloud import ShieldedCloud
from cogenesis.models.cloud_connection import CloudConnection
from cogenesis.models.draft_scoring import Prefix
from cogenesis.models.protocol import Sampling, TokenIds
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.shield import Shield
from cogenesis.wire import Deadline

CONNECT_DEADLINE_S: Final = 120.0
FILL_DEADLINE_S: Final = 60.0
"""One block while the table is filled: the longest draft, on a cloud that shares the cores."""

Decoder = Lockstep | DraftAndVerify


class _Door:
    """One address of the cloud, with an egress of its own that counts what leaves."""

    def __init__(self, stack: ExitStack, url: str, model: str, ledger: Ledger) -> None:
        self.egress = stack.enter_context(Egress(CloudEndpoint.parse(url), ledger))
        self.connection = CloudConnection(self.egress, model, "llama-server")
        # Each decoding learns for itself, from prompt to prompt.
        self.habits = {decoding: Habits() for decoding in DECODINGS}


class SpeedPair:
    """A device model and a demo cloud at several distances: `with SpeedPair(...) as pair`."""

    def __init__(self, device: DeviceTokens, cloud_model: Path, settings: SpeedSettings) -> None:
        """Nothing is started yet. Both models get one thread, so each has a core."""
        self._device, self._settings = device, settings
        self._cloud = DemoCloud(cloud_model, threads=1)
        self._stack = ExitStack()
        self._network: Network | None = None
        self._doors: dict[tuple[float, Way], _Door] = {}

    def __enter__(self) -> SpeedPair:
        stack, times = self._stack, self._settings.round_trips_ms
        with ExitStack() as undo:
            undo.callback(stack.close)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            ledger = stack.enter_context(Ledger.open(folder / "ledger.sqlite", key=os.urandom(32)))
            cloud = stack.enter_context(self._cloud)
            network = stack.enter_context(Network(cloud.url, times))
            for rtt_ms in times:
                ways: dict[Way, str] = {
                    "real": network.delayed[rtt_ms],
                    "replayed": network.replayed[rtt_ms],
                }
                for way, url in ways.items():
                    self._doors[rtt_ms, way] = _Door(stack, url, cloud.model, ledger)
            self._network = network
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def stages(self, prompts: Sequence[SpeedPrompt]) -> Iterator[RealStage]:
        """One stage after the other: there is one device model."""
        if self._network is None:
            raise ModelError("a pair is used inside `with`")
        for prompt in prompts:
            yield RealStage(
                self._device, prompt, self._doors, self._settings, self._network, self._cloud.pid
            )


class RealStage:
    """Implements `speed.Stage` with real models."""

    def __init__(
        self,
        device: DeviceTokens,
        prompt: SpeedPrompt,
        doors: dict[tuple[float, Way], _Door],
        settings: SpeedSettings,
        network: Network,
        cloud_pid: int,
    ) -> None:
        """Read nothing yet."""
        self._device, self._prompt, self._doors = device, prompt, doors
        self._settings, self._network, self._cloud_pid = settings, network, cloud_pid
        self._shield = Shield(prompt.lexicon, prompt.general)
        self._links: dict[tuple[float, Way], CloudLink] = {}
        self._sampling = Sampling(
            temperature=settings.temperature,
            top_p=1.0,
            max_tokens=settings.max_tokens,
            seed=settings.seed,
        )

    def fill(self) -> None:
        """Find the way to every address, read the prompt, and write each text once.

        Drafts go beyond the first wrong token, how far depends on timing: so the table gets
        those of the longest blocks, two in flight.
        """
        for place, door in self._doors.items():
            self._links[place] = connect(
                door.connection, self._prompt.general, self._device, Deadline(CONNECT_DEADLINE_S)
            )
        nearest = min(self._settings.round_trips_ms)
        # The cloud reads its prompt apart from the first position: so it does in every later
        # run, and what llama.cpp says depends a little on what it reads in one go.
        nothing = TokenIds(())
        self._view(self._links[nearest, "real"]).score(nothing, nothing, Deadline(FILL_DEADLINE_S))
        link = replace(self._links[nearest, "replayed"], deadline_s=FILL_DEADLINE_S)
        for decoding in DECODINGS:
            decoder = self._decoder(decoding, link, Pacer(LONGEST, flying=2), Breaker())
            for _ in decoder.tokens(self._prompt.ids):
                pass
        _settle()

    def write(self, decoding: DecodingName, rtt_ms: float, way: Way) -> Run:
        """As `speed.Stage.write`. Requests that were called off have ended, too."""
        place = (rtt_ms, way)
        door, habits = self._doors[place], self._doors[place].habits[decoding]
        decoder = self._decoder(decoding, self._links[place], habits.pace, habits.breaker)
        sent, served = door.egress.traffic, self._network.counts()
        cloud_s = _processor_s(self._cloud_pid)
        run = timed(decoder, self._prompt.ids)
        _settle()
        cloud_after_s = _processor_s(self._cloud_pid)
        sent, served = door.egress.traffic.since(sent), self._network.counts().since(served)
        worked_s = None if cloud_s is None or cloud_after_s is None else cloud_after_s - cloud_s
        return replace(
            run,
            requests=sent.requests,
            bytes=sent.bytes,
            round_trips=sent.round_trips,
            unknown=served.unknown,
            served=served.requests,
            served_cpu_s=served.cpu_s,
            cloud_cpu_s=worked_s,
        )

    def _decoder(
        self, decoding: DecodingName, link: CloudLink, pace: Pacer, breaker: Breaker
    ) -> Decoder:
        """A new one for each text, because a view of the cloud remembers what it said."""
        schedule = "paper" if decoding == "paper-schedule" else "always"
        chosen = FusionSettings(weight=self._settings.weight, schedule=schedule)
        target = chosen.target(self._sampling)
        how = Decoding(
            seed=self._settings.seed,
            max_tokens=self._settings.max_tokens,
            deadline_s=link.deadline_s,
            patience_s=math.inf,
        )
        if decoding == "device-only":
            return Lockstep(self._device, None, target, how)
        cloud = self._view(link)
        if decoding == "draft-and-verify":
            return DraftAndVerify(self._device, cloud, target, how, pace=pace, breaker=breaker)
        return Lockstep(self._device, cloud, target, how, breaker)

    def _view(self, link: CloudLink) -> ShieldedCloud[Prefix]:
        known = link.vocabularies(self._device)
        return ShieldedCloud(link.scorer, link.begun, self._shield, known, k=link.k)


def _settle() -> None:
    """Wait for requests that were called off: they must not disturb the next run."""
    for thread in threading.enumerate():
        if thread.name == "fusion-request":
            thread.join()


def _processor_s(pid: int) -> float | None:
    """Processor seconds of a process since its start, where the system tells (Linux)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
