"""What becomes of the connection when nobody wants an answer any more: a real TLS server."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from cogenesis.errors import CloudError
from cogenesis.fusion.asking import Asking, CloudRow, Request
from cogenesis.lines import MOST_READ_ON
from cogenesis.models.protocol import TokenIds
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.released import Released, public
from cogenesis.wire import Body, Deadline, Text
from tests.unit.models.loopback import Handler, Loopback

BODY: Body[Released] = {"prompt": Text((public("Hello"),))}
ROUNDS = 6


class TlsCloud:
    """Answers a request when it is told to; counts handshakes."""

    def __init__(self, authority: trustme.CA) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self._context)
        self.came, self.answer = threading.Semaphore(0), threading.Semaphore(0)
        self.url = ""

    @property
    def handshakes(self) -> int:
        return self._context.session_stats()["accept_good"]

    def score(
        self, generated: TokenIds, draft: TokenIds, deadline: Deadline
    ) -> Sequence[CloudRow | None]:
        self.egress.post("/completion", BODY, deadline=deadline)
        return [None]

    @contextmanager
    def served(self, ledger: Ledger, *, hangs_up: bool | None) -> Iterator[None]:
        with Loopback(self._answer) as server:
            server._server.socket = self._context.wrap_socket(
                server._server.socket, server_side=True
            )
            endpoint = CloudEndpoint.parse(server.url.replace("http://", "https://"))
            with Egress(endpoint, ledger, first_wait_s=0.01, hangs_up=hangs_up) as self.egress:
                yield
            self.answer.release(100)

    def _answer(self, handler: Handler) -> None:
        self.came.release()
        assert self.answer.acquire(timeout=10)
        handler.send_json({"ok": True})


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TlsCloud:
    authority, store = trustme.CA(), tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(store))
    monkeypatch.setenv("SSL_CERT_FILE", str(store))
    return TlsCloud(authority)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


def drop_drafts(cloud: TlsCloud, asking: Asking, at_once: int) -> None:
    """In every round, requests are under way when their drafts turn out wrong."""
    for _ in range(ROUNDS):
        requests = [asking.send(0, (), ()) for _ in range(at_once)]
        assert all(cloud.came.acquire(timeout=10) for _ in requests)
        for request in requests:
            asking.finish(request)
        cloud.answer.release(at_once)
        assert all(request.done.wait(10) for request in requests)


@pytest.mark.parametrize("at_once", [1, MOST_READ_ON])
def test_a_far_cloud_keeps_its_connections_when_drafts_are_dropped(
    cloud: TlsCloud, ledger: Ledger, at_once: int
) -> None:
    with cloud.served(ledger, hangs_up=False):
        asking = Asking(cloud, 30.0)
        drop_drafts(cloud, asking, at_once)
        assert 1 <= cloud.handshakes <= at_once
        asking.close()
    rows = list(ledger.entries())
    assert len(rows) == ROUNDS * at_once
    assert {row.outcome.status for row in rows if row.outcome is not None} == {200}


def test_a_near_cloud_is_hung_up_so_that_it_stops_computing(
    cloud: TlsCloud, ledger: Ledger
) -> None:
    with cloud.served(ledger, hangs_up=None):  # the address is this device's
        asking = Asking(cloud, 30.0)
        for _ in range(ROUNDS):
            request = asking.send(0, (), ())
            assert cloud.came.acquire(timeout=10)
            asking.finish(request)
            assert request.done.wait(10)  # without an answer
            assert request.failure == "timeout"
        assert cloud.handshakes == ROUNDS
        asking.close()


def test_only_a_few_answers_are_read_that_nobody_wants(cloud: TlsCloud, ledger: Ledger) -> None:
    with cloud.served(ledger, hangs_up=False):
        asking = Asking(cloud, 30.0)
        requests: list[Request] = []
        for _ in range(MOST_READ_ON + 1):
            requests.append(asking.send(0, (), ()))
            assert cloud.came.acquire(timeout=10)
        for request in requests:
            asking.finish(request)
        assert requests[-1].done.wait(10)  # one too many: it hangs up, and it alone
        assert not any(request.done.is_set() for request in requests[:-1])
        cloud.answer.release(len(requests))
        assert all(request.done.wait(10) for request in requests)
        asking.close()
    ended = [row.outcome for row in ledger.entries() if row.outcome is not None]
    assert sorted(each.error for each in ended) == ["", "", "", "timeout"]


def test_what_was_called_off_sends_nothing_more(cloud: TlsCloud, ledger: Ledger) -> None:
    deadline = Deadline(30.0)
    with cloud.served(ledger, hangs_up=False):
        deadline.call_off()
        with pytest.raises(CloudError, match="no time"):
            cloud.egress.post("/completion", BODY, deadline=deadline)
    assert list(ledger.entries()) == []


def test_closing_wakes_up_what_is_still_read(cloud: TlsCloud, ledger: Ledger) -> None:
    with cloud.served(ledger, hangs_up=False):
        asking = Asking(cloud, 30.0)
        request = asking.send(0, (), ())
        assert cloud.came.acquire(timeout=10)
        asking.close()
        assert not request.done.is_set()
        cloud.egress.close()
        assert request.done.wait(10)


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("http://localhost:8080", True),
        ("http://127.0.0.1:8080/v1", True),
        ("http://[::1]:8080", True),
        ("https://api.example.com/v1", False),
        ("https://10.0.0.1", False),
    ],
)
def test_which_addresses_are_on_this_device(url: str, near: bool) -> None:
    assert CloudEndpoint.parse(url).on_this_device is near
