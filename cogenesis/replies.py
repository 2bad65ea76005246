"""Reading what a server answers, within bounds of size and time.

A server may be hostile: it may answer HTML, half a JSON object, five megabytes, or one byte
a second. Every way of not answering properly ends in a `ReplyError` with a reason; the
device wire turns it into a `ModelError`, the egress into a `CloudError`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from cogenesis.errors import CloudReason
from cogenesis.wire import MAX_REPLY_BYTES, Deadline, Reply

if TYPE_CHECKING:
    import httpx2  # noqa: TID251  (its type only)

_REASONS: dict[int, CloudReason] = {
    401: "unauthorised",
    402: "unauthorised",  # the balance is spent
    403: "unauthorised",
    404: "not-found",
    408: "timeout",
    413: "too-large",
    429: "rate-limited",
}


class ReplyError(Exception):
    """A server did not answer properly. `reason` is one word, `retry_after_s` a named wait."""

    def __init__(
        self, reason: CloudReason, message: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.reason: CloudReason = reason
        self.retry_after_s = retry_after_s


def check_status(response: httpx2.Response, deadline: Deadline | None) -> None:
    """Refuse every answer but 200, with the server's own message where it is short JSON."""
    status = response.status_code
    if status == 200:
        return
    if 300 <= status < 400:
        # Following it would hand the payload to a host that nobody released it to.
        raise ReplyError("redirect", f"the server answered with a redirect ({status})")
    reason: CloudReason = _REASONS.get(status, "server-error" if status >= 500 else "bad-request")
    detail = _server_message(read_bytes(response, deadline))
    raise ReplyError(
        reason,
        f"the server answered {status}{': ' + detail if detail else ''}",
        retry_after_s=retry_after(response.headers.get("retry-after")),
    )


def retry_after(value: str | None, *, now: float | None = None) -> float | None:
    """Seconds that a `Retry-After` header asks for: a number, or an HTTP date."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value).timestamp()
        except (ValueError, TypeError):
            return None
        seconds = when - (time.time() if now is None else now)
    return max(0.0, seconds) if seconds == seconds else None  # NaN is no wait


def read_bytes(response: httpx2.Response, deadline: Deadline | None) -> bytes:
    """The whole body, at most MAX_REPLY_BYTES of it."""
    held = bytearray()
    for chunk in response.iter_bytes():
        held += chunk
        if len(held) > MAX_REPLY_BYTES:
            raise ReplyError("too-large", f"the reply is larger than {MAX_REPLY_BYTES} bytes")
        _check_time(deadline)
    return bytes(held)


def read_object(response: httpx2.Response, deadline: Deadline | None) -> Reply:
    """The body as one JSON object."""
    check_status(response, deadline)
    return parse_object(read_bytes(response, deadline))


def read_events(response: httpx2.Response, deadline: Deadline | None) -> Iterator[Reply]:
    """The body as server-sent events, each one a JSON object, until `[DONE]` or the end."""
    check_status(response, deadline)
    kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "text/event-stream":
        # Some servers ignore `stream` and answer with one object: take it as one event.
        yield parse_object(read_bytes(response, deadline))
        return
    for data in _event_data(response, deadline):
        if data == "[DONE]":
            return
        yield parse_object(data.encode())


def _event_data(response: httpx2.Response, deadline: Deadline | None) -> Iterator[str]:
    size, line = 0, bytearray()  # grows in place: adding to bytes would copy them each time
    for chunk in response.iter_bytes():
        _check_time(deadline)
        size += len(chunk)
        if size > MAX_REPLY_BYTES:
            raise ReplyError("too-large", f"the reply is larger than {MAX_REPLY_BYTES} bytes")
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            line += end
            if line.startswith(b"data:"):
                yield line[5:].strip().decode("utf-8", "replace")
            line.clear()
        line += rest
    if line.startswith(b"data:"):
        yield line[5:].strip().decode("utf-8", "replace")


def parse_object(data: bytes) -> Reply:
    """One JSON object. NaN and Infinity, which JSON does not have, are refused."""
    try:
        value: Any = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        looks = "HTML" if data.lstrip()[:1] == b"<" else "not JSON, or cut off"
        raise ReplyError("bad-reply", f"the reply is {looks} ({len(data)} bytes)") from error
    if not isinstance(value, dict):
        raise ReplyError("bad-reply", "the reply is JSON but no object")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _check_time(deadline: Deadline | None) -> None:
    if deadline is not None and deadline.passed():
        raise ReplyError("timeout", "the server took longer than the deadline")


def _server_message(data: bytes) -> str:
    """The `error.message` of a JSON error reply, printable and at most 200 characters."""
    try:
        error = json.loads(data).get("error", "")
        message = error.get("message", "") if isinstance(error, dict) else error
    except (ValueError, AttributeError, RecursionError):
        return ""
    if not isinstance(message, str):
        return ""  # a tree: printing one that is nested deeply can fail as reading it can
    return "".join(c for c in message if c.isprintable())[:200]
