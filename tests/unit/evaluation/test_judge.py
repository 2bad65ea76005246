"""What a judge is asked, how its answers are read, and what is made of them."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from cogenesis.engines.cloud import CloudAddress
from cogenesis.engines.engine import Done, Place, Plain
from cogenesis.engines.known_file import KnownFile
from cogenesis.engines.local import LocalEngine
from cogenesis.engines.pace import Pace
from cogenesis.errors import CloudError, EgressError, InputError
from cogenesis.evaluation.judge import (
    PAIR,
    Answer,
    JudgeSettings,
    Question,
    answered,
    prompt_of,
    questions,
    size_in_name,
)
from cogenesis.evaluation.judge_asking import ASKS, Judge, Judging, Refusals
from cogenesis.evaluation.judge_prompts import SCORES, parse_choice, parse_rating, rendered
from cogenesis.evaluation.judge_report import judge_report, notes, quadratic_kappa
from cogenesis.models.protocol import Piece, Prompt
from cogenesis.models.scripted import ScriptedModel
from cogenesis.privacy.published import PublishedData
from cogenesis.privacy.released import Released
from cogenesis.wire import Deadline
from tests.unit.evaluation.test_leaks_report import TOPICS, person

JUDGE = {"name": "scripted"}
ONCE = JudgeSettings(runs=1, pairs=False)


@pytest.fixture
def data(tmp_path: Path) -> PublishedData:
    path = tmp_path / "people.json"
    path.write_text(json.dumps([person(name, topic) for name, topic in TOPICS.items()]))
    return PublishedData(path, unsafe_send_context=True)


def asked(data: PublishedData, settings: JudgeSettings, **texts: dict[int, str]) -> list[Question]:
    return questions(data, texts, data.sha256, "device", JUDGE, settings)


def shown_by(data: PublishedData, question: Question) -> Prompt[Released]:
    return prompt_of(data, data.sha256, question)


def judge_of(model: ScriptedModel, data: PublishedData) -> Judge:
    return Judge(model, data, data.sha256, ONCE, Pace())


def ask_all(
    model: ScriptedModel, data: PublishedData, found: list[Question], parallel: int = 1
) -> Iterator[Answer]:
    work = Plain(judge_of(model, data).ask)
    for each in LocalEngine(at_a_time=parallel).map(work, ((q.key, q) for q in found)):
        assert isinstance(each, Done)
        yield each.result


@pytest.mark.parametrize(
    ("reply", "rating"),
    [
        ("It is fine.\nRating: 7", 7),
        ("It is fine.\n\n**Rating:** 10/10.\n", 10),
        ("Rating: [[3]]", 3),
        ("rating: 4", 4),
        ("Rating: 7\nBut think again.", None),
        ("Rating: 0", None),
        ("Rating: 11", None),
        ("Rating: 7.5", None),
        ("Rating: 7 or 8", None),
        ("Rating: seven", None),
        ("I give Rating: 7", None),
        ("7", None),
        ("", None),
    ],
)
def test_a_chat_ends_with_its_rating(reply: str, rating: int | None) -> None:
    assert parse_rating(reply, chat=True) == rating


@pytest.mark.parametrize(
    ("reply", "rating"),
    [(" 7\n", 7), ("10/10", 10), ("1", 1), ("100", None), ("7.5", None), ("0", None), ("x", None)],
)
def test_a_base_model_begins_with_it(reply: str, rating: int | None) -> None:
    assert parse_rating(reply, chat=False) == rating


@pytest.mark.parametrize(
    ("reply", "chat", "choice"),
    [
        ("Because.\nBetter: A", True, "first"),
        ("Because.\n**Better: B**", True, "second"),
        ("Better: tie.", True, "tie"),
        ("Better: A and B", True, None),
        ("Better: C", True, None),
        (" B, because", False, "second"),
        ("Both", False, None),
        ("Ann", False, None),
    ],
)
def test_a_choice_is_a_letter(reply: str, chat: bool, choice: str | None) -> None:
    assert parse_choice(reply, chat=chat) == choice


def test_only_the_score_without_profile_shows_none(data: PublishedData) -> None:
    for question in asked(data, ONCE, device={2: "I like boats."}):
        shown = "".join(rendered(shown_by(data, question)))
        assert "I like boats." in shown and "Write a note: Ivo Brandt tells of" in shown
        known = "Spends evenings with" in shown and "Dear all, I love" in shown
        assert known is (question.kind != "overall_without")
        assert "wooden boats" not in repr(question)


def test_each_text_gets_three_scores_and_both_orders(data: PublishedData) -> None:
    settings = JudgeSettings(runs=2)
    found = asked(data, settings, device={1: "one", 2: "two"}, sketch={1: "three"})
    assert [each.kind for each in found].count(PAIR) == 4
    assert len(found) == 3 * 3 * 2 + 4
    assert len({each.key for each in found}) == len(found)
    pairs = [each for each in found if each.kind == PAIR and each.run == 0]
    for each in pairs:
        shown = "".join(rendered(shown_by(data, each)))
        assert (shown.index("\nthree") > shown.index("\none")) is each.swapped
    again = asked(data, settings, device={1: "one", 2: "two"}, sketch={1: "three"})
    assert [each.key for each in again] == [each.key for each in found]
    with pytest.raises(EgressError, match="other data"):
        questions(data, {"device": {1: "x"}}, "0" * 64, "device", JUDGE, settings)


def test_an_unreadable_answer_is_asked_for_again(data: PublishedData) -> None:
    model = ScriptedModel(["no idea", "Rating: 12", "Good.\nRating: 6"], role="cloud")
    (first, *_) = asked(data, ONCE, device={1: "text"})
    answer = judge_of(model, data).ask(first)
    assert (answer.rating, answer.asks, answer.reason) == (6, 3, None)
    assert Answer.from_json(json.loads(json.dumps(answer.to_json()))) == answer
    never = judge_of(ScriptedModel(["no"] * ASKS, role="cloud"), data).ask(first)
    assert (never.rating, never.asks, never.reason) == (None, ASKS, "unreadable")


def test_an_endless_answer_is_cut(data: PublishedData) -> None:
    model = ScriptedModel(lambda prompt: "x" * 50_000 + "\nRating: 9", role="cloud")
    (first, *_) = asked(data, ONCE, device={1: "text"})
    answer = judge_of(model, data).ask(first)
    assert answer.rating is None and len(answer.reply) <= 8_000


@pytest.mark.parametrize(
    ("reason", "ends"),
    [("unreachable", True), ("not-found", True), ("redirect", True), ("bad-request", False)],
)
def test_a_dead_judge_ends_the_run_and_a_refused_prompt_does_not(
    reason: Any, ends: bool, data: PublishedData
) -> None:
    model = ScriptedModel([""], fail=CloudError(reason, "no"), role="cloud")
    (first, *_) = asked(data, ONCE, device={1: "text"})
    if ends:
        with pytest.raises(CloudError):
            judge_of(model, data).ask(first)
    else:
        assert judge_of(model, data).ask(first).reason == reason


def test_only_what_the_judge_wrote_stays(data: PublishedData) -> None:
    (first, *_) = asked(data, ONCE, device={1: "text"})
    for reason, final in [("bad-request", False), ("bad-reply", False), ("too-large", True)]:
        failing = ScriptedModel([""] * ASKS, fail=CloudError(cast(Any, reason), "no"), role="cloud")
        answer = judge_of(failing, data).ask(first)
        assert (answer.reason, answer.is_final) == (reason, final)
    assert judge_of(ScriptedModel(["no"] * ASKS, role="cloud"), data).ask(first).is_final
    replies = iter(["no idea", "", ""])

    def reply(prompt: str) -> str:
        said = next(replies)
        if not said:
            raise CloudError("bad-reply", "an empty reply")
        return said

    wrote = judge_of(ScriptedModel(reply, role="cloud"), data).ask(first)
    assert (wrote.reason, wrote.reply, wrote.is_final) == ("bad-reply", "no idea", True)


def test_a_server_that_refuses_every_sample_ends_the_run() -> None:
    def answer(sample: int, reason: str | None) -> Answer:
        return Answer(f"k{sample}", "personal", "device", sample, 0, reason=reason)

    # What was refused in an earlier run, and is all that is left, does not end this one.
    again = Refusals({f"k{sample}" for sample in range(9)})
    for sample in range(9):
        again.look_at(answer(sample, "bad-request"))
    refusals = Refusals()
    for _ in range(40):
        refusals.look_at(answer(1, "bad-request"))  # one text may be a matter of its content
    refusals.look_at(answer(2, "bad-request"))
    refusals.look_at(answer(3, "unreadable"))
    refusals.look_at(answer(4, "bad-request"))
    refusals.look_at(answer(5, "bad-request"))
    with pytest.raises(CloudError, match="3 samples in a row"):
        refusals.look_at(answer(6, "bad-request"))


@pytest.mark.parametrize("parallel", [1, 4])
def test_all_questions_are_answered_once(parallel: int, data: PublishedData) -> None:
    model = ScriptedModel(lambda prompt: "Rating: 5", role="cloud")
    found = asked(data, ONCE, device={n: f"text {n}" for n in range(1, 6)})
    answers = list(ask_all(model, data, found, parallel))
    assert sorted(each.key for each in answers) == sorted(each.key for each in found)
    assert len(model.asked) == len(found)


def test_what_was_answered_before_a_failure_is_kept(data: PublishedData) -> None:
    def reply(prompt: str) -> str:
        if "text 3" in prompt:
            raise CloudError("unreachable", "gone")
        return "Rating: 5"

    found = asked(data, ONCE, device={n: f"text {n}" for n in range(1, 6)})
    answers = []
    with pytest.raises(CloudError, match="gone"):
        for answer in ask_all(ScriptedModel(reply, role="cloud"), data, found):
            answers.append(answer)  # noqa: PERF402  (those before the failure count)
    assert {each.sample for each in answers} == {1, 2}


def test_a_stopped_judge_hangs_up_and_asks_nothing(data: PublishedData) -> None:
    begun = threading.Event()

    class Silent(ScriptedModel):
        def generate(self, *args: Any, **more: Any) -> Iterator[Piece]:
            begun.set()
            deadline: Deadline = more["deadline"]
            deadline.wait(60)
            raise CloudError("timeout", "no time is left")

    judge = judge_of(Silent(role="cloud"), data)
    (first, *_) = asked(data, ONCE, device={1: "text"})
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(judge.ask, first)
        assert begun.wait(20)
        judge.stop()
        with pytest.raises(CloudError, match="no time is left"):
            answer.result(20)
    with pytest.raises(CloudError, match="stopped"):
        judge.ask(first)


def test_a_worker_opens_the_data_anew_with_the_flag_or_sends_nothing(
    data: PublishedData, tmp_path: Path
) -> None:
    path = tmp_path / "people.json"
    (first, *_) = asked(data, ONCE, device={1: "text"})
    assert pickle.loads(pickle.dumps(first)) == first
    cloud = CloudAddress.of("http://127.0.0.1:9", "m", "openai-chat", ledger=tmp_path / "l.db")
    opening = Judging(KnownFile.of(path), True, cloud, ONCE)
    assert pickle.loads(pickle.dumps(opening)) == opening
    refused = [
        (replace(opening, unsafe_send_context=False), "Add --unsafe-send-context"),
        (replace(opening, data=KnownFile(path, "0" * 64)), "not the file that the run was"),
        (replace(opening, data=KnownFile(tmp_path / "none", "0" * 64)), "all machines"),
    ]
    for other, message in refused:
        with pytest.raises(InputError, match=message):
            list(LocalEngine().map(other, [(first.key, first)]))


def test_a_file_that_is_changed_while_a_worker_opens_it_is_not_sent(
    data: PublishedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, summed = tmp_path / "people.json", KnownFile.at
    (first, *_) = asked(data, ONCE, device={1: "text"})
    cloud = CloudAddress.of("http://127.0.0.1:9", "m", "openai-chat", ledger=tmp_path / "l.db")
    opening = Judging(KnownFile.of(path), True, cloud, ONCE)

    def changed_after(known: KnownFile, place: Place) -> Path:
        found = summed(known, place)
        path.write_text(json.dumps([person("Ada", "maps"), person("Bo", "tea")]))
        return found

    monkeypatch.setattr(KnownFile, "at", changed_after)
    with pytest.raises(InputError, match="is not the file that the run was started with"):
        list(LocalEngine().map(opening, [(first.key, first)]))


def test_equal_texts_are_asked_about_once(data: PublishedData) -> None:
    found = asked(data, ONCE, device={1: "same"}, sketch={1: "same"})
    known = {each.key: Answer(each.key, each.kind, "device", 1, 0, rating=4) for each in found}
    assert len(known) == 3
    assert [each.system for each in answered(found, known)] == ["device"] * 3 + ["sketch"] * 3


def rated(system: str, sample: int, run: int, rating: int | None, score: str) -> Answer:
    reason = None if rating else "unreadable"
    return Answer(
        f"{system}{sample}{run}{score}", score, system, sample, run, rating=rating, reason=reason
    )


def pair(sample: int, swapped: bool, choice: Any) -> Answer:
    key = f"pair{sample}{swapped}"
    return Answer(key, PAIR, "sketch", sample, 0, "device", swapped, choice=choice)


def test_a_score_is_the_mean_of_runs_and_samples() -> None:
    answers = [
        rated("device", 1, 0, 4, "personal"),
        rated("device", 1, 1, 6, "personal"),
        rated("device", 2, 0, 8, "personal"),
        rated("device", 2, 1, None, "personal"),
        rated("sketch", 1, 0, 7, "personal"),
    ]
    told = judge_report([1, 2], ["device", "sketch"], answers, "device")
    device, sketch = told["systems"]
    assert device["measures"]["personal"]["value"] == (5 + 8) / 2
    assert device["measures"]["overall_with"]["value"] is None
    assert sketch["over_baseline"]["personal"] == {
        "value": 2.0,
        "low": 2.0,
        "high": 2.0,
        "samples": 1,
    }
    assert told["unread"] == {"unreadable": 1}
    assert set(device["measures"]) == set(SCORES)
    with pytest.raises(InputError, match="no text to judge"):
        judge_report([1], ["device"], [], "device")


def test_a_text_wins_only_in_both_orders() -> None:
    answers = [
        *(pair(1, False, "first"), pair(1, True, "second")),  # the system's text both times
        *(pair(2, False, "first"), pair(2, True, "first")),  # the first place both times
        *(pair(3, False, "second"), pair(3, True, "first")),  # the baseline's both times
        *(pair(4, False, "tie"), pair(4, True, "tie")),
        pair(5, False, "first"),  # the other order was not read
    ]
    (row,) = judge_report([1, 2, 3, 4, 5], ["device", "sketch"], answers, "device")["pairs"]
    assert row["systems"] == ["sketch", "device"]
    assert [row[each] for each in ("compared", "wins", "ties", "losses")] == [4, 1, 2, 1]
    assert (row["net"]["value"], row["net"]["samples"]) == (0.0, 4)
    assert row["same_in_both_orders"] == 3 / 4
    assert row["first_place"] == 5 / 7


def kappa_by_table(first: list[int], second: list[int]) -> float:
    """Cohen's weighted kappa from the full table of counts, as the textbook has it."""
    size = 11
    table = np.zeros((size, size))
    for one, other in zip(first, second, strict=True):
        table[one, other] += 1
    weights = np.array([[(i - j) ** 2 for j in range(size)] for i in range(size)])
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    return float(1 - (weights * table).sum() / (weights * expected).sum())


def test_kappa_is_that_of_the_textbook() -> None:
    random = np.random.default_rng(3)
    first = [int(each) for each in random.integers(1, 11, 40)]
    second = [min(10, max(1, each + int(random.integers(-2, 3)))) for each in first]
    found = quadratic_kappa(first, second, np.ones(40))
    assert found == pytest.approx(kappa_by_table(first, second))
    twice = np.array([2.0, *[1.0] * 39])
    assert quadratic_kappa(first, second, twice) == pytest.approx(
        kappa_by_table([first[0], *first], [second[0], *second])
    )
    assert quadratic_kappa([1, 2, 3], [1, 2, 3], np.ones(3)) == 1.0
    assert quadratic_kappa([1, 10], [10, 1], np.ones(2)) == -1.0
    assert quadratic_kappa([5, 5], [5, 5], np.ones(2)) is None


def test_two_runs_tell_how_far_the_judge_agrees() -> None:
    answers = [
        rated("device", sample, run, rating, "personal")
        for sample, ratings in enumerate([(2, 2), (9, 9), (5, 6)], start=1)
        for run, rating in enumerate(ratings)
    ]
    (row,) = judge_report([1, 2, 3], ["device"], answers, "device")["runs_agreement"]
    assert (row["score"], row["texts"], row["same"]) == ("personal", 3, 2 / 3)
    expected = kappa_by_table([2, 9, 5], [2, 9, 6])
    assert row["weighted_kappa"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("gemma-3-270m-q4_k_m", 0.27),
        ("Qwen/Qwen2.5-72B-Instruct", 72.0),
        ("mixtral-8x7b", 56.0),
        ("llama-3.1-8b", 8.0),
        ("gpt-4-turbo", None),
        ("smol135mb", None),
    ],
)
def test_a_name_may_tell_the_size(name: str, billions: float | None) -> None:
    assert size_in_name(name) == billions


def test_a_small_judge_is_said_to_mean_nothing() -> None:
    told = judge_report([1], ["device"], [rated("device", 1, 0, 4, "personal")], "device")
    assert "scores mean nothing" in notes(told, 0.27)[0]
    assert "size is not known" in notes(told, None)[0]
    assert not any("mean nothing" in line for line in notes(told, 72.0))


def test_a_rating_outside_the_scale_is_not_read_from_a_file() -> None:
    line = rated("device", 1, 0, 4, "personal").to_json()
    reading: Callable[[dict[str, Any]], Answer] = Answer.from_json
    for wrong in ({"rating": 11}, {"choice": "third"}):
        with pytest.raises(ValueError, match="no "):
            reading({**line, **wrong})


def test_the_prompt_of_a_score_has_both_forms(data: PublishedData) -> None:
    prompt = shown_by(data, asked(data, ONCE, device={1: "text"})[0])
    assert prompt.messages[0].role == "user" and prompt.completion[-1].text.endswith("better): ")
