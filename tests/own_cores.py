"""Each worker of xdist gets its own share of the cores, and all that it starts with it.

Models, servers and torch take their number of threads from the cores that they may use. So
workers beside each other never run more threads than there are cores, where llama.cpp
collapses.
"""

from __future__ import annotations

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", None)
    if worker is None or not hasattr(os, "sched_setaffinity"):
        return
    number = int(worker["workerid"].removeprefix("gw"))
    cores = sorted(os.sched_getaffinity(0))
    share = cores[number :: worker["workercount"]] or [cores[number % len(cores)]]
    os.sched_setaffinity(0, share)
