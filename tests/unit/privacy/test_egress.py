"""The one egress: released parts only, ledger first, bounded and patient."""

from __future__ import annotations

import concurrent.futures
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import trustme

from cogenesis.errors import CloudError, EgressError, LedgerError
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint, Secret
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.released import _MINT, GeneralInstruction, Released, Setting, public
from cogenesis.wire import Body, Deadline, Text
from tests.unit.models.loopback import Handler, Loopback

CHAT = "/v1/chat/completions"
BODY: Body[Released] = {"prompt": Text((public("Hello"),)), "temperature": 0.5}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


def egress(server: Loopback | str, ledger: Ledger, *, key: str | None = None) -> Egress:
    url = server if isinstance(server, str) else server.url
    endpoint = CloudEndpoint.parse(url, Secret(key) if key else None)
    return Egress(endpoint, ledger, first_wait_s=0.01)


def reply_ok(handler: Handler) -> None:
    handler.send_json({"ok": True})


def test_what_arrives_is_what_the_ledger_holds(ledger: Ledger) -> None:
    with Loopback(reply_ok) as server, egress(server, ledger, key="sk-test") as out:
        assert out.post(CHAT, BODY) == {"ok": True}
    (row,) = ledger.entries()
    (asked,) = server.asked
    assert json.loads(row.entry.body) == asked.body == {"prompt": "Hello", "temperature": 0.5}
    assert row.entry.url == server.url + CHAT
    assert asked.headers["authorization"] == "Bearer sk-test"
    recorded = {name.lower(): value for name, value in row.entry.headers}
    assert recorded == {**asked.headers, "authorization": "<secret>"}
    assert row.outcome is not None
    assert row.outcome.status == 200


def test_headers_say_nothing_about_the_device(ledger: Ledger) -> None:
    with Loopback(reply_ok) as server, egress(server, ledger) as out:
        out.post(CHAT, BODY)
        out.get("/props")
    assert {name for asked in server.asked for name in asked.headers} <= {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "connection",
        "content-type",
        "content-length",
    }
    assert {asked.headers["user-agent"] for asked in server.asked} == {"cogenesis"}


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": Text(cast(Any, ("a private string",)))},
        {"prompt": cast(Any, "a private string")},
        {"prompt": cast(Any, ["a private string"])},
        {"prompt": (17, 4, 23)},  # token ids are text
        {"prompt": 17},
        {"a_private_key": True},
        {"messages": ({"role": Text((public("user"),)), "surname": Text((public("x"),))},)},
        {"temperature": float("nan")},
        {"stop": (Text(cast(Any, (object(),))),)},
    ],
)
def test_a_part_that_is_not_released_stops_the_request(body: Any, ledger: Ledger) -> None:
    with Loopback(reply_ok) as server, egress(server, ledger) as out:
        with pytest.raises(EgressError) as refused:
            out.post(CHAT, body)
        with pytest.raises(EgressError):
            list(out.stream(CHAT, body))
    assert "private" not in str(refused.value)
    assert server.asked == []
    assert list(ledger.entries()) == []


def test_an_unknown_endpoint_is_not_asked(ledger: Ledger) -> None:
    with Loopback(reply_ok) as server, egress(server, ledger) as out:
        with pytest.raises(EgressError):
            out.post("/upload", BODY)
        assert server.asked == []


def test_without_a_ledger_nothing_is_sent(ledger: Ledger) -> None:
    with Loopback(reply_ok) as server, egress(server, ledger) as out:
        ledger.close()
        with pytest.raises(LedgerError):
            out.post(CHAT, BODY)
        with pytest.raises(LedgerError):
            list(out.stream(CHAT, BODY))
        assert server.asked == []


def test_the_row_is_on_disk_before_the_request_arrives(tmp_path: Path) -> None:
    seen: list[int] = []

    def answer(handler: Handler) -> None:
        with Ledger.open(tmp_path / "l.sqlite") as second:
            seen.append(len(list(second.entries())))
        handler.send_json({})

    with (
        Ledger.open(tmp_path / "l.sqlite") as ledger,
        Loopback(answer) as server,
        egress(server, ledger) as out,
    ):
        out.post(CHAT, BODY)
        out.post(CHAT, BODY)
    assert seen == [1, 2]


def test_what_the_user_let_through_is_noted(ledger: Ledger) -> None:
    general = GeneralInstruction(
        "A text about Rose", _MINT, source="given", sensitive=("health",), allowed=("Rose",)
    )
    with Loopback(reply_ok) as server, egress(server, ledger) as out:
        out.post(CHAT, {"prompt": Text((general,))})
    (row,) = ledger.entries()
    assert "Rose" in row.entry.note
    assert "health" in row.entry.note


@pytest.mark.parametrize(
    ("status", "reason", "requests"),
    [
        (400, "bad-request", 1),
        (401, "unauthorised", 1),
        (403, "unauthorised", 1),
        (404, "not-found", 1),
        (429, "rate-limited", 3),
        (500, "server-error", 3),
        (503, "server-error", 3),
    ],
)
def test_error_answers(status: int, reason: str, requests: int, ledger: Ledger) -> None:
    def answer(handler: Handler) -> None:
        handler.send_json({"error": {"message": "no\x1b[31m way"}}, status)

    with Loopback(answer) as server, egress(server, ledger) as out:
        with pytest.raises(CloudError) as failed:
            out.post(CHAT, BODY)
        assert out.traffic.requests == requests
        assert out.traffic.requests == requests
    assert failed.value.reason == reason
    assert "\x1b" not in str(failed.value)
    assert len(server.asked) == requests
    rows = list(ledger.entries(newest_first=False))
    assert [row.entry.attempt for row in rows] == list(range(1, requests + 1))
    assert all(row.outcome is not None and row.outcome.status == status for row in rows)


def test_a_passing_fault_is_tried_again(ledger: Ledger) -> None:
    def answer(handler: Handler) -> None:
        if len(server.asked) < 3:
            handler.send_json({}, 503)
        else:
            handler.send_json({"ok": True})

    with Loopback(answer) as server, egress(server, ledger) as out:
        assert out.post(CHAT, BODY) == {"ok": True}
    assert len(server.asked) == 3
    assert server.asked[0].body == server.asked[2].body


def test_a_wait_that_outlasts_the_deadline_is_not_begun(ledger: Ledger) -> None:
    def answer(handler: Handler) -> None:
        handler.send_json({}, 429, {"Retry-After": "3600"})

    with Loopback(answer) as server, egress(server, ledger) as out:
        begun = time.monotonic()
        with pytest.raises(CloudError) as failed:
            out.post(CHAT, BODY, deadline=Deadline(5))
    assert time.monotonic() - begun < 2
    assert failed.value.reason == "rate-limited"
    assert failed.value.retry_after_s == 3600


def test_a_redirect_is_never_followed(ledger: Ledger) -> None:
    with Loopback(reply_ok) as other:

        def answer(handler: Handler) -> None:
            handler.send_json({}, 307, {"Location": other.url + CHAT})

        with Loopback(answer) as server, egress(server, ledger) as out:
            with pytest.raises(CloudError) as failed:
                out.post(CHAT, BODY)
            with pytest.raises(CloudError):
                list(out.stream(CHAT, BODY))
        assert failed.value.reason == "redirect"
        assert other.asked == []


def test_no_cookie_ties_requests_together(ledger: Ledger) -> None:
    def answer(handler: Handler) -> None:
        handler.send_json({}, 200, {"Set-Cookie": "id=42; Path=/"})

    with Loopback(answer) as server, egress(server, ledger) as out:
        out.post(CHAT, BODY)
        out.post(CHAT, BODY)
    assert "cookie" not in server.asked[1].headers
    assert server.asked[0].headers == server.asked[1].headers


def html(handler: Handler) -> None:
    handler.send_raw(b"<html>Sign in</html>", "text/html")


def cut_json(handler: Handler) -> None:
    handler.send_raw(b'{"choices": [{"mess', "application/json")


def not_a_number(handler: Handler) -> None:
    handler.send_raw(b'{"logprob": NaN}', "application/json")


def huge(handler: Handler) -> None:
    handler.send_raw(json.dumps({"text": "a" * 5_000_000}).encode(), "application/json")


def mid_body(handler: Handler) -> None:
    handler.send_raw(b'{"half": ', "application/json", claimed=500)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (html, "bad-reply"),
        (cut_json, "bad-reply"),
        (not_a_number, "bad-reply"),
        (huge, "too-large"),
        (mid_body, "bad-reply"),
    ],
)
def test_nonsense_answers(answer: Any, reason: str, ledger: Ledger) -> None:
    with Loopback(answer) as server, egress(server, ledger) as out:
        with pytest.raises(CloudError) as failed:
            out.post(CHAT, BODY)
        with pytest.raises(CloudError) as streamed:
            list(out.stream(CHAT, BODY))
    assert failed.value.reason == streamed.value.reason == reason
    assert len(server.asked) == 2  # neither is worth a second try


def test_a_stream_that_breaks_off_is_not_begun_again(ledger: Ledger) -> None:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("content-length", "9999")
        handler.end_headers()
        handler.send_event({"n": 1})
        handler.drop()

    with Loopback(answer) as server, egress(server, ledger) as out:
        events = out.stream(CHAT, BODY)
        assert next(events) == {"n": 1}
        with pytest.raises(CloudError) as failed:
            next(events)
    assert failed.value.reason == "bad-reply"
    assert len(server.asked) == 1


def test_calling_a_deadline_off_ends_a_request_that_waits(ledger: Ledger) -> None:
    done = threading.Event()
    deadline = Deadline(30)

    def answer(handler: Handler) -> None:
        deadline.call_off()
        done.wait(5)
        handler.drop()

    with Loopback(answer) as server, egress(server, ledger) as out:
        begun = time.monotonic()
        with pytest.raises(CloudError):
            out.post(CHAT, BODY, deadline=deadline)
        done.set()
        assert time.monotonic() - begun < 2
        with pytest.raises(CloudError):
            out.post(CHAT, BODY, deadline=deadline)
    assert len(server.asked) == 1


class HalfWay:
    """A server whose first reply waits in its middle, and whose others say nothing."""

    def __init__(self) -> None:
        self.begun, self.go_on, self.silent = (threading.Event() for _ in range(3))
        self._lock = threading.Lock()

    def __call__(self, handler: Handler) -> None:
        with self._lock:
            first = not self.begun.is_set()
            if first:
                handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n")
                handler.wfile.write(b'Content-Type: application/json\r\n\r\n{"ok"')
                handler.wfile.flush()
                self.begun.set()
        if first:
            self.go_on.wait(5)
            handler.wfile.write(b": true}")
        else:
            self.silent.set()
            self.go_on.wait(5)
            handler.drop()


@pytest.mark.parametrize("when", ["while it is recorded", "while it waits for its answer"])
def test_what_is_called_off_leaves_the_reply_beside_it_alone(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    server_of, deadline = HalfWay(), Deadline(30)
    with (
        Loopback(server_of) as server,
        egress(server, ledger) as out,
        concurrent.futures.ThreadPoolExecutor() as threads,
    ):
        beside = threads.submit(out.post, CHAT, BODY)
        assert server_of.begun.wait(5)
        time.sleep(0.05)  # it reads the middle of its reply
        if when == "while it is recorded":
            append = ledger.append

            def called_off(*args: Any) -> int:
                deadline.call_off()
                return append(*args)

            monkeypatch.setattr(ledger, "append", called_off)
        dropped = threads.submit(out.post, CHAT, BODY, deadline=deadline)
        if when == "while it waits for its answer":
            assert server_of.silent.wait(5)
            deadline.call_off()
        with pytest.raises(CloudError):
            dropped.result(5)
        server_of.go_on.set()
        assert beside.result(5) == {"ok": True}


@pytest.mark.parametrize("how", ["called off", "at its deadline"])
def test_what_waits_for_its_answer_is_left_alone_when_another_is_ended(
    ledger: Ledger, how: str
) -> None:
    came, go_on = threading.Semaphore(0), threading.Event()

    def answer(handler: Handler) -> None:
        came.release()
        go_on.wait(5)
        handler.send_json({"ok": True})

    with (
        Loopback(answer) as server,
        egress(server, ledger) as out,
        concurrent.futures.ThreadPoolExecutor() as threads,
    ):
        beside = threads.submit(out.post, CHAT, BODY)
        assert came.acquire(timeout=5)
        deadline = Deadline(30 if how == "called off" else 0.1)
        ended = threads.submit(out.post, CHAT, BODY, deadline=deadline)
        assert came.acquire(timeout=5)
        if how == "called off":
            deadline.call_off()
        with pytest.raises(CloudError) as failed:
            ended.result(5)
        assert failed.value.reason == "timeout"
        go_on.set()
        assert beside.result(5) == {"ok": True}
        assert len(server.asked) == 2  # not asked again


def test_nobody_there(ledger: Ledger) -> None:
    with Loopback(reply_ok) as gone:
        url = gone.url
    with egress(url, ledger) as out, pytest.raises(CloudError) as failed:
        out.post(CHAT, BODY)
    assert failed.value.reason == "unreachable"
    assert len(list(ledger.entries())) == 3


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def https(authority: trustme.CA, host: str) -> Iterator[tuple[Loopback, str]]:
    with Loopback(reply_ok) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(host).configure_cert(context)
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        yield server, server.url.replace("http://", "https://")


def test_an_untrusted_certificate_is_refused(authority: trustme.CA, ledger: Ledger) -> None:
    with https(authority, "127.0.0.1") as (server, url):
        with egress(url, ledger) as out, pytest.raises(CloudError) as failed:
            out.post(CHAT, BODY)
        assert failed.value.reason == "unreachable"
        assert server.asked == []


@pytest.mark.parametrize(("host", "accepted"), [("127.0.0.1", True), ("other.example", False)])
def test_a_company_authority_is_trusted_for_its_own_hosts_only(
    host: str,
    accepted: bool,
    authority: trustme.CA,
    ledger: Ledger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(store))
    monkeypatch.setenv("SSL_CERT_FILE", str(store))
    with https(authority, host) as (server, url), egress(url, ledger) as out:
        if accepted:
            assert out.post(CHAT, BODY) == {"ok": True}
        else:
            with pytest.raises(CloudError):
                out.post(CHAT, BODY)
        assert len(server.asked) == accepted


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com",
        "api.example.com",
        "http://api.example.com",
        "http://10.0.0.1:8080",
        "https://user:pass@example.com",
        "https://example.com/v1?key=1",
        "https://example.com/#x",
        "https://",
        "http://[::1",
        "https://exa mple.com",
        "https://exa\tmple.com",
        "https://exam\nple.com",
        "https://exam\x00ple.com",
        "https://ex\u200bample.com",
        "https://ex\u202eample.com",
        "https://exam\u00a0ple.com",
        "https://a..b",
        "https://.example.com",
        "https://example.com.",
        "https://-a.example",
        "https://a-.example",
        "https://a_b.example",
        "https://a%20b.example",
        "https://a.example\\evil",
        f"https://{'a' * 64}.example",
        f"https://{'a.' * 130}example",
        "https://xn--\u00fc.example",
        "https://xn--a.example",
        "https://\U0001f600.example",
        "https://1.2.3",
        "https://256.1.1.1",
        "https://2130706433",
        "https://0x7f000001",
        "http://127.1",
        "https://[::1%25lo]",
        "https://[v1.a]",
        "https://example.com:0",
        "https://example.com:65536",
        "https://example.com:80a",
        "https://example.com:-1",
        "https://example.com/a b",
        "https://example.com/a\r\nHost: b",
        "https://example.com/\x7f",
        "https://example.com/%zz",
        "https://example.com/\u00fc",
        "https://example.com/a\\b",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(EgressError):
        CloudEndpoint.parse(url)


@pytest.mark.parametrize(
    ("base", "endpoint", "url"),
    [
        ("https://a.example", CHAT, "https://a.example/v1/chat/completions"),
        ("https://a.example/v1/", CHAT, "https://a.example/v1/chat/completions"),
        ("https://a.example/v1", "/props", "https://a.example/props"),
        (
            "https://a.example/v1beta/openai",
            CHAT,
            "https://a.example/v1beta/openai/chat/completions",
        ),
        ("https://a.example/gate/v1", CHAT, "https://a.example/gate/v1/chat/completions"),
        ("http://[::1]:80", "/props", "http://[::1]:80/props"),
    ],
)
def test_urls_of_endpoints(base: str, endpoint: str, url: str) -> None:
    assert CloudEndpoint.parse(base).url_for(endpoint) == url


def test_secrets_never_show(ledger: Ledger) -> None:
    secret = Secret("sk-canary")
    endpoint = CloudEndpoint.parse("https://a.example", secret)
    with Egress(endpoint, ledger) as out:
        for shown in (repr(secret), str(endpoint), repr(out), f"{secret}"):
            assert "canary" not in shown
    with pytest.raises(EgressError) as refused:
        Secret("sk-canary with\nnewline")
    assert "canary" not in str(refused.value)


def test_a_model_name_cannot_carry_text() -> None:
    assert Setting.of("org/Model-1.5_Q4:latest").text == "org/Model-1.5_Q4:latest"
    for name in ("my private diary", "a\nb", "", "x" * 300):
        with pytest.raises(EgressError):
            Setting.of(name)
