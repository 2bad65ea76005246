"""`cogenesis evaluate text` and `judge` without a model: mistakes, and what people see."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cogenesis.cli import main
from cogenesis.evaluation.generation import WrittenText, content_key, open_texts
from tests.unit.evaluation.test_leaks_report import TOPICS, person
from tests.unit.models.loopback import Handler, Loopback


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with data of six people, and texts of systems that another program wrote."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "home"))
    people = [person(name, topic) for name, topic in TOPICS.items()]
    Path("people.json").write_text(json.dumps(people))
    Path("own.json").write_text(json.dumps(people[0]))
    Path("notes.txt").write_text("do not lose me\n")
    with open_texts(Path("texts.jsonl"), Path("people.json")) as file:
        for system, said in {"old": "Hello all.", "new": "Hello, I am {} and this is it."}.items():
            for number, name in enumerate(TOPICS, start=1):
                text = said.format(name)
                file.add(WrittenText(content_key(system, number), system, number, text))


def run(monkeypatch: pytest.MonkeyPatch, command: str, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["cogenesis", "evaluate", command, *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


MISTAKES = [
    ("text", [], "Missing option '--data'"),
    ("text", ["--data", "none.json"], "none.json"),
    ("text", ["--data", "people.json", "--system", "theirs"], "there is no system 'theirs'"),
    ("text", ["--data", "people.json", "--system", "cloud:context"], "--unsafe-send-context"),
    (
        "text",
        ["--data", "people.json", "--system", "device:zero-shot", "--adapter", "none"],
        "--zero-shot-device",
    ),
    (
        "text",
        ["--data", "people.json", "--system", "fusion:gate", "--adapter", "none"],
        "--gate",
    ),
    ("text", ["--data", "people.json", "--texts", "notes.txt"], "name another one"),
    ("text", ["--data", "own.json", "--unsafe-send-context"], "one person's own"),
    ("text", ["--data", "people.json", "--max-tokens", "0"], "--max-tokens"),
    ("judge", ["--data", "people.json"], "Add --unsafe-send-context"),
    ("judge", ["--data", "own.json", "--unsafe-send-context"], "one person's own"),
    ("judge", ["--data", "people.json", "--unsafe-send-context", "--runs", "0"], "--runs"),
    (
        "judge",
        [
            *("--data", "people.json", "--unsafe-send-context"),
            *("--engine", "ray", "--ray-address", "10.0.0.1:6379"),
        ],
        "give --judge-url, or leave out --ray-address",
    ),
    (
        "judge",
        ["--data", "people.json", "--unsafe-send-context", "--workers", "2"],
        "--engine ray",
    ),
]


@pytest.mark.parametrize(("command", "arguments", "message"), MISTAKES)
def test_mistakes_are_told_before_a_model_is_loaded(
    command: str,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, command, *arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert Path("notes.txt").read_text() == "do not lose me\n"


@pytest.mark.parametrize("command", ["text", "judge"])
def test_a_file_that_another_run_adds_to_is_told_before_a_model_is_loaded(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", "people.json", "--texts", "texts.jsonl", "--system", "device"]
    if command == "judge":
        arguments += ["--judge-url", "http://127.0.0.1:9", "--judge-model", "j"]
    with open_texts(Path("texts.jsonl"), Path("people.json")) as other:
        before = Path("texts.jsonl").read_bytes()
        assert run(monkeypatch, command, *arguments, "--unsafe-send-context") == 2
        assert "another run is writing to texts.jsonl" in " ".join(capsys.readouterr().err.split())
        assert Path("texts.jsonl").read_bytes() == before
        assert other.done


@pytest.mark.parametrize("command", ["text", "judge"])
def test_the_help_has_examples(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, command, "--help") == 0
    shown = capsys.readouterr().out
    assert f"cogenesis evaluate {command} --data" in shown
    for option in ("data", "limit", "system", "texts", "save", "unsafe-send-context", "json"):
        assert f"--{option}" in shown


def answer(handler: Handler) -> None:
    """A judge that likes who tells a name, and the first place otherwise."""
    if handler.command == "GET":
        handler.send_json({"error": {"message": "no"}}, 404)
        return
    prompt = handler.asked.body["messages"][-1]["content"]
    if "# Text B" in prompt:
        said = "Better: " + ("B" if "I am" in prompt.split("# Text B")[1] else "A")
    else:
        said = "Because.\nRating: " + ("8" if "I am" in prompt.split("(it begins")[1] else "3")
    choice = {"index": 0, "delta": {"content": said}, "finish_reason": "stop"}
    handler.send_events({"choices": [choice]}, "[DONE]")


def test_a_judge_is_asked_once_and_its_answers_are_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Loopback(answer) as server:
        arguments = [
            *("--data", "people.json", "--limit", "2", "--texts", "texts.jsonl"),
            *("--system", "old", "--system", "new", "--baseline", "old", "--unsafe-send-context"),
            *("--judge-url", server.url, "--judge-model", "judge-70b", "--judge-kind"),
            *("openai-chat", "--parallel", "2"),
        ]
        assert run(monkeypatch, "judge", *arguments, "--json") == 0
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        first = len(server.asked)
        assert run(monkeypatch, "judge", *arguments) == 0
        shown = capsys.readouterr().out
        assert len(server.asked) == first
    # Two samples and two runs of: three scores of two texts, and two orders.
    assert first == told["answers"] == 2 * 2 * (3 * 2 + 2)
    old, new = told["systems"]
    for score in ("overall_with", "personal", "overall_without"):
        assert old["measures"][score]["value"] == 3.0
        assert new["over_baseline"][score]["value"] == 5.0
    (pair,) = told["pairs"]
    assert (pair["systems"], pair["wins"], pair["losses"]) == (["new", "old"], 4, 0)
    assert told["judge"] == {"model": "judge-70b", "billions": 70.0}
    assert told["evaluation"] == "judge" and "Two runs on personal" in shown
    profiles = [each.body["messages"][0]["content"] for each in server.asked]
    assert any("Spends evenings with orchids" in each for each in profiles)


def judging(server: Loopback) -> list[str]:
    """Two samples of one system, three questions each."""
    return [
        *("--data", "people.json", "--limit", "2", "--texts", "texts.jsonl", "--system", "new"),
        *("--runs", "1", "--unsafe-send-context", "--judge-url", server.url),
        *("--judge-model", "m", "--judge-kind", "openai-chat", "--json"),
    ]


def test_what_a_server_refused_is_asked_again_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    filters = True

    def reply(handler: Handler) -> None:
        if handler.command == "POST" and filters and "greenhouse" in str(handler.asked.body):
            handler.send_json({"error": {"message": "filtered"}}, 400)
        else:
            answer(handler)

    with Loopback(reply) as server:
        assert run(monkeypatch, "judge", *judging(server)) == 0
        told = json.loads(capsys.readouterr().out)
        first, filters = len(server.asked), False
        assert run(monkeypatch, "judge", *judging(server)) == 0
        mended = json.loads(capsys.readouterr().out)
        second = len(server.asked) - first
        assert run(monkeypatch, "judge", *judging(server)) == 0
        assert len(server.asked) == first + second
    assert first == 6 and told["unread"] == {"bad-request": second}
    assert any("the same command asks again" in each for each in told["notes"])
    assert 0 < second < 6 and mended["unread"] == {}


def test_a_judge_that_is_not_there_ends_the_run_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its model is not loaded, say: the server answers, but that is no answer of a judge."""
    with Loopback(lambda handler: handler.send_json({"error": {}}, 404)) as server:
        assert run(monkeypatch, "judge", *judging(server)) not in {0, None}
        assert len(server.asked) == 1
    with Loopback(answer) as server:
        assert run(monkeypatch, "judge", *judging(server)) == 0
        assert len(server.asked) == 6


def test_every_request_to_a_judge_is_in_the_ledger(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Loopback(answer) as server:
        arguments = [
            *("--data", "people.json", "--limit", "1", "--texts", "texts.jsonl", "--system"),
            *("new", "--runs", "1", "--unsafe-send-context", "--judge-url", server.url),
            *("--judge-model", "m", "--judge-kind", "openai-chat", "--json"),
        ]
        assert run(monkeypatch, "judge", *arguments) == 0
        assert "size is not known" in json.loads(capsys.readouterr().out)["notes"][0]
    monkeypatch.setattr(sys, "argv", ["cogenesis", "ledger", "show", "--json"])
    with pytest.raises(SystemExit):
        main()
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(server.asked) == 3
    assert {row["purpose"] for row in rows} == {"published data"}
