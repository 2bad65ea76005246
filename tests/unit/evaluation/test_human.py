"""`evaluate human`: the page shows texts and no names, and ratings become figures."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from cogenesis.cli import main
from cogenesis.errors import InputError
from cogenesis.evaluation.generation import WrittenText, content_key
from cogenesis.evaluation.human import Pairs, pairs_of
from cogenesis.evaluation.human_page import human_page
from cogenesis.evaluation.human_ratings import (
    Key,
    Rated,
    human_report,
    krippendorff,
    read_key,
    read_ratings,
    wilson,
)

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</div></article></section></style><h1>",
    "<!-- $pairs $policy ${style} {0} %s \\ ]]>",
    "</textarea><a href='javascript:alert(1)'>x</a>\u202e",
)


def written(system: str, sample: int, text: str | None = None) -> WrittenText:
    said = f"{system[::-1]} wrote text {sample}" if text is None else text
    return WrittenText(
        content_key(system, sample, said),
        system,
        sample,
        said,
        title="A note",
        instruction=f"A note: number {sample}",
    )


def some(count: int = 8, systems: tuple[str, ...] = ("device", "fusion:gate")) -> list[WrittenText]:
    return [
        written(system, n, f"{i}{n}")
        for i, system in enumerate(systems)
        for n in range(1, count + 1)
    ]


class Read(HTMLParser):
    """Elements with their attributes, and the text of each `class="text"`."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if dict(attrs).get("class") == "text":
            self.texts.append("")
        if tag not in {"meta", "input"}:
            self.open.append(f"{tag} {dict(attrs).get('class')}")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().split()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1].endswith(" text"):
            self.texts[-1] += data


def test_sides_and_order_come_from_the_seed_and_are_balanced() -> None:
    found = pairs_of(some(), None, seed=3)
    assert found.key() == pairs_of(some(), None, seed=3).key()
    other = pairs_of(some(), None, seed=4)
    assert (found.page, [p.item for p in found.pairs]) != (
        other.page,
        [p.item for p in other.pairs],
    )
    assert Counter(pair.left.system for pair in found.pairs) == {"device": 4, "fusion:gate": 4}
    assert [pair.sample for pair in found.pairs] != sorted(pair.sample for pair in found.pairs)
    assert {pair.left.sample == pair.right.sample for pair in found.pairs} == {True}


def test_what_cannot_be_compared_is_counted() -> None:
    texts = [*some(3), written("sketch", 1, "y"), written("sketch", 2, " ")]
    found = pairs_of(texts, ["device", "sketch"])
    assert found.missing == {("device", "sketch"): 2}
    assert len(found.pairs) == 1
    same = [*some(2), written("sketch", 1, "01\n"), written("sketch", 2, "x")]
    assert pairs_of(same, ["device", "sketch"]).equal == {("device", "sketch"): 1}
    with pytest.raises(InputError, match="no text of gpt"):
        pairs_of(texts, ["device", "gpt"])
    with pytest.raises(InputError, match="two systems"):
        pairs_of(texts, ["device"])
    with pytest.raises(InputError, match="no two texts"):
        pairs_of([written("device", 1), written("sketch", 2)], None)


def test_three_systems_meet_each_other() -> None:
    found = pairs_of(some(4, ("device", "sketch", "cloud")), None, limit=2)
    met = Counter(frozenset((p.left.system, p.right.system)) for p in found.pairs)
    assert set(met.values()) == {2} and len(met) == 3


def test_the_page_shows_every_text_as_it_is_and_names_no_system() -> None:
    texts = [written("fusion:gate", n, bad) for n, bad in enumerate(HOSTILE, 1)]
    texts += [written("device", n, f"plain {n}") for n in range(1, 6)]
    found = pairs_of(texts, None)
    page = human_page(found, {n: f"Name: {bad}" for n, bad in enumerate(HOSTILE, 1)})
    read = Read(page)
    shown = [text for pair in found.pairs for text in (pair.left.text or "", pair.right.text or "")]
    assert read.texts == [text.replace("\u202e", "") for text in shown]
    for name in ("fusion", "gate", '"device"', "sketch"):
        assert name not in re.sub(r"--device|var\(--device\)", "", page)
    tags = {tag for tag, _ in read.elements}
    assert not tags & {"img", "a", "link", "iframe", "object", "form", "base"}
    assert sum(tag == "script" for tag, _ in read.elements) == 1
    for _, attributes in read.elements:
        assert not {"src", "href", "style", "action"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)


def test_the_policy_lets_the_pages_own_script_and_style_work_and_nothing_else() -> None:
    page = human_page(pairs_of(some(), None))
    policy = next(a["content"] for _, a in Read(page).elements if "http-equiv" in a)
    style, script = (
        "sha256-"
        + b64encode(
            sha256(page.split(f"<{tag}>")[1].split(f"</{tag}>")[0].encode()).digest()
        ).decode()
        for tag in ("style", "script")
    )
    assert policy == (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_everything_that_takes_an_answer_has_a_label() -> None:
    read = Read(human_page(pairs_of(some(2), None), {1: "Name: A", 2: "Name: B"}))
    ids = [str(a["id"]) for tag, a in read.elements if tag in {"input", "textarea"}]
    labels = [a.get("for") for tag, a in read.elements if tag == "label"]
    assert sorted(ids) == sorted(map(str, labels))
    names = [a.get("id") for _, a in read.elements if a.get("id")]
    assert len(names) == len(set(names))
    assert all(a.get("type") == "button" for tag, a in read.elements if tag == "button")
    legends = sum(tag == "legend" for tag, _ in read.elements)
    assert legends == sum(tag == "fieldset" for tag, _ in read.elements) == 4  # two each


def saved(found: Pairs, rater: str, sides: dict[int, str]) -> dict[str, Any]:
    """As the page saves it: for samples, the system that was preferred, or "tie"."""
    ratings = []
    for pair in found.pairs:
        if pair.sample not in sides:
            continue
        chosen = sides[pair.sample]
        side = {pair.left.system: "left", pair.right.system: "right"}.get(chosen, "tie")
        ratings.append({"item": pair.item, "answers": {"better": side}, "seconds": 4.0})
    head = {"kind": "cogenesis human ratings", "form": 1, "page": found.page}
    return head | {"rater": rater, "ratings": ratings}


@pytest.fixture
def rated(tmp_path: Path) -> tuple[Key, list[Path]]:
    found = pairs_of(some(4), ["fusion:gate", "device"])
    key = tmp_path / "page.key.json"
    key.write_text(json.dumps(found.key()))
    ann = saved(found, "Ann", {1: "fusion:gate", 2: "fusion:gate", 3: "tie", 4: "device"})
    bo = saved(found, "", {1: "fusion:gate", 2: "device"})
    paths = [tmp_path / "ann.json", tmp_path / "bo.json"]
    for path, value in zip(paths, (ann, bo), strict=True):
        path.write_text(json.dumps(value))
    return read_key(key), paths


def test_wins_are_those_of_systems_whatever_side_they_stood_on(
    rated: tuple[Key, list[Path]],
) -> None:
    key, paths = rated
    raters, notes = read_ratings(paths, key)
    assert ([each.rater for each in raters], notes) == (["Ann", "bo"], [])
    told = human_report(key, raters)
    (row,) = told["comparisons"]
    assert row["systems"] == ["fusion:gate", "device"]
    assert (row["pairs"], row["verdicts"]) == (4, 6)
    # Sample 2 is half a win and half a loss: Ann and Bo differ.
    assert [row[name]["value"] for name in ("win", "tie", "loss", "net")] == [0.375, 0.25, 0.375, 0]
    low, high = wilson(0.375, 4)
    assert (row["win"]["low"], row["win"]["high"]) == (round(low, 4), round(high, 4))
    assert row["net"]["low"] < 0 < row["net"]["high"]
    (agreed,) = told["agreement"]
    assert (agreed["pairs"], agreed["same"]) == (2, 0.5)
    assert told["seconds_median"] == 4.0


def test_the_last_file_of_a_rater_counts(rated: tuple[Key, list[Path]]) -> None:
    key, paths = rated
    later = json.loads(paths[0].read_text())
    later["ratings"] = later["ratings"][:1]
    paths.append(paths[0].with_name("ann-2.json"))
    paths[-1].write_text(json.dumps(later))
    raters, notes = read_ratings(paths, key)
    assert [len(each.answers) for each in raters] == [1, 2]
    assert notes == ["Ann has several files: ann-2.json counts"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"page": "other"}, "another page"),
        ({"kind": "something"}, "holds no ratings"),
        ({"ratings": [{"item": "x", "answers": {"better": "left"}}]}, "another page"),
        ({"ratings": [{"item": "x", "answers": {"better": "up"}}]}, "holds no ratings"),
        ({"ratings": [{"item": "x", "answers": {"better": ["left"]}}]}, "holds no ratings"),
        ({"ratings": 3}, "holds no ratings"),
    ],
)
def test_ratings_of_something_else_are_refused(
    change: dict[str, Any], message: str, rated: tuple[Key, list[Path]]
) -> None:
    key, paths = rated
    paths[0].write_text(json.dumps(json.loads(paths[0].read_text()) | change))
    with pytest.raises(InputError, match=message):
        read_ratings(paths, key)


def test_no_answers_are_no_figures(rated: tuple[Key, list[Path]]) -> None:
    with pytest.raises(InputError, match="nobody has answered"):
        human_report(rated[0], [Rated("Ann", {})])


def test_wilson_is_the_textbook_interval() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20.
    for hits, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
    ):
        assert wilson(hits / trials, trials) == pytest.approx((low, high), abs=5e-5)


def test_alpha_is_that_of_the_textbook() -> None:
    # Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), example C: 0.743.
    rows = [
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    ]
    units = [
        [each for each in unit if each != "."]
        for unit in zip(*(r.split() for r in rows), strict=True)
    ]
    assert krippendorff(units) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff([["win", "win"], ["win", "win"]]) is None
    assert krippendorff([["win"], ["loss"]]) is None


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["cogenesis", "evaluate", "human", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_a_page_and_its_key_are_made_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("t.jsonl").write_text("".join(json.dumps(t.to_json()) + "\n" for t in some(4)))
    made = ["--texts", "t.jsonl", "--out", "page.html", "--json"]
    assert run(monkeypatch, *made) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["pairs"], told["systems"]) == (4, ["device", "fusion:gate"])
    for path in ("page.html", "page.key.json"):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert run(monkeypatch, *made) == 2  # ratings of the first may be on their way
    assert "exists" in capsys.readouterr().err
    found = pairs_of(some(4), None)
    Path("ann.json").write_text(json.dumps(saved(found, "Ann", {1: "device", 2: "device"})))
    count = ["--ratings", "ann.json", "--key", "page.key.json"]
    assert run(monkeypatch, *count, "--json") == 0
    assert json.loads(capsys.readouterr().out)["comparisons"][0]["win"]["value"] == 1.0
    assert run(monkeypatch, *count) == 0
    assert "100%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --texts"),
        (["--texts", "a", "--ratings", "b"], "give --texts"),
        (["--texts", "a"], "name the page with --out"),
        (["--texts", "a", "--out", "b"], "a cannot be read"),
        (["--texts", "a", "--out", "b", "--key", "c"], "--key belongs to --ratings"),
        (["--ratings", "a"], "--key PAGE.key.json"),
        (["--ratings", "a", "--key", "b"], "b cannot be read"),
        (["--ratings", "a", "--key", "b", "--out", "c"], "--out belongs to --texts"),
    ],
)
def test_mistakes_say_what_to_do(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())
