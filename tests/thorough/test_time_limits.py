"""No input takes long to read, however it is made."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cogenesis.privacy.disguises import Disguises
from cogenesis.privacy.identifiers import recognise
from cogenesis.privacy.ledger import Ledger
from cogenesis.wire import MAX_REPLY_BYTES
from tests.unit.models.test_gguf_vocabulary import NORMAL, vocabulary
from tests.unit.models.test_gguf_vocabulary import path as path
from tests.unit.privacy.test_disguises import LEXICON
from tests.unit.privacy.test_event_limits import events_from
from tests.unit.privacy.test_event_limits import ledger as ledger


@pytest.mark.parametrize(
    "text",
    [
        "a" * 20_000,
        "a-" * 10_000,
        "a." * 10_000,
        "1 " * 10_000,
        "1a " * 7_000,
        "@" * 20_000,
        "12 a b c d " * 2_000,
        "a@b" * 6_000,
        "\u3164é" * 10_000,
        "www." * 5_000,
        "January " * 2_500,
        "a at a dot " * 2_000,
        "a@a dot " * 2_500,
        "a" + " " * 20_000 + "dot",
    ],
)
def test_finding_identifiers(text: str) -> None:
    begun = time.process_time()
    recognise(text)
    assert time.process_time() - begun < 2.0


@pytest.mark.parametrize("piece", ["a", "1 ", "a b ", "%41", "one ", "z9", "&#65;", "- . ", "x!"])
def test_looking_through_disguises(piece: str) -> None:
    begun = time.process_time()
    Disguises(LEXICON).find((piece * 8_000)[:8_000], particulars=True)
    assert time.process_time() - begun < 2.0


def test_a_hundred_thousand_tiny_events_are_fine(ledger: Ledger) -> None:
    data = b"data:{}\n\n" * 100_000
    assert len(data) < MAX_REPLY_BYTES
    assert sum(event == {} for event in events_from(data, ledger)) == 100_000


def test_a_large_vocabulary_takes_well_under_two_seconds(path: Path) -> None:
    listed = [(f"▁word{number}", NORMAL) for number in range(262_144)]
    started = time.monotonic()
    found = vocabulary(path, "llama", *listed)
    assert time.monotonic() - started < 3  # with writing the file
    assert (len(found), found[-1]) == (262_144, b" word262143")
