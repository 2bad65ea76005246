from __future__ import annotations

import socket
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from cogenesis.errors import CloudError, EgressError, ModelError
from cogenesis.models.local_wire import LocalWire
from cogenesis.privacy.released import Released, public
from cogenesis.wire import Body, Deadline, Reply, Text
from tests.unit.models.loopback import Handler, Loopback

SECRET = "Aunt Hortensia's biopsy"
BODY: Body[str | Released] = {"prompt": Text((public("Say: "), SECRET)), "n": 1}


def _post(answer: Callable[[Handler], None], deadline: Deadline | None = None) -> object:
    with Loopback(answer) as server, LocalWire.loopback(server.url) as wire:
        return wire.post("/completion", BODY, deadline=deadline)


def _fails(answer: Callable[[Handler], None], deadline: Deadline | None = None) -> str:
    """The message; also holds that no error quotes what was sent, in its causes either."""
    with pytest.raises(ModelError) as caught:
        _post(answer, deadline)
    assert not isinstance(caught.value, CloudError)
    assert "Hortensia" not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_sends_the_parts_joined_with_the_key_and_reads_one_object() -> None:
    def answer(handler: Handler) -> None:
        handler.send_json({"content": "é"})

    with Loopback(answer) as server, LocalWire.loopback(server.url + "/v1", "k3y") as wire:
        assert wire.post("/completion", BODY) == {"content": "é"}
        assert wire.get("/props") == {"content": "é"}
        assert "k3y" not in repr(wire) + str(vars(wire)["_server"])
    posted, got = server.asked
    assert posted.body == {"prompt": "Say: " + SECRET, "n": 1}
    assert posted.headers["authorization"] == "Bearer k3y"
    assert (posted.path, got.path) == ("/completion", "/props")


def test_reads_events_until_done() -> None:
    def answer(handler: Handler) -> None:
        handler.send_events({"content": "a"}, {"content": "🐧"}, "[DONE]", {"content": "never"})

    with Loopback(answer) as server, LocalWire.loopback(server.url) as wire:
        assert list(wire.stream("/completion", BODY)) == [{"content": "a"}, {"content": "🐧"}]


@pytest.mark.parametrize(
    "url",
    [
        "http://192.168.1.7:8080",
        "http://example.org",
        "http://127.0.0.1.example.org",
        "http://0.0.0.0:8080",
        "http://[::ffff:127.0.0.1]:8080",
        "http://[2001:db8::1]",
        "http://localhost.localdomain.example",
        "http://2130706433",
        "http://",
    ],
)
def test_refuses_every_host_that_is_not_this_device(url: str) -> None:
    with pytest.raises(EgressError, match=r"UNIX socket or loopback only|no URL"):
        LocalWire.loopback(url)


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1", "http://127.0.0.1@example.org", "ftp://127.0.0.1", "127.0.0.1"]
)
def test_refuses_what_is_no_plain_loopback_address(url: str) -> None:
    with pytest.raises(EgressError, match="looks like"):
        LocalWire.loopback(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "[::1]", "localhost", "LOCALHOST"])
def test_accepts_this_device(host: str) -> None:
    LocalWire.loopback(f"http://{host}:8080").close()


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Loopback(lambda handler: handler.send_json({"from": "proxy"})) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("no_proxy", "")
        assert _post(lambda handler: handler.send_json({"from": "server"})) == {"from": "server"}
    assert proxy.asked == []


def test_a_redirect_is_not_followed() -> None:
    with Loopback(lambda handler: handler.send_json({})) as other:

        def answer(handler: Handler) -> None:
            handler.send_json({}, 307, {"location": other.url + "/completion"})

        assert "redirect" in _fails(answer)
    assert other.asked == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "API key"),
        (404, "endpoint"),
        (429, "busy"),
        (400, r"refused the request \(status 400\)"),
        (500, r"failed.*\(status 500\)"),
    ],
)
def test_an_error_status_is_explained_without_the_servers_words(status: int, expected: str) -> None:
    def answer(handler: Handler) -> None:
        handler.send_json({"error": {"message": f"last read: {SECRET}"}}, status)

    with pytest.raises(ModelError, match=expected):
        _post(answer)
    _fails(answer)


def test_a_prompt_that_is_too_long_names_both_sizes() -> None:
    words = "request (7200 tokens) exceeds the available context size (2048 tokens), try"

    def answer(handler: Handler) -> None:
        handler.send_json({"error": {"message": words}}, 400)

    message = _fails(answer)
    assert "7200 tokens, the window has 2048" in message


@pytest.mark.parametrize(
    "data",
    [
        b"<html><body>Hortensia</body></html>",
        b'{"content": "Hortensia',
        b"[1, 2]",
        b"null",
        b'{"logprob": NaN}',
        b"",
        b"\xff\xfe",
    ],
)
def test_what_is_not_a_json_object_is_refused(data: bytes) -> None:
    def answer(handler: Handler) -> None:
        handler.send_raw(data, "application/json")

    assert "JSON" in _fails(answer)


def test_five_megabytes_are_refused() -> None:
    def answer(handler: Handler) -> None:
        handler.send_json({"content": "x" * 5_000_000})

    assert "more than fits" in _fails(answer)


def test_a_body_that_is_cut_off_is_a_broken_connection() -> None:
    def answer(handler: Handler) -> None:
        handler.send_raw(b'{"content": ', "application/json", claimed=500)

    assert "broke off" in _fails(answer)


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        wire = LocalWire.loopback(f"http://127.0.0.1:{free.getsockname()[1]}")
    with wire, pytest.raises(ModelError, match="nothing answers at http://127"):
        wire.get("/props")
    with (
        LocalWire.unix(tmp_path / "none") as wire,
        pytest.raises(ModelError, match="the device model") as caught,
    ):
        wire.get("/props")
    assert str(tmp_path) not in str(caught.value)


def test_a_server_that_says_nothing_is_left_at_the_deadline() -> None:
    silent = threading.Event()
    begin = time.monotonic()
    try:
        message = _fails(lambda handler: bool(silent.wait(5)), Deadline(0.2))  # type: ignore[arg-type]
    finally:
        silent.set()
    assert "longer than it was given" in message
    assert 0.15 < time.monotonic() - begin < 2


def test_a_stream_that_stalls_is_left_at_the_deadline_not_later() -> None:
    stalled = threading.Event()

    def answer(handler: Handler) -> None:
        handler.send_events({"content": "a"})
        time.sleep(0.9)
        handler.send_event({"content": "b"})
        stalled.wait(5)

    begin = time.monotonic()
    seen: list[Reply] = []
    with Loopback(answer) as server, LocalWire.loopback(server.url) as wire:
        with pytest.raises(ModelError, match="longer than it was given"):
            seen.extend(wire.stream("/completion", BODY, deadline=Deadline(1.2)))
        stalled.set()
    # A read timeout alone would start again at the second event and end at 2.1 s.
    assert 1.15 < time.monotonic() - begin < 2.0
    assert seen == [{"content": "a"}, {"content": "b"}]


def test_a_deadline_that_has_passed_sends_nothing() -> None:
    with Loopback(lambda handler: handler.send_json({})) as server:
        with (
            LocalWire.loopback(server.url) as wire,
            pytest.raises(ModelError, match="longer than it was given"),
        ):
            wire.post("/completion", BODY, deadline=Deadline(0))
        assert server.asked == []


def test_a_stale_connection_is_asked_once_more() -> None:
    def answer(handler: Handler) -> None:
        # Every second request on a connection finds it closing, without the server having
        # said so: what llama.cpp does after a streamed reply.
        if len(server.asked) == 2:
            handler.drop()
        else:
            handler.send_json({"count": len(server.asked)})

    with Loopback(answer) as server, LocalWire.loopback(server.url) as wire:
        assert wire.post("/completion", BODY) == {"count": 1}
        assert wire.post("/completion", BODY) == {"count": 3}


def test_a_server_that_always_hangs_up_is_asked_twice_only() -> None:
    with Loopback(lambda handler: handler.drop()) as server:
        with LocalWire.loopback(server.url) as wire, pytest.raises(ModelError, match="broke off"):
            wire.post("/completion", BODY)
        assert len(server.asked) == 2


def test_closing_the_iterator_hangs_up() -> None:
    hung_up = threading.Event()

    def answer(handler: Handler) -> None:
        handler.begin_events()
        try:
            while True:
                handler.send_event({"content": "more"})
                time.sleep(0.005)
        except OSError:
            hung_up.set()

    with Loopback(answer) as server, LocalWire.loopback(server.url) as wire:
        events = wire.stream("/completion", BODY)
        assert next(events) == {"content": "more"}
        events.close()  # type: ignore[attr-defined]
        assert hung_up.wait(3)


def test_half_a_character_is_explained() -> None:
    with (
        LocalWire.loopback("http://127.0.0.1:9") as wire,
        pytest.raises(ModelError, match="half a character"),
    ):
        wire.post("/completion", {"prompt": Text(("\ud83d",))})


def test_a_closed_wire_says_so() -> None:
    wire = LocalWire.loopback("http://127.0.0.1:9")
    wire.close()
    wire.close()
    with pytest.raises(ModelError, match="closed"):
        wire.get("/props")


def test_a_key_that_could_not_be_a_header_is_refused() -> None:
    with pytest.raises(ModelError, match="ASCII"):
        LocalWire.loopback("http://127.0.0.1:9", "k\r\nx-evil: 1")
