"""Files of samples, one at a time: whole, broken, larger than a block."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cogenesis.data import reading
from cogenesis.data.reading import data_files, entries
from cogenesis.data.splits import splits_of
from cogenesis.errors import InputError
from tests.unit.data.people import sample, write_lines, write_list


def numbers(path: Path) -> list[tuple[int, bool]]:
    return [(each.number, each.value is not None) for each in entries(path)]


@pytest.mark.parametrize("block", [7, 64, 1 << 20])
def test_lists_and_lines_give_the_same_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(reading, "BLOCK", block)
    samples = [sample(f"1_2_{number}", text='Quote " brace } end\\') for number in range(3)]
    asked = write_list(tmp_path / "list.json", samples)
    pretty = tmp_path / "pretty.json"
    pretty.write_text(json.dumps(samples, indent=1, ensure_ascii=False), "utf-8-sig")
    lines = write_lines(tmp_path / "lines.jsonl", samples)
    for path in (asked, pretty, lines):
        assert [each.value for each in entries(path)] == samples


@pytest.mark.parametrize("block", [16, 1 << 20])
def test_one_object_over_many_lines_is_one_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(reading, "BLOCK", block)
    path = tmp_path / "one.json"
    path.write_text(json.dumps(sample(), indent=2), "utf-8")
    assert [each.value for each in entries(path)] == [sample()]


def test_a_broken_line_costs_itself_only(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(f'{json.dumps(sample())}\n{{"tid": \n\n3\n{json.dumps(sample())}', "utf-8")
    assert numbers(path) == [(1, True), (2, False), (3, False), (4, True)]


@pytest.mark.parametrize("cut", [1, 40, 300])
def test_a_cut_off_list_keeps_what_came_before(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.json"
    path.write_text(json.dumps([sample(), sample(), sample()])[:-cut], "utf-8")
    found = numbers(path)
    assert found[-1][1] is False
    assert [good for _, good in found[:-1]] == [True] * (len(found) - 1)
    assert len(found) >= 3


def test_what_is_no_object_is_told_by_its_place(tmp_path: Path) -> None:
    found = list(entries(write_list(tmp_path / "mixed.json", [sample(), "secret word", 7])))
    assert [each.value is None for each in found] == [False, True, True]
    assert all("secret" not in (each.mistake or "") for each in found)


def test_an_item_without_end_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BLOCK", 64)
    monkeypatch.setattr(reading, "MAX_SAMPLE", 1_000)
    path = tmp_path / "endless.json"
    path.write_text('[{"text": "' + "a" * 100_000, "utf-8")
    (found,) = entries(path)
    assert found.value is None
    assert "1,000 characters" in (found.mistake or "")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty"), (b"  \n", "empty"), (b"17", "holds no samples"), (b'["\xff"]', "UTF-8")],
)
def test_what_is_no_file_of_samples_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "odd.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        list(entries(path))


def test_splits_are_called_like_their_files(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_list(tmp_path / folder / "train.json", [sample()])
    other = write_list(tmp_path / "one" / "dev.json", [sample()])
    assert list(splits_of([str(tmp_path / "one")])) == ["dev", "train"]
    assert list(splits_of([str(tmp_path / "one"), str(tmp_path / "two")])) == [
        "dev",
        "one/train",
        "two/train",
    ]
    assert list(splits_of([f"held out={other}"])) == ["held out"]
    with pytest.raises(InputError, match="twice"):
        splits_of([str(other), str(tmp_path / "one")])


def test_numbered_parts_are_one_split(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(2):
        write_lines(data / f"train-0000{number}-of-00002.jsonl", [sample()])
    assert {name: len(paths) for name, paths in splits_of([str(tmp_path)]).items()} == {"train": 2}


def test_a_folder_without_samples_is_refused(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing", "utf-8")
    with pytest.raises(InputError, match="holds no file"):
        data_files(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        data_files(tmp_path / "none")
