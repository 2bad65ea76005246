"""Damaged and foreign model files are found before llama.cpp sees them."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogenesis.errors import ModelFileError
from cogenesis.models.gguf_file import check_gguf
from tests.unit.models.tiny_gguf import tiny_gguf


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny_gguf())
    return path


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("alignment", [None, 8, 64, 4096])
def test_a_whole_file_passes(model: Path, version: int, alignment: int | None) -> None:
    model.write_bytes(tiny_gguf(version=version, alignment=alignment))
    check_gguf(model)
    model.write_bytes(model.read_bytes() + b"trailing bytes are harmless")
    check_gguf(model)


def test_every_cut_is_found(model: Path) -> None:
    whole = tiny_gguf()
    for length in range(1, len(whole)):
        model.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match=r"cut off|not a GGUF"):
            check_gguf(model)


def test_a_cut_names_both_sizes_and_what_to_do(model: Path) -> None:
    model.write_bytes(tiny_gguf(bytes(4000))[:-1000])
    whole = len(tiny_gguf(bytes(4000)))
    with pytest.raises(ModelFileError, match=f"{whole - 1000:,} bytes.*{whole:,}.*again"):
        check_gguf(model)


def test_a_missing_file_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="models list"):
        check_gguf(tmp_path / "none.gguf")


def test_an_empty_file(model: Path) -> None:
    model.write_bytes(b"")
    with pytest.raises(ModelFileError, match="empty"):
        check_gguf(model)


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="not a file"):
        check_gguf(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="named pipes are a POSIX thing")
def test_a_named_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(ModelFileError, match="not a file"):
        check_gguf(tmp_path / "pipe.gguf")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file(model: Path) -> None:
    model.chmod(0)
    with pytest.raises(ModelFileError, match="permission"):
        check_gguf(model)


@pytest.mark.parametrize(
    ("start", "hint"),
    [
        (b"PK\x03\x04", "zip or wheel"),
        (b"<!doctype html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\x00\x00\x00\x00", "ends in -GGUF"),
    ],
)
def test_what_is_no_gguf_is_named(model: Path, start: bytes, hint: str) -> None:
    model.write_bytes(start + bytes(200))
    with pytest.raises(ModelFileError, match=hint):
        check_gguf(model)


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        (struct.pack("<IQQ", 3, 2**60, 0), "tensors"),
        (struct.pack("<IQQ", 3, 1, 2**60), "metadata entries"),
        (struct.pack("<IQQQ", 3, 1, 1, 2**60), "bytes in one name"),
        (struct.pack(">IQQ", 3, 1, 1), "version"),
        (struct.pack("<IQQ", 99, 1, 1), "version 99"),
        (struct.pack("<IQQ", 3, 0, 0), "no tensors"),
    ],
)
def test_a_hostile_header_is_refused_at_once(model: Path, header: bytes, hint: str) -> None:
    model.write_bytes(b"GGUF" + header + bytes(500))
    started = time.monotonic()
    with pytest.raises(ModelFileError, match=hint):
        check_gguf(model)
    assert time.monotonic() - started < 5


def test_lists_within_lists_end(model: Path) -> None:
    nested = b"".join(struct.pack("<IQ", 9, 1) for _ in range(50))
    model.write_bytes(
        b"GGUF"
        + struct.pack("<IQQ", 3, 1, 1)
        + struct.pack("<Q", 1)
        + b"k"
        + b"\x09\0\0\0"
        + nested
    )
    with pytest.raises(ModelFileError, match="damaged"):
        check_gguf(model)


def test_a_tensor_type_of_the_future_is_let_through(model: Path) -> None:
    model.write_bytes(tiny_gguf(kind=4242))
    check_gguf(model)


@given(noise=st.binary(max_size=300))
def test_noise_never_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.gguf"
    path.write_bytes(b"GGUF\x03\x00\x00\x00" + noise)
    with pytest.raises(ModelFileError):
        check_gguf(path)
