"""`cogenesis evaluate speed` with the two demo models: short, so it shows form, not speed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TOKENS = 12
FAR_MS = 20.0
DECODINGS = ["device-only", "lockstep", "paper-schedule", "draft-and-verify"]
FORM = {
    "decoding",
    "pair",
    "rtt_ms",
    "tokens_per_s",
    "replayed_tokens_per_s",
    "round_trips_per_token",
    "bytes_per_token",
    "acceptance",
}

Rows = dict[tuple[str, float, str], dict[str, Any]]


@pytest.fixture(scope="module")
def report(device_gguf: Path, cloud_gguf: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "cogenesis", "evaluate", "speed", "--json"]
    command += ["--device", str(device_gguf), "--cloud", str(cloud_gguf)]
    command += ["--limit", "1", "--max-tokens", str(TOKENS), "--rtt", "0", "--rtt", str(FAR_MS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def rows(report: dict[str, Any]) -> Rows:
    return {(row["pair"], row["rtt_ms"], row["decoding"]): row for row in report["rows"]}


@pytest.mark.timeout(300)
def test_every_decoding_at_every_distance_has_a_row_of_the_form(rows: Rows) -> None:
    assert list(rows) == [
        (pair, rtt_ms, decoding)
        for pair in ("smollm2-smollm2", "demo")
        for rtt_ms in (0.0, FAR_MS)
        for decoding in DECODINGS
    ]
    for row in rows.values():
        assert row.keys() >= FORM
        # So few tokens may all come with one block, after the first in no time.
        assert row["tokens_per_s"] > 0.1
        assert row["replayed_tokens_per_s"] > 0.1
        assert 0.1 < row["tokens_per_s_from_start"] < 1000
        assert 2 <= row["tokens"] <= TOKENS


def test_the_device_alone_sends_nothing_and_the_others_do(rows: Rows) -> None:
    for (_, _, decoding), row in rows.items():
        if decoding == "device-only":
            assert row["round_trips_per_token"] == row["bytes_per_token"] == row["requests"] == 0
        else:
            assert row["requests"] > 0
            assert row["bytes_per_token"] > 10
            # One a token at most; drafts that fall back to lockstep may lose a few more.
            assert 0 < row["round_trips_per_token"] <= 1.5
        drafts = decoding == "draft-and-verify"
        assert (row["acceptance"] is not None) == drafts
        if drafts:
            assert 0.3 <= row["acceptance"] <= 1.0


def test_a_fused_token_waits_for_its_round_trip(rows: Rows) -> None:
    for pair in ("smollm2-smollm2", "demo"):
        row = rows[pair, FAR_MS, "lockstep"]
        asked = row["round_trips_per_token"]  # the shield holds some positions back
        for rate in (row["tokens_per_s"], row["replayed_tokens_per_s"]):
            assert 1 / rate >= 0.8 * asked * FAR_MS / 1000


def test_the_papers_schedule_asks_less_often_than_lockstep(rows: Rows) -> None:
    for (pair, rtt_ms, decoding), row in rows.items():
        if decoding == "paper-schedule":
            lockstep = rows[pair, rtt_ms, "lockstep"]
            assert row["round_trips_per_token"] < lockstep["round_trips_per_token"]


def test_drafts_give_lockstep_text(rows: Rows) -> None:
    """On the same-vocabulary pair always; replayed answers have no batch noise on any pair."""
    for (pair, _, decoding), row in rows.items():
        if decoding == "draft-and-verify":
            assert row["replayed"]["identical_to_lockstep"] is True
            assert row["identical_to_lockstep"] is True or pair == "demo"


def test_the_replayed_text_is_the_real_one(rows: Rows) -> None:
    for (pair, _, _), row in rows.items():
        # The demo cloud model's answers differ a little with what it read in one go.
        assert row["replayed"]["identical_to_real"] or pair == "demo"


def test_the_table_knew_every_prefix_and_the_real_cloud_rested(rows: Rows) -> None:
    for (pair, _, decoding), row in rows.items():
        replayed = row["replayed"]
        assert row["unknown_prefixes"] == 0
        assert replayed["fallbacks"] == 0
        if decoding != "device-only":
            assert 0.05 < replayed["server_cpu_ms_per_request"] < 20
        if replayed["real_cloud_cpu_s"] is not None:
            assert replayed["real_cloud_cpu_s"] < 0.2, (pair, decoding)


def test_what_was_measured_is_told(report: dict[str, Any]) -> None:
    settings = report["settings"]
    assert (settings["temperature"], settings["weight"], settings["rule"]) == (0.7, 0.5, "mixture")
    assert (settings["candidates"], settings["texts"], settings["max_tokens"]) == (64, 1, TOKENS)
    assert report["machine"]["cores"] >= 1
