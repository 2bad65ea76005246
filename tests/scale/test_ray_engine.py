"""The Ray engine on two nodes of this machine: same output, nothing lost, nothing told abroad."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

if importlib.util.find_spec("ray") is None:  # not imported: Ray reads its settings then
    pytest.skip("needs the extra scale", allow_module_level=True)

from benchmarks.ray_nodes import ROOT, two_nodes
from benchmarks.scaling_work import Answered, Asking, SlowServer
from cogenesis.engines import on_ray
from cogenesis.engines.cloud import CloudAddress
from cogenesis.engines.engine import Done, Engine, Lost, Place, open_engine
from cogenesis.errors import CloudError, EngineError, GuardRefusedError, InputError, LedgerError
from cogenesis.privacy.ledger import Ledger

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with two_nodes() as found:
        yield found


@pytest.fixture(scope="module")
def ray(address: str) -> Iterator[Engine]:
    with open_engine("ray", at_a_time=8, workers=2, ray_address=address) as engine:
        yield engine


def numbered(count: int) -> list[tuple[str, int]]:
    return [(str(number), number) for number in range(count)]


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[tuple[Asking, SlowServer]]:
    with SlowServer(0.05) as server:
        cloud = CloudAddress.of(server.url, "m", "openai-chat", ledger=tmp_path / "ledger.sqlite")
        yield Asking(cloud, tmp_path / "replies"), server


def answers(engine: Engine, asking: Asking, count: int) -> dict[str, Answered]:
    found = {}
    for outcome in engine.map(asking, numbered(count)):
        assert isinstance(outcome, Done)
        found[outcome.key] = outcome.result
    return found


def test_the_output_is_that_of_local_and_one_ledger_has_it_all(
    ray: Engine, asking: tuple[Asking, SlowServer], tmp_path: Path
) -> None:
    work, server = asking
    there = answers(ray, work, 40)
    assert len({each.process for each in there.values()}) == 2
    assert os.getpid() not in {each.process for each in there.values()}
    with Ledger.open(work.cloud.ledger) as ledger:
        assert ledger.verify().ok
        assert ledger.totals().requests == len(server.asked) == 40
    apart = Asking(work.cloud, tmp_path / "other replies")
    with open_engine("local", at_a_time=8) as local:
        here = answers(local, apart, 40)
    assert {k: v.text for k, v in there.items()} == {k: v.text for k, v in here.items()}


def test_a_killed_worker_loses_nothing_and_no_kept_reply_is_paid_again(
    ray: Engine, asking: tuple[Asking, SlowServer]
) -> None:
    work, server = asking
    found: dict[str, Answered] = {}
    for outcome in ray.map(work, numbered(60)):
        assert isinstance(outcome, Done)
        assert outcome.key not in found
        found[outcome.key] = outcome.result
        if len(found) == 20:
            os.kill(outcome.result.process, signal.SIGKILL)
    assert len(found) == 60
    # Only what the dead worker had on its way (four at a time) may be paid for twice.
    assert 60 <= len(server.asked) <= 64
    with Ledger.open(work.cloud.ledger) as ledger:
        assert ledger.verify().ok
    paid = len(server.asked)
    assert all(each.hit for each in answers(ray, work, 60).values())
    assert len(server.asked) == paid


@dataclass(frozen=True)
class Troubled:
    """Work that fails as it is told to."""

    trouble: str

    def open(self, place: Place) -> contextlib.AbstractContextManager[Callable[[int], int]]:
        if self.trouble == "no ledger":
            raise LedgerError("the disk is full")
        if self.trouble == "dies at the start":
            os.kill(os.getpid(), signal.SIGKILL)
        return contextlib.nullcontext(self.work)

    def work(self, item: int) -> int:
        if item == 3 and self.trouble == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        if item == 3 and self.trouble == "wrong key":
            raise CloudError("unauthorised", "the key is wrong")
        if item == 3 and self.trouble == "refused":
            raise GuardRefusedError("Rosalind Ayers is a name")
        if item == 3 and self.trouble == "bug":
            raise KeyError("Rosalind Ayers")
        return item


@dataclass(frozen=True)
class Slow:
    """Work that takes long to open, and of which so many items are only done together."""

    seconds: float
    notes: Path
    together: int = 1

    @contextlib.contextmanager
    def open(self, place: Place) -> Iterator[Callable[[int], str]]:
        def work(item: int) -> str:
            (self.notes / f"begun-{item}").touch()
            for _ in range(600):
                if len(list(self.notes.glob("begun-*"))) >= self.together:
                    return place.name
                threading.Event().wait(0.05)
            raise EngineError("the others did not come")

        (self.notes / f"open-{place.name}").touch()
        threading.Event().wait(self.seconds)
        yield work


def test_one_item_in_each_worker_and_no_worker_without_one(
    ray: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "_at_a_time", None)  # a process has one Ray engine at a time
    monkeypatch.setattr(ray, "_workers", 3)
    assert ray.at_a_time == 3
    done = [each for each in ray.map(Slow(0.0, tmp_path, 2), numbered(2)) if isinstance(each, Done)]
    assert len({each.result for each in done}) == 2
    assert len(list(tmp_path.glob("open-*"))) == 2
    assert list(ray.map(Slow(0.0, tmp_path), [])) == []
    monkeypatch.setattr(ray, "_workers", None)
    assert ray.at_a_time == 4  # two machines with two processors


def test_opening_may_take_longer_than_starting(
    ray: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model may have to be fetched first."""
    monkeypatch.setattr(on_ray, "_START_S", 0.5)
    assert len(list(ray.map(Slow(6.0, tmp_path), numbered(2)))) == 2


def test_an_item_that_kills_its_workers_costs_itself_only(ray: Engine) -> None:
    found = list(ray.map(Troubled("deadly"), numbered(12)))
    assert [each.key for each in found if isinstance(each, Lost)] == ["3"]
    assert sorted(int(each.key) for each in found) == list(range(12))


@pytest.mark.parametrize(
    ("trouble", "kind", "message"),
    [
        ("wrong key", CloudError, "the key is wrong"),
        ("no ledger", LedgerError, "the disk is full"),
        ("refused", Exception, "the guard refused"),
        ("bug", EngineError, r"KeyError \(|KeyError"),
        ("dies at the start", EngineError, "before they are ready"),
    ],
)
def test_errors_of_workers_end_the_run_and_tell_nothing_private(
    ray: Engine, trouble: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        list(ray.map(Troubled(trouble), numbered(12)))
    assert "Rosalind" not in str(caught.value)
    if trouble == "wrong key":
        assert isinstance(caught.value, CloudError)
        assert caught.value.reason == "unauthorised"


def test_a_worker_without_the_key_or_the_ledger_sends_nothing(
    ray: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SlowServer(0.0) as server:
        monkeypatch.setenv("A_KEY_OF_THE_TEST", "secret-1")
        keyed = CloudAddress.of(
            server.url,
            "m",
            "openai-chat",
            key_env="A_KEY_OF_THE_TEST",
            ledger=tmp_path / "l.sqlite",
        )
        assert "secret-1" not in repr(keyed)
        with pytest.raises(InputError, match="A_KEY_OF_THE_TEST is not set for the workers"):
            list(ray.map(Asking(keyed, tmp_path / "replies"), numbered(3)))
        broken = tmp_path / "broken.sqlite"
        broken.write_bytes(b"no ledger at all, but long enough to be looked at" * 20)
        unwritten = CloudAddress.of(server.url, "m", "openai-chat", ledger=broken)
        with pytest.raises(LedgerError):
            list(ray.map(Asking(unwritten, tmp_path / "replies"), numbered(3)))
        assert server.asked == []


ALONE = """
import json, os, sys
from cogenesis.engines.engine import Plain, open_engine
from cogenesis.engines import ray_cluster

def listening():
    rows = []
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        rows += [line.split() for line in open(name).read().splitlines()[1:]]
    return {row[9]: row[1].split(":")[0] for row in rows if row[3] == "0A"}

def of_session(session):
    there, found = listening(), set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if session.encode() not in file.read():
                    continue
            for handle in os.listdir(f"/proc/{pid}/fd"):
                link = os.readlink(f"/proc/{pid}/fd/{handle}")
                if link.startswith("socket:[") and link[8:-1] in there:
                    found.add(there[link[8:-1]])
        except OSError:
            continue
    return found

with open_engine("ray", workers=1) as engine:  # a second one in the same process works too
    list(engine.map(Plain(abs), [("a", -1)]))
with open_engine("ray", at_a_time=2, workers=1) as engine:
    token = os.environ["RAY_AUTH_TOKEN"]
    results = sorted(done.result for done in engine.map(Plain(abs), [("a", -1), ("b", 2)]))
    import ray
    folder = ray._private.worker._global_node.get_session_dir_path()
    outer = os.path.dirname(os.path.dirname(folder))
    told = {
        "results": results,
        "addresses": sorted(of_session(token)),
        "mode": oct(os.stat(outer).st_mode & 0o777),
        "statistics": os.environ["RAY_USAGE_STATS_ENABLED"],
        "folder": outer,
    }
told["left"] = [os.path.exists(told.pop("folder")), "RAY_AUTH_TOKEN" in os.environ]
print(json.dumps(told))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_it_starts_is_on_loopback_closed_to_others_and_leaves_nothing() -> None:
    command = [sys.executable, "-c", ALONE]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)  # nothing of Ray's is in it
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert told["results"] == [1, 2]
    assert told["addresses"]
    assert set(told["addresses"]) <= loopback
    assert (told["mode"], told["statistics"]) == ("0o700", "0")
    assert told["left"] == [False, False]


def test_a_stranger_without_the_token_is_refused(address: str) -> None:
    code = (
        "from cogenesis.engines.engine import open_engine\n"
        f"with open_engine('ray', ray_address={address!r}):\n    print('in')"
    )
    environment = os.environ | {"RAY_AUTH_TOKEN": "0" * 64, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode != 0
    assert "in" not in done.stdout.split()


def test_an_address_that_is_none_is_told() -> None:
    with (
        pytest.raises(InputError, match="HOST:PORT"),
        open_engine("ray", ray_address="ray://127.0.0.1"),
    ):
        pass
