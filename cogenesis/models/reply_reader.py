"""Reading the fields of a reply that an adapter does not trust.

A reply is JSON of unknown shape. Every field is checked where it is read; what is missing or
of the wrong type ends in one error that names the server and the field, never its content.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from cogenesis.errors import CloudError, CloudReason, EgressError, ModelError
from cogenesis.wire import Wire

ServerRole = Literal["device", "cloud"]


def check_wire(wire: Wire[Any], role: ServerRole) -> None:
    """Refuse a cloud model on any wire but the egress, also one on this device's address.

    Raises:
        EgressError: the wire would send what was not released, or without a record.
    """
    if role == "cloud" and not wire.released_only:
        raise EgressError("a cloud model is reached through the egress only")


@dataclass(frozen=True, slots=True)
class ReplyReader:
    """Reads replies of one server; its faults are `CloudError` for a cloud, else `ModelError`."""

    role: ServerRole
    server: str

    def fault(self, what: str, reason: CloudReason = "bad-reply") -> ModelError:
        """The error to raise: `what` completes the sentence "SERVER ..."."""
        message = f"{self.server} {what}"
        return CloudError(reason, message) if self.role == "cloud" else ModelError(message)

    def text(self, value: object, field: str) -> str:
        """A string; half characters (lone surrogates) become question marks."""
        if not isinstance(value, str):
            raise self._wrong(field, "no text")
        return value.encode("utf-8", "replace").decode("utf-8")

    def integer(self, value: object, field: str) -> int:
        """A whole number; `true` is none."""
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(field, "no whole number")
        return value

    def number(self, value: object, field: str) -> float:
        """A number, whole or not."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(field, "no number")
        return float(value)

    def items(self, value: object, field: str) -> list[Any]:
        """A list."""
        if not isinstance(value, list):
            raise self._wrong(field, "no list")
        return value

    def mapping(self, value: object, field: str) -> dict[str, Any]:
        """An object."""
        if not isinstance(value, dict):
            raise self._wrong(field, "no object")
        return value

    def refuse_error(self, event: dict[str, Any]) -> None:
        """Raise if this event of a stream reports an error of the server.

        Its message is not repeated: some servers quote the prompt in it.
        """
        if event.get("error"):
            raise self.fault("reported an error while it was writing", "server-error")

    def _wrong(self, field: str, found: str) -> ModelError:
        return self.fault(f"answered with {found} where {field!r} was expected")
