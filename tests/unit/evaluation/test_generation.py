"""The file of texts: what is in it is read again, and what is no such file is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cogenesis.errors import InputError
from cogenesis.evaluation.generation import (
    WrittenText,
    chosen_texts,
    content_key,
    default_place,
    file_digest,
    open_texts,
    read_texts,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "people.json"
    path.write_text("[]")
    return path


def text(system: str, sample: int, said: str | None, seed: int = 0) -> WrittenText:
    key = content_key(system, sample, seed)
    return WrittenText(key, system, sample, said, reference="Dear Wren", seed=seed)


def test_what_is_written_is_read_again_and_is_for_nobody_else(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    ours = [text("device", 1, "Héllo"), text("cloud", 1, None)]
    with open_texts(path, data) as file:
        for each in ours:
            file.add(each)
    assert path.stat().st_mode & 0o077 == 0
    assert read_texts(path, data_digest=file_digest(data)) == ours
    with open_texts(path, data) as again:
        assert list(again.done) == [each.key for each in ours]
    assert "Wren" not in repr(ours) and "Héllo" not in repr(ours)


def test_a_file_of_other_data_is_refused(data: Path, tmp_path: Path) -> None:
    path, other = tmp_path / "texts.jsonl", tmp_path / "other.json"
    other.write_text("[1]")
    with open_texts(path, data):
        pass
    with pytest.raises(InputError, match="another data"):
        open_texts(path, other)
    with pytest.raises(InputError, match="of other data"):
        read_texts(path, data_digest=file_digest(other))


def test_a_second_run_on_the_same_data_loses_nothing_of_the_first(
    data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "texts.jsonl"
    ours = [text("device", number, "Hello") for number in (1, 2)]
    with open_texts(path, data) as file:
        file.add(ours[0])
        with pytest.raises(InputError, match="another run is writing to"):
            open_texts(path, data)
        file.add(ours[1])
    assert read_texts(path) == ours


def test_texts_of_another_program_need_three_things_only(tmp_path: Path) -> None:
    path = tmp_path / "theirs.jsonl"
    line = {"system": "theirs", "sample": 2, "text": "Hi", "model": "any"}
    path.write_text("".join(json.dumps(each) + "\n" for each in (line, line)))
    (found,) = read_texts(path)
    assert (found.system, found.sample, found.text, found.degraded) == ("theirs", 2, "Hi", None)


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[]",
        "3",
        '{"system": "a", "sample": 1}',
        '{"system": "a", "sample": 0, "text": "x"}',
        '{"system": "a", "sample": true, "text": "x"}',
        '{"system": "", "sample": 1, "text": "x"}',
        '{"system": "a", "sample": 1, "text": 5}',
        '{"measurement": "bits", "about": {}}',
        '{"measurement": "text", "about": 3}',
    ],
)
def test_what_is_no_file_of_texts_is_told(line: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match=r"no file of texts|is no text"):
        read_texts(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_texts(tmp_path / "none.jsonl")


def test_the_last_text_of_a_system_and_sample_counts() -> None:
    texts = [text("a", 1, "old"), text("b", 1, "b"), text("a", 1, "new", seed=1), text("a", 9, "")]
    found = chosen_texts(texts, None, [1, 2])
    assert {name: [t.text for t in by.values()] for name, by in found.items()} == {
        "a": ["new"],
        "b": ["b"],
    }
    assert list(chosen_texts(texts, ["c", "b"], [1])) == ["c", "b"]


def test_keys_tell_contents_apart_and_nothing_else() -> None:
    assert content_key("a", {"x": 1, "y": 2}) == content_key("a", {"y": 2, "x": 1})
    assert content_key("ab", "c") != content_key("a", "bc")
    assert len(content_key("\ud800")) == 64


def test_each_data_has_its_own_place(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "home"))
    place = default_place(data)
    assert place.parent.stat().st_mode & 0o077 == 0
    data.write_text("[2]")
    assert default_place(data) != place
