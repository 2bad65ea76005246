"""What the demo cloud refuses before it loads a model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cogenesis.cli.cloud import cloud
from cogenesis.cloud_server import CloudSettings, default_threads, require_loopback
from cogenesis.errors import InputError, ModelFileError
from tests.unit.models.tiny_gguf import tiny_gguf


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_is_served(host: str) -> None:
    require_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.0.1", "example.com", "", "127.0.0.1.example.com"]
)
def test_no_other_host_is(host: str) -> None:
    with pytest.raises(InputError, match=r"127\.0\.0\.1"):
        CloudSettings(model=Path("x.gguf"), host=host)


def test_the_key_is_not_shown() -> None:
    assert "hunter2" not in repr(CloudSettings(model=Path("x.gguf"), api_key="hunter2"))


def test_there_is_always_a_thread() -> None:
    assert default_threads() >= 1


def _invoke(*arguments: str) -> BaseException | None:
    app = typer.Typer()
    app.command()(cloud)
    return CliRunner().invoke(app, list(arguments)).exception


def test_the_command_refuses_other_hosts() -> None:
    assert isinstance(_invoke("--host", "0.0.0.0"), InputError)


def test_the_command_refuses_a_missing_model(tmp_path: Path) -> None:
    assert isinstance(_invoke("--model", str(tmp_path / "none.gguf")), ModelFileError)


def test_the_command_refuses_an_empty_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny_gguf())
    monkeypatch.setenv("NO_KEY", "")
    error = _invoke("--model", str(path), "--api-key-env", "NO_KEY")
    assert isinstance(error, InputError)
    assert "NO_KEY" in str(error)


_SERVE = """
import sys
from pathlib import Path
from cogenesis.cloud_server import CloudSettings, serve
serve(CloudSettings(model=Path(sys.argv[1]), port=int(sys.argv[2])), print)
"""


def _serve(path: Path, port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _SERVE, str(path), str(port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
