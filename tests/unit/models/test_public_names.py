from __future__ import annotations

import subprocess
import sys

import pytest

import cogenesis.models


def test_every_public_name_is_there() -> None:
    for name in cogenesis.models.__all__:
        assert getattr(cogenesis.models, name).__class__ is not None
    assert cogenesis.models.__all__ == sorted(cogenesis.models.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Llama'"):
        _ = cogenesis.models.Llama


def test_the_contract_alone_loads_no_http_client_and_no_llama() -> None:
    code = (
        "import sys, cogenesis.models;"
        "assert not {'httpx2', 'xllamacpp', 'torch'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
