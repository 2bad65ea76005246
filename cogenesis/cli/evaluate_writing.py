"""The texts that a file lacks, written as the work of an engine.

What goes to a worker are numbers of samples and names of systems; what comes back are texts,
without the tasks and the authors' texts that stand beside them in the file. A worker reads the
data, opens the models and the way to the cloud, and proves that data is published for itself;
and it writes nothing if any of it is not what the run was started with.

A text by the device alone, or by a sketch of a cloud on this machine, does not depend on the
engine nor on what its worker wrote before (`even_caches`). With a cloud that is not ours that is
its matter. In fusion mode it is a matter of time where a cloud says something else, by a little,
about a text that it read in other pieces, as the demo cloud does: also on one machine.

Not covered: a run that goes on in the middle of a sample; the requests that find out what a
cloud can do, which count for the first text of each worker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cogenesis.cli.connect import cloud_address, open_device
from cogenesis.cli.device_model import adapter_id, model_id, placed
from cogenesis.cli.evaluate_progress import progress
from cogenesis.cli.evaluate_texts import LEDGER, TextOptions, open_published
from cogenesis.cli.models import fetch_model
from cogenesis.cloud_server import DemoCloud
from cogenesis.engines.cloud import CloudAddress
from cogenesis.engines.engine import Engine, Lost, Place
from cogenesis.engines.known_file import KnownFile
from cogenesis.errors import InputError
from cogenesis.evaluation.even_caches import even_cloud, even_device
from cogenesis.evaluation.generation import WrittenText
from cogenesis.evaluation.generation_run import (
    Generation,
    GenerationSettings,
    ModelNames,
    Models,
    Wanted,
    wanted_texts,
)
from cogenesis.evaluation.leaks_people import title_of
from cogenesis.evaluation.numbered_samples import known_samples
from cogenesis.evaluation.one_by_one import OneByOne
from cogenesis.evaluation.said_before import SaidBefore
from cogenesis.evaluation.systems import UPPER_BOUND, TextSystem, text_systems
from cogenesis.home import home
from cogenesis.models.adapters import NO_ADAPTER, find_adapter
from cogenesis.models.protocol import DeviceModel

if TYPE_CHECKING:
    from cogenesis.context.reader import Sample

LostTexts = Callable[["TextItem", int], None]
"""Is told of texts that are missing, and of how many workers died."""


@dataclass(frozen=True, slots=True)
class TextItem:
    """Texts of one sample, so that the device model reads its context once.

    Attributes:
        number: of the sample in the file.
        systems: their names.
        keys: of the texts: the worker must come to the same.
    """

    number: int
    systems: tuple[str, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextWork:
    """How a worker gets ready to write. Made by `of`; it can be pickled.

    Attributes:
        options: with paths that do not depend on the working folder.
        data: the samples.
        names: the models that the run was started with.
        with_cloud: whether any text needs one.
        cloud: a real one; None for one that each worker serves to itself.
        ledger: of the latter, on the machine where the run was started.
    """

    options: TextOptions
    data: KnownFile
    names: ModelNames
    with_cloud: bool
    cloud: CloudAddress | None
    ledger: Path

    @classmethod
    def of(
        cls, options: TextOptions, data: KnownFile, names: ModelNames, lacking: Sequence[Wanted]
    ) -> TextWork:
        """The work that these options mean: of our own systems only.

        Raises:
            InputError, EgressError: the cloud's address or key cannot be used.
        """
        with_cloud, cloud = any(each.system.uses_cloud for each in lacking), None
        if with_cloud and options.cloud_url is not None:
            cloud = cloud_address(
                options.cloud_url,
                options.cloud_model,
                options.cloud_kind,
                options.cloud_key_env,
                None,
            )
        return cls(_placed(options), data, names, with_cloud, cloud, home() / LEDGER)

    @contextmanager
    def open(self, place: Place) -> Iterator[Callable[[TextItem], tuple[WrittenText, ...]]]:
        """The models of this worker; a device model is opened when its first text is written.

        Raises:
            InputError: the data or a model is another one here.
            ModelError, PrivacyError: as `open_device` and `CloudAddress.open`.
        """
        samples = known_samples(self.data, place)
        systems = {each.name: each for each in chosen_systems(self.options)}
        if model_names(self.options, list(systems.values())) != self.names:
            raise InputError(
                f"a model or an adapter on {place.machine.name} is not the one that the run was "
                "started with: put the same files there"
            )
        settings = GenerationSettings(self.options.max_tokens, self.options.seed)
        with ExitStack() as devices:
            alone: OneByOne[TextItem, tuple[WrittenText, ...]] | None = None
            try:
                with ExitStack() as clouds:
                    opened: list[DeviceModel] = []
                    models = self._models(place, devices, clouds, opened)
                    generation = Generation(models, self.names, settings, SaidBefore(samples))
                    bench = _Bench(generation, opened, samples, systems, self.names, settings)
                    alone = OneByOne(bench.texts)
                    try:
                        yield alone
                    finally:
                        alone.stop()
            finally:
                if alone is not None:
                    alone.wait()

    def _models(
        self,
        place: Place,
        devices: ExitStack,
        clouds: ExitStack,
        opened: list[DeviceModel],
    ) -> Models:
        """The models; `opened` gets the device models once they are needed."""
        options = self.options

        def device(name: str, adapter: str | None) -> DeviceModel:
            # A cloud model, or another worker, has the other cores of this machine.
            shared = options.cloud_url is None or options.engine == "ray"
            threads = 1 if shared else None
            window = options.window
            found = open_device(
                devices, name, window=window, threads=threads, quiet=True, adapter=adapter
            )
            opened.append(found)
            return found

        proof = open_published(self.data.path, unsafe=True) if options.unsafe else None
        if proof is not None:
            self.data.check(proof.sha256, place)
        cloud, egress = None, None
        if self.with_cloud:
            cloud, egress = clouds.enter_context(self._address(clouds).open(place))
        return Models(
            device=lambda: device(options.device, options.adapter),
            zero_shot=lambda: device(options.zero_shot or options.device, NO_ADAPTER),
            cloud=cloud,
            traffic=None if egress is None else lambda: egress.traffic,
            published=proof,
            even=None if cloud is None or self.cloud is not None else partial(even_cloud, cloud),
        )

    def _address(self, clouds: ExitStack) -> CloudAddress:
        if self.cloud is not None:
            return self.cloud
        # One thread: the device model has a core of its own.
        file = fetch_model(self.options.cloud, quiet=True)
        server = clouds.enter_context(DemoCloud(file, threads=1))
        elsewhere = home() / LEDGER
        return CloudAddress(
            server.url, server.model, "llama-server", "", False, self.ledger, elsewhere
        )


@dataclass(frozen=True, slots=True)
class _Bench:
    """What a worker writes with, and for whom."""

    generation: Generation
    opened: Sequence[DeviceModel]
    samples: Mapping[int, Sample]
    systems: dict[str, TextSystem]
    names: ModelNames
    settings: GenerationSettings

    def texts(self, item: TextItem, stop: threading.Event) -> tuple[WrittenText, ...]:
        """All texts of an item."""
        sample = {item.number: self.samples[item.number]}  # read once for all systems
        systems = [self.systems[name] for name in item.systems]
        wanted = wanted_texts(sample, systems, self.names, self.settings)
        if tuple(each.key for each in wanted) != item.keys:
            raise InputError("the gate of a worker is not the one that the run was started with")
        for device in self.opened:
            even_device(device)
        return tuple(map(_bare, self.generation.write(wanted, stop)))


def _bare(text: WrittenText) -> WrittenText:
    """Without what the data file says: whoever started the run has it."""
    return replace(text, title="", instruction="", reference="")


def _whole(text: WrittenText, sample: Sample) -> WrittenText:
    said = sample.instruction
    return replace(text, title=title_of(said), instruction=said, reference=sample.reference)


def write_lacking(
    work: TextWork,
    opened: AbstractContextManager[Engine],
    lacking: Sequence[Wanted],
    lost: LostTexts,
) -> Generator[WrittenText, None, None]:
    """Write texts, with a bar. Those of one sample come together, samples as they are done.

    Raises: as `TextWork.open` and `Generation.write`; EngineError: workers cannot be started.
    """
    items, wanted = dict(_items(lacking)), {each.number: each for each in lacking}
    with opened as engine, progress() as bar:
        step = bar.add_task("texts", total=len(lacking))
        for outcome in engine.map(work, items.items()):
            item = items[outcome.key]
            if isinstance(outcome, Lost):
                lost(item, outcome.deaths)
            else:
                sample = wanted[item.number].sample
                yield from (_whole(text, sample) for text in outcome.result)
            bar.advance(step, len(item.keys))
            bar.refresh()


def _items(lacking: Sequence[Wanted]) -> Iterator[tuple[str, TextItem]]:
    """Neighbours of one sample together; those of the device before tuning stay apart, at last."""
    for (zero_shot, number), found in groupby(
        lacking, key=lambda each: (each.system.zero_shot, each.number)
    ):
        texts = list(found)
        systems = tuple(each.system.name for each in texts)
        keys = tuple(each.key for each in texts)
        yield f"{number:08d}{'-zero-shot' * zero_shot}", TextItem(number, systems, keys)


def chosen_systems(options: TextOptions, theirs: frozenset[str] = frozenset()) -> list[TextSystem]:
    """The systems of these options but for `theirs`, which another program wrote.

    Raises:
        InputError: there is no such system, or it needs an option that is missing.
    """
    gate = None
    if options.trained_gate is not None:
        from cogenesis.fusion.gate_file import load_gate

        gate = load_gate(options.trained_gate)
    systems = text_systems((name for name in options.systems if name not in theirs), gate)
    tuned = options.zero_shot is not None or find_adapter(options.device, options.adapter)
    if any(each.zero_shot for each in systems) and not tuned:
        raise InputError(
            "device:zero-shot is the device model before tuning: name it with --zero-shot-device"
        )
    if any(each.sends_context for each in systems) and not options.unsafe:
        raise InputError(
            f"{UPPER_BOUND} and cloud:instruction send what is private to the cloud model. Add "
            "--unsafe-send-context, and only for published or made-up data."
        )
    return systems


def model_names(options: TextOptions, systems: Sequence[TextSystem]) -> ModelNames:
    """The models' identities, of those that are needed; they are fetched first."""

    def device(name: str | None, *, zero_shot: bool) -> dict[str, Any]:
        needed = any(each.uses_device and each.zero_shot is zero_shot for each in systems)
        if not needed or name is None:
            return {}
        found = {**model_id(name, quiet=options.quiet), "window": options.window}
        return found if zero_shot else found | adapter_id(name, options.adapter)

    cloud: dict[str, Any] = {}
    if any(each.uses_cloud for each in systems):
        if options.cloud_url is None:
            cloud = model_id(options.cloud, quiet=options.quiet)
        else:
            cloud = {"name": options.cloud_model or options.cloud_url, "url": options.cloud_url}
    return ModelNames(
        device(options.device, zero_shot=False),
        device(options.zero_shot or options.device, zero_shot=True),
        cloud,
    )


def _placed(options: TextOptions) -> TextOptions:
    """The options for a worker, whose working folder is another one and who tells nobody."""
    return replace(
        options,
        data=options.data.absolute(),
        # The shipped one has a name and no path.
        gate=None if options.gate is None else Path(placed(str(options.gate))),
        device=placed(options.device),
        adapter=None if options.adapter is None else placed(options.adapter),
        zero_shot=None if options.zero_shot is None else placed(options.zero_shot),
        cloud=placed(options.cloud),
        quiet=True,
    )
