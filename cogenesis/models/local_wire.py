"""The device model's wire: HTTP over a UNIX socket or loopback, and nowhere else.

What travels here is private, so the host is checked before anything is opened, proxies and
redirects are never followed, and no error message repeats what was sent or answered
(servers quote the prompt in some of theirs).

Not covered: who else may connect. A UNIX socket is guarded by its folder's mode, a loopback
port by the server's API key only: other users of the device can reach an unprotected port.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx2

from cogenesis.closing import Closing
from cogenesis.errors import CloudReason, EgressError, ModelError
from cogenesis.lines import Alarm, Line, Lines
from cogenesis.privacy.released import Released
from cogenesis.replies import ReplyError, read_events, read_object
from cogenesis.wire import Body, Deadline, Reply, to_bytes

DEVICE_KEY_ENV: Final = "COGENESIS_DEVICE_KEY"
"""The environment variable with the key of a device model's server."""

CONNECT_TIMEOUT_S: Final = 5.0
IDLE_TIMEOUT_S: Final = 600.0
"""Longest silence without a deadline: reading a long prompt on a slow core takes minutes."""

_LOOPBACK: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))

_WHY: Final[dict[CloudReason, str]] = {
    "timeout": "took longer than it was given",
    "unauthorised": "refuses the API key. Check the key",
    "not-found": "does not know this endpoint. Is it a server of the expected kind?",
    "rate-limited": "is busy. Try again later",
    "redirect": "answered with a redirect, which is never followed. Check its address",
    "too-large": "sent or was sent more than fits",
    "bad-reply": "did not answer with the expected JSON. Is it a model server?",
    "bad-request": "refused the request",
    "server-error": "failed. See its own log",
}


class LocalWire(Closing):
    """Implements `Wire[str | Released]` for a model server on this device.

    Safe to use from several threads. Raises `ModelError` from every request.
    """

    def __init__(
        self, base_url: str, *, server: str, socket_path: Path | None, api_key: str | None
    ) -> None:
        """Prefer `LocalWire.unix` and `LocalWire.loopback`, which check where it leads."""
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if api_key is not None:
            if not api_key.isascii() or not api_key.isprintable():
                raise ModelError("an API key may hold printable ASCII characters only")
            headers["authorization"] = f"Bearer {api_key}"
        self._server = server
        self._socket_path = socket_path
        self._closed = False
        self._lines = Lines(lambda: _client(base_url, socket_path, headers))

    @classmethod
    def unix(cls, path: Path, api_key: str | None = None) -> LocalWire:
        """A server that listens on a UNIX socket."""
        return cls("http://localhost", server="the device model", socket_path=path, api_key=api_key)

    @classmethod
    def loopback(cls, url: str, api_key: str | None = None) -> LocalWire:
        """A server that listens on this device's own address.

        Args:
            url: such as `http://127.0.0.1:8080`; a trailing `/v1` is dropped, because
                endpoints are given with it.
            api_key: the key that the server was started with.

        Raises:
            EgressError: the host is not 127.0.0.0/8, ::1 or localhost.
        """
        parsed = _check_loopback(url)
        path = parsed.path.rstrip("/").removesuffix("/v1")
        base = str(parsed.copy_with(path=path or "/", query=None, fragment=None)).rstrip("/")
        return cls(base, server=base, socket_path=None, api_key=api_key)

    @property
    def server(self) -> str:
        """Where it leads: an address on this device, or "the device model"."""
        return self._server

    @property
    def released_only(self) -> bool:
        """Never: a device model may read everything."""
        return False

    def __repr__(self) -> str:
        return f"LocalWire({self._server!r})"

    def get(self, endpoint: str, *, deadline: Deadline | None = None) -> Reply:
        """Fetch a JSON object."""
        with self._exchange("GET", endpoint, None, deadline) as response:
            return read_object(response, deadline)

    def post(
        self, endpoint: str, body: Body[str | Released], *, deadline: Deadline | None = None
    ) -> Reply:
        """Send a body, receive one JSON object."""
        with self._exchange("POST", endpoint, body, deadline) as response:
            return read_object(response, deadline)

    def stream(
        self, endpoint: str, body: Body[str | Released], *, deadline: Deadline | None = None
    ) -> Iterator[Reply]:
        """Send a body, receive events. Closing the iterator closes the connection."""
        with self._exchange("POST", endpoint, body, deadline) as response:
            yield from read_events(response, deadline)

    def close(self) -> None:
        """Close connections. Safe to call twice."""
        self._closed = True
        self._lines.close()

    @contextlib.contextmanager
    def _exchange(
        self,
        method: str,
        endpoint: str,
        body: Body[str | Released] | None,
        deadline: Deadline | None,
    ) -> Iterator[httpx2.Response]:
        """One request; every way to fail becomes a `ModelError`.

        Causes are cut off (`from None`): they may quote what was sent or answered.
        """
        if self._closed:
            raise ModelError(f"the connection to {self._server} is closed")
        if self._socket_path is not None and not self._socket_path.exists():
            # The HTTP library would leave a socket open for the garbage collector.
            raise ModelError(self._nobody())
        with (
            self._lines.one() as line,
            contextlib.ExitStack() as after,
            Alarm(deadline, self._lines, line) as alarm,
        ):
            try:
                if alarm.rang:
                    raise ReplyError("timeout", "")
                response = self._send(line, method, endpoint, _encode(body), deadline)
                after.callback(response.close)
                yield response
                if alarm.rang:
                    raise ReplyError("timeout", "")
            except ReplyError as error:
                raise self._as_model_error(error) from None
            except (httpx2.TransportError, httpx2.DecodingError) as error:
                late = alarm.rang or isinstance(error, httpx2.TimeoutException)
                raise ModelError(self._broken(error, late=late)) from None

    def _send(
        self,
        line: Line,
        method: str,
        endpoint: str,
        content: bytes | None,
        deadline: Deadline | None,
    ) -> httpx2.Response:
        try:
            return self._open(line, method, endpoint, content, deadline)
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
            # llama.cpp closes a kept-alive connection after a streamed reply, sometimes just
            # as we reuse it. No byte of an answer has come, so ask once more: the line had
            # one connection only, so this is a new one.
            return self._open(line, method, endpoint, content, deadline)

    def _open(
        self,
        line: Line,
        method: str,
        endpoint: str,
        content: bytes | None,
        deadline: Deadline | None,
    ) -> httpx2.Response:
        left = IDLE_TIMEOUT_S if deadline is None else deadline.remaining()
        if left <= 0.0:
            raise ReplyError("timeout", "no time was left")
        request = line.client.build_request(
            method,
            endpoint,
            content=content,
            timeout=httpx2.Timeout(left, connect=min(left, CONNECT_TIMEOUT_S)),
            extensions={"trace": line.trace},
        )
        return line.client.send(request, stream=True)

    def _as_model_error(self, error: ReplyError) -> ModelError:
        text = str(error)
        if "exceed" in text and "context" in text:
            numbers = re.findall(r"\((\d+) tokens\)", text)
            sizes = f" ({numbers[0]} tokens, the window has {numbers[1]})" if numbers[1:] else ""
            return ModelError(
                f"the prompt does not fit the window of {self._server}{sizes}. "
                "Use a larger window, or shorten the context"
            )
        status = re.match(r"the server answered (\d{3})", text)
        code = f" (status {status[1]})" if status else ""
        return ModelError(f"{self._server} {_WHY.get(error.reason, 'failed')}{code}")

    def _nobody(self) -> str:
        return f"nothing answers at {self._server}. Is the model server running?"

    def _broken(self, error: httpx2.HTTPError, *, late: bool) -> str:
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            return self._nobody()
        if late:
            return f"{self._server} {_WHY['timeout']}"
        return f"the connection to {self._server} broke off. Is the model server still running?"


def _client(base_url: str, socket_path: Path | None, headers: dict[str, str]) -> httpx2.Client:
    transport = httpx2.HTTPTransport(
        # Plain HTTP only. An empty context trusts nobody, and is quicker to make than one
        # with the system's certificates.
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        trust_env=False,
        uds=None if socket_path is None else os.fspath(socket_path),
    )
    return httpx2.Client(
        transport=transport,
        base_url=base_url,
        headers=headers,
        trust_env=False,
        follow_redirects=False,
    )


def _encode(body: Body[str | Released] | None) -> bytes | None:
    if body is None:
        return None
    try:
        return to_bytes(body)
    except UnicodeEncodeError:
        raise ModelError(
            "the text holds half a character (a lone surrogate). Save it as UTF-8 again"
        ) from None


def _check_loopback(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        raise EgressError("the device model's address is no URL") from None
    if parsed.scheme != "http" or parsed.userinfo:
        raise EgressError(
            "a device model's address looks like http://127.0.0.1:8080, without user or password"
        )
    if not _is_loopback(parsed.host):
        raise EgressError(
            f"{parsed.host or 'an empty host'} is not this device: device models read private "
            "text, so they are reached over a UNIX socket or loopback only (127.0.0.1, ::1, "
            "localhost). Remote device hosts (--trust-device-host) are not there yet"
        )
    return parsed


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        # A hosts file may say anything: look where the name leads before trusting it.
        try:
            found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
        except OSError:
            return False
        return bool(found) and all(_is_loopback(address) for address in found)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _LOOPBACK)
