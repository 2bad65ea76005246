"""Names, paths and the store: what `get_model` returns and what it refuses."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from cogenesis.errors import CatalogueError, InputError, ModelFileError
from cogenesis.home import home
from cogenesis.models import catalogue
from cogenesis.models.catalogue import (
    check_model,
    get_model,
    list_installed,
    models_folder,
    needs_fetching,
)
from cogenesis.models.known import KNOWN_MODELS, recommend
from cogenesis.models.receipts import is_unchanged, read_receipt, write_receipt
from cogenesis.models.wheels import DEMO_MODELS
from tests.unit.models.tiny_gguf import tiny_gguf

_WHOLE = tiny_gguf(bytes(range(64)))


@pytest.fixture(autouse=True)
def in_new_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A demo model named `toy` that is installed."""
    model = replace(
        DEMO_MODELS["demo-device"],
        name="toy",
        file="toy.gguf",
        sha256=hashlib.sha256(_WHOLE).hexdigest(),
    )
    monkeypatch.setattr(catalogue, "DEMO_MODELS", {"toy": model})
    path = models_folder() / "toy.gguf"
    path.write_bytes(_WHOLE)
    return path


def _damage(path: Path) -> None:
    """Other bytes of the same length and time, as a failing disk would leave them."""
    times = path.stat()
    path.write_bytes(tiny_gguf(bytes(64)))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX thing")
def test_the_home_is_closed_to_others(in_new_home: Path) -> None:
    assert home() == in_new_home
    assert in_new_home.stat().st_mode & 0o777 == 0o700
    in_new_home.chmod(0o755)
    home()
    assert in_new_home.stat().st_mode & 0o777 == 0o700


def test_a_home_that_cannot_be_made_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "file" / "below"))
    with pytest.raises(InputError, match="COGENESIS_HOME"):
        home()


def test_a_path_is_checked_and_returned(tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(_WHOLE)
    assert get_model(str(path)) == path
    assert get_model(path) == path
    path.write_bytes(_WHOLE[:-1])
    with pytest.raises(ModelFileError, match="cut off"):
        get_model(str(path))


def test_an_existing_path_wins_over_a_hub_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "name").write_bytes(_WHOLE)
    assert get_model("owner/name") == Path("owner/name")


@pytest.mark.parametrize("path", ["none.gguf", "a/b/c/none.gguf", "./x/y/none"])
def test_a_missing_path_is_no_hub_name(path: str) -> None:
    with pytest.raises(ModelFileError, match="no model file"):
        get_model(path)


def test_an_unknown_name_shows_the_ways() -> None:
    with pytest.raises(CatalogueError, match=r"models list.*\.gguf.*owner/name"):
        get_model("gpt-nonsense")
    with pytest.raises(CatalogueError, match="models list"):
        check_model("gpt-nonsense")


def test_an_installed_demo_model_is_returned_and_noted(toy: Path) -> None:
    assert not needs_fetching("toy")
    assert get_model("toy") == toy
    receipt = read_receipt(toy)
    assert receipt is not None
    assert receipt.mtime_ns == toy.stat().st_mtime_ns
    assert [model.name for model in list_installed()] == ["toy"]
    assert check_model("toy").state == "ok"


def test_a_changed_file_is_refused_with_the_command(toy: Path) -> None:
    get_model("toy")
    toy.write_bytes(tiny_gguf(bytes(64)))
    with pytest.raises(ModelFileError, match="models get toy"):
        get_model("toy")


def test_check_hashes_even_if_the_time_is_the_same(toy: Path) -> None:
    get_model("toy")
    _damage(toy)
    assert get_model("toy") == toy  # the stated limit of receipts
    checked = check_model("toy")
    assert checked.state == "damaged"
    assert "models get toy" in checked.problem


def test_check_finds_cut_and_missing(toy: Path) -> None:
    toy.write_bytes(_WHOLE[:-3])
    assert check_model("toy").state == "damaged"
    toy.unlink()
    assert check_model("toy").state == "missing"
    assert needs_fetching("toy")


def test_a_file_put_there_by_hand_is_listed_and_checked() -> None:
    path = models_folder() / "own.gguf"
    path.write_bytes(_WHOLE)
    [installed] = list_installed()
    assert installed.name == str(path)
    assert get_model(installed.name) == path
    checked = check_model(installed.name)
    assert checked.state == "ok"
    assert "no sum is known" in checked.problem


def test_downloads_in_the_making_are_not_listed() -> None:
    staging = models_folder() / ".toy.staging"
    staging.mkdir()
    (staging / "toy.gguf").write_bytes(_WHOLE)
    assert list_installed() == []


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"size": "x"}', "\x00"])
def test_a_broken_receipt_is_no_receipt(toy: Path, text: str) -> None:
    toy.with_name("toy.gguf.json").write_text(text)
    assert read_receipt(toy) is None
    assert get_model("toy") == toy


def test_a_receipt_spares_hashing_only_while_size_and_time_stay(toy: Path) -> None:
    write_receipt(toy, source="toy", licence="CC0", sha256="not the real sum")
    assert is_unchanged(toy, "not the real sum")
    os.utime(toy, ns=(1, 1))
    assert not is_unchanged(toy, "not the real sum")
    assert is_unchanged(toy, hashlib.sha256(_WHOLE).hexdigest())


def test_known_names_are_distinct_and_lead_to_the_hub() -> None:
    names = [model.name for model in KNOWN_MODELS]
    assert len(set(names)) == len(names)
    assert not set(names) & set(DEMO_MODELS)
    for model in KNOWN_MODELS:
        assert model.file.endswith(".gguf")
        assert model.memory_bytes > model.file_bytes


@pytest.mark.parametrize(
    ("memory_gb", "name"),
    [(1, None), (2, "qwen2.5-0.5b"), (4, "gemma3-1b"), (8, "qwen3-4b"), (64, "qwen3-4b")],
)
def test_the_recommendation_fits_half_of_the_memory(memory_gb: int, name: str | None) -> None:
    pick = recommend(memory_gb * 10**9)
    assert (pick.name if pick else None) == name


def test_the_demo_tables_sums_are_complete() -> None:
    for model in DEMO_MODELS.values():
        sums = [model.sha256, *(part.wheel_sha256 for part in model.parts)]
        assert all(len(digest) == 64 for digest in sums)
        assert len(set(sums)) == len(sums)
        assert model.licence_note
