"""The demo cloud as a process: what prevents its start."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.unit.models.tiny_gguf import tiny_gguf
from tests.unit.test_cloud_server import _serve


def test_a_model_that_llama_cpp_refuses_is_an_error_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny_gguf())
    done = _serve(path, 0)
    assert "ModelError: llama.cpp could not start with tiny.gguf" in done.stderr
    assert done.returncode == 1


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = _serve(tmp_path / "x.gguf", port)
    assert f"InputError: cannot listen on 127.0.0.1:{port}" in done.stderr
    assert done.returncode == 1
