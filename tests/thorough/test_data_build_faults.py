"""`data build` where the server fails, refuses or moves: nothing is paid twice, no run is lost."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cogenesis.data.building.plan import Wanted, group_of, person_of
from tests.thorough.test_data_build_run import at_home, built, made
from tests.unit.data.building.invented import good, server, step_of
from tests.unit.models.loopback import Handler, Loopback

__all__ = ["at_home"]  # the fixture


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


def test_what_is_asked_of_a_late_portrait_changes_nothing_else(tmp_path: Path) -> None:
    """Later portraits are told of earlier ones: one that comes late is never told of."""
    more = ["--people", "40", "--tasks", "1", "--history", "0", "--group-size", "1"]
    out, late = tmp_path / "out", group_of(Wanted(40, 1, 0, 1, 0), 3)
    status = 500

    def handle(handler: Handler) -> None:
        asked = handler.asked.body
        prompt = asked["messages"][0]["content"]
        mine = late.field in prompt and late.region in prompt and "(none yet)" in prompt
        if status and step_of(asked) == "portrait" and mine:
            handler.send_json({"error": {"message": "busy"}}, status)
        else:
            server()(handler)

    with Loopback(handle) as cloud:
        for each in (500, 400):
            status = each
            done = built(cloud.url, out, *more, "--deadline", "0.5")
            assert done.exit_code == 0, done.output
            assert json.loads(done.stdout)["dropped"]["no portrait of the group"] == 1
            assert len(made(out)) == 39
        assert json.loads((out / "late.json").read_text()) == [3]
        before, asked, status = made(out), len(cloud.asked), 0
        done = built(cloud.url, out, *more)
        assert done.exit_code == 0, done.output
        assert len(cloud.asked) == asked + 1 + 3  # its portrait, and its one person
        after = made(out)
    assert len(after) == 40 and [each for each in after if each in before] == before


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


def test_people_who_never_have_an_answer_do_not_stop_the_others(tmp_path: Path) -> None:
    """What others have is there in the second run, and only those are asked about."""
    names = [person_of(Wanted(9, 1, 0, 1, 0), number).name for number in range(6)]
    more = ["--people", "9", "--tasks", "1", "--history", "0", "--group-size", "1"]

    def handle(handler: Handler) -> None:
        prompt = handler.asked.body["messages"][0]["content"]
        if "You are this person" in prompt and any(name in prompt for name in names):
            handler.send_json({"error": {"message": "moderated"}})
        else:
            server()(handler)

    with Loopback(handle) as cloud:
        for _ in range(2):
            done = built(cloud.url, tmp_path / "out", *more, "--at-a-time", "1")
            assert done.exit_code == 0, done.output
            assert json.loads(done.stdout)["without_answer"] == {"bad-reply": 6}
            assert len(made(tmp_path / "out")) == 3


@pytest.mark.parametrize(("status", "most"), [(402, 4), (400, 30)])
def test_a_balance_that_is_spent_ends_the_run(status: int, most: int, tmp_path: Path) -> None:
    """Whether the server has a status for it or not."""
    more = ["--people", "60", "--tasks", "1", "--history", "0", "--group-size", "1"]
    refused: list[int] = []

    def handle(handler: Handler) -> None:
        if step_of(handler.asked.body) == "portrait" or len(cloud.asked) < 80:
            server()(handler)
        else:
            refused.append(1)
            handler.send_json({"error": {"message": "insufficient balance"}}, status)

    with Loopback(handle) as cloud:
        done = built(cloud.url, tmp_path / "out", *more)
    assert done.exit_code == 4 and "insufficient balance" in done.output
    assert 0 < len(refused) <= most
