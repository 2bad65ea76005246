"""The demo cloud as a real process: started, asked, delayed, stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cogenesis.cloud_server import DemoCloud
from cogenesis.errors import ModelError

_LONG = {"prompt": "Once upon a time", "max_tokens": 3000, "ignore_eos": True, "stream": True}


@pytest.fixture(scope="module")
def cloud(cloud_gguf: Path) -> Iterator[DemoCloud]:
    with DemoCloud(cloud_gguf, threads=1, context_tokens=1024) as running:
        yield running


def _get(url: str, **headers: str) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as reply:
        return json.loads(reply.read())


def _complete(url: str, **body: object) -> Any:
    request = urllib.request.Request(f"{url}/v1/completions", json.dumps(body).encode())
    return urllib.request.urlopen(request, timeout=60)


def _is_free(url: str) -> bool:
    port = int(url.rpartition(":")[2])
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_it_answers_under_its_alias_and_shows_no_path(cloud: DemoCloud, cloud_gguf: Path) -> None:
    models = _get(f"{cloud.url}/v1/models")
    assert [model["id"] for model in models["data"]] == ["demo-cloud"]
    for page in ("/v1/models", "/props"):
        assert str(cloud_gguf.parent) not in json.dumps(_get(cloud.url + page))
    with _complete(cloud.url, prompt="The capital of France is", max_tokens=4) as reply:
        assert json.loads(reply.read())["choices"][0]["text"].strip()


@pytest.mark.parametrize("page", ["/slots", "/", "/metrics"])
def test_what_it_need_not_offer_is_off(cloud: DemoCloud, page: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        _get(cloud.url + page)
    refused.value.close()
    assert refused.value.code in (404, 501)


def test_web_pages_may_not_talk_to_it(cloud: DemoCloud) -> None:
    request = urllib.request.Request(
        f"{cloud.url}/health", headers={"Origin": "https://evil.example"}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        allowed = reply.headers.get("Access-Control-Allow-Origin")
    assert allowed not in ("*", "https://evil.example")


def test_only_loopback_is_open(cloud: DemoCloud) -> None:
    assert cloud.url.startswith("http://127.0.0.1:")
    listening = Path(f"/proc/{cloud.pid}/net/tcp")
    if not listening.exists():
        pytest.skip("needs /proc")
    port = int(cloud.url.rpartition(":")[2])
    rows = [line.split() for line in listening.read_text().splitlines()[1:]]
    mine = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")]
    assert mine == [f"0100007F:{port:04X}"]


def test_sigterm_in_mid_stream_frees_the_port(cloud_gguf: Path) -> None:
    cloud = DemoCloud(cloud_gguf, threads=1, context_tokens=4096).start()
    url, pid = cloud.url, cloud.pid
    with _complete(url, **_LONG) as stream:
        assert stream.readline().startswith(b"data:")
        started = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        while not _is_free(url):
            assert time.monotonic() - started < 5
            time.sleep(0.02)
    cloud.stop()


def test_the_delay_is_added_once_to_a_round_trip(cloud_gguf: Path) -> None:
    with DemoCloud(cloud_gguf, threads=1, context_tokens=512, delay_ms=200) as cloud:
        took = []
        for _ in range(3):
            started = time.monotonic()
            assert _get(f"{cloud.url}/health") == {"status": "ok"}
            took.append(time.monotonic() - started)
        assert 0.2 <= min(took) < 0.3
        short = {**_LONG, "max_tokens": 40}
        with _complete(cloud.url, **short) as stream:
            arrivals = [time.monotonic() for line in stream if line.startswith(b"data:")]
        assert len(arrivals) > 40
        # 40 tokens that each waited for the delay would take 4 s.
        assert arrivals[-1] - arrivals[0] < 3


def test_a_key_is_asked_for(cloud_gguf: Path) -> None:
    command = [sys.executable, "-m", "cogenesis", "cloud", "--json", "--port", "0"]
    command += ["--model", str(cloud_gguf), "--threads", "1", "--ctx", "512"]
    with subprocess.Popen(
        [*command, "--api-key-env", "DEMO_KEY"],
        env={**os.environ, "DEMO_KEY": "hunter2"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "hunter2" not in line
        url = json.loads(line)["url"]
        with pytest.raises(urllib.error.HTTPError) as refused:
            _get(f"{url}/props")
        refused.value.close()
        assert refused.value.code == 401
        assert _get(f"{url}/props", Authorization="Bearer hunter2")
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
    assert _is_free(url)


def test_it_ends_with_its_parent(cloud_gguf: Path) -> None:
    code = (
        "import sys, time\n"
        "from cogenesis.cloud_server import DemoCloud\n"
        "print(DemoCloud(sys.argv[1], threads=1, context_tokens=512).start().url, flush=True)\n"
        "time.sleep(100)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(cloud_gguf)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert not _is_free(url)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    started = time.monotonic()
    while not _is_free(url):
        assert time.monotonic() - started < 5
        time.sleep(0.02)


def test_what_prevents_the_start_is_told(tmp_path: Path) -> None:
    cloud = DemoCloud(tmp_path / "none.gguf")
    with pytest.raises(ModelError, match=r"did not start[\s\S]*none\.gguf"):
        cloud.start()
