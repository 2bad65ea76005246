"""One text in the making: what `Assistant` does, step by step.

The guard makes the general instruction; the cloud works in the background while the device
model reads the private context; then the device model writes, alone, from the cloud's outline
or token by token with the cloud.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar

from cogenesis.context.budget import Window
from cogenesis.context.prompt import WRITING_SAMPLING, WritingPrompt, fitted_prompt
from cogenesis.errors import (
    CloudError,
    GuardRefusedError,
    InputError,
    LedgerError,
    ModelError,
    PrivacyError,
)
from cogenesis.events import (
    Degraded,
    Event,
    Outlined,
    Result,
    Started,
    Task,
    Timing,
    Token,
    missing_answers,
)
from cogenesis.fused_writing import (
    CloudLink,
    ConnectionRequest,
    DeviceTokens,
    FusedWriting,
    Habits,
    gives_distributions,
)
from cogenesis.models.protocol import (
    CloudModel,
    DeviceModel,
    Sampling,
    TokenIds,
    hang_up,
)
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.released import GeneralInstruction
from cogenesis.protection import Protection, lexicon_of
from cogenesis.sketch.outline import Sketch
from cogenesis.sketch.prompt import OUTLINE_SAMPLING
from cogenesis.sketch.request import SketchRequest
from cogenesis.wire import Deadline

if TYPE_CHECKING:
    from cogenesis.privacy.egress import Traffic

__all__ = ["ASSUMED_WINDOW", "Kit", "Writing", "general_instruction", "lexicon_of"]

T_co = TypeVar("T_co", covariant=True)

ASSUMED_WINDOW: Final = 2048
"""Tokens, for a device model that does not tell its window."""


def general_instruction(task: Task, guard: Guard) -> GeneralInstruction:
    """What would leave in sketch mode: the same for a preview and for the real thing.

    Raises:
        InstructionError: the instruction is empty or too long.
        GuardRefusedError: the guard refuses it for the cloud.
    """
    guard.check_instruction(task.instruction)
    if task.general is not None:
        return guard.release(task.general)
    return guard.derive(task.instruction)


class Kit:
    """The models that write, and what they keep from text to text."""

    def __init__(
        self,
        device: DeviceModel,
        cloud: CloudModel | None,
        traffic: Callable[[], Traffic] | None,
        no_cloud: Degraded | None,
        protection: Protection,
    ) -> None:
        """As for `Assistant`."""
        self.device, self.cloud = device, cloud
        self.traffic, self.no_cloud = traffic, no_cloud
        self.protection = protection
        self.habits = Habits()

    @cached_property
    def tokens(self) -> DeviceTokens:
        """The device model's vocabulary."""
        return DeviceTokens(self.device)

    def mode(self, task: Task) -> Literal["sketch", "fusion", "device"]:
        """How this task can be written.

        Raises:
            InputError: the mode needs a cloud model and none was given.
        """
        if task.mode in {"sketch", "fusion"} and self.cloud is None and self.no_cloud is None:
            raise InputError(f"{task.mode} mode needs a cloud model: give --cloud-url URL")
        if task.mode == "device" or self.cloud is None:
            return "device"
        return "fusion" if task.mode == "fusion" else "sketch"


class _Request(Protocol[T_co]):
    """What the cloud does in the background while the device reads."""

    @property
    def seconds(self) -> float: ...

    def result(self) -> T_co: ...


class Writing:
    """One text in the making."""

    def __init__(self, kit: Kit, task: Task, stop: threading.Event) -> None:
        self._stop = stop
        self._kit = kit
        self._device = kit.device
        self._task = task
        self._begun = time.monotonic()
        self._before = kit.traffic() if kit.traffic is not None else None
        self._degraded: Degraded | None = None
        self._fused: FusedWriting | None = None
        self._sketch_s: float | None = None
        self._reading_s = 0.0

    def events(self) -> Iterator[Event]:
        general = self._released()
        # Before anything is sent: an instruction that does not fit cannot become a text.
        prompt = self._prompt()
        request = self._ask(general)
        sketch: Sketch | None = None
        try:
            yield Started(general, prompt.notes)
            if self._degraded is not None:
                yield self._degraded
            self._read_ahead(prompt, fusion=isinstance(request, ConnectionRequest))
            if isinstance(request, SketchRequest):
                sketch = self._awaited(request)
            elif request is not None and general is not None:
                link = self._awaited(request)
                self._fused = None if link is None else self._fusion(link, general)
            if sketch is not None:
                yield Outlined(sketch)
                prompt = prompt.with_sketch(sketch.points)
            elif request is not None and self._degraded is not None:
                yield self._degraded
            yield from self._fill(general, sketch, prompt)
        finally:
            if request is not None:
                request.cancel()

    def _released(self) -> GeneralInstruction | None:
        task, kit = self._task, self._kit
        if kit.mode(task) == "device":
            Guard(Lexicon(())).check_instruction(task.instruction)
            self._degraded = None if task.mode == "device" else kit.no_cloud
            return None
        try:
            return general_instruction(task, kit.protection.guard(task))
        except GuardRefusedError as error:
            if task.general is not None:
                raise  # the user's own words: they decide how to say it
            self._degraded = Degraded("refused", str(error))
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001  (a broken guard means: do not send)
            self._degraded = Degraded("guard-failed", f"the guard broke ({type(error).__name__})")
        return None

    def _ask(self, general: GeneralInstruction | None) -> SketchRequest | ConnectionRequest | None:
        cloud = self._kit.cloud
        if general is None or cloud is None:
            return None
        deadline = Deadline(self._task.cloud_deadline_s)
        if self._kit.mode(self._task) == "fusion":
            if gives_distributions(cloud):
                tokens = self._kit.tokens
                self._task.fusion.check_device(self._device.name, tokens.whole)
                return ConnectionRequest(cloud, general, tokens, deadline)
            message = f"{cloud.name} gives no probabilities: it serves sketch mode only"
            self._degraded = Degraded("bad-request", message)
            return None
        sampling = replace(OUTLINE_SAMPLING, seed=self._task.seed)
        return SketchRequest(cloud, general, sampling, deadline)

    def _fusion(self, link: CloudLink, general: GeneralInstruction) -> FusedWriting | None:
        """Both models together; None, and the reason, if something of ours breaks."""
        kit, task = self._kit, self._task
        try:
            shield = kit.protection.shield(task, general)
            return FusedWriting(kit.tokens, link, shield, task.fusion, kit.habits)
        except Exception as error:  # noqa: BLE001  (a broken shield means: do not send)
            kind = type(error).__name__
            self._degraded = Degraded("guard-failed", f"the shield broke ({kind})")
            return None

    def _prompt(self) -> WritingPrompt:
        """The prompt without a sketch; what does not fit the window is left out."""
        window = self._device.capabilities.context_tokens or ASSUMED_WINDOW
        size = Window(window, self._task.max_tokens)
        return fitted_prompt(self._device.encode, self._task.context, self._task.instruction, size)

    def _read_ahead(self, prompt: WritingPrompt, *, fusion: bool) -> None:
        """Let the device model read what comes before the sketch, into its cache.

        In fusion that is all: a sketch never comes. Otherwise the prompts with and without a
        sketch share that part; the last token before the difference may be joined otherwise,
        which only costs a little time.
        """
        begun = time.monotonic()
        without = self._device.encode(prompt.prompt).ids
        shared = len(without)
        if not fusion:
            other = self._device.encode(prompt.with_sketch(("sketch",)).prompt).ids
            pairs = enumerate(zip(without, other, strict=False))
            shared = next((i for i, (a, b) in pairs if a != b), min(shared, len(other)))
        if shared > 1:
            self._device.next_distribution(TokenIds(without[:shared]), 1)
        self._reading_s = time.monotonic() - begun

    def _awaited(self, request: _Request[T_co]) -> T_co | None:
        try:
            result = request.result()
        except CloudError as error:
            self._degraded = Degraded(error.reason, str(error))
        except LedgerError as error:
            self._degraded = Degraded("ledger", f"nothing was sent: {error}")
        except PrivacyError as error:
            self._degraded = Degraded("not-released", f"nothing was sent: {error}")
        else:
            self._sketch_s = request.seconds
            return result
        return None

    def _fill(
        self, general: GeneralInstruction | None, sketch: Sketch | None, prompt: WritingPrompt
    ) -> Iterator[Event]:
        sampling = replace(WRITING_SAMPLING, seed=self._task.seed, max_tokens=self._task.max_tokens)
        tokens: list[Token] = []
        first_s: float | None = None
        # A text without a word is none: ask once more, with other noise.
        for seed in (sampling.seed, sampling.seed + 1):
            pieces = self._tokens(prompt, replace(sampling, seed=seed))
            try:
                for token in pieces:
                    if first_s is None:
                        first_s = time.monotonic() - self._begun
                    tokens.append(token)
                    yield token
                    if self._stop.is_set():
                        break
            except ModelError as error:
                if not tokens:
                    raise
                # What is written is kept; the result says that its end is missing.
                self._degraded = Degraded("device-failed", str(error))
                self._stop.set()
                yield self._degraded
            finally:
                hang_up(pieces)
            if self._stop.is_set() or any(token.text.strip() for token in tokens):
                break
        else:
            raise ModelError(f"{self._device.name} wrote nothing. Try another --seed or model")
        if self._degraded is None and (missed := missing_answers(tokens)) is not None:
            self._degraded = missed
            yield missed
        yield self._result(general, sketch, prompt, tuple(tokens), first_s)

    def _tokens(self, prompt: WritingPrompt, sampling: Sampling) -> Iterator[Token]:
        ids = self._device.encode(prompt.prompt)
        if self._fused is None:
            for piece in self._device.generate(ids, sampling):
                yield Token(piece.text)
            return
        stops = () if self._device.capabilities.chat else prompt.prompt.stop
        for token in self._fused.tokens(ids, sampling, tuple(stop.text for stop in stops)):
            yield Token(token.text, token.weight, token.source, token.fallback)

    def _result(
        self,
        general: GeneralInstruction | None,
        sketch: Sketch | None,
        prompt: WritingPrompt,
        tokens: tuple[Token, ...],
        first_s: float | None,
    ) -> Result:
        total = time.monotonic() - self._begun
        rate = None
        if first_s is not None and len(tokens) > 1 and total > first_s:
            rate = (len(tokens) - 1) / (total - first_s)
        return Result(
            text="".join(token.text for token in tokens).strip(),
            mode=self._mode(sketch),
            general=general,
            sketch=sketch,
            tokens=tokens,
            notes=prompt.notes,
            traffic=self._sent(),
            timing=Timing(first_s, total, rate, self._sketch_s, self._reading_s),
            degraded=self._degraded,
            stopped=self._stop.is_set(),
            fusion=None if self._fused is None else self._fused.figures,
        )

    def _mode(self, sketch: Sketch | None) -> Literal["sketch", "fusion", "device"]:
        if self._fused is not None:
            return "fusion"
        return "device" if sketch is None else "sketch"

    def _sent(self) -> Traffic | None:
        if self._before is None or self._kit.traffic is None:
            return None
        return self._kit.traffic().since(self._before)
