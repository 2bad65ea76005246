"""A file that one run at a time adds to: who comes second is told, and nothing is lost."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from cogenesis.errors import InputError
from cogenesis.growing_file import open_growing


def test_a_second_run_is_told_until_the_first_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\n")
    with open_growing(path) as first:
        assert first.read() == b"one\n"
        with pytest.raises(InputError, match="another run is writing to"):
            open_growing(path)
        first.write(b"two\n")
    with open_growing(path) as second:
        assert second.read() == b"one\ntwo\n"


def test_a_file_system_without_locks_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with open_growing(tmp_path / "lines") as file:
        file.write(b"one\n")
    assert (tmp_path / "lines").read_bytes() == b"one\n"


def test_what_cannot_be_opened_is_the_callers_matter(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory"):
        open_growing(tmp_path)
