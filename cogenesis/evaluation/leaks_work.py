"""What a server receives for each text, as the work of an engine.

Numbers of samples go to the workers; what a server received comes back, which has left already.
Each worker has a device model, a demo cloud and a relay of its own.

In sketch mode what is received does not depend on the engine. In fusion mode it also is a matter
of time, on one machine, too: how far a draft goes, and what is asked again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from cogenesis.engines.engine import Place
from cogenesis.engines.known_file import KnownFile
from cogenesis.engines.known_model import KnownModel
from cogenesis.evaluation.leaks import LeaksSample, LeaksSettings, LeaksStage
from cogenesis.evaluation.leaks_received import SentMode
from cogenesis.evaluation.numbered_samples import known_samples
from cogenesis.evaluation.one_by_one import OneByOne
from cogenesis.evaluation.said_before import SaidBefore
from cogenesis.models import LlamaCpp

LeaksItem = tuple[SentMode, int]
"""How the text is written, and the number of its sample."""


@dataclass(frozen=True, slots=True)
class LeaksWork:
    """How a worker of `evaluate leaks` gets ready; can be pickled."""

    settings: LeaksSettings
    data: KnownFile
    device: KnownModel
    cloud: KnownModel

    @contextmanager
    def open(self, place: Place) -> Iterator[Callable[[LeaksItem], LeaksSample]]:
        """Models, cloud and relay of this worker.

        Raises:
            InputError: the data, a model or the adapter is another one here.
            ModelError: a model cannot be had, or does not start.
        """
        samples = known_samples(self.data, place)
        said = SaidBefore(samples)
        (device, adapter), (cloud, _) = self.device.at(place), self.cloud.at(place)
        with ExitStack() as models:
            # One thread, because the cloud model has a core of its own.
            model = models.enter_context(LlamaCpp(device, threads=1, adapter=adapter))
            stage = LeaksStage(model, cloud, self.settings)

            def measured(item: LeaksItem, stop: threading.Event) -> LeaksSample:
                mode, number = item
                return stage.measure(number, samples[number], mode, said(number), stop)

            alone = OneByOne(measured)
            models.callback(alone.wait)  # a model that is being used is not closed
            with stage:
                try:
                    yield alone
                finally:
                    alone.stop()
