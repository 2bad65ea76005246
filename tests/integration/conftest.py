"""Real models for the integration suite: the two demo models, fetched once by the catalogue."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.own_cores import pytest_configure

__all__ = ["cloud_gguf", "device_gguf", "pytest_configure"]

# A folder that holds the two files already, for machines that cannot fetch them.
_READY = os.environ.get("COGENESIS_TEST_MODELS")


@pytest.fixture(scope="session")
def device_gguf() -> Path:
    return _find("smol.gguf", "demo-device")


@pytest.fixture(scope="session")
def cloud_gguf() -> Path:
    return _find("gemma.gguf", "demo-cloud")


def _find(ready_name: str, catalogue_name: str) -> Path:
    if _READY:
        return Path(_READY) / ready_name
    from cogenesis.models.catalogue import get_model

    return get_model(catalogue_name)
