"""`data check`: what it finds, how it ends, and that a good set passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cogenesis.cli import main
from cogenesis.data.check import Checked
from cogenesis.data.problems import KINDS
from tests.unit.data.people import TEXTS, sample, write_list

FAST = frozenset({"leaks", "near", "language"})


def checked(tmp_path: Path, **splits: list[Any]) -> dict[str, Any]:
    found = Checked(skip=FAST)
    for name, samples in splits.items():
        found.read(name, write_list(tmp_path / f"{name}.json", samples))
    return found.report()


def kinds(report: dict[str, Any]) -> dict[str, int]:
    return {each["kind"]: each["count"] for each in report["problems"]}


def good(group: int, *, first: int = 0) -> list[dict[str, Any]]:
    return [
        sample(f"1_{group}_{n}", text=TEXTS[first + n], earlier=(f"{TEXTS[first + n]} Part two.",))
        | {"profile": [{"title": "", "text": f"{TEXTS[7 - first - n]} And {group} more things."}]}
        for n in range(2)
    ]


def test_a_good_set_has_no_problem(tmp_path: Path) -> None:
    report = checked(tmp_path, train=good(1), held=good(2, first=2))
    assert report["problems"] == []
    assert (report["samples"], report["errors"], report["warnings"]) == (4, 0, 0)
    assert report["splits"]["train"]["groups"] == 1


def test_shared_groups_are_found_and_counted(tmp_path: Path) -> None:
    train = [*good(1), *good(2, first=2)]
    held = [sample("1_2_7", text=TEXTS[5], earlier=()), sample("9_9_1", text=TEXTS[4], earlier=())]
    report = checked(tmp_path, train=train, held=held)
    assert kinds(report) == {"shared-groups": 1}
    (pair,) = report["shared"]
    assert (pair["groups"], pair["of_groups"]) == (1, [2, 2])


def test_numbers_as_ids_are_no_groups_but_people_are_known_by_their_texts(tmp_path: Path) -> None:
    one = sample("0", text=TEXTS[0], earlier=(TEXTS[5], TEXTS[6]), additional_profile="")
    other = sample("0", text=TEXTS[1], earlier=(TEXTS[4], TEXTS[6].upper()), additional_profile="")
    report = checked(tmp_path, train=[one], held=[other])
    assert kinds(report) == {"shared-history": 1}
    assert "sample 1 of train, 1 of held" in json.dumps(report["problems"])


def test_the_same_profile_and_the_same_text_in_two_splits(tmp_path: Path) -> None:
    one = sample("a", text=TEXTS[0], earlier=(TEXTS[5],))
    other = one | {"tid": "b", "profile": []}
    assert kinds(checked(tmp_path, train=[one], held=[other])) == {
        "shared-people": 1,
        "shared-texts": 1,
    }


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"text": ""}, "empty-text"),
        ({"text": "[Content for task 5]"}, "placeholder-text"),
        ({"text": f"{TEXTS[0]} Yours, [Your Name]"}, "leftover"),
        ({"earlier": (f"{TEXTS[6]} [Date]",)}, "leftover-in-history"),
        ({"earlier": (TEXTS[1], TEXTS[0].upper())}, "answer-in-history"),
        ({"earlier": (f"{TEXTS[0]} Then it rained.",)}, "near-answer-in-history"),
        ({"text": "We went to the sea and stayed there until the evening"}, "unfinished"),
        ({"conversations": "none"}, "schema"),
    ],
)
def test_each_problem_of_one_sample(tmp_path: Path, change: dict[str, Any], kind: str) -> None:
    assert kinds(checked(tmp_path, train=[sample(**change)])) == {kind: 1}


@pytest.mark.parametrize("empty", ["[]", " [ ]\n"])
def test_a_file_without_a_sample_is_an_error(
    tmp_path: Path, empty: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none.json").write_text(empty)
    data = str(write_list(tmp_path / "train.json", good(1)))
    options = ("--skip", "near", "--skip", "leaks", "--skip", "language")
    assert run(monkeypatch, data, str(tmp_path / "none.json"), *options) == 1
    shown = capsys.readouterr().out
    assert "none.json holds no sample" in shown and "1 errors" in shown


def test_the_same_text_and_the_same_id_twice(tmp_path: Path) -> None:
    twice = [sample("1_1_1"), sample("1_1_1", text=TEXTS[0].replace(".", "!"))]
    assert kinds(checked(tmp_path, train=twice)) == {"same-id": 1, "same-text": 1}


def test_counts_are_whole_where_examples_are_few(tmp_path: Path) -> None:
    report = checked(tmp_path, train=[sample(str(n), text="") for n in range(40)])
    (found,) = report["problems"]
    assert (found["count"], len(found["examples"]), report["errors"]) == (40, 5, 40)


def test_every_kind_says_what_it_means() -> None:
    assert all(severity in {"error", "warning"} and said for severity, said in KINDS.values())


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    monkeypatch.setattr("sys.argv", ["cogenesis", "data", "check", *args])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_errors_end_with_one_and_warnings_with_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--skip", "near", "--skip", "leaks", "--skip", "language", "--json")
    bad = write_list(tmp_path / "bad.json", [sample(text="")])
    assert run(monkeypatch, str(bad), *options) == 1
    assert json.loads(capsys.readouterr().out)["errors"] == 1
    warned = write_list(tmp_path / "warned.json", [sample(earlier=(f"{TEXTS[6]} [Date]",))])
    assert run(monkeypatch, str(warned), *options) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == 1


def test_the_screen_names_samples_and_unknown_checks_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(write_list(tmp_path / "bad.json", [sample(text=f"{TEXTS[0]} [bold]Your Name]")]))
    assert run(monkeypatch, data, "--skip", "near", "--skip", "language") == 1
    shown = capsys.readouterr().out
    assert "sample 1" in shown
    assert "1 errors" in shown
    assert run(monkeypatch, data, "--skip", "everything") == 2
