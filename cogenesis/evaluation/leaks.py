"""What a cloud server receives while the assistant writes: two real models, and a relay.

The assistant writes each text as it does for a user. Between its egress and the demo cloud, a
server process of its own, stands a relay that keeps what comes; neither the ledger nor the
guard is asked what left.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from cogenesis.assistant import Assistant
from cogenesis.cloud_server import DemoCloud
from cogenesis.context.reader import Sample
from cogenesis.errors import InputError, InstructionError, ModelError
from cogenesis.evaluation.even_caches import even_cloud, even_device
from cogenesis.evaluation.leaks_received import TOO_LONG, Fixed, Received, SentMode
from cogenesis.evaluation.recording_relay import RecordingRelay
from cogenesis.events import Result, Task
from cogenesis.models.cloud_connection import CloudConnection
from cogenesis.models.llama_cpp import LlamaCpp
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from cogenesis.protection import Protection

SKETCH_TOKENS: Final = 16
"""In sketch mode the cloud never sees the text, so a beginning of it is enough."""

_REQUESTS: Final = frozenset({"fusion-request", "fusion-link", "sketch"})
"""Threads that send; one that was called off may still do so when the text has ended."""

_NOBODY: Final = "Write a short letter"
"""The general instruction of somebody who has no context."""


@dataclass(frozen=True, slots=True)
class LeaksSettings:
    """How the texts are written. The same for all samples."""

    max_tokens: int = 120
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise InputError("--max-tokens is at least 1")


@dataclass(frozen=True, slots=True)
class LeaksSample:
    """What one text told the server.

    Attributes:
        sample: its number in the file, from 1.
        id: what the file calls it.
        mode: that was asked for.
        written: the mode in which the text was written in the end; "none" for no text.
        degraded: one word, where the cloud's part is missing; None otherwise.
        tokens: of the text.
        requests, bytes: that the server received for it.
        received: what they say.
    """

    sample: int
    id: str
    mode: SentMode
    written: str
    degraded: str | None
    tokens: int
    requests: int
    bytes: int
    received: Received

    def to_json(self) -> dict[str, Any]:
        """All of it, and nothing of the private side: what was received has left already."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LeaksSample:
        """What `to_json` gave. Raises KeyError, TypeError or ValueError if it is not that."""
        if value["mode"] not in {"sketch", "fusion"}:
            raise ValueError("a mode that sends nothing")
        return cls(**{**value, "received": Received.from_json(value["received"])})


class LeaksStage:
    """A device model, a demo cloud, and the relay between: `with LeaksStage(...) as stage`."""

    def __init__(self, device: LlamaCpp, cloud_model: Path, settings: LeaksSettings) -> None:
        """Nothing is started yet. The cloud gets one thread, the device should have one too."""
        self._device, self._settings = device, settings
        self._cloud = DemoCloud(cloud_model, threads=1)
        self._stack = ExitStack()
        self._assistant: Assistant | None = None
        self._connection: CloudConnection | None = None
        self._protection = Protection()
        self._relay: RecordingRelay | None = None
        self._fixed: dict[SentMode, Fixed] = {}

    def __enter__(self) -> LeaksStage:
        with ExitStack() as undo:
            undo.callback(self._stack.close)
            enter = self._stack.enter_context
            folder = Path(enter(tempfile.TemporaryDirectory()))
            ledger = enter(Ledger.open(folder / "ledger.sqlite"))
            cloud = enter(self._cloud)
            self._relay = enter(RecordingRelay(cloud.url))
            egress = enter(Egress(CloudEndpoint.parse(self._relay.url), ledger))
            connection = CloudConnection(egress, cloud.model, "llama-server")
            self._connection = connection
            self._assistant = Assistant(self._device, cloud=connection, protection=self._protection)
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def measure(
        self,
        number: int,
        sample: Sample,
        mode: SentMode,
        said: Iterable[str] = (),
        stop: threading.Event | None = None,
    ) -> LeaksSample:
        """Write a sample's text and tell what the server received.

        An instruction that cannot be used is no reason to stop: no text comes of it.

        Args:
            number, sample: from the file.
            mode: of writing.
            said: what was released for the same person before.
            stop: once it is set the text ends, and what comes back is not whole.

        Raises:
            ModelError: the device model failed, or the relay saw nothing of what was sent.
        """
        fixed = self._fixed_for(mode)
        self._protection.begin(sample.context, said)
        most = SKETCH_TOKENS if mode == "sketch" else self._settings.max_tokens
        result, requests = self._written(
            Task(
                sample.instruction,
                sample.context,
                mode=mode,
                seed=self._settings.seed,
                max_tokens=most,
            ),
            stop,
        )
        if result is not None and result.general is not None and not requests:
            raise ModelError("the relay saw nothing of what was sent: there is another way out")
        written: str = "none"
        missing: str | None = TOO_LONG
        tokens = 0
        if result is not None:
            written, tokens = result.mode, len(result.tokens)
            missing = None if result.degraded is None else result.degraded.reason
        size, received = sum(len(each.body) for each in requests), fixed.received(requests)
        return LeaksSample(
            number, sample.id, mode, written, missing, tokens, len(requests), size, received
        )

    def _fixed_for(self, mode: SentMode) -> Fixed:
        """What the server receives for somebody without a context, probes included."""
        if mode not in self._fixed:
            task = Task(_NOBODY, mode=mode, general=_NOBODY, max_tokens=SKETCH_TOKENS)
            self._fixed[mode] = Fixed(self._written(task)[1], _NOBODY)
        return self._fixed[mode]

    def _written(
        self, task: Task, stop: threading.Event | None = None
    ) -> tuple[Result | None, list[Any]]:
        """The text, None if its instruction cannot be used; and what was received meanwhile."""
        if self._assistant is None or self._relay is None or self._connection is None:
            raise ModelError("a stage is used inside `with`")
        even_device(self._device)
        even_cloud(self._connection)
        self._relay.take()
        result = None
        with suppress(InstructionError):
            result = self._assistant.write(task, stop=stop)
        _settle()
        return result, self._relay.take()


def _settle() -> None:
    """Wait until nothing is sent any more."""
    for thread in threading.enumerate():
        if thread.name in _REQUESTS:
            thread.join()
