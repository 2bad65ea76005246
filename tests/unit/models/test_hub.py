"""Hub models: which file is meant, and what arrives."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cogenesis.errors import CatalogueError, MissingExtraError, ModelFileError
from cogenesis.models.catalogue import check_model, get_model, list_installed, models_folder
from cogenesis.models.hub import HubName, choose_file, parse_hub_name
from tests.unit.models.fake_hub import FakeHub, running
from tests.unit.models.tiny_gguf import tiny_gguf

_FILES = {
    "README.md": b"# a model",
    "toy-Q4_K_S.gguf": tiny_gguf(b"\1" * 64),
    "toy-Q4_K_M.gguf": tiny_gguf(b"\2" * 64),
    "toy-Q8_0.gguf": tiny_gguf(b"\3" * 64),
    "mmproj-toy-Q8_0.gguf": tiny_gguf(b"\4" * 64),
    "big-Q8_0-00001-of-00002.gguf": tiny_gguf(b"\5" * 64),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    fake = FakeHub(dict(_FILES))
    with running(fake) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield fake


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("owner/name", HubName("owner/name", None)),
        ("owner/My-Model_1.5-GGUF:Q4_K_M", HubName("owner/My-Model_1.5-GGUF", "Q4_K_M")),
        ("owner/name:sub/file.gguf", HubName("owner/name", "sub/file.gguf")),
        ("name", None),
        ("a/b/c", None),
        ("../name", None),
        ("-x/name", None),
        ("owner/name:", None),
        ("owner/na me", None),
    ],
)
def test_the_form_of_a_hub_name(text: str, expected: HubName | None) -> None:
    assert parse_hub_name(text) == expected


@pytest.mark.parametrize(
    ("want", "chosen"),
    [
        (None, "toy-Q4_K_M.gguf"),
        ("Q8_0", "toy-Q8_0.gguf"),
        ("q4_k_s", "toy-Q4_K_S.gguf"),
        ("toy-Q8_0.gguf", "toy-Q8_0.gguf"),
    ],
)
def test_the_file_that_is_meant(want: str | None, chosen: str) -> None:
    assert choose_file(_FILES, HubName("owner/name", want)) == chosen


def test_the_only_file_needs_no_wish() -> None:
    assert choose_file(["a.gguf", "b.txt"], HubName("owner/name", None)) == "a.gguf"


@pytest.mark.parametrize("want", ["Q4", "Q4_K", "Q2_K", "none.gguf"])
def test_a_wish_that_fits_nothing_lists_the_choices(want: str) -> None:
    with pytest.raises(CatalogueError, match=r"no file.*\n.*owner/name:toy-Q4_K_M\.gguf"):
        choose_file(_FILES, HubName("owner/name", want))


def test_several_that_fit_are_listed() -> None:
    with pytest.raises(CatalogueError, match=r"several files.*\n.*a-Q8_0.*\n.*b-Q8_0"):
        choose_file(["a-Q8_0.gguf", "b-Q8_0.gguf"], HubName("owner/name", "Q8_0"))


def test_a_repository_without_gguf_says_so() -> None:
    with pytest.raises(CatalogueError, match="-GGUF"):
        choose_file(["model.safetensors"], HubName("owner/name", None))


def test_a_model_is_fetched_once_and_then_used_without_the_hub(hub: FakeHub) -> None:
    seen: list[tuple[int, int]] = []
    path = get_model("owner/name", progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == _FILES["toy-Q4_K_M.gguf"]
    size = len(_FILES["toy-Q4_K_M.gguf"])
    assert seen[-1] == (size, size)
    hub.asked.clear()
    assert get_model("owner/name:Q4_K_M") == path
    assert hub.asked == []
    [installed] = list_installed()
    assert installed.name == "owner/name:toy-Q4_K_M.gguf"
    assert installed.licence == "apache-2.0"


def test_bytes_that_differ_from_the_published_sum_are_deleted(hub: FakeHub) -> None:
    hub.lie = "toy-Q8_0.gguf"
    with pytest.raises(CatalogueError, match="wrong sha256"):
        get_model("owner/name:Q8_0")
    assert list_installed() == []
    hub.lie = None
    assert get_model("owner/name:Q8_0").read_bytes() == _FILES["toy-Q8_0.gguf"]


def test_a_file_whose_sum_was_never_compared_is_not_used(hub: FakeHub) -> None:
    folder = models_folder() / "owner--name"
    folder.mkdir()
    (folder / "toy-Q8_0.gguf").write_bytes(tiny_gguf(b"\6" * 64))
    assert get_model("owner/name:Q8_0").read_bytes() == _FILES["toy-Q8_0.gguf"]


def test_a_damaged_model_is_found_and_repaired(hub: FakeHub) -> None:
    path = get_model("owner/name")
    path.write_bytes(tiny_gguf(b"\7" * 64))
    assert check_model("owner/name").state == "damaged"
    with pytest.raises(ModelFileError, match=r"models get owner/name:toy-Q4_K_M\.gguf"):
        get_model("owner/name")
    assert get_model("owner/name", repair=True).read_bytes() == _FILES["toy-Q4_K_M.gguf"]
    assert check_model("owner/name").state == "ok"


def test_what_is_not_installed_is_missing(hub: FakeHub) -> None:
    checked = check_model("owner/name:Q8_0")
    assert (checked.state, hub.asked) == ("missing", [])
    assert "models get owner/name:Q8_0" in checked.problem


def test_an_unknown_model_says_so(hub: FakeHub) -> None:
    with pytest.raises(CatalogueError, match="no open model owner/other"):
        get_model("owner/other")


def test_a_hub_in_trouble_says_so(hub: FakeHub) -> None:
    hub.status = 500
    with pytest.raises(CatalogueError, match=r"answered 500.*by hand"):
        get_model("owner/name")


def test_offline_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CatalogueError, match=r"cannot reach a model hub.*by hand.*path"):
        get_model("owner/name")


def test_without_the_extra_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"cogenesis\[hub\]"):
        get_model("owner/name")
