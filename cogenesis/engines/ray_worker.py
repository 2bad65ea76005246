"""A worker process of the Ray engine, and how its errors come back.

Errors are told as words, not pickled: an error may hold what must not leave its process (the
guard's names private spans), and a class of another version might not be there. What a worker
raises on purpose is raised again by the engine, with its message. Of any other error only its
type and place are told: a message of unknown origin may quote private text.
"""

from __future__ import annotations

import os
import threading
import traceback
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, cast

from cogenesis import __version__, errors
from cogenesis.engines.engine import Done, ItemT, Machine, Opening, Place, ResultT
from cogenesis.engines.local import timed
from cogenesis.engines.pace import Limits, Pace
from cogenesis.errors import CloudError, CogenesisError, EngineError, GuardRefusedError

_PACKAGE: Final = Path(errors.__file__).parent


@dataclass(frozen=True, slots=True)
class Raised:
    """An error of a worker, in words."""

    kind: str
    message: str = field(repr=False)
    reason: str = ""
    exit_code: int = EngineError.exit_code

    @classmethod
    def of(cls, error: Exception) -> Raised:
        """What may be told of an error."""
        if isinstance(error, GuardRefusedError):
            told = "the guard refused what a worker meant to send: nothing of it was sent"
            return cls("PrivacyError", told)
        if isinstance(error, CloudError):
            return cls("CloudError", str(error), reason=error.reason)
        if isinstance(error, CogenesisError):
            return cls(type(error).__name__, str(error), exit_code=error.exit_code)
        own = [f for f in traceback.extract_tb(error.__traceback__) if _is_own(f.filename)]
        place = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
        return cls("EngineError", f"a worker failed: {type(error).__name__}{place}")

    def error(self) -> CogenesisError:
        """The error again, as near as it can be had."""
        if self.kind == "CloudError":
            return CloudError(cast(errors.CloudReason, self.reason), self.message)
        found = getattr(errors, self.kind, EngineError)
        plain = found.__init__ in (Exception.__init__, BaseException.__init__)
        made: CogenesisError = found(self.message) if plain else CogenesisError(self.message)
        made.exit_code = self.exit_code if self.kind != "PrivacyError" else made.exit_code
        return made


def _is_own(name: str) -> bool:
    return Path(name).is_relative_to(_PACKAGE)


class Worker(Generic[ItemT, ResultT]):
    """Lives in a process of its own; the engine calls it from several threads at once."""

    def __init__(
        self,
        opening: Opening[ItemT, ResultT],
        limits: Limits,
        driver: Machine,
        name: str,
        version: str,
    ) -> None:
        self._opening, self._version = opening, version
        self._place = Place(name, Pace(limits), driver, Machine.here())
        self._stack = ExitStack()
        self._work: Any = None
        self._closing = threading.Lock()

    def open(self) -> str | Raised:
        """Open what the work needs. Returns where this is, for a person."""
        try:
            if self._version != __version__:
                raise EngineError(
                    f"CoGenesis is {self._version} here and {__version__} on the cluster's machine "
                    f"{self._place.machine.name}: install the same one"
                )
            self._work = self._stack.enter_context(self._opening.open(self._place))
        except Exception as error:  # noqa: BLE001  (told to the engine, which raises it)
            return Raised.of(error)
        return f"{self._place.machine.name}, process {os.getpid()}"

    def there(self) -> None:
        """Answer, also while something is being opened."""

    def do(self, key: str, item: ItemT) -> Done[ResultT] | Raised:
        """Work on one item."""
        try:
            return timed(self._work, key, item)
        except Exception as error:  # noqa: BLE001  (told to the engine, which raises it)
            return Raised.of(error)

    def close(self) -> None:
        """Hang up and close what was opened. Safe to call twice."""
        self._place.pace.stop()
        with self._closing:
            self._stack.close()
