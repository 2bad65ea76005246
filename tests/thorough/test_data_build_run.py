"""`data build` against a server that invents people well, badly, and not at all."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cogenesis.cli.app import app
from cogenesis.data.building.plan import Wanted, person_of
from cogenesis.data.building.plan import group_of as planned_group
from cogenesis.data.check import Checked
from cogenesis.data.rows import Row, row_of
from cogenesis.errors import CogenesisError
from cogenesis.privacy.ledger import Ledger
from cogenesis.training.folds import group_of
from tests.unit.data.building.invented import Answer, good, line, server, step_of
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


@pytest.mark.parametrize("status", [401, 404])
def test_a_server_that_refuses_ends_the_run(status: int, tmp_path: Path) -> None:
    def handle(handler: Handler) -> None:
        handler.send_json({"error": {"message": "no"}}, status)

    with Loopback(handle) as cloud:
        done = built(cloud.url, tmp_path / "out")
    assert done.exit_code == 4 and "refuses" in done.output
    assert len(cloud.asked) <= 8


def test_what_has_no_answer_is_asked_again_by_the_same_command(tmp_path: Path) -> None:
    broken = True

    def handle(handler: Handler) -> None:
        if broken and "You are this person" in handler.asked.body["messages"][0]["content"]:
            handler.send_raw(b"<html>come back later</html>", "text/html", 500)
        else:
            server()(handler)

    with Loopback(handle) as cloud:
        gone = built(cloud.url, tmp_path / "out", "--deadline", "0.5")
        assert gone.exit_code == 4, gone.output
        broken = False
        done = built(cloud.url, tmp_path / "out", "--deadline", "0.5")
    assert done.exit_code == 0, done.output
    assert len(made(tmp_path / "out")) == 12
    assert json.loads(done.stdout)["now"]["questions"] >= 24


def test_one_refused_question_costs_a_person_and_not_the_run(tmp_path: Path) -> None:
    """A filter of content, or a prompt too long for the server: refused the next time, too."""
    kept = "refused"

    def handle(handler: Handler) -> None:
        prompt = handler.asked.body["messages"][0]["content"]
        if kept in prompt and "You invent one person" in prompt:
            handler.send_json({"error": {"message": "content policy"}}, 400)
        else:
            server()(handler)

    with Loopback(handle) as cloud:
        names = [person_of(Wanted(6, 2, 2, 2, 0), number).name for number in range(6)]
        kept = names[3]
        first = built(cloud.url, tmp_path / "out")
        assert first.exit_code == 0, first.output
        assert json.loads(first.stdout)["without_answer"] == {"bad-request": 1}
        assert len(made(tmp_path / "out")) == 10
        asked = len(cloud.asked)
        again = built(cloud.url, tmp_path / "out")
        # All others are there; one that is refused before anything was answered is no dead server.
        assert again.exit_code == 0 and json.loads(again.stdout)["now"]["questions"] == 0
        assert asked < len(cloud.asked) <= asked + 5
        kept = "nobody"
        third = built(cloud.url, tmp_path / "out")
    assert third.exit_code == 0 and len(made(tmp_path / "out")) == 12


def test_a_repair_that_is_refused_costs_a_reply(tmp_path: Path) -> None:
    def handle(handler: Handler) -> None:
        body = handler.asked.body
        if len(body["messages"]) > 1:
            return handler.send_json({"error": {"message": "too long"}}, 400)
        return server(bad_first)(handler)

    def bad_first(step: str, prompt: str, number: int) -> Any:
        return {"wrong": 1} if step == "text" and number % 2 else good(step, prompt, number)

    with Loopback(handle) as cloud:
        done = built(cloud.url, tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["replies"]["text: not repaired"] > 0
    assert made(tmp_path / "out")


@pytest.mark.parametrize(
    "nonsense", [b"<html>log in first</html>", b'{"error": {"message": "overloaded"}}', b"[1]"]
)
def test_what_a_gateway_says_instead_of_the_model_is_no_reply(
    nonsense: bytes, tmp_path: Path
) -> None:
    """With status 200, for a while: nothing of it is kept, and nobody is given up for it."""
    broken = True

    def handle(handler: Handler) -> None:
        if broken and "You are this person" in handler.asked.body["messages"][0]["content"]:
            handler.send_raw(nonsense, "application/json", 200)
        else:
            server()(handler)

    with Loopback(handle) as cloud:
        gone = built(cloud.url, tmp_path / "out")
        assert gone.exit_code == 4, gone.output
        broken = False
        done = built(cloud.url, tmp_path / "out")
    told = json.loads(done.stdout)
    assert done.exit_code == 0 and len(made(tmp_path / "out")) == 12
    assert not any(key.startswith("text") for key in told["replies"])


def test_a_reply_of_thinking_alone_was_paid_and_is_kept(tmp_path: Path) -> None:
    def handle(handler: Handler) -> None:
        if step_of(handler.asked.body) == "text" and handler.asked.body["seed"] % 2:
            choice = {"message": {"content": None}, "finish_reason": "length"}
            handler.send_json({"choices": [choice], "model": "thinker-1"})
        else:
            server()(handler)

    with Loopback(handle) as cloud:
        first = built(cloud.url, tmp_path / "out")
        again = built(cloud.url, tmp_path / "out")
    assert first.exit_code == 0
    assert json.loads(first.stdout)["replies"]["text: cut off"] > 0
    assert json.loads(again.stdout)["now"]["questions"] == 0


def test_later_portraits_wait_until_earlier_ones_have_an_answer(tmp_path: Path) -> None:
    """They are told of them: made without, they and their people would be paid again."""
    broken = True
    held = planned_group(Wanted(40, 1, 0, 1, 0), 3)

    def handle(handler: Handler) -> None:
        prompt = handler.asked.body["messages"][0]["content"]
        if (
            broken
            and step_of(handler.asked.body) == "portrait"
            and held.field in prompt
            and held.region in prompt
        ):
            handler.send_raw(b"<html>busy</html>", "text/html", 500)
        else:
            server()(handler)

    more = ["--people", "40", "--tasks", "1", "--history", "0", "--group-size", "1"]
    with Loopback(handle) as cloud:
        stopped = built(cloud.url, tmp_path / "out", *more, "--deadline", "0.5")
        assert stopped.exit_code == 4 and "later ones are told of them" in stopped.output
        assert {step_of(each.body) for each in cloud.asked} == {"portrait"}
        broken = False
        done = built(cloud.url, tmp_path / "out", *more)
        assert done.exit_code == 0, done.output
        answered = [json.dumps(each.body) for each in cloud.asked]
        whole = built(cloud.url, tmp_path / "whole", *more)
    assert whole.exit_code == 0
    again = json.loads(whole.stdout)["now"]["questions"]
    # As many different questions as a build that met no fault: nothing was asked in vain.
    assert len(set(answered)) == again
    assert made(tmp_path / "out") == made(tmp_path / "whole")


def test_a_server_that_moved_is_asked_nothing_twice(tmp_path: Path) -> None:
    with Loopback(server()) as cloud:
        built(cloud.url, tmp_path / "out")
    with Loopback(server()) as moved:
        again = built(moved.url, tmp_path / "out")
        assert again.exit_code == 0 and not moved.asked


def test_names_of_another_generator_are_refused(tmp_path: Path) -> None:
    with Loopback(server()) as cloud:
        built(cloud.url, tmp_path / "out")
        begun = tmp_path / "out" / "build.json"
        told = json.loads(begun.read_text())
        begun.write_text(json.dumps(told | {"faker": "1.0"}))
        other = built(cloud.url, tmp_path / "out")
        assert other.exit_code == 2 and "faker 1.0" in other.output
        begun.write_text(json.dumps(told | {"asked": "else"}))
        other = built(cloud.url, tmp_path / "out")
    assert other.exit_code == 2 and "another version of cogenesis" in other.output


def test_killed_while_it_begins_the_folder_is_still_its_own(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".build.json.x1").write_text('{"form"')
    with Loopback(server()) as cloud:
        assert built(cloud.url, tmp_path / "out").exit_code == 0


def test_a_refused_task_is_asked_for_again_by_its_own_kind(tmp_path: Path) -> None:
    def answer(step: str, prompt: str, number: int) -> Any:
        if step != "tasks":
            return good(step, prompt, number)
        kinds = re.findall(r"^\d+\. (.+)$", prompt, re.MULTILINE)
        first = "again" if len(kinds) == 1 else "Dear [Name]: fill this in"
        tasks = [
            {"task": f"Write {kind} about the day", "details": "It was good."} for kind in kinds
        ]
        return {"tasks": [tasks[0] | ({"task": first} if len(kinds) > 1 else {}), *tasks[1:]]}

    with Loopback(server(answer)) as cloud:
        done = built(cloud.url, tmp_path / "out")
    assert done.exit_code == 0, done.output
    for number in range(6):
        kinds = person_of(Wanted(6, 2, 2, 2, 0), number).kinds
        wanted = [f"Write {kind} about the day" for kind in kinds]
        found = [
            text["title"].partition(":")[0]
            for sample in made(tmp_path / "out")
            if sample["tid"].split("_")[2] == str(number * 12 + 2)
            for text in [*sample["profile"], {"title": sample["conversations"][0]["value"]}]
        ]
        assert found == wanted[:3]


def test_without_a_model_name_the_record_has_the_servers(tmp_path: Path) -> None:
    def handle(handler: Handler) -> None:
        handler.send_json(
            {
                "model": "tiny-7",
                "choices": [{"message": {"content": json.dumps(good("portrait", "", 1))}}],
            }
        ) if step_of(handler.asked.body) == "portrait" else server()(handler)

    with Loopback(handle) as cloud:
        built(cloud.url, tmp_path / "out")
    lines = (tmp_path / "out" / "provenance.jsonl").read_text().splitlines()
    for each in map(json.loads, lines):
        assert each["replies"][0]["model"] == "tiny-7"
        assert "model" not in each["replies"][1]


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
