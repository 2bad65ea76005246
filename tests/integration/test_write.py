"""`cogenesis write` with the real device model, as a person runs it in a terminal."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cogenesis.cloud_server import DemoCloud
from cogenesis.privacy.ledger import Ledger

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
def test_fusion_of_two_real_models_sends_the_shielded_text_only(
    cloud: DemoCloud, options: list[str], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    task = f"{TASK}; say that it was eaten in Harrowmere Bay, by Odalys and Tobias Merrin"
    fusion = ["--cloud-url", cloud.url, "--mode", "fusion", "--weight", "0.6", "--seed", "3"]
    done = run(task, *options, *fusion, "--json", "--save-html", str(page))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["mode"], result["sketch"]) == ("fusion", None)
    assert "".join(token["text"] for token in result["tokens"]).strip() == result["text"]
    assert {token["source"] for token in result["tokens"]} <= {"device", "cloud", "both"}
    # Both models had their say: some weights are the chosen one, and none is below it.
    assert {token["weight"] for token in result["tokens"]} - {1.0} == {0.6}
    assert result["egress"]["round_trips"] >= 1
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert page.read_text("utf-8").count("<span class=") == len(result["tokens"]) + 3
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        bodies = [row.entry.body.decode() for row in ledger.entries()]
    asked = [body for body in bodies if "Write a thank-you note" in body]
    assert asked
    grown = max(asked, key=len)
    assert result["text"].split()[0] in grown
    for private in ("Petra", "Odalys", "Harrowmere", "Tobias", "Merrin", "Fenwright"):
        assert not any(private.lower() in body.lower() for body in bodies)


@pytest.mark.timeout(300)
def test_fusion_into_a_pipe_is_plain_text(cloud: DemoCloud, options: list[str]) -> None:
    fusion = ["--cloud-url", cloud.url, "--mode", "fusion", "--seed", "3"]
    done = run(TASK, *options, *fusion)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert done.stdout.endswith("\n")
    assert done.stdout.strip()
    assert "decided by the device" in done.stderr
    assert "round trips a token" in done.stderr


@pytest.mark.timeout(300)
def test_fusion_with_a_dead_cloud_is_written_on_the_device(options: list[str]) -> None:
    done = run(TASK, *options, "--cloud-url", "http://127.0.0.1:9", "--mode", "fusion", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["degraded"], result["mode"]) == ("unreachable", "device")
    assert result["text"]


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
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ending_it_while_it_reads_leaves_nothing_behind(
    number: int, code: int, options: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    process = subprocess.Popen(
        [*COMMAND, TASK, *options, "--mode", "device"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    assert process.stderr is not None
    os.read(process.stderr.fileno(), 1)  # the model is loaded and about to read
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert b"Traceback" not in err
    assert list(folder.iterdir()) == []


@pytest.mark.timeout(300)
def test_a_ledger_that_cannot_be_opened_costs_the_outline_only(
    cloud: DemoCloud, options: list[str], tmp_path: Path
) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database at all" * 100)
    done = run(TASK, *options, "--cloud-url", cloud.url, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["degraded"], result["egress"]["requests"]) == ("ledger", 0)
    assert result["text"]


@pytest.mark.timeout(300)
def test_output_that_cannot_be_written_is_one_line(options: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, TASK, *options, "--mode", "device", "-q"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(300)
def test_private_text_is_in_no_file_that_the_process_leaves(
    options: list[str], tmp_path: Path
) -> None:
    """The instruction comes by standard input, so that it is in no argument either."""
    home = tmp_path / "home"
    environment = {**os.environ, "COGENESIS_HOME": str(home), "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    subprocess.run(
        [*COMMAND, "-", *options, "--mode", "device", "-q"],
        env=environment,
        check=True,
        capture_output=True,
        input=TASK.encode(),
    )
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"Fenwright" not in path.read_bytes(), path
    assert list((tmp_path / "tmp").iterdir()) == []
