"""Training with as many threads as the worker has cores."""

from tests.own_cores import pytest_configure

__all__ = ["pytest_configure"]
