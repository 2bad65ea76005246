"""A line is ended whatever it does just then, and nobody else's is."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest
import trustme

from cogenesis.lines import Alarm, Line, Lines
from cogenesis.wire import Deadline


class Stream:
    """What the HTTP library tells in its trace."""

    def __init__(self, one: socket.socket) -> None:
        self._one = one

    def get_extra_info(self, name: str) -> socket.socket:
        assert name == "socket"
        return self._one


def lines() -> Lines:
    return Lines(
        lambda: httpx2.Client(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False)
    )


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        one.settimeout(5)
        other.settimeout(5)
        yield one, other


def connect(line: Line, one: socket.socket) -> None:
    line.trace("connection.connect_tcp.complete", {"return_value": Stream(one)})


def test_a_line_is_used_again_and_never_by_two() -> None:
    some = lines()
    with some.one() as first, some.one() as second:
        assert first is not second
    with some.one() as again:
        assert again in {first, second}
    some.close()


def test_a_line_that_was_ended_is_not_used_again() -> None:
    some = lines()
    with some.one() as line:
        line.hang_up()
    with some.one() as other:
        assert other is not line
    assert line.client.is_closed
    some.close()


def test_what_is_ended_while_it_connects_sends_nothing() -> None:
    with pair() as (one, other), lines().one() as line:
        line.hang_up()
        connect(line, one)
        with pytest.raises(OSError, match=r"pipe|shut|reset"):
            one.send(b"too late")
        assert other.recv(10) == b""


def test_a_ring_that_comes_late_leaves_the_next_exchange_alone() -> None:
    some, deadline = lines(), Deadline(30)
    with pair() as (one, other):
        with some.one() as line, Alarm(deadline, some, line) as alarm:
            connect(line, one)
        with some.one() as again:
            assert again is line
            alarm._ring()  # as a timer that was cancelled too late
            assert not alarm.rang
            one.send(b"next")
            assert other.recv(10) == b"next"
    some.close()


def test_closing_ends_what_runs_and_what_begins_afterwards() -> None:
    some = lines()
    with pair() as (one, other):
        with some.one() as line:
            connect(line, one)
            some.close()
            assert other.recv(10) == b""
        with some.one() as after:
            assert after.ended
        assert after.client.is_closed
    some.close()


def test_hanging_up_never_takes_the_encryption_away() -> None:
    """`SSLSocket.shutdown` does, before it shuts: a thread that writes would write plain text."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trusting)
    with pair() as (one, other):
        served: list[ssl.SSLSocket] = []
        thread = threading.Thread(
            target=lambda: served.append(context.wrap_socket(other, server_side=True))
        )
        thread.start()
        with trusting.wrap_socket(one, server_hostname="127.0.0.1") as safe:
            thread.join()
            with served[0], lines().one() as line:
                connect(line, safe)
                line.hang_up()
                assert safe.version() is not None  # it still encrypts
                with pytest.raises(OSError, match=r"EOF|pipe|shut|protocol"):
                    safe.send(b"secret")
                assert served[0].recv(10) == b""
