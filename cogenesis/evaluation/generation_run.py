"""Writing what the file of texts lacks: each system, each sample, through the front door."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cogenesis import __version__
from cogenesis.assistant import Assistant
from cogenesis.context.prompt import WRITING_SAMPLING
from cogenesis.context.reader import Sample
from cogenesis.errors import (
    CloudError,
    GuardRefusedError,
    InputError,
    InstructionError,
    LedgerError,
    PrivacyError,
)
from cogenesis.evaluation.generation import FORM, WrittenText, content_key
from cogenesis.evaluation.leaks_people import title_of
from cogenesis.evaluation.said_before import SaidBefore
from cogenesis.evaluation.systems import TextSystem
from cogenesis.evaluation.systems_cloud import (
    context_prompt,
    general_prompt,
    instruction_prompt,
    write_alone,
)
from cogenesis.events import CLOUD_DEADLINE_S, Task
from cogenesis.models.protocol import CloudModel, DeviceModel, Prompt
from cogenesis.privacy.egress import Traffic
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.published import PublishedData
from cogenesis.privacy.released import Released
from cogenesis.protection import Protection
from cogenesis.writing import general_instruction, lexicon_of

LASTING: Final = frozenset({"refused", "too-long"})
"""Words in `degraded` that another try would not change. All others are tried again."""


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How texts are written. The same for all systems."""

    max_tokens: int = 400
    seed: int = 0
    cloud_deadline_s: float = CLOUD_DEADLINE_S

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise InputError("--max-tokens is at least 1")


@dataclass(frozen=True, slots=True)
class ModelNames:
    """Which models write: `id` tells two models apart for certain (a hash, an address)."""

    device: dict[str, Any] = field(default_factory=dict)
    zero_shot: dict[str, Any] = field(default_factory=dict)
    cloud: dict[str, Any] = field(default_factory=dict)

    def of(self, system: TextSystem) -> dict[str, Any]:
        """The models that take part in a system."""
        device = self.zero_shot if system.zero_shot else self.device
        return {
            "device": device if system.uses_device else None,
            "cloud": self.cloud if system.uses_cloud else None,
        }


@dataclass(frozen=True, slots=True)
class Models:
    """The models themselves; a device model is opened when its first text is written.

    `even` is called before each text that a cloud model has a part in.
    """

    device: Callable[[], DeviceModel] | None = None
    zero_shot: Callable[[], DeviceModel] | None = None
    cloud: CloudModel | None = None
    traffic: Callable[[], Traffic] | None = None
    published: PublishedData | None = None
    even: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A text that the file lacks; its sample is one of `samples`, read when it is asked for."""

    key: str
    system: TextSystem
    number: int
    samples: Mapping[int, Sample] = field(repr=False)

    @property
    def sample(self) -> Sample:
        """The task, and whose it is."""
        return self.samples[self.number]


def wanted_texts(
    samples: Mapping[int, Sample],
    systems: Sequence[TextSystem],
    names: ModelNames,
    settings: GenerationSettings,
) -> list[Wanted]:
    """All texts of these systems and samples; the device before tuning comes last.

    All systems of a sample come together, so that the device model reads its context once and
    whoever stops early has comparable texts.
    """
    return [
        Wanted(text_key(system, names, sample, settings), system, number, samples)
        for zero_shot in sorted({each.zero_shot for each in systems})
        for number, sample in samples.items()
        for system in systems
        if system.zero_shot is zero_shot
    ]


def text_key(
    system: TextSystem, names: ModelNames, sample: Sample, settings: GenerationSettings
) -> str:
    """Hash of everything that a text depends on."""
    context = [[text.kind, text.label, text.text] for text in sample.context.texts()]
    return content_key(
        FORM,
        __version__,
        system.settings(),
        names.of(system),
        [sample.instruction, sample.reference, context],
        settings.seed,
        settings.max_tokens,
    )


def is_final(text: WrittenText | None) -> bool:
    """Whether a text need not be written again."""
    return text is not None and (text.degraded is None or text.degraded in LASTING)


class Generation:
    """Writes texts, one after the other; device models stay open until the caller closes them."""

    def __init__(
        self,
        models: Models,
        names: ModelNames,
        settings: GenerationSettings,
        said: SaidBefore | None = None,
    ) -> None:
        """`said` tells what was released before each sample; None for what this one remembers."""
        self._models, self._names, self._settings = models, names, settings
        self._assistants: dict[bool, Assistant] = {}
        self._protection, self._said = Protection(), said
        self._stop = threading.Event()

    def write(
        self, wanted: Sequence[Wanted], stop: threading.Event | None = None
    ) -> Iterator[WrittenText]:
        """The texts, as they come; once `stop` is set the next one is not whole.

        Raises:
            InputError: a system needs published data, or a model that was not given.
            LedgerError: nothing can be recorded, so nothing may be sent.
            ModelError: the device model failed.
        """
        self._stop = stop or threading.Event()
        for each in wanted:
            yield self._one(each)

    def _one(self, wanted: Wanted) -> WrittenText:
        system, sample = wanted.system, wanted.sample
        if self._models.even is not None and system.uses_cloud:
            self._models.even()
        before = self._traffic()
        begun = time.monotonic()
        try:
            written = self._alone(wanted) if system.mode == "cloud" else self._together(wanted)
        except LedgerError:
            raise
        except GuardRefusedError:
            written = _Written(None, system.mode, "refused", 0)
        except InstructionError:
            written = _Written(None, system.mode, "too-long", 0)
        except CloudError as error:
            written = _Written(None, system.mode, error.reason, 0)
        except PrivacyError:
            written = _Written(None, system.mode, "not-released", 0)
        seconds = time.monotonic() - begun
        traffic = self._traffic().since(before)
        named = self._names.of(system)
        return WrittenText(
            key=wanted.key,
            system=system.name,
            sample=wanted.number,
            id=sample.id,
            seed=self._settings.seed,
            title=title_of(sample.instruction),
            instruction=sample.instruction,
            reference=sample.reference,
            text=written.text,
            mode=written.mode,
            degraded=written.degraded,
            tokens=written.tokens,
            seconds=round(seconds, 3),
            requests=traffic.requests,
            bytes=traffic.bytes,
            round_trips=traffic.round_trips,
            device=(named["device"] or {}).get("name"),
            cloud=(named["cloud"] or {}).get("name"),
            max_tokens=self._settings.max_tokens,
        )

    def _together(self, wanted: Wanted) -> _Written:
        mode = wanted.system.mode
        task = Task(
            wanted.sample.instruction,
            wanted.sample.context,
            mode="device" if mode == "cloud" else mode,
            seed=self._settings.seed,
            max_tokens=self._settings.max_tokens,
            cloud_deadline_s=self._settings.cloud_deadline_s,
            fusion=wanted.system.fusion,
        )
        if self._said is not None and wanted.system.uses_cloud:
            self._protection.begin(wanted.sample.context, self._said(wanted.number))
        result = self._assistant(wanted.system).write(task, stop=self._stop)
        degraded = None if result.degraded is None else result.degraded.reason
        return _Written(result.text.strip(), result.mode, degraded, len(result.tokens))

    def _assistant(self, system: TextSystem) -> Assistant:
        found = self._assistants.get(system.zero_shot)
        if found is None:
            opening = self._models.zero_shot if system.zero_shot else self._models.device
            if opening is None:
                raise InputError(f"{system.name} needs a device model: give --device")
            cloud = None if system.zero_shot else self._models.cloud
            found = Assistant(
                opening(),
                cloud=cloud,
                traffic=self._models.traffic,
                protection=self._protection,
            )
            self._assistants[system.zero_shot] = found
        return found

    def _alone(self, wanted: Wanted) -> _Written:
        if self._models.cloud is None:
            raise InputError(f"{wanted.system.name} needs a cloud model: give --cloud-url URL")
        sampling = replace(
            WRITING_SAMPLING, seed=self._settings.seed, max_tokens=self._settings.max_tokens
        )
        deadline = self._settings.cloud_deadline_s
        text, pieces = write_alone(self._models.cloud, self._prompt(wanted), sampling, deadline)
        return _Written(text, "cloud", None, pieces)

    def _prompt(self, wanted: Wanted) -> Prompt[Released]:
        system, sample, data = wanted.system, wanted.sample, self._models.published
        if not system.sends_context:
            task = Task(sample.instruction, sample.context)
            return general_prompt(general_instruction(task, Guard(lexicon_of(sample.context))))
        if data is None:
            raise InputError(
                f"{system.name} sends what is private to the cloud model: add "
                "--unsafe-send-context, and only for published or made-up data"
            )
        if system.told == "instruction":
            return instruction_prompt(data, wanted.number)
        return context_prompt(data, wanted.number)

    def _traffic(self) -> Traffic:
        return Traffic() if self._models.traffic is None else self._models.traffic()


@dataclass(frozen=True, slots=True)
class _Written:
    """A text as it came about; the fields are those of `WrittenText`."""

    text: str | None
    mode: str
    degraded: str | None
    tokens: int
