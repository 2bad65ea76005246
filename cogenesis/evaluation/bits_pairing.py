"""The two models of a worker, and the texts that they go along.

What goes to a worker are names of files, sums and addresses (`Pairing`), no models and no
samples. A worker reads the data file itself, has its own guard clear what its cloud model sees,
and sends that through an egress and a ledger of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cogenesis.context.reader import Sample
from cogenesis.engines.cloud import CloudAddress
from cogenesis.engines.engine import Place
from cogenesis.engines.known_file import KnownFile
from cogenesis.engines.known_model import KnownModel, another_file
from cogenesis.evaluation.bits import BitsSettings
from cogenesis.evaluation.bits_pair import BitsPair, ScoringDevice
from cogenesis.evaluation.bits_samples import BitsSample, BitsTask, bits_sample, bits_task
from cogenesis.evaluation.numbered_samples import known_samples
from cogenesis.fusion.gate_file import TrainedGate, load_gate
from cogenesis.models import LlamaCpp, LlamaServer, LocalWire
from cogenesis.models.local_wire import DEVICE_KEY_ENV
from cogenesis.models.protocol import TokenIds

_BETWEEN: Final = "The quick brown fox jumps over the lazy dog."
"""Read between two samples, so that each finds the same cache, whichever came before: what a
model says depends a little on what it reads in one go."""


@dataclass(frozen=True, slots=True)
class GateFile:
    """A trained gate as each worker reads it; can be pickled.

    Attributes:
        system: what it is called in the report.
        path: as `load_gate` takes it.
        digest: SHA-256 of the file.
    """

    system: str
    path: Path
    digest: str

    def load(self, place: Place) -> TrainedGate:
        """Read it.

        Raises:
            InputError: it is not there, or not the one that the run was started with.
            KnownModelError: it is damaged.
        """
        found = load_gate(self.path)
        if found.digest != self.digest:
            raise another_file(self.path, place)
        return found


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which texts, which two models; can be pickled. No key is in it.

    Attributes:
        data: the samples.
        device: a file, or the address of a llama.cpp server on this machine.
        cloud: a file that each worker runs in a process beside it, or a server.
        settings: what is asked.
        bare: whether the device model is opened a second time, without its adapter.
    """

    data: KnownFile
    device: KnownModel | str
    cloud: KnownModel | CloudAddress
    settings: BitsSettings
    bare: bool = False

    @contextmanager
    def open(self, place: Place) -> Iterator[Pair]:
        """The models of one worker.

        Raises:
            InputError: a file is not there, or is not the one that the run was started with.
            ModelError: a model cannot be found or loaded.
            LedgerError: nothing may be sent to the cloud.
        """
        samples = known_samples(self.data, place)
        with ExitStack() as stack:
            enter = stack.enter_context
            model, bare = self._device(stack, place)
            if isinstance(self.cloud, CloudAddress):
                connection, _ = enter(self.cloud.open(place))
                pair = enter(BitsPair(model, connection, self.settings))
            else:
                pair = enter(BitsPair(model, self.cloud.at(place)[0], self.settings))
            yield Pair(samples, model, bare, pair, self.settings)

    def _device(self, stack: ExitStack, place: Place) -> tuple[ScoringDevice, LlamaCpp | None]:
        """One thread each, because the cloud model has a core of its own."""
        if isinstance(self.device, str):
            wire = LocalWire.loopback(self.device, os.environ.get(DEVICE_KEY_ENV))
            return stack.enter_context(LlamaServer(wire)), None
        path, lora = self.device.at(place)
        model = stack.enter_context(LlamaCpp(path, threads=1, adapter=lora))
        return model, stack.enter_context(LlamaCpp(path, threads=1)) if self.bare else None


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """What a worker has open.

    Attributes:
        samples: of the data file, by number.
        model: the device model. bare: without its adapter.
        running: the device model and the cloud.
        settings: of the pairing.
    """

    samples: Mapping[int, Sample]
    model: ScoringDevice
    bare: LlamaCpp | None
    running: BitsPair
    settings: BitsSettings

    def task(self, number: int) -> tuple[BitsSample, BitsTask] | str:
        """A sample as both models get it, or why it is left out."""
        most = self.settings.max_tokens
        found = bits_sample(number, self.samples[number], self.model, most)
        task = found if isinstance(found, str) else bits_task(self.model, found, most)
        if isinstance(found, str) or isinstance(task, str):
            return str(task)
        for model in (self.model, self.bare):
            if model is not None:
                model.next_distribution(TokenIds(model.tokenise(_BETWEEN)[0]), 1)
        return found, task
