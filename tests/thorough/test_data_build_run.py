"""`data build` against a server that invents people well, badly, and not at all."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cogenesis.cli.app import app
from cogenesis.data.check import Checked
from cogenesis.data.rows import Row, row_of
from cogenesis.errors import CogenesisError
from cogenesis.privacy.ledger import Ledger
from cogenesis.training.folds import group_of
from tests.unit.data.building.invented import Answer, good, line, server
from tests.unit.models.loopback import Handler, Loopback

OPTIONS = ["--people", "6", "--tasks", "2", "--history", "2", "--group-size", "2", "--yes"]
OPTIONS += ["--cloud-model", "m", "--json"]


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "home"))


@dataclass(frozen=True)
class Finished:
    """A command that ended, as `main` would end it."""

    exit_code: int
    stdout: str
    output: str


def run(command: list[str]) -> Finished:
    done = CliRunner().invoke(app, command)
    if isinstance(done.exception, CogenesisError):
        whole = f"{done.output}\n{done.exception}"
        return Finished(done.exception.exit_code, done.stdout, whole)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Finished(done.exit_code, done.stdout, done.output)


def built(url: str, out: Path, *more: str) -> Finished:
    return run(["data", "build", "--cloud-url", url, "--out", str(out), *OPTIONS, *more])


def made(out: Path) -> list[dict[str, Any]]:
    names = ("train", "validation", "test")
    return [each for name in names for each in json.loads((out / f"{name}.json").read_text())]


def test_people_tasks_and_texts_come_out_as_samples(tmp_path: Path) -> None:
    with Loopback(server()) as cloud:
        done = built(cloud.url, tmp_path / "out")
        assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    samples = made(tmp_path / "out")
    assert told["people"] == 6 and len(samples) == 12
    assert sum(told["samples"].values()) == 12
    assert told["now"]["questions"] == 3 + 6 + 6 + 6 * 4 == len(cloud.asked)
    for number, sample in enumerate(samples, start=1):
        row = row_of(number, sample)
        assert isinstance(row, Row)
        assert row.form == "context-aware" and row.origin == "synthetic"
        assert row.name and row.name not in row.general
        assert len(row.context.writings) == 2
        assert sample["facts"]["told"] == [1, 2]  # there is no fact 77
    assert len({sample["tid"] for sample in samples}) == 12


def test_no_group_is_in_two_splits_and_the_check_finds_nothing_wrong(tmp_path: Path) -> None:
    with Loopback(server()) as cloud:
        built(cloud.url, tmp_path / "out")
    checked = Checked(skip=frozenset({"language"}))
    groups: Counter[str] = Counter()
    for name in ("train", "validation", "test"):
        path = tmp_path / "out" / f"{name}.json"
        groups.update({sample["group"] for sample in json.loads(path.read_text())})
        checked.read(name, path)
    checked.report()
    assert set(groups.values()) == {1} and len(groups) == 3
    assert checked.problems.total("error") == 0, checked.problems.listed()


def test_every_sample_says_where_it_comes_from(tmp_path: Path) -> None:
    with Loopback(server()) as cloud:
        built(cloud.url, tmp_path / "out")
    lines = (tmp_path / "out" / "provenance.jsonl").read_text().splitlines()
    record = {each["tid"]: each for each in map(json.loads, lines)}
    assert set(record) == {sample["tid"] for sample in made(tmp_path / "out")}
    for each in record.values():
        assert each["model"] == "m" and each["templates"]["text"] == "1"
        steps = Counter(reply["step"] for reply in each["replies"])
        assert steps == {"portrait": 1, "profile": 1, "tasks": 1, "text": 4}
        for reply in each["replies"]:
            key = reply["reply"]
            assert (tmp_path / "out" / "replies" / key[:2] / f"{key}.json").is_file()


def test_again_asks_nothing_and_gives_the_same(tmp_path: Path) -> None:
    with Loopback(server()) as cloud:
        built(cloud.url, tmp_path / "out")
        before, asked = made(tmp_path / "out"), len(cloud.asked)
        again = built(cloud.url, tmp_path / "out")
    assert len(cloud.asked) == asked
    assert json.loads(again.stdout)["now"]["questions"] == 0
    assert made(tmp_path / "out") == before


def test_more_people_keep_the_first_ones(tmp_path: Path) -> None:
    with Loopback(server()) as cloud:
        built(cloud.url, tmp_path / "out")
        before, asked = {each["tid"] for each in made(tmp_path / "out")}, len(cloud.asked)
        built(cloud.url, tmp_path / "out", "--people", "8")
    assert before < {each["tid"] for each in made(tmp_path / "out")}
    assert len(cloud.asked) == asked + 1 + 2 + 2 + 2 * 4


def test_a_build_that_grows_moves_no_group_to_another_split(tmp_path: Path) -> None:
    """What a model was tuned on would be in its test."""
    placed: list[dict[str, str]] = []
    with Loopback(server()) as cloud:
        for people in ("6", "14", "24"):
            built(cloud.url, tmp_path / "out", "--people", people, "--group-size", "1")
            placed.append(splits_of_groups(tmp_path / "out"))
    assert [len(each) for each in placed] == [6, 14, 24]
    assert placed[0].items() <= placed[1].items() <= placed[2].items()
    assert set(placed[0].values()) == {"train", "validation", "test"}


def splits_of_groups(out: Path) -> dict[str, str]:
    return {
        sample["group"]: name
        for name in ("train", "validation", "test")
        for sample in json.loads((out / f"{name}.json").read_text())
    }


def test_files_of_splits_that_are_no_longer_wanted_go(tmp_path: Path) -> None:
    with Loopback(server()) as cloud:
        built(cloud.url, tmp_path / "out")
        done = built(cloud.url, tmp_path / "out", "--splits", "train=1,held=1")
    assert done.exit_code == 0, done.output
    names = {path.stem for path in (tmp_path / "out").glob("*.json")}
    assert names == {"build", "report", "train", "held"}


def test_builds_of_two_seeds_can_be_joined(tmp_path: Path) -> None:
    with Loopback(server()) as cloud:
        for seed in ("3", "4"):
            built(cloud.url, tmp_path / seed, "--seed", seed)
    one, other = made(tmp_path / "3"), made(tmp_path / "4")
    for key in ("tid", "group"):
        assert not {each[key] for each in one} & {each[key] for each in other}
    for each in (*one, *other):
        assert group_of(each["tid"], 1) == each["group"]


def test_another_number_of_tasks_is_refused_before_anything_is_paid(tmp_path: Path) -> None:
    with Loopback(server()) as cloud:
        built(cloud.url, tmp_path / "out")
        before, asked = made(tmp_path / "out"), len(cloud.asked)
        other = built(cloud.url, tmp_path / "out", "--tasks", "3")
    assert other.exit_code == 2 and "a build with tasks 2" in other.output
    assert len(cloud.asked) == asked and made(tmp_path / "out") == before


def test_a_model_that_cannot_write_is_tried_with_another_screening(tmp_path: Path) -> None:
    """What goes round in circles is refused, unless somebody says that it does not matter."""

    def circling(step: str, prompt: str, number: int) -> Any:
        reply = good(step, prompt, number)
        return reply | ({"text": f"I like {line(number, 6)}. " * 20} if step == "text" else {})

    with Loopback(server(circling)) as cloud:
        strict = built(cloud.url, tmp_path / "strict")
        assert strict.exit_code == 4 and not made(tmp_path / "strict")
        tried = built(cloud.url, tmp_path / "tried", "--screening", "leaks")
        assert tried.exit_code == 0 and made(tmp_path / "tried")
        other = built(cloud.url, tmp_path / "tried")
    assert other.exit_code == 2 and "a build with screening leaks" in other.output
    told = json.loads((tmp_path / "tried" / "report.json").read_text())
    assert told["screening"] == "leaks"


def test_an_out_that_is_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "letters.txt"
    path.write_text("mine")
    for out in (path, path / "deeper"):
        done = built("http://127.0.0.1:1", out)
        assert done.exit_code == 2 and str(path) in done.output
    assert "is a file" in built("http://127.0.0.1:1", path).output
    assert path.read_text() == "mine"


def test_another_build_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with Loopback(server()) as cloud:
        built(cloud.url, tmp_path / "out")
        other = built(cloud.url, tmp_path / "out", "--seed", "1")
        assert other.exit_code == 2 and "seed" in other.output
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "letters.txt").write_text("mine")
        full = built(cloud.url, tmp_path / "full")
        assert full.exit_code == 2 and "new folder" in full.output


def test_everything_that_was_sent_is_in_the_ledger_as_made_up(tmp_path: Path) -> None:
    with Loopback(server()) as cloud:
        built(cloud.url, tmp_path / "out")
    with Ledger.open(tmp_path / "home" / "ledger.sqlite") as ledger:
        rows = list(ledger.entries())
    assert len(rows) == len(cloud.asked)
    assert all("made up: data build" in row.entry.note for row in rows)


# What a hostile or a weak server does, and which step it does it to.
HOSTILE: dict[str, Answer] = {
    "another form": lambda step, prompt, n: {"nothing": 1},
    "no JSON": lambda step, prompt, n: "I am sorry, I cannot do that.",
    "empty lists": lambda step, prompt, n: {
        key: [] if isinstance(value, list) else value
        for key, value in good(step, prompt, n).items()
    },
    "nulls": lambda step, prompt, n: dict.fromkeys(good(step, prompt, n)),
    "a hundred times as long": lambda step, prompt, n: {
        key: value * 100 for key, value in good(step, prompt, n).items()
    },
    "the prompt again": lambda step, prompt, n: {
        key: prompt if isinstance(value, str) else [prompt] * 4
        for key, value in good(step, prompt, n).items()
    },
    "deep": lambda step, prompt, n: '{"a":' * 10_000,
    "half characters": lambda step, prompt, n: '{"outline": ["\\ud800"], "text": "\\ud800"}',
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_a_hostile_server_costs_samples_and_not_the_run(fault: str, tmp_path: Path) -> None:
    """Every second question is answered badly: what is good comes out, the rest is counted."""

    def answer(step: str, prompt: str, number: int) -> Any:
        return (
            HOSTILE[fault](step, prompt, number) if number % 2 == 0 else good(step, prompt, number)
        )

    with Loopback(server(answer)) as cloud:
        done = built(cloud.url, tmp_path / "out")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["replies"]
    samples = made(tmp_path / "out")
    assert samples
    for number, sample in enumerate(samples, start=1):
        assert isinstance(row_of(number, sample), Row)
        assert len(sample["conversations"][1]["value"]) < 8_000
        assert "placeholders" not in sample["conversations"][1]["value"]


@pytest.mark.parametrize("fault", HOSTILE)
def test_a_server_that_is_always_hostile_gives_no_sample_and_says_so(
    fault: str, tmp_path: Path
) -> None:
    with Loopback(server(HOSTILE[fault])) as cloud:
        done = built(cloud.url, tmp_path / "out")
    assert done.exit_code == 4
    assert "no sample came out" in done.output
    assert json.loads((tmp_path / "out" / "report.json").read_text())["dropped"]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("Dear [Client's Name], " + "all is well with us here. " * 10, "slot"),
        ("All is well.", "wrong form"),
        ("All is well with us here today, my friend. " * 30, "loops"),
        ("Sure, here is the text: " + good("text", "", 5)["text"], "remark"),
    ],
)
def test_texts_with_leftovers_are_asked_for_again(bad: str, why: str, tmp_path: Path) -> None:
    def answer(step: str, prompt: str, number: int) -> Any:
        found = good(step, prompt, number)
        return found | {"text": bad} if step == "text" and number % 4 == 0 else found

    with Loopback(server(answer)) as cloud:
        done = built(cloud.url, tmp_path / "out")
    told = json.loads(done.stdout)
    assert told["replies"][f"text: {why}"] > 0
    assert all(sample["conversations"][1]["value"] != bad for sample in made(tmp_path / "out"))


def test_a_general_part_that_the_guard_would_keep_is_dropped(tmp_path: Path) -> None:
    def answer(step: str, prompt: str, number: int) -> Any:
        found = good(step, prompt, number)
        if step == "tasks":
            name = prompt.partition("Name: ")[2].partition("\n")[0]
            found["tasks"][0]["task"] = f"Write an e-mail from {name} about the weather"
        return found

    with Loopback(server(answer)) as cloud:
        done = built(cloud.url, tmp_path / "out")
    told = json.loads(done.stdout)
    assert told["replies"]["tasks: private in the general part"] == 12  # asked twice
    for sample in made(tmp_path / "out"):
        assert "weather" not in sample["general_instruction"]


def test_a_server_that_knows_no_schema_is_asked_without(tmp_path: Path) -> None:
    """It refuses a schema once for each pass, not for each person."""
    refused: list[bool] = []

    def handle(handler: Handler) -> None:
        if handler.asked.body.get("response_format", {}).get("type") == "json_schema":
            refused.append(True)
            handler.send_json({"error": {"message": "response_format is unknown"}}, 400)
        else:
            server()(handler)

    with Loopback(handle) as cloud:
        done = built(cloud.url, tmp_path / "out", "--at-a-time", "1")
    assert done.exit_code == 0, done.output
    assert len(made(tmp_path / "out")) == 12
    # Two ways of asking have a schema; portraits are one pass, people another.
    assert len(refused) == 2 * 2


def test_a_reply_that_is_repaired_counts(tmp_path: Path) -> None:
    def answer(step: str, prompt: str, number: int) -> Any:
        if step == "profile" and "cannot be used" not in prompt:
            return {"personal_traits": "patient"}
        return good(step, prompt, number)

    with Loopback(server(answer)) as cloud:
        done = built(cloud.url, tmp_path / "out")
    told = json.loads(done.stdout)
    assert told["replies"]["profile: repaired"] == 6
    assert len(made(tmp_path / "out")) == 12


def test_an_estimate_comes_before_the_first_question(tmp_path: Path) -> None:
    with Loopback(server()) as cloud:
        command = [each for each in OPTIONS if each != "--yes"]
        command = [
            "data",
            "build",
            "--cloud-url",
            cloud.url,
            "--out",
            str(tmp_path / "o"),
            *command,
        ]
        done = run([*command, "--price-in", "1", "--price-out", "2"])
    assert done.exit_code == 2 and "--yes" in done.output
    assert "39 questions" in done.output and "cost about" in done.output
    assert not cloud.asked
