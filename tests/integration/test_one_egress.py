"""The one way out, enforced at run time: real commands, real models, every socket watched.

Two watches. An audit hook in the child and in each Python process that it starts sees every
connection, datagram and name look-up that Python code makes. A network namespace without a way
out (Linux) sees every packet that any code, C libraries included, tries to send. Name look-ups
count as egress: they tell a name server what is asked for.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cogenesis.cloud_server import DemoCloud
from tests.integration.namespace import NO_TUNNEL
from tests.integration.watched import COMMAND, Seen, Watch, run

ROOT = Path(__file__).resolve().parents[2]
PERSON = ROOT / "cogenesis" / "demo" / "person.json"
TASK = "Write a thank-you note: to Petra, for the cake on Friday"
LOOK_UP = "socket.getaddrinfo"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def cloud(cloud_gguf: Path) -> Iterator[DemoCloud]:
    with DemoCloud(cloud_gguf) as server:
        yield server


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path / "watch")


@pytest.fixture
def environment(watch: Watch, tmp_path: Path, device_gguf: Path) -> dict[str, str]:
    """A home of its own, with the models that are there already, and a place for sockets."""
    home, temporary = tmp_path / "home", tmp_path / "t"
    home.mkdir(0o700)
    temporary.mkdir()
    (home / "models").symlink_to(device_gguf.parent, target_is_directory=True)
    return dict(watch.environment(COGENESIS_HOME=str(home), TMPDIR=str(temporary)))


def write(device: Path, *arguments: str) -> list[str]:
    length = ("--max-tokens", "16", "--window", "1024", "--threads", "1")
    return ["write", "-", "--context", str(PERSON), "--device", str(device), *length, *arguments]


def split(seen: list[Seen], environment: dict[str, str]) -> list[Seen]:
    """What went over the network; the device model's socket is looked at and left out."""
    unix = [each.target or "" for each in seen if each.event == "unix"]
    assert all(Path(path).is_relative_to(environment["TMPDIR"]) for path in unix), unix
    assert all(path.endswith("s.sock") for path in unix)
    return [each for each in seen if each.event != "unix"]


def needs_catalogue(device: Path) -> None:
    if device.name == "smol.gguf":
        pytest.skip("the demo is run with models that the catalogue has fetched")


@pytest.mark.parametrize("mode", ["sketch", "fusion"])
def test_write_reaches_the_cloud_and_nothing_else(
    mode: str, cloud: DemoCloud, watch: Watch, environment: dict[str, str], device_gguf: Path
) -> None:
    asked = write(device_gguf, "--mode", mode, "--cloud-url", cloud.url, "--json")
    done = run(asked, environment, stdin=TASK, command=COMMAND)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["egress"]["requests"] > 0
    place = urlsplit(cloud.url)
    network = split(watch.seen(), environment)
    assert {(each.target, each.port) for each in network} == {(place.hostname, place.port)}
    assert {each.event for each in network} == {LOOK_UP, "socket.connect"}
    assert any(each.event == "unix" for each in watch.seen())


def test_the_demo_reaches_its_own_cloud_and_nothing_else(
    watch: Watch, environment: dict[str, str], device_gguf: Path
) -> None:
    needs_catalogue(device_gguf)
    done = run(["demo", "--max-tokens", "16", "--json"], environment, command=COMMAND)
    assert done.returncode == 0, done.stderr
    ledger = str(Path(environment["COGENESIS_HOME"]) / "demo-ledger.sqlite")
    shown = run(["ledger", "show", "--json", "--ledger", ledger], environment, command=COMMAND)
    clouds = {urlsplit(row["url"]).netloc for row in json.loads(shown.stdout)}
    network = split(watch.seen(), environment)
    assert {f"{each.target}:{each.port}" for each in network} == clouds
    assert len(clouds) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--mode", "device"],
        ["--mode", "device", "--cloud-url", "https://cloud.example.com/v1"],
        ["--mode", "fusion", "--cloud-url", "https://cloud.example.com/v1", "--preview"],
    ],
)
def test_without_a_cloud_there_is_no_network_at_all(
    arguments: list[str], watch: Watch, environment: dict[str, str], device_gguf: Path
) -> None:
    done = run(write(device_gguf, *arguments), environment, stdin=TASK, command=COMMAND)
    assert done.returncode == 0, done.stderr
    assert split(watch.seen(), environment) == []


@pytest.mark.parametrize(
    "arguments", [["models", "list"], ["ledger", "show"], ["ledger", "verify"], ["--help"]]
)
def test_commands_that_look_only_reach_nothing(
    arguments: list[str], watch: Watch, environment: dict[str, str]
) -> None:
    done = run(arguments, environment, command=COMMAND)
    assert done.returncode == 0, done.stderr
    assert watch.seen() == []


def test_a_cloud_with_a_name_is_looked_up_under_that_name_only(
    cloud: DemoCloud, watch: Watch, environment: dict[str, str], device_gguf: Path
) -> None:
    place = urlsplit(cloud.url)
    asked = write(device_gguf, "--mode", "sketch", "--cloud-url", f"http://localhost:{place.port}")
    done = run(asked, environment, stdin=TASK, command=COMMAND)
    assert done.returncode == 0, done.stderr
    network = split(watch.seen(), environment)
    looked_up = [each for each in network if each.event == LOOK_UP]
    assert {(each.target, each.port) for each in looked_up} == {("localhost", place.port)}
    reached = [each for each in network if each.event == "socket.connect"]
    assert {each.port for each in reached} == {place.port}
    assert {each.target for each in reached} <= {"127.0.0.1", "::1"}
    # One look-up for each connection, which may try both addresses: never one without.
    assert len(looked_up) <= len(reached)
    assert len(network) == len(looked_up) + len(reached)


def test_a_cloud_that_has_no_address_costs_its_own_look_ups_only(
    watch: Watch, environment: dict[str, str], device_gguf: Path
) -> None:
    asked = write(device_gguf, "--cloud-url", "https://cloud.example.com/v1", "--json")
    done = run(asked, environment, stdin=TASK, command=COMMAND)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["degraded"] == "unreachable"
    network = split(watch.seen(), environment)
    assert {(each.event, each.target) for each in network} == {(LOOK_UP, "cloud.example.com")}
    assert len(network) <= 3  # the egress tries three times


def test_the_watch_sees_what_a_child_does(watch: Watch) -> None:
    """A positive control: a connection, a datagram and two kinds of look-up."""
    code = """
import socket, contextlib
for reach in (
    lambda: socket.create_connection(("192.0.2.1", 80), 1),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53)),
    lambda: socket.getaddrinfo("telemetry.example.com", 443),
    lambda: socket.gethostbyname("telemetry.example.com"),
):
    with contextlib.suppress(ConnectionRefusedError):
        reach()
        raise SystemExit("it was let through")
"""
    done = run(["-W", "ignore", "-c", code], watch.environment(), command=[sys.executable])
    assert done.returncode == 0, done.stderr
    assert [(each.event, each.target) for each in watch.seen()] == [
        (LOOK_UP, "192.0.2.1"),
        ("socket.sendto", "192.0.2.1"),
        (LOOK_UP, "telemetry.example.com"),
        ("socket.gethostbyname", "telemetry.example.com"),
    ]


def in_namespace(folder: Path, environment: dict[str, str], *command: str) -> dict[str, Any]:
    """Run a command where no packet can leave, and return the report on it."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rn", "true"], check=False).returncode:
        pytest.skip("this system gives no network namespace")
    report = folder / "report.json"
    # As a module, so that it finds the package in the working folder.
    inside = [unshare, "-rn", sys.executable, "-m", "tests.integration.namespace", str(report)]
    done = subprocess.run(
        [*inside, *command],
        cwd=ROOT,
        env=environment,
        input=TASK,
        stderr=subprocess.PIPE,
        text=True,
        timeout=280,
        check=False,
    )
    if done.returncode == NO_TUNNEL:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(report.read_text("utf-8"))
    return told


def test_not_one_packet_of_the_demo_leaves(
    environment: dict[str, str], tmp_path: Path, device_gguf: Path
) -> None:
    """Both models run inside; C code and its look-ups are seen, too."""
    needs_catalogue(device_gguf)
    told = in_namespace(tmp_path, environment, *COMMAND, "demo", "--max-tokens", "16", "--json")
    assert told["returncode"] == 0, told["stderr"]
    results = json.loads(told["stdout"])
    assert all(results[mode]["egress"]["requests"] > 0 for mode in ("sketch", "fusion"))
    assert told["packets"] == []
    # The demo cloud is a server; the device model in this process listens at no port.
    assert len(told["listening"]) == 1


@pytest.mark.parametrize("mode", ["sketch", "fusion"])
def test_not_one_packet_of_write_leaves(
    mode: str, environment: dict[str, str], tmp_path: Path, device_gguf: Path, cloud_gguf: Path
) -> None:
    arguments = write(device_gguf, "--mode", mode, "--cloud-url", "{cloud}", "--json")
    arguments[1] = TASK
    told = in_namespace(tmp_path, environment, "--cloud", str(cloud_gguf), *COMMAND, *arguments)
    assert told["returncode"] == 0, told["stderr"]
    assert json.loads(told["stdout"])["egress"]["requests"] > 0
    assert told["packets"] == []
    assert told["listening"] == [urlsplit(told["cloud"]).port]


def test_the_namespace_sees_what_c_code_does(tmp_path: Path, environment: dict[str, str]) -> None:
    """A positive control, past every hook of Python: a connection by the C library."""
    code = """
import ctypes, struct, socket
libc = ctypes.CDLL(None)
handle = libc.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
place = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", 53, bytes((192, 0, 2, 1)))
libc.sendto(handle, b"secret", 6, 0, place, len(place))
"""
    told = in_namespace(tmp_path, environment, sys.executable, "-c", code)
    assert told["returncode"] == 0, told["stderr"]
    assert ["192.0.2.1", 17] in told["packets"]
