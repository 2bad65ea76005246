"""The replayed cloud answers from its table, in time, and asks the real one only once."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cogenesis.errors import ModelError
from cogenesis.evaluation.replayed_cloud import ReplayedCloud, connector, precise_loop
from cogenesis.evaluation.speed_network import Network
from tests.unit.evaluation.far_cloud import FarCloud, far_cloud

_FLAT_S = 0.01
_SLACK_S = 0.25
"""For a busy machine."""


class Served:
    """A replayed cloud in a thread, asked over HTTP."""

    def __init__(self, replay: ReplayedCloud, loop: asyncio.AbstractEventLoop) -> None:
        self.replay, self._loop = replay, loop

    def port(self, round_trip_ms: float) -> Client:
        opened = asyncio.run_coroutine_threadsafe(self.replay.listen(round_trip_ms), self._loop)
        return Client(opened.result(5))


class Client:
    """One connection that is kept alive."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
        self.status = 0

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._connection.request("POST", path, json.dumps(body))
        return self._read()

    def get(self, path: str) -> dict[str, Any]:
        self._connection.request("GET", path)
        return self._read()

    def ask(self, prompts: Any, **settings: Any) -> dict[str, Any]:
        return self.post("/v1/completions", {"max_tokens": 1, **settings, "prompt": prompts})

    def texts(self, prompts: list[Any], **settings: Any) -> list[Any]:
        """The prompts that the choices name, in the order of their indexes."""
        choices = self.ask(prompts, **settings)["choices"]
        assert sorted(choice["index"] for choice in choices) == list(range(len(prompts)))
        ordered = sorted(choices, key=lambda choice: int(choice["index"]))
        return [json.loads(choice["text"]) for choice in ordered]

    def timed(self, prompts: list[Any]) -> float:
        started = time.monotonic()
        self.ask(prompts)
        return time.monotonic() - started

    def close(self) -> None:
        self._connection.close()

    def _read(self) -> dict[str, Any]:
        reply = self._connection.getresponse()
        self.status = reply.status
        found: dict[str, Any] = json.loads(reply.read())
        return found


@contextmanager
def served(cloud: FarCloud, flat_ms: float = 1000 * _FLAT_S) -> Iterator[Served]:
    loop = precise_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    replay = ReplayedCloud(connector(cloud.url), flat_ms)
    try:
        yield Served(replay, loop)
    finally:
        asyncio.run_coroutine_threadsafe(replay.close(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def cloud() -> Iterator[FarCloud]:
    with far_cloud() as running:
        yield running


@pytest.fixture
def replay(cloud: FarCloud) -> Iterator[Served]:
    with served(cloud) as running:
        yield running


@pytest.fixture
def client(replay: Served) -> Iterator[Client]:
    opened = replay.port(0)
    yield opened
    opened.close()


def test_what_was_answered_once_comes_from_the_table(
    cloud: FarCloud, replay: Served, client: Client
) -> None:
    prompts = ["Dear", "Dear Anna", "Dear Anna,"]
    first, again = client.texts(prompts), client.texts(prompts)
    assert first == again == prompts
    assert cloud.prompts == prompts
    counts = replay.replay.counts
    assert (counts.requests, counts.prefixes, counts.unknown) == (2, 6, 3)


def test_only_unknown_prefixes_are_forwarded_and_the_order_is_kept(
    cloud: FarCloud, replay: Served, client: Client
) -> None:
    client.texts(["b", "d"])
    mixed = ["a", "b", "c", "d", "a"]
    assert client.texts(mixed) == mixed
    assert cloud.prompts == ["b", "d", "a", "c"]
    assert replay.replay.counts.unknown == 4


def test_ids_and_texts_are_both_prefixes(cloud: FarCloud, client: Client) -> None:
    for _ in range(2):
        assert client.texts([[1, 2], [1, 2, 3]]) == [[1, 2], [1, 2, 3]]
        assert json.loads(client.ask([7, 8])["choices"][0]["text"]) == [7, 8]
        assert json.loads(client.ask("alone")["choices"][0]["text"]) == "alone"
    assert cloud.prompts == [[1, 2], [1, 2, 3], [7, 8], "alone"]


def test_other_settings_are_another_question(cloud: FarCloud, client: Client) -> None:
    client.texts(["a"], logprobs=64)
    client.texts(["a"], logprobs=5)
    assert cloud.prompts == ["a", "a"]


def test_a_prefix_must_be_exact(cloud: FarCloud, client: Client) -> None:
    client.texts(["Dear", "Dear "])
    assert client.texts(["dear", "Dear  "]) == ["dear", "Dear  "]
    assert len(cloud.prompts) == 4


def test_every_port_has_the_same_table_and_its_own_distance(
    cloud: FarCloud, replay: Served, client: Client
) -> None:
    client.ask(["a", "b"])
    far = replay.port(200)
    far_s, near_s = far.timed(["a", "b"]), client.timed(["a", "b"])
    far.close()
    assert cloud.prompts == ["a", "b"]
    assert 0.2 + _FLAT_S <= far_s < 0.2 + _FLAT_S + _SLACK_S
    assert _FLAT_S <= near_s < _FLAT_S + _SLACK_S


def test_other_requests_are_forwarded_and_kept(cloud: FarCloud, client: Client) -> None:
    template = {"messages": [{"role": "user", "content": "Hello"}]}
    for _ in range(2):
        assert client.get("/props") == {"path": "/props"}
        assert client.post("/apply-template", template)["body"] == template
        assert client.post("/tokenize", {"content": "x"})["path"] == "/tokenize"
    assert cloud.others == ["GET /props", "POST /apply-template", "POST /tokenize"]


@pytest.mark.parametrize("settings", [{"max_tokens": 5}, {"temperature": 1.0, "max_tokens": 2}])
def test_longer_completions_are_no_distributions(
    cloud: FarCloud, replay: Served, client: Client, settings: dict[str, Any]
) -> None:
    client.ask(["a"], **settings)
    assert cloud.prompts == ["a"]
    assert replay.replay.counts.requests == 0


def test_a_failure_of_the_real_cloud_is_passed_on_and_not_kept(
    cloud: FarCloud, client: Client
) -> None:
    cloud.status = 503
    client.ask(["a"])
    assert client.status == 503
    client.get("/props")
    assert client.status == 503
    cloud.status = 200
    assert client.texts(["a"]) == ["a"]
    assert client.get("/props") == {"path": "/props"}
    assert client.status == 200


def test_an_answer_that_lacks_a_choice_is_no_answer(cloud: FarCloud, client: Client) -> None:
    cloud.answer = lambda prompt: {"text": "x", "index": 0}
    client.ask(["a", "b"])
    assert client.status == 502
    cloud.answer = lambda prompt: {"text": json.dumps(prompt)}
    assert client.texts(["a", "b"]) == ["a", "b"]


def test_a_cloud_that_is_down_is_a_bad_gateway(cloud: FarCloud) -> None:
    with far_cloud() as other:
        gone = other.url
    cloud.url = gone
    with served(cloud) as replay:
        client = replay.port(0)
        client.ask(["a"])
        client.close()
    assert client.status == 502


def test_a_client_that_hangs_up_still_fills_the_table(
    cloud: FarCloud, replay: Served, client: Client
) -> None:
    cloud.wait_s = 0.1
    hasty = replay.port(0)
    with pytest.raises(TimeoutError):
        hasty._connection.timeout = 0.02
        hasty.ask(["a"])
    hasty.close()
    started = time.monotonic()
    while not cloud.prompts and time.monotonic() - started < 5:
        time.sleep(0.01)
    time.sleep(0.1)
    assert client.texts(["a"]) == ["a"]
    assert cloud.prompts == ["a"]


def test_the_process_ends_by_itself_when_nobody_speaks_to_it(cloud: FarCloud) -> None:
    network = Network(cloud.url, (5,)).start()
    process, url = network._process, network.replayed[5]
    network.stop()
    network.stop()
    assert process is not None
    assert process.returncode == 0  # not killed: it would also end with a parent that was
    with pytest.raises(ConnectionRefusedError):
        Client(url).ask(["a"])
    with pytest.raises(ModelError, match="not running"):
        network.counts()


def test_a_process_that_died_is_told(cloud: FarCloud) -> None:
    with Network(cloud.url, (5,)) as network:
        assert network._process is not None
        network._process.kill()
        network._process.wait()
        with pytest.raises(ModelError, match="has ended"):
            network.counts()
