"""Tests that check a number of things say how many, at the end of the run."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded as "checked"."""
    for report in terminalreporter.getreports("passed"):
        for name, value in getattr(report, "user_properties", ()):
            if name == "checked" and report.when == "call":
                terminalreporter.write_line(f"{report.nodeid}: checked {value}")
