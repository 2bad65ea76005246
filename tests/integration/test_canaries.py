"""Nothing private in anything that the program leaves behind, whatever goes wrong.

Canaries are planted in each part of the context and in the instruction; the text is the only
place where they may turn up. Runs end well, or badly in each way that we could think of.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cogenesis.cloud_server import DemoCloud
from tests.integration import canaries
from tests.integration.canaries import CANARIES, Places, Ran, found_in

COMMAND = [sys.executable, "-m", "cogenesis"]
TEXT_OF_THE_USER = {"text", "tokens"}

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]


@pytest.fixture(scope="module")
def cloud(cloud_gguf: Path) -> Iterator[DemoCloud]:
    with DemoCloud(cloud_gguf) as server:
        yield server


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "searched")


@pytest.fixture
def environment(places: Places) -> dict[str, str]:
    base = {k: v for k, v in os.environ.items() if not k.startswith(("COGENESIS_", "PYTEST"))}
    return places.environment(base)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return canaries.plant(tmp_path / "me.json")


def write(device: Path | str, context: Path, *arguments: str) -> list[str]:
    length = ("--max-tokens", "24", "--window", "1024", "--threads", "1")
    options = ("--context", str(context), "--device", str(device), *length)
    return [*COMMAND, "write", "-", *options, *arguments]


def check(ran: Ran, returncode: int = 0) -> None:
    assert ran.returncode == returncode, ran.stderr
    assert ran.traces == []
    assert ran.looks > 0


def beside_the_text(ran: Ran) -> dict[str, Any]:
    """What `--json` tells, less the text itself."""
    told: dict[str, Any] = json.loads(ran.stdout)
    return {name: value for name, value in told.items() if name not in TEXT_OF_THE_USER}


def exported(environment: dict[str, str], folder: Path) -> str:
    """Everything that the ledger holds, in the clear."""
    file = folder / "sent.jsonl"
    told = b""
    for arguments in (["export", str(file)], ["show", "--full", "--limit", "999"]):
        done = subprocess.run(
            [*COMMAND, "ledger", *arguments], env=environment, capture_output=True, check=True
        )
        told += done.stdout + done.stderr
    return (told + (file.read_bytes() if file.exists() else b"")).decode()


@pytest.mark.parametrize("mode", ["sketch", "fusion", "device"])
def test_a_text_that_is_written_leaves_no_trace(
    mode: str,
    cloud: DemoCloud,
    places: Places,
    environment: dict[str, str],
    context: Path,
    device_gguf: Path,
    tmp_path: Path,
) -> None:
    page = ["--save-html", str(tmp_path / "page.html")]
    command = write(device_gguf, context, "--mode", mode, "--cloud-url", cloud.url, "--json", *page)
    ran = canaries.run(command, places, environment)
    check(ran)
    assert found_in(json.dumps(beside_the_text(ran))) == []
    assert ran.looks > 5  # it was looked at while it ran
    ledger = exported(environment, tmp_path)
    assert found_in(ledger) == []
    assert ("thank-you note" in ledger) == (mode != "device")


def test_the_cloud_process_of_the_demo_gets_nothing_private(
    places: Places, environment: dict[str, str], device_gguf: Path
) -> None:
    """Its arguments and environment are looked at as those of a child."""
    if device_gguf.name == "smol.gguf":
        pytest.skip("the demo is run with models that the catalogue has fetched")
    models = Path(environment["COGENESIS_HOME"]) / "models"
    models.symlink_to(device_gguf.parent, target_is_directory=True)
    ran = canaries.run([*COMMAND, "demo", "--max-tokens", "8", "--json"], places, environment)
    check(ran)
    assert ran.children > 0


def test_a_cloud_that_is_down(
    places: Places,
    environment: dict[str, str],
    context: Path,
    device_gguf: Path,
    tmp_path: Path,
) -> None:
    command = write(device_gguf, context, "--cloud-url", "http://127.0.0.1:9", "--json")
    ran = canaries.run(command, places, environment)
    check(ran)
    assert beside_the_text(ran)["degraded"] == "unreachable"
    assert found_in(json.dumps(beside_the_text(ran))) == []
    assert found_in(exported(environment, tmp_path)) == []


@pytest.mark.parametrize("mode", ["device", "fusion"])
def test_ctrl_c_while_it_writes(
    mode: str,
    cloud: DemoCloud,
    places: Places,
    environment: dict[str, str],
    context: Path,
    device_gguf: Path,
    tmp_path: Path,
) -> None:
    long = ("--max-tokens", "400", "--mode", mode, "--cloud-url", cloud.url)
    command = write(device_gguf, context, *long)
    ran = canaries.run(command, places, environment, disturb=canaries.interrupt_when_writing)
    check(ran, 130)
    assert found_in(exported(environment, tmp_path)) == []


@pytest.mark.parametrize(
    "broken",
    [
        lambda text: text[:-2],
        lambda text: text.replace('"writings"', f'"{CANARIES[0]}"'),
        lambda text: text.replace('"source"', f'"{CANARIES[1]}"'),
        lambda text: text.replace(f'"{CANARIES[4]}"', f'["{CANARIES[4]}"]'),
        lambda text: text.replace('"Name"', f'"{CANARIES[1]} pump"'),
        lambda text: f'["{text.encode().hex()}", {text}]',
        lambda text: text.replace(CANARIES[3], f"{CANARIES[3]}\x00\\ud800"),
    ],
)
def test_a_broken_context_file(
    broken: Any, places: Places, environment: dict[str, str], context: Path
) -> None:
    context.write_text(broken(context.read_text("utf-8")), "utf-8")
    command = write("no-such-model", context, "--mode", "device")
    ran = canaries.run(command, places, environment)
    assert ran.returncode in {2, 4}
    assert "error" in ran.stderr
    check(ran, ran.returncode)
    assert ran.stdout == ""


@pytest.mark.parametrize("damage", ["cut", "garbage", "no-model"])
def test_a_damaged_model_file(
    damage: str,
    places: Places,
    environment: dict[str, str],
    context: Path,
    device_gguf: Path,
    tmp_path: Path,
) -> None:
    """A header that is whole before tensors that are not: llama.cpp itself has to refuse."""
    data = device_gguf.read_bytes()[: 4 << 20]
    size = 1 << 20
    whole = {"cut": data, "garbage": data[:size] + os.urandom(size), "no-model": b"GGUF" * 999}
    model = tmp_path / "model.gguf"
    model.write_bytes(whole[damage])
    ran = canaries.run(write(model, context, "--mode", "device"), places, environment)
    check(ran, 4)
    assert "error" in ran.stderr


BREAKS = {
    "an error": "raise RuntimeError(private)",
    "an error with a cause": """
    try:
        json.loads(private)
    except ValueError as error:
        raise KeyError(private) from error""",
    "an error that holds its data": """
    raise UnicodeDecodeError('utf-8', private.encode(), 0, 1, private)""",
    "an error with a note": """
    error = RuntimeError(private)
    error.add_note(private)
    raise error""",
    "a group of errors": "raise ExceptionGroup(private, [ValueError(private)])",
    "an error with a syntax line": "compile(f'({private}', private, 'exec')",
    "a thread": """
    def work():
        raise RuntimeError(private)
    thread = threading.Thread(target=work, name=private)
    thread.start()
    thread.join()
    raise RuntimeError""",
    "a finalizer": """
    class Broken:
        def __del__(self):
            raise RuntimeError(private)
    Broken()
    raise RuntimeError""",
    "the end": """
    def end():
        raise RuntimeError(private)
    atexit.register(end)
    raise RuntimeError""",
    "a file": "open('/no/such/folder/' + private)",
    "memory": "raise MemoryError(private)",
    "recursion": "return opened(private, **{'stack': private})",
}
"""What goes wrong where the device model would be opened, with private text in its hands."""

BROKEN = """
import atexit, ctypes, json, os, signal, sys, threading
import cogenesis.cli.connect as connect
import cogenesis.context.reader as reader

read = reader.read_context
kept = []

def keep(*given, **named):
    kept.append(read(*given, **named))
    return kept[-1]

def opened(*given, **named):
    private = " ".join(each.text for each in kept[0].texts())
    {what}

reader.read_context = keep
connect.open_device = opened
from cogenesis.cli import main
main()
"""


def broken(what: str, context: Path) -> list[str]:
    """A program that breaks this way; the real command line all around it."""
    code = BROKEN.replace("{what}", what.strip())
    arguments = ["write", "-", "--context", str(context), "--mode", "device"]
    return [sys.executable, "-c", code, *arguments]


@pytest.mark.parametrize("how", BREAKS)
def test_an_error_that_nobody_expected(
    how: str, places: Places, environment: dict[str, str], context: Path
) -> None:
    ran = canaries.run(broken(BREAKS[how], context), places, environment)
    check(ran, 1)
    assert ran.stdout == ""
    assert ran.stderr.strip()
    if how not in {"a file", "memory"}:
        assert "please report it" in ran.stderr
        assert "opened" in ran.stderr  # where it was is told all the same


DEATHS = {"abort": "os.abort()", "a wrong address": "ctypes.string_at(1)"}


WITH_CORE_FILES = """
import os, resource, sys
limit = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Runs a program where the system keeps the memory of what crashes, if it ever does."""


@pytest.mark.parametrize("how", DEATHS)
def test_a_crash_of_c_code_leaves_no_memory_behind(
    how: str, places: Places, environment: dict[str, str], context: Path
) -> None:
    program = [sys.executable, "-c", WITH_CORE_FILES]
    command = broken(DEATHS[how], context)
    ran = canaries.run([*program, *command], places, environment)
    check(ran, ran.returncode)
    assert ran.returncode < 0
    assert not list(places.root.rglob("core*"))


def test_the_search_finds_what_is_left(
    places: Places, environment: dict[str, str], context: Path
) -> None:
    """A positive control: a program that leaves a canary in each place that is looked at."""
    code = """
import base64, os, subprocess, sys, tempfile, time
name, pump, value, visit, when, title, baked, typed = sys.argv[1].split(",")
with open("left.txt", "w") as file:
    file.write(base64.b64encode(b"1" + name.encode()).decode())
with open(os.path.join(os.environ["TMPDIR"], "x.db"), "wb") as file:
    file.write(pump.encode("utf-16-le"))
open(os.path.join(os.environ["HOME"], value.lower()), "w").close()
hidden = tempfile.TemporaryFile()
hidden.write(visit.encode())
hidden.flush()
with open("gone.txt", "w") as file:
    file.write(baked)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"],
                         env={**os.environ, "TITLE": title})
time.sleep(1)
os.remove("gone.txt")
child.wait()
sys.exit(typed)
"""
    ran = canaries.run([sys.executable, "-c", code, ",".join(CANARIES)], places, environment)
    assert ran.returncode == 1
    found = {place.split(" ")[0] for place, _ in ran.traces}
    assert found >= {"left.txt", "t/x.db", "name", "deleted", "gone.txt", "standard"}
    assert {("/proc/PID/cmdline", word) for word in CANARIES} <= set(ran.traces)
    assert ("/proc/PID/environ", CANARIES[5]) in ran.traces
    assert ("t/x.db", CANARIES[1]) in ran.traces
    assert ("left.txt", CANARIES[0]) in ran.traces
