from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path

import pytest

from cogenesis.errors import MissingExtraError, ModelFileError
from cogenesis.models import llama_cpp
from cogenesis.models.llama_cpp import LlamaCpp


@pytest.mark.parametrize("content", [b"", b"hello", b"GGUF", b"GGUF" + b"\xff" * 100])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        LlamaCpp(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"none\.gguf"):
        LlamaCpp(tmp_path / "none.gguf")


def test_a_missing_package_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    monkeypatch.setattr(llama_cpp, "check_gguf", lambda _: None)
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(MissingExtraError, match="cogenesis\\[demo\\]"):
        LlamaCpp(path)


def test_a_load_that_fails_leaves_no_folder_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # A header that our own check lets through and llama.cpp does not.
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + b"\0" * 64)
    monkeypatch.setattr(llama_cpp, "check_gguf", lambda _: None)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(folder))
    with pytest.raises(ModelFileError, match=r"llama\.cpp cannot load") as caught:
        LlamaCpp(path, threads=1)
    assert "models check" in str(caught.value)
    assert list(folder.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("length", [5, 120])
def test_the_sockets_folder_is_private_and_its_path_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    base = tmp_path / ("x" * length)
    base.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(base))
    folder = llama_cpp._socket_folder()
    try:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert len(os.fsencode(folder / "s.sock")) <= 100
        assert list(base.iterdir()) == ([folder] if folder.parent == base else [])
    finally:
        folder.rmdir()
