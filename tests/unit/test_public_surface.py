"""What `import cogenesis` offers is what it says."""

from __future__ import annotations

import pytest

import cogenesis


@pytest.mark.parametrize("name", cogenesis.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(cogenesis, name)
    assert name == "__version__" or value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute"):
        cogenesis.nothing_of_that_name  # noqa: B018
