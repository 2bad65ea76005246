"""The one way out: everything that goes to a cloud model passes here.

In this order, for every attempt: the body is checked to be made of released parts only, the
request is written to the ledger and synced to disk, and only then its bytes go out. If the
check or the ledger fails, nothing is sent.

The server is untrusted: no redirect is followed, no cookie is kept, replies are bounded in
size and time, and TLS certificates are always verified (there is no switch). Proxy settings
and `.netrc` of the environment are ignored, so that no header comes from outside.

Not covered: what the server can learn from the time and number of requests, and from the
network address. Requests carry no identifier of the user or the device.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import httpx2
import tenacity

from cogenesis.closing import Closing
from cogenesis.errors import CloudError, EgressError, LedgerError
from cogenesis.lines import Alarm, Line, Lines
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger, LedgerEntry, Outcome
from cogenesis.privacy.released import Released
from cogenesis.privacy.released_body import ReleasedBody, release_body
from cogenesis.replies import ReplyError, read_events, read_object
from cogenesis.wire import Body, Deadline, Reply

CONNECT_TIMEOUT_S: Final = 10.0
DEFAULT_DEADLINE_S: Final = 120.0
ATTEMPTS: Final = 3
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 8.0

# Endpoint -> what it is for, as the ledger calls it. Nothing else can be asked.
_ENDPOINTS: Final = frozenset(
    {
        "/v1/chat/completions",
        "/v1/completions",
        "/completion",
        "/generate",
        "/v1/models",
        "/props",
        "/tokenize",
        "/detokenize",
        "/apply-template",
    }
)
_PASSING: Final = frozenset({"unreachable", "rate-limited", "server-error"})

_NOTHING: Final = ReleasedBody(b"", "")

_R = TypeVar("_R")
_Events = Generator[Reply, None, None]


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went through an egress: every request counts, also retries and failed ones.

    `bytes` are those of request bodies; `round_trips` the requests for text, not probes.
    """

    requests: int = 0
    bytes: int = 0
    round_trips: int = 0

    def since(self, before: Traffic) -> Traffic:
        """What was added to an earlier count."""
        return Traffic(
            self.requests - before.requests,
            self.bytes - before.bytes,
            self.round_trips - before.round_trips,
        )


@dataclass(slots=True)
class _Seen:
    """What is known about one exchange so far."""

    response: httpx2.Response | None = None
    error: str = "cancelled"

    def outcome(self, seconds: float) -> Outcome:
        return Outcome(
            status=self.response.status_code if self.response is not None else None,
            error=self.error,
            received=self.response.num_bytes_downloaded if self.response is not None else 0,
            seconds=seconds,
        )


class Egress(Closing):
    """Implements `Wire[Released]` for one cloud server. Safe to use from several threads.

    Raises, from every request: `CloudError` if the server does not answer properly after
    at most ATTEMPTS tries; `EgressError` or `LedgerError` if nothing may be sent.
    """

    def __init__(
        self,
        endpoint: CloudEndpoint,
        ledger: Ledger,
        *,
        attempts: int = ATTEMPTS,
        first_wait_s: float = FIRST_WAIT_S,
        hangs_up: bool | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            endpoint: where to.
            ledger: where every request is written first.
            attempts: how often a request is tried.
            first_wait_s: before the second.
            hangs_up: close the connection of a request that is called off, so that the server
                stops computing. Without, its reply is read to the end and the connection is
                kept: to a far server a new one costs round trips. None: only on this device.
                A stream is always hung up.
        """
        self._hangs_up = endpoint.on_this_device if hangs_up is None else hangs_up
        self._endpoint = endpoint
        self._ledger = ledger
        self._traffic = Traffic()
        self._counting = threading.Lock()
        self._attempts = attempts
        self._first_wait_s = first_wait_s
        self._closed = False
        trusted = _tls() if endpoint.base.startswith("https") else _trust_nobody()
        self._lines = Lines(lambda: _client(trusted))

    def __repr__(self) -> str:
        return f"Egress({self.server!r})"

    @property
    def server(self) -> str:
        """The cloud's host and port."""
        return self._endpoint.host

    @property
    def released_only(self) -> bool:
        """Always: that is what it is for."""
        return True

    @property
    def traffic(self) -> Traffic:
        """What has been sent so far."""
        return self._traffic

    def get(self, endpoint: str, *, deadline: Deadline | None = None) -> Reply:
        """Fetch a JSON object."""
        return self._object("GET", endpoint, _NOTHING, deadline)

    def post(
        self, endpoint: str, body: Body[Released], *, deadline: Deadline | None = None
    ) -> Reply:
        """Send a released body, receive one JSON object."""
        return self._object("POST", endpoint, release_body(body), deadline)

    def stream(
        self, endpoint: str, body: Body[Released], *, deadline: Deadline | None = None
    ) -> Iterator[Reply]:
        """Send a released body, receive events. Retried only until the first one came."""
        content = release_body(body)
        deadline = deadline or Deadline(DEFAULT_DEADLINE_S)

        def first(attempt: int) -> tuple[Reply | None, _Events]:
            events = self._events("POST", endpoint, content, deadline, attempt)
            return next(events, None), events

        head, rest = self._retried(first, deadline)
        with contextlib.closing(rest):
            if head is not None:
                yield head
                yield from rest

    def close(self) -> None:
        """Close connections. Safe to call twice. The ledger stays open."""
        self._closed = True
        self._lines.close()  # a reply may still be read to its end

    def _object(
        self, method: str, endpoint: str, content: ReleasedBody, deadline: Deadline | None
    ) -> Reply:
        deadline = deadline or Deadline(DEFAULT_DEADLINE_S)

        def once(attempt: int) -> Reply:
            with self._exchange(
                method, endpoint, content, deadline, attempt, hangs_up=self._hangs_up
            ) as response:
                # Without a deadline of its own: the alarm of the exchange keeps it.
                return read_object(response, None)

        return self._retried(once, deadline)

    def _events(
        self, method: str, endpoint: str, content: ReleasedBody, deadline: Deadline, attempt: int
    ) -> _Events:
        with self._exchange(method, endpoint, content, deadline, attempt) as response:
            yield from read_events(response, deadline)

    def _retried(self, call: Callable[[int], _R], deadline: Deadline) -> _R:
        """Try again what may pass: with growing, jittered waits, or as the server asks.

        A wait that would outlast the deadline is not begun: the caller has a fallback.
        """
        backoff = tenacity.wait_exponential_jitter(
            multiplier=self._first_wait_s, max=LONGEST_WAIT_S, jitter=self._first_wait_s
        )

        def wait(state: tenacity.RetryCallState) -> float:
            asked = _error_of(state).retry_after_s
            return backoff(state) if asked is None else asked

        def give_up(state: tenacity.RetryCallState) -> bool:
            late = wait(state) >= deadline.remaining()
            return late or state.attempt_number >= self._attempts

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda e: isinstance(e, CloudError) and e.reason in _PASSING
            ),
            wait=wait,
            stop=give_up,
            sleep=deadline.wait,
            reraise=True,
        )
        attempt = 0

        def numbered() -> _R:
            nonlocal attempt
            attempt += 1
            return call(attempt)

        return retrying(numbered)

    @contextlib.contextmanager
    def _exchange(
        self,
        method: str,
        endpoint: str,
        content: ReleasedBody,
        deadline: Deadline,
        attempt: int,
        *,
        hangs_up: bool = True,
    ) -> Iterator[httpx2.Response]:
        """One request, recorded before it goes and after it ended."""
        with self._lines.one() as line:
            request = self._request(line, method, endpoint, content, deadline)
            row = self._ledger.append(self._entry(endpoint, request, content, attempt))
            self._count(_purpose(content), len(content.data))
            begun, seen = time.monotonic(), _Seen()
            try:
                with Alarm(deadline, self._lines, line, hangs_up=hangs_up) as alarm:
                    yield from self._sent(line, request, deadline, alarm, seen)
            except ReplyError as error:
                seen.error = error.reason
                raise CloudError(
                    error.reason, f"{self.server}: {error}", retry_after_s=error.retry_after_s
                ) from None
            finally:
                if seen.response is not None:
                    seen.response.close()
                self._note_outcome(row, seen.outcome(time.monotonic() - begun))

    def _sent(
        self,
        line: Line,
        request: httpx2.Request,
        deadline: Deadline,
        alarm: Alarm,
        seen: _Seen,
    ) -> Iterator[httpx2.Response]:
        try:
            if alarm.rang or deadline.passed():  # while the row was written to disk
                raise ReplyError("timeout", "no time was left to ask")
            seen.response = line.client.send(request, stream=True)
            seen.error = ""
            yield seen.response
            if alarm.rang:
                raise ReplyError("timeout", "the server took longer than the deadline")
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            failure = self._broken(error, late=alarm.rang, begun=seen.response is not None)
            seen.error = failure.reason
            raise failure from None

    def _request(
        self,
        line: Line,
        method: str,
        endpoint: str,
        content: ReleasedBody,
        deadline: Deadline,
    ) -> httpx2.Request:
        if self._closed:
            raise EgressError("the egress is closed")
        if endpoint not in _ENDPOINTS:
            raise EgressError("the egress does not know this endpoint")
        left = deadline.remaining()
        if left <= 0.0:
            raise CloudError("timeout", f"{self.server}: no time was left to ask")
        line.client.cookies.clear()  # a cookie would tie requests together
        headers = {} if not content.data else {"content-type": "application/json"}
        if self._endpoint.api_key is not None:
            headers["authorization"] = f"Bearer {self._endpoint.api_key.reveal()}"
        return line.client.build_request(
            method,
            self._endpoint.url_for(endpoint),
            content=content.data or None,
            headers=headers,
            timeout=httpx2.Timeout(left, connect=min(left, CONNECT_TIMEOUT_S)),
            extensions={"trace": line.trace},
        )

    def _entry(
        self, endpoint: str, request: httpx2.Request, content: ReleasedBody, attempt: int
    ) -> LedgerEntry:
        headers = tuple(
            (name, "<secret>" if name.lower() == "authorization" else value)
            for name, value in request.headers.items()
        )
        return LedgerEntry(
            purpose=_purpose(content),
            method=request.method,
            url=str(request.url),
            headers=headers,
            body=content.data,
            attempt=attempt,
            note=content.note,
        )

    def _count(self, purpose: str, size: int) -> None:
        with self._counting:
            old, text = self._traffic, purpose != "probe"
            self._traffic = Traffic(old.requests + 1, old.bytes + size, old.round_trips + text)

    def _note_outcome(self, row: int, outcome: Outcome) -> None:
        # The request is on record already; a ledger that fails now stops the next request.
        with contextlib.suppress(LedgerError):
            self._ledger.outcome(row, outcome)

    def _broken(self, error: httpx2.HTTPError, *, late: bool, begun: bool) -> CloudError:
        if late or isinstance(error, httpx2.ReadTimeout | httpx2.WriteTimeout):
            return CloudError("timeout", f"{self.server} took longer than the deadline")
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            return CloudError("unreachable", f"nothing answers at {self.server}")
        if begun:
            return CloudError("bad-reply", f"{self.server} broke off in the middle of its reply")
        return CloudError("unreachable", f"{self.server} closed the connection without an answer")


def _purpose(content: ReleasedBody) -> str:
    """What a request is for. Only fixed text probes: the user's is text, wherever it goes.

    A purpose of its own tells contexts that were sent on purpose (`privacy.published`).
    """
    if content.published:
        return "published data"
    return "probe" if content.fixed else "text"


def _error_of(state: tenacity.RetryCallState) -> CloudError:
    error = state.outcome.exception() if state.outcome is not None else None
    if not isinstance(error, CloudError):
        raise EgressError("a retry without a failure")
    return error


def _client(trusted: ssl.SSLContext) -> httpx2.Client:
    return httpx2.Client(
        headers={"user-agent": "cogenesis", "accept-encoding": "identity", "accept": "*/*"},
        verify=trusted,
        trust_env=False,
        follow_redirects=False,
    )


def _tls() -> ssl.SSLContext:
    """Certificates and host names checked, against the system's own store.

    `SSL_CERT_FILE` may name another store (a company's own authority); nothing turns it off.
    """
    return httpx2.create_ssl_context()


def _trust_nobody() -> ssl.SSLContext:
    """For plain HTTP on loopback: quicker to make than a context with certificates."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
