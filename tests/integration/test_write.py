"""`cogenesis write` with the real device model, as a person runs it in a terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cogenesis.cloud_server import DemoCloud

PERSON = Path(__file__).resolve().parents[2] / "cogenesis" / "demo" / "person.json"
TASK = "Write a thank-you note: to Petra, for the cake on Friday"
COMMAND = [sys.executable, "-m", "cogenesis", "write"]


@pytest.fixture(scope="module")
def cloud(cloud_gguf: Path) -> Iterator[DemoCloud]:
    with DemoCloud(cloud_gguf) as server:
        yield server


@pytest.fixture
def options(device_gguf: Path, tmp_path: Path) -> list[str]:
    return [
        *("--context", str(PERSON), "--device", str(device_gguf), "--threads", "1"),
        *("--ledger", str(tmp_path / "ledger.sqlite"), "--max-tokens", "24", "--window", "1024"),
    ]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=280, check=False
    )


@pytest.mark.timeout(300)
def test_two_real_models_write_and_only_the_topic_leaves(
    cloud: DemoCloud, options: list[str], tmp_path: Path
) -> None:
    done = run(TASK, *options, "--cloud-url", cloud.url, "--seed", "5", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result) >= {
        "text",
        "mode",
        "general_instruction",
        "sketch",
        "tokens",
        "egress",
        "timing",
        "degraded",
    }
    assert result["general_instruction"] == "Write a thank-you note"
    assert result["text"]
    assert "".join(token["text"] for token in result["tokens"]).strip() == result["text"]
    assert result["egress"]["requests"] >= 1
    assert result["degraded"] in (None, "no-sketch")
    ledger = ["--ledger", str(tmp_path / "ledger.sqlite")]
    shown = subprocess.run(
        [sys.executable, "-m", "cogenesis", "ledger", "show", "--json", *ledger],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "thank-you note" in shown.stdout
    for private in ("Petra", "Odalys", "Friday", "cake"):
        assert private not in shown.stdout
    subprocess.run([sys.executable, "-m", "cogenesis", "ledger", "verify", *ledger], check=True)


@pytest.mark.timeout(300)
def test_the_same_seed_writes_the_same_text(options: list[str]) -> None:
    texts = {run(TASK, *options, "--mode", "device", "--seed", "3", "-q").stdout for _ in range(2)}
    assert len(texts) == 1
    assert texts.pop().strip()


@pytest.mark.timeout(300)
def test_a_dead_cloud_costs_the_outline_only(options: list[str]) -> None:
    done = run(TASK, *options, "--cloud-url", "http://127.0.0.1:9", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["degraded"], result["mode"]) == ("unreachable", "device")
    assert result["text"]


@pytest.mark.timeout(300)
def test_ctrl_c_keeps_the_text_so_far(options: list[str]) -> None:
    long = [*options, "--max-tokens", "400", "--mode", "device"]
    process = subprocess.Popen(
        [*COMMAND, TASK, *long], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    assert process.stdout is not None
    first = os.read(process.stdout.fileno(), 1)  # the first token is out
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (first + out).decode().strip()
    assert "the text so far" in err.decode()
    assert "Traceback" not in err.decode()


@pytest.mark.timeout(300)
def test_private_text_is_in_no_argument_and_no_file_of_the_process(
    options: list[str], tmp_path: Path
) -> None:
    """The context is named by its file; nothing that is written on the way holds it."""
    home = tmp_path / "home"
    environment = {**os.environ, "COGENESIS_HOME": str(home), "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    subprocess.run(
        [*COMMAND, TASK, *options, "--mode", "device", "-q"],
        env=environment,
        check=True,
        capture_output=True,
    )
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"Fenwright" not in path.read_bytes(), path
    assert list((tmp_path / "tmp").iterdir()) == []
