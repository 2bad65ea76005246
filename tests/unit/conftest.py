"""Few examples for each property here, many in the thorough run.

python -m pytest tests/unit -m hypothesis --hypothesis-profile full
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import settings

settings.register_profile("quick", max_examples=20, deadline=None)
settings.register_profile("full", max_examples=200, deadline=None)
settings.load_profile("quick")


@pytest.fixture(scope="session", autouse=True)
def commands_are_built_once() -> Iterator[None]:
    """Typer reads the options of all commands at each call: most of the time of these tests."""
    import typer.main
    import typer.testing

    with pytest.MonkeyPatch.context() as patched:
        once = cache(typer.main.get_command)
        patched.setattr(typer.main, "get_command", once)
        patched.setattr(typer.testing, "_get_command", once)
        yield
