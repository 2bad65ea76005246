"""The front door: one call writes a text, in any mode, and always returns one.

    with LlamaCpp(path) as device:
        assistant = Assistant(device, cloud=cloud)
        for event in assistant.stream(Task("Write an e-mail: ...", context)):
            if isinstance(event, Token):
                print(event.text, end="", flush=True)

Sketch mode, step by step: the guard makes the general instruction; the cloud is asked for
an outline of it while the device model reads the private context; the device model fills
the outline in. In fusion mode (chosen, never a default) the cloud is asked for every token too,
and sees the text as it grows, through the shield. Whatever goes wrong on the cloud's side is
reported as `Degraded` and costs the cloud's part, not the text.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, cast

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
from cogenesis.models.protocol import CloudModel, DeviceModel, hang_up
from cogenesis.privacy.guard import Guard
from cogenesis.protection import Protection, lexicon_of
from cogenesis.writing import Kit, Writing, general_instruction

if TYPE_CHECKING:
    from cogenesis.privacy.egress import Traffic

__all__ = [
    "Assistant",
    "Degraded",
    "Event",
    "Outlined",
    "Protection",
    "Result",
    "Started",
    "Task",
    "Timing",
    "Token",
    "general_instruction",
    "lexicon_of",
]


class Assistant:
    """Writes texts with one device model and, if there is one, a cloud model.

    `traffic` tells what went through the cloud's egress. `no_cloud` says why there is none
    although the user named one (the ledger cannot be opened, say): texts are then written on
    the device alone and say so. `protection` is the policy in force, `strict` if none is given,
    and the memory of what was released for whom. Not safe to use from several threads at once: a
    device model has one mind.
    """

    def __init__(
        self,
        device: DeviceModel,
        *,
        cloud: CloudModel | None = None,
        traffic: Callable[[], Traffic] | None = None,
        no_cloud: Degraded | None = None,
        protection: Protection | None = None,
    ) -> None:
        self._kit = Kit(device, cloud, traffic, no_cloud, protection or Protection())

    def guard(self, task: Task) -> Guard:
        """A guard that decides for this task as the text's own would, for looking at it.

        What it releases is not remembered as said: only writing a text does that.
        """
        return self._kit.protection.preview_guard(task)

    def write(self, task: Task, *, stop: threading.Event | None = None) -> Result:
        """Write the whole text; `stop`, and what it raises, as with `stream`."""
        for event in self.stream(task, stop=stop):
            if isinstance(event, Result):
                return event
        raise RuntimeError("a stream ended without a result")

    def stream(self, task: Task, *, stop: threading.Event | None = None) -> Iterator[Event]:
        """Write a text, event by event, `Result` last.

        Setting `stop` ends the text after the current token: the result then holds what is
        written so far. Closing the iterator ends it without a result.

        Raises:
            InputError: empty instruction, instruction or context too large, sketch or fusion
                mode without a cloud.
            GuardRefusedError: `task.general` holds private matter.
            ModelError: the device model failed.
        """
        return Writing(self._kit, task, stop or threading.Event()).events()

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
