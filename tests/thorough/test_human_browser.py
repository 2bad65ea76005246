"""The page of `evaluate human` in a real browser, from a file, without a network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cogenesis.evaluation.human import Pairs, pairs_of
from cogenesis.evaluation.human_page import human_page
from cogenesis.evaluation.human_ratings import human_report, read_key, read_ratings
from tests.thorough.browser import CHROMIUM, Browser
from tests.unit.evaluation.test_human import HOSTILE, written

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

PROGRESS = "document.getElementById('progress').textContent"
WHERE = "document.querySelector('.pair:not([hidden]) h2')?.textContent"


@pytest.fixture
def found() -> Pairs:
    texts = [written("device", n, f"{bad} " * 40) for n, bad in enumerate(HOSTILE, 1)]
    return pairs_of([*texts, *(written("sketch", n, f"Plain {n}") for n in range(1, 6))], None)


@pytest.fixture
def url(found: Pairs, tmp_path: Path) -> str:
    path = tmp_path / "page.html"
    people = {n: f"Name: {bad}" for n, bad in enumerate(HOSTILE, 1)}
    path.write_text(human_page(found, people))
    (tmp_path / "page.key.json").write_text(json.dumps(found.key()))
    return path.as_uri()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Browser]]:
    """Browsers that share one profile; one at a time."""
    begun: list[Browser] = []

    def another(**more: Any) -> Browser:
        while begun:
            begun.pop().__exit__(None, None, None)
        begun.append(Browser(tmp_path / "profile", **more))
        return begun[0]

    yield another
    while begun:
        begun.pop().__exit__(None, None, None)


def test_a_rater_answers_by_keys_comes_back_and_saves(
    url: str, found: Pairs, tmp_path: Path, start: Callable[..., Browser]
) -> None:
    browser = start()
    browser.open(url)
    assert browser.run(WHERE) == "Pair 1 of 5"
    assert browser.run(PROGRESS) == "Pair 1 of 5; 0 of 5 answered"
    browser.run("document.getElementById('rater').focus()")
    for letter in "An1":
        browser.press(letter)  # a name, no answer
    assert browser.run("document.getElementById('rater').value") == "An1"
    browser.run("document.activeElement.blur()")
    for pressed in "12n33n":  # two questions a pair
        browser.press(pressed)
    assert browser.run(WHERE) == "Pair 3 of 5"
    assert browser.run("document.activeElement.textContent") == "Pair 3 of 5"
    assert browser.complaints() == []

    browser = start()  # as after a crash
    browser.open(url)
    assert browser.run(WHERE) == "Pair 3 of 5"
    assert browser.run(PROGRESS) == "Pair 3 of 5; 2 of 5 answered"
    assert browser.run("document.querySelectorAll('input[type=radio]:checked').length") == 4
    browser.run("document.getElementById('keys').click()")
    browser.press("2")  # keys are off now
    assert browser.run(PROGRESS) == "Pair 3 of 5; 2 of 5 answered"
    browser.call(
        "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "saved")
    )
    browser.run("document.getElementById('save').click()")
    while not list(tmp_path.glob("saved/*.json")):
        browser.run("new Promise(done => setTimeout(done, 50))")
    (path,) = tmp_path.glob("saved/*.json")
    assert path.name == f"ratings-{found.page}-An1.json"
    assert browser.run("document.getElementById('answers').value") == path.read_text()
    assert browser.complaints() == []

    key = read_key(tmp_path / "page.key.json")
    (rater,), _ = read_ratings([path], key)
    first, second = found.pairs[:2]
    assert rater.answers == {
        first.item: {"better": "left", "personal": "tie"},
        second.item: {"better": "right", "personal": "right"},
    }
    told = human_report(key, [rater])
    assert [row["pairs"] for row in told["comparisons"]] == [2, 2]


def test_buttons_lead_through_all_pairs_and_nothing_runs_that_is_not_the_pages(
    url: str, start: Callable[..., Browser]
) -> None:
    browser = start()
    browser.open(url)
    for number in range(5):
        assert browser.run(WHERE) == f"Pair {number + 1} of 5"
        browser.run("document.getElementById('next').click()")
    assert browser.run("document.getElementById('done').hidden") is False
    assert browser.run("document.getElementById('next').disabled") is True
    browser.run("document.getElementById('open').click()")
    assert browser.run(WHERE) == "Pair 1 of 5"
    assert browser.run("document.images.length + document.scripts.length") == 1
    # The policy holds even for markup that got in: neither a script nor a picture of it works.
    browser.run(
        "document.body.insertAdjacentHTML('beforeend', "
        '\'<img src=x onerror="window.bad=1"><img src="https://example.com/a.png">\')'
    )
    browser.run("fetch('https://example.com/').catch(() => window.kept = 1)")
    browser.run("new Promise(done => setTimeout(done, 200))")
    assert browser.run("window.bad") is None
    refused = [e for e in browser.complaints() if "Content Security Policy" in json.dumps(e)]
    assert refused


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_sticks_out_on_a_phone_and_everything_can_be_touched(
    width: int, url: str, start: Callable[..., Browser]
) -> None:
    browser = start()
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=800,
        deviceScaleFactor=1,
        mobile=width < 500,
    )
    browser.open(url)
    assert browser.run("document.documentElement.scrollWidth") <= width
    columns = browser.run("getComputedStyle(document.querySelector('.sides')).gridTemplateColumns")
    assert len(columns.split()) == (1 if width < 500 else 2)
    heights = "[...document.querySelectorAll('button')].map(b => b.getBoundingClientRect().height)"
    assert min(browser.run(heights)) >= 40


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(scheme: str, url: str, start: Callable[..., Browser]) -> None:
    """A contrast of 4.5 or more, as WCAG asks for."""
    browser = start()
    browser.call(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    browser.open(url)
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    for selector in ("body", "button:not(:disabled)", "legend", ".task", "textarea", "summary"):
        style = f"getComputedStyle(document.querySelector('{selector}'))"
        ink, ground = browser.run(f"{style}.color"), browser.run(f"{style}.backgroundColor")
        under = paper if ground == "rgba(0, 0, 0, 0)" else ground
        assert contrast(ink, under) >= 4.5, selector


def contrast(ink: str, paper: str) -> float:
    def light(colour: str) -> float:
        parts = [int(each) / 255 for each in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(ink), light(paper)))
    return (high + 0.05) / (low + 0.05)
