"""The front door: one call writes a text, in any mode, and always returns one.

    with LlamaCpp(path) as device:
        assistant = Assistant(device, cloud=cloud)
        for event in assistant.stream(Task("Write an e-mail: ...", context)):
            if isinstance(event, Token):
                print(event.text, end="", flush=True)

Sketch mode, step by step: the guard makes the general instruction; the cloud is asked for
an outline of it while the device model reads the private context; the device model fills
the outline in. Whatever goes wrong on the cloud's side is reported as `Degraded` and costs
the outline, not the text.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, cast

from cogenesis.context.budget import Window
from cogenesis.context.private_context import PrivateContext
from cogenesis.context.prompt import WRITING_SAMPLING, WritingPrompt, writing_prompt
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
)
from cogenesis.models.protocol import CloudModel, DeviceModel, Message, Prompt, TokenIds, hang_up
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.released import GeneralInstruction
from cogenesis.sketch.outline import Sketch
from cogenesis.sketch.prompt import OUTLINE_SAMPLING
from cogenesis.sketch.request import SketchRequest
from cogenesis.wire import Deadline

if TYPE_CHECKING:
    from cogenesis.privacy.egress import Traffic

__all__ = [
    "Assistant",
    "Degraded",
    "Event",
    "Outlined",
    "Result",
    "Started",
    "Task",
    "Timing",
    "Token",
    "general_instruction",
    "lexicon_of",
]

ASSUMED_WINDOW: Final = 2048
"""Tokens, for a device model that does not tell its window."""


def lexicon_of(context: PrivateContext) -> Lexicon:
    """What counts as private in a context."""
    return Lexicon(context.texts())


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


class Assistant:
    """Writes texts with one device model and, if there is one, a cloud model.

    `traffic` tells what went through the cloud's egress. `no_cloud` says why there is none
    although the user named one (the ledger cannot be opened, say): texts are then written on
    the device alone and say so. Not safe to use from several threads at once: a device model
    has one mind.
    """

    def __init__(
        self,
        device: DeviceModel,
        *,
        cloud: CloudModel | None = None,
        traffic: Callable[[], Traffic] | None = None,
        no_cloud: Degraded | None = None,
    ) -> None:
        self._device = device
        self._no_cloud = no_cloud
        self._cloud = cloud
        self._traffic = traffic
        # Reading a large context takes a second a megabyte: keep the last few.
        self._lexicon = lru_cache(maxsize=4)(lexicon_of)

    def guard(self, task: Task) -> Guard:
        """The guard that decides for this task."""
        return Guard(self._lexicon(task.context), allow=task.allow)

    def write(self, task: Task) -> Result:
        """Write the whole text. Raises as `stream` does."""
        for event in self.stream(task):
            if isinstance(event, Result):
                return event
        raise RuntimeError("a stream ended without a result")

    def stream(self, task: Task, *, stop: threading.Event | None = None) -> Iterator[Event]:
        """Write a text, event by event, `Result` last.

        Setting `stop` ends the text after the current token: the result then holds what is
        written so far. Closing the iterator ends it without a result.

        Raises:
            InputError: empty instruction, instruction or context too large, sketch mode
                without a cloud.
            GuardRefusedError: `task.general` holds private matter.
            ModelError: the device model failed.
        """
        return _Writing(self, task, stop or threading.Event()).events()

    async def astream(
        self, task: Task, *, stop: threading.Event | None = None
    ) -> AsyncIterator[Event]:
        """`stream` for asyncio: each step runs in a worker thread.

        Cancelling it waits for the running step, which `stop` ends at the next token.
        """
        stop = stop or threading.Event()
        events = self.stream(task, stop=stop)
        end = object()
        step: asyncio.Future[Event | object] | None = None
        try:
            while True:
                step = asyncio.ensure_future(asyncio.to_thread(next, events, end))
                event = await asyncio.shield(step)
                if event is end:
                    return
                yield cast(Event, event)
        finally:
            stop.set()
            if step is not None:
                await asyncio.wait([step])
            await asyncio.to_thread(hang_up, events)

    # -- used by _Writing -------------------------------------------------------------------

    def _mode(self, task: Task) -> Literal["sketch", "device"]:
        if task.mode == "sketch" and self._cloud is None and self._no_cloud is None:
            raise InputError("sketch mode needs a cloud model: give --cloud-url URL")
        return "device" if task.mode == "device" or self._cloud is None else "sketch"


class _Writing:
    """One text in the making."""

    def __init__(self, assistant: Assistant, task: Task, stop: threading.Event) -> None:
        self._stop = stop
        self._assistant = assistant
        self._device = assistant._device
        self._task = task
        self._begun = time.monotonic()
        self._before = assistant._traffic() if assistant._traffic is not None else None
        self._degraded: Degraded | None = None
        self._sketch_s: float | None = None
        self._reading_s = 0.0

    def events(self) -> Iterator[Event]:
        general = self._released()
        # Before anything is sent: an instruction that does not fit cannot become a text.
        prompt = self._prompt()
        request = self._ask(general)
        try:
            yield Started(general, prompt.notes)
            if self._degraded is not None:
                yield self._degraded
            self._read_ahead(prompt)
            sketch = None if request is None else self._awaited(request)
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
        task, assistant = self._task, self._assistant
        if assistant._mode(task) == "device":
            Guard(Lexicon(())).check_instruction(task.instruction)
            self._degraded = None if task.mode == "device" else assistant._no_cloud
            return None
        try:
            return general_instruction(task, assistant.guard(task))
        except GuardRefusedError as error:
            if task.general is not None:
                raise  # the user's own words: they decide how to say it
            self._degraded = Degraded("refused", str(error))
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001  (a broken guard means: do not send)
            self._degraded = Degraded("guard-failed", f"the guard broke ({type(error).__name__})")
        return None

    def _ask(self, general: GeneralInstruction | None) -> SketchRequest | None:
        cloud = self._assistant._cloud
        if general is None or cloud is None:
            return None
        sampling = replace(OUTLINE_SAMPLING, seed=self._task.seed)
        return SketchRequest(cloud, general, sampling, Deadline(self._task.cloud_deadline_s))

    def _prompt(self) -> WritingPrompt:
        """The prompt without a sketch; what does not fit the window is left out."""
        window = self._device.capabilities.context_tokens or ASSUMED_WINDOW

        def tokens(text: str) -> int:
            return len(self._device.encode(Prompt((Message("user", (text,)),), (text,))))

        frame = tokens("")  # turn marks and the like: counted once, in the window's margin
        return writing_prompt(
            self._task.context,
            self._task.instruction,
            count=lambda text: max(0, tokens(text) - frame),
            window=Window(window, self._task.max_tokens),
        )

    def _read_ahead(self, prompt: WritingPrompt) -> None:
        """Let the device model read what comes before the sketch, into its cache.

        The prompts with and without a sketch share that part; the last token before the
        difference may be joined otherwise, which only costs a little time.
        """
        begun = time.monotonic()
        without = self._device.encode(prompt.prompt).ids
        other = self._device.encode(prompt.with_sketch(("sketch",)).prompt).ids
        shared = next(
            (i for i, (a, b) in enumerate(zip(without, other, strict=False)) if a != b),
            min(len(without), len(other)),
        )
        if shared > 1:
            self._device.next_distribution(TokenIds(without[:shared]), 1)
        self._reading_s = time.monotonic() - begun

    def _awaited(self, request: SketchRequest) -> Sketch | None:
        try:
            sketch = request.result()
        except CloudError as error:
            self._degraded = Degraded(error.reason, str(error))
        except LedgerError as error:
            self._degraded = Degraded("ledger", f"nothing was sent: {error}")
        except PrivacyError as error:
            self._degraded = Degraded("not-released", f"nothing was sent: {error}")
        else:
            self._sketch_s = request.seconds
            return sketch
        return None

    def _fill(
        self, general: GeneralInstruction | None, sketch: Sketch | None, prompt: WritingPrompt
    ) -> Iterator[Event]:
        sampling = replace(WRITING_SAMPLING, seed=self._task.seed, max_tokens=self._task.max_tokens)
        tokens: list[Token] = []
        first_s: float | None = None
        ids = self._device.encode(prompt.prompt)
        # A text without a word is none: ask once more, with other noise.
        for seed in (sampling.seed, sampling.seed + 1):
            pieces = self._device.generate(ids, replace(sampling, seed=seed))
            try:
                for piece in pieces:
                    if first_s is None:
                        first_s = time.monotonic() - self._begun
                    tokens.append(Token(piece.text))
                    yield tokens[-1]
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
        yield self._result(general, sketch, prompt, tuple(tokens), first_s)

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
            mode="device" if sketch is None else "sketch",
            general=general,
            sketch=sketch,
            tokens=tokens,
            notes=prompt.notes,
            traffic=self._sent(),
            timing=Timing(first_s, total, rate, self._sketch_s, self._reading_s),
            degraded=self._degraded,
            stopped=self._stop.is_set(),
        )

    def _sent(self) -> Traffic | None:
        if self._before is None or self._assistant._traffic is None:
            return None
        return self._assistant._traffic().since(self._before)
