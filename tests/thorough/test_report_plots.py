"""The plots of `evaluate report`: drawn the same each time, and shown in a browser."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from cogenesis.evaluation.report import report
from cogenesis.evaluation.report_blocks import Picture, as_html, as_markdown
from cogenesis.evaluation.report_plots import draw_weights
from cogenesis.evaluation.report_points import Weights
from tests.thorough.browser import CHROMIUM, Browser
from tests.unit.evaluation.test_human import HOSTILE
from tests.unit.evaluation.test_report import BITS, LEAKS, SPEED, WEIGHTS, sources


def pictures(folder: Path) -> list[Picture]:
    found = sources(folder, bits=BITS, leaks=LEAKS, speed=SPEED, fused=WEIGHTS)
    return [block for block in report(found) if isinstance(block, Picture)]


def test_the_same_numbers_give_the_same_pictures(tmp_path: Path) -> None:
    first = pictures(tmp_path)
    assert [each.name for each in first] == ["leakage", "round-trips", "speed", "weights"]
    assert first == pictures(tmp_path)
    for each in first:
        root = ElementTree.fromstring(each.svg)
        assert root.tag.endswith("svg")
        assert b"<script" not in each.svg and b'href="http' not in each.svg


def test_points_stand_where_the_numbers_say(tmp_path: Path) -> None:
    one, _, *_ = pictures(tmp_path)
    moved = json.loads(json.dumps(BITS))
    moved["systems"][0]["bits_per_byte"] = 0.97
    found = sources(tmp_path, bits=moved, leaks=LEAKS)
    other = next(each for each in report(found) if isinstance(each, Picture))
    assert one.svg != other.svg


def test_any_token_can_be_drawn() -> None:
    tokens = (*((bad, 0.5) for bad in HOSTILE), ("\n", 0.0), ("", 1.0), ("漢字 🎉", 0.1))
    svg = draw_weights(Weights((*tokens, ("$x^2$ " * 40, 0.3)), "", ()))
    ElementTree.fromstring(svg)
    assert b"<script" not in svg


def test_markdown_names_the_files_of_its_pictures(tmp_path: Path) -> None:
    text = as_markdown("Results", pictures(tmp_path), "results")
    assert "](results-leakage.svg)" in text and "](results-weights.svg)" in text


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
def test_the_page_shows_its_pictures_and_loads_nothing(tmp_path: Path) -> None:
    path = tmp_path / "results.html"
    path.write_text(as_html("Results", pictures(tmp_path)))
    with Browser(tmp_path / "profile") as browser:
        browser.open(path.as_uri())
        assert browser.run("[...document.images].every(i => i.complete && i.naturalWidth > 300)")
        assert browser.run("document.images.length") == 4
        assert browser.complaints() == []
