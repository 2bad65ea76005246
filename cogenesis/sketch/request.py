"""Asking the cloud for an outline in the background, while the device reads the context."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Final

from cogenesis.errors import CloudError, CogenesisError
from cogenesis.models.protocol import CloudModel, Sampling, hang_up
from cogenesis.privacy.released import GeneralInstruction
from cogenesis.sketch.outline import MAX_REPLY_CHARS, Sketch, parse_outline
from cogenesis.sketch.prompt import outline_prompt
from cogenesis.wire import Deadline

ASKS: Final = 2
"""A reply that is no outline is asked for once more, with another seed."""


_STEP_S: Final = 0.1

_END_S: Final = 1.0
"""For a request that was hung up to note its end in the ledger. Whoever waits for it goes on then,
whatever the server does."""


class SketchRequest:
    """An outline on its way. Starts at once, in a thread of its own.

    The thread only reads released text. It ends at the deadline at the latest.
    """

    def __init__(
        self,
        cloud: CloudModel,
        general: GeneralInstruction,
        sampling: Sampling,
        deadline: Deadline,
    ) -> None:
        self._cloud = cloud
        self._general = general
        self._sampling = sampling
        self._deadline = deadline
        self._cancelled = threading.Event()
        self._sketch: Sketch | None = None
        self._error: Exception | None = None
        self._begun = time.monotonic()
        self.asks = 0
        self.seconds = 0.0
        self._thread = threading.Thread(target=self._run, name="sketch", daemon=True)
        self._thread.start()

    def result(self) -> Sketch:
        """Wait for the outline, at most until the deadline.

        Raises:
            CloudError: the cloud failed, or gave no outline twice.
            PrivacyError: the request was not allowed to leave.
        """
        while self._thread.is_alive() and not self._deadline.passed():
            # In short steps: a deadline that is called off meanwhile ends the wait, too.
            self._thread.join(min(_STEP_S, self._deadline.remaining()))
        if self._cancelled.is_set():
            self._thread.join(_END_S)
        elif self._thread.is_alive():
            self.cancel()
            raise CloudError("timeout", f"{self._cloud.name} took longer than the deadline")
        if self._error is not None:
            raise self._error
        if self._sketch is None:
            raise CloudError("no-sketch", "the request was cancelled")
        return self._sketch

    def cancel(self) -> None:
        """Hang up, wherever the request is: nothing more is sent."""
        self._cancelled.set()
        self._deadline.call_off()

    def _run(self) -> None:
        try:
            self._sketch = self._ask()
        except CogenesisError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001  (whatever breaks here must not cost the text)
            # The name of its type only: a message of unknown origin is not shown.
            self._error = CloudError("bad-reply", f"unexpected {type(error).__name__}")
        finally:
            self.seconds = time.monotonic() - self._begun

    def _ask(self) -> Sketch | None:
        for ask in range(ASKS):
            if self._cancelled.is_set():
                return None
            self.asks = ask + 1
            sampling = replace(self._sampling, seed=self._sampling.seed + ask)
            reply = self._reply(sampling)
            if self._cancelled.is_set():
                return None
            try:
                return parse_outline(reply, general=self._general)
            except CloudError:
                if self.asks == ASKS:
                    raise
        return None

    def _reply(self, sampling: Sampling) -> str:
        """The reply, cut off where it is longer than any outline: then it is parsed as it is."""
        text = ""
        prompt = outline_prompt(self._general)
        pieces = self._cloud.generate(prompt, sampling, deadline=self._deadline)
        try:
            for piece in pieces:
                text += piece.text
                if len(text) > MAX_REPLY_CHARS or self._cancelled.is_set():
                    break
        finally:
            hang_up(pieces)
        return text[:MAX_REPLY_CHARS]
