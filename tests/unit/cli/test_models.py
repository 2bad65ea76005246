"""`cogenesis models` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cogenesis.cli.models import models_app
from cogenesis.models.catalogue import models_folder
from cogenesis.models.known import KNOWN_MODELS
from tests.unit.models.tiny_gguf import tiny_gguf


@pytest.fixture(autouse=True)
def in_new_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def own() -> Path:
    path = models_folder() / "own.gguf"
    path.write_bytes(tiny_gguf())
    return path


def test_list_says_what_to_use(own: Path) -> None:
    done = CliRunner().invoke(models_app, ["list"])
    assert done.exit_code == 0, done.output
    assert "own.gguf" in done.output
    for name in ("demo-device", "demo-cloud", *(model.name for model in KNOWN_MODELS)):
        assert name in done.output
    assert "This machine has" in done.output


def test_list_as_json_is_complete(own: Path) -> None:
    done = CliRunner().invoke(models_app, ["list", "--json"])
    listing = json.loads(done.output)
    assert [model["path"] for model in listing["installed"]] == [str(own)]
    assert {model["name"] for model in listing["demo"]} == {"demo-device", "demo-cloud"}
    assert len(listing["known"]) == len(KNOWN_MODELS)
    fitting = {model["name"] for model in listing["known"] if model["fits"]}
    assert listing["recommended"] is None or listing["recommended"] in fitting


def test_get_prints_the_path_and_nothing_else_on_stdout(own: Path) -> None:
    done = CliRunner().invoke(models_app, ["get", str(own)])
    assert done.exit_code == 0
    assert done.stdout == f"{own}\n"


def test_check_without_models_says_where_to_look() -> None:
    done = CliRunner().invoke(models_app, ["check"])
    assert done.exit_code == 0
    assert "models list" in done.output


def test_check_ends_with_4_if_one_is_damaged(own: Path) -> None:
    assert CliRunner().invoke(models_app, ["check"]).exit_code == 0
    own.write_bytes(tiny_gguf()[:-1])
    done = CliRunner().invoke(models_app, ["check", "--json"])
    assert done.exit_code == 4
    [result] = json.loads(done.output)
    assert result["state"] == "damaged"
    assert "again" in result["problem"]


def test_check_ends_with_4_if_one_is_missing() -> None:
    done = CliRunner().invoke(models_app, ["check", "demo-device"])
    assert done.exit_code == 4
    assert "missing" in done.output
    assert "models get demo-device" in done.output
