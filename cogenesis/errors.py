"""Every error that CoGenesis raises on purpose.

    CogenesisError                   exit code
    ├── InputError                   2   the user's input cannot be used as it is
    │   ├── InstructionError         2   empty, too long
    │   └── ContextError             2   the context file or profile cannot be read
    ├── PrivacyError                 3   nothing was sent
    │   ├── GuardRefusedError             3   the guard found private matter; `.spans` names it
    │   ├── LedgerError              3   the ledger cannot be written or read; fail closed
    │   └── EgressError              3   a request that was not fully released, or a forbidden host
    ├── ModelError                   4   a model cannot be loaded or does not answer
    │   ├── ModelFileError           4   missing, truncated, wrong checksum, not a GGUF
    │   ├── CatalogueError           4   a model cannot be found or fetched
    │   └── CloudError               4   the cloud failed; `.reason` is a word for programs
    ├── MissingExtraError            5   an optional dependency is not installed
    └── EngineError                  6   workers or their cluster failed

Messages of InputError and PrivacyError may name private spans: they are for the
device's own screen and are never logged or sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cogenesis.privacy.released import Finding

CloudReason = Literal[
    "unreachable",
    "timeout",
    "unauthorised",
    "not-found",
    "rate-limited",
    "server-error",
    "bad-request",
    "bad-reply",
    "too-large",
    "redirect",
    "no-sketch",
]


class CogenesisError(Exception):
    """Root of all errors raised on purpose."""

    exit_code = 1


class InputError(CogenesisError):
    """The user's input cannot be used as it is; the message says what to change."""

    exit_code = 2


class InstructionError(InputError):
    """The instruction is empty or too long."""


class ContextError(InputError):
    """The private context cannot be read."""


class PrivacyError(CogenesisError):
    """A privacy rule or its machinery failed. Nothing was sent."""

    exit_code = 3


class GuardRefusedError(PrivacyError):
    """The guard found private matter in text that was meant to leave."""

    def __init__(self, message: str, spans: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.spans = tuple(spans)


class LedgerError(PrivacyError):
    """The ledger cannot be written, read or verified."""


class EgressError(PrivacyError):
    """A request was not made of released parts only, or its host is not allowed."""


class ModelError(CogenesisError):
    """A model cannot be loaded or does not answer."""

    exit_code = 4


class ModelFileError(ModelError):
    """The model file is missing, truncated, not a GGUF, or has the wrong checksum."""


class CatalogueError(ModelError):
    """A model cannot be found or fetched."""


class CloudError(ModelError):
    """The cloud model failed. It costs quality, never the text.

    `reason` is one word for programs; `retry_after_s` is set when the server named a wait.
    """

    def __init__(
        self, reason: CloudReason, message: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.reason: CloudReason = reason
        self.retry_after_s = retry_after_s


class MissingExtraError(CogenesisError):
    """An optional dependency is not installed; the message names the command."""

    exit_code = 5

    def __init__(self, package: str, extra: str, hint: str = "") -> None:
        advice = f"{package} is not installed. Run: pip install 'cogenesis[{extra}]'"
        super().__init__(f"{advice}. {hint}" if hint else advice)


class EngineError(CogenesisError):
    """Workers, or the cluster that they run on, failed. What is done is kept."""

    exit_code = 6
