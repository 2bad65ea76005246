"""The relay in front of a cloud keeps what comes, and changes nothing of it."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from cogenesis.errors import ModelError
from cogenesis.evaluation.leaks_received import Fixed, Received, of_texts
from cogenesis.evaluation.recording_relay import RecordingRelay, Request, requests_in


@contextmanager
def echo() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_what_is_sent_is_passed_on_and_kept() -> None:
    body = json.dumps({"prompt": "Dear [person 1]" + " and so on" * 20_000}).encode()
    with echo() as url, RecordingRelay(url) as relay:
        parts = urlsplit(relay.url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
        for sent in (body, b"{}"):
            connection.request("POST", "/v1/completions", sent, {"X-Note": "kept"})
            assert connection.getresponse().read() == sent
        first, second = relay.take()
        assert (first.target, first.body, second.body) == ("POST /v1/completions", body, b"{}")
        assert "X-Note: kept" in first.headers
        assert relay.take() == []
        connection.request("POST", "/later", b"[]")
        connection.getresponse().read()
        assert [each.target for each in relay.take()] == ["POST /later"]
        connection.close()


def test_a_relay_that_cannot_start_is_told() -> None:
    relay = RecordingRelay("http://127.0.0.1:1")
    relay._thread = threading.Thread(target=relay._ready.set)
    with pytest.raises(ModelError, match="did not start"):
        relay.__enter__()


@pytest.mark.parametrize(
    ("data", "bodies"),
    [
        (b"", []),
        (b"GET /a HTTP/1.1\r\n\r\n", [b""]),
        (b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nabPOST /b HTTP/1.1\r\n\r\n", [b"ab", b""]),
        (
            (
                b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n"
            ),
            [b"abcde", b""],
        ),
        (
            b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nsecret",
            [b"abcsecret"],
        ),
        (b"POST /a HTTP/1.1\r\nContent-Length: 90\r\n\r\nhalf a secret", [b"half a secret"]),
        (b"secret without an end", [b"secret without an end"]),
    ],
)
def test_no_byte_of_a_body_is_lost(data: bytes, bodies: list[bytes]) -> None:
    assert [each.body for each in requests_in(data)] == bodies


def request(**body: object) -> Request:
    return Request("POST /v1", ("Host: here", "Content-Length: 9"), json.dumps(body).encode())


FIXED = Fixed(
    [request(prompt=["Rule.\n\nTitle: Nobody\n\nText:\n"], seed=0, stop=["\n"])], "Nobody"
)


def test_what_everybody_sends_is_set_aside_and_nothing_else() -> None:
    told = FIXED.received(
        [
            request(prompt=["Rule.\n\nTitle: A speech\n\nText:\n"], seed=0, stop=["\n"]),
            request(prompt=["Rule.\n\nTitle: A speech\n\nText:\nDear Wr"], seed=0),
            request(prompt=["Rule.\n\nTitle: A speech\n\nText:\nDear friends, we"], seed=7),
            Request("GET /Wren", ("Host: here", "X-User: Wren"), b""),
        ]
    )
    assert told.opening == "A speech\n"
    assert told.grown == ("Dear Wr", "Dear friends, we")
    assert told.rest == ("seed 7", "GET /Wren", "X-User: Wren")


def test_beginnings_are_in_what_they_became() -> None:
    told = of_texts(["Title: T\n", "Title: T\nIn the", "Title: T\nIn theo", "Title: T\nIn theory"])
    assert told == Received("Title: T\n", ("In theory",), (), ("the", "theo"))
    assert of_texts(["Task: T"]) == Received("Task: T")
    assert of_texts([]) == Received()
    assert Received.from_json(json.loads(json.dumps(told.to_json()))) == told


def test_a_body_that_is_no_json_is_kept_as_it_is() -> None:
    told = FIXED.received([Request("POST /v1", (), b"Wren's own words")])
    assert told.opening == "Wren's own words"
