"""The replayed cloud as a process of its own, and its clock."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from cogenesis.evaluation.speed_network import Network
from tests.unit.evaluation.far_cloud import FarCloud
from tests.unit.evaluation.test_replayed_cloud import _FLAT_S, Client, Served
from tests.unit.evaluation.test_replayed_cloud import client as client
from tests.unit.evaluation.test_replayed_cloud import cloud as cloud
from tests.unit.evaluation.test_replayed_cloud import replay as replay


def test_a_process_of_its_own_offers_both_ways(cloud: FarCloud) -> None:
    with Network(cloud.url, (0, 80)) as network:
        assert network.delayed[0] == cloud.url
        clients = [Client(url) for url in (*network.replayed.values(), network.delayed[80])]
        assert [each.texts(["a"]) for each in clients] == [["a"]] * 3
        before = network.counts()
        took = [each.timed(["a"]) for each in clients]
        counts = network.counts().since(before)
        for each in clients:
            each.close()
    assert took[1] >= 0.08 + _FLAT_S
    assert took[2] >= 0.08
    assert (counts.requests, counts.prefixes, counts.unknown) == (2, 2, 0)
    assert 0.0 < counts.cpu_s < 1.0
    assert len(cloud.prompts) == 3  # once for the table, twice through the delayed way


def test_the_real_clouds_work_replaces_the_flat_time(cloud: FarCloud, replay: Served) -> None:
    cloud.wait_s = 0.2
    far = replay.port(100)
    assert far.timed(["new"]) >= 0.3
    assert 0.1 + _FLAT_S <= far.timed(["new"]) < 0.3
    far.close()


def test_requests_are_in_flight_together(cloud: FarCloud, replay: Served, client: Client) -> None:
    client.ask(["a"])
    clients = [replay.port(200) for _ in range(6)]
    started = time.monotonic()
    with ThreadPoolExecutor(6) as pool:
        took = list(pool.map(lambda each: each.timed(["a"]), clients))
    whole = time.monotonic() - started
    for each in clients:
        each.close()
    assert min(took) >= 0.2 + _FLAT_S
    assert whole < 3 * (0.2 + _FLAT_S)  # six in a row would take six times as long
