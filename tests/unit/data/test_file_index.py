"""The index of a file of samples: each is found again at its place, or told why not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from cogenesis.data import reading
from cogenesis.data.file_index import FileIndex
from cogenesis.data.reading import Entry
from cogenesis.errors import InputError
from tests.unit.data.people import sample, write_lines, write_list

SAMPLES = [
    sample("1_1_1", text='Brackets ] } [ { and "quotes" \\ end\\'),
    sample("1_1_2", text="Käse, 猫 and 🦉 in UTF-8\u2028on"),
    sample("1_1_3", more=[[], {}, [{"a": [1, 2]}]]),
]


def opened(path: Path) -> tuple[FileIndex, list[Entry]]:
    found: list[Entry] = []
    return FileIndex(path, found.append), found


def written(tmp_path: Path, form: str, samples: list[Any]) -> Path:
    """The same samples in every form that a file may have."""
    path = tmp_path / f"{form}.json"
    text = json.dumps(samples, ensure_ascii=False)
    if form == "list":
        return write_list(path, samples)
    if form == "marked":
        path.write_text(json.dumps(samples, indent=1, ensure_ascii=False), "utf-8-sig")
    elif form == "windows":
        path.write_bytes(json.dumps(samples, indent=1).replace("\n", "\r\n").encode())
    elif form == "spaced":
        path.write_text(f"\n  {text}  \n\n", "utf-8")
    else:
        path = path.with_suffix(".jsonl")
        end = "\r\n" if form == "windows-lines" else "\n"
        lines = [json.dumps(each, ensure_ascii=False) for each in samples]
        if form == "gaps":
            lines = [f"\n  {line} \n" for line in lines]
        path.write_bytes(end.join(lines).encode())
    return path


FORMS = ["list", "marked", "windows", "spaced", "lines", "windows-lines", "gaps"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("block", [5, 64, 1 << 20])
def test_each_sample_is_found_at_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, form: str
) -> None:
    monkeypatch.setattr(reading, "BLOCK", block)
    path = written(tmp_path, form, SAMPLES)
    index, entries = opened(path)
    assert [each.value for each in entries] == SAMPLES
    assert [index.value(number) for number in (3, 1, 2)] == [SAMPLES[2], SAMPLES[0], SAMPLES[1]]
    content = path.read_bytes()
    assert index.sha256 == hashlib.sha256(content).hexdigest()
    for each in entries:
        assert content[each.start : each.start + len(each.raw)] == each.raw
    assert "Brackets" not in repr(index) + repr(entries)


def test_one_object_is_a_sample(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps(sample(), indent=2), "utf-8-sig")
    index, _ = opened(path)
    assert (index.count, index.value(1)) == (1, sample())


def test_a_sample_of_a_changed_file_is_not_given(tmp_path: Path) -> None:
    path = write_list(tmp_path / "people.json", SAMPLES)
    index, _ = opened(path)
    path.write_bytes(path.read_bytes().replace(b"Nora", b"Vera", 1))
    with pytest.raises(InputError, match="changed while it was in use"):
        index.value(1)
    assert index.value(3) == SAMPLES[2]
    path.write_text("[]")
    with pytest.raises(InputError, match="changed while it was in use"):
        index.value(3)
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        index.value(3)


def test_parquet_has_no_places(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1\xff")
    with pytest.raises(InputError, match=r"data export x\.parquet --out x\.jsonl"):
        opened(path)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [('{"a": 1, "a": 2}', "appears twice"), ('{"a": NaN}', "NaN"), ("7", "must be an object")],
)
@pytest.mark.parametrize("form", ["list", "lines"])
def test_what_cannot_be_meant_costs_one_sample(
    tmp_path: Path, wrong: str, why: str, form: str
) -> None:
    one = json.dumps(sample())
    path = tmp_path / "data.json"
    both = [one, wrong, one]
    path.write_text(f"[{', '.join(both)}]" if form == "list" else "\n".join(both))
    index, entries = opened(path)
    assert [each.mistake is None for each in entries] == [True, False, True]
    assert why in (entries[1].mistake or "")
    assert not any(each.lost for each in entries)
    assert index.value(3) == sample()


@pytest.mark.parametrize(
    ("text", "number", "place"),
    [
        ('[{"a": 1}\n\n {"a": 2}]', 1, "line 3, column 2"),
        ('[{"a": 1},\n{"a" 2}]', 2, "line 2, column 6"),
        ('[{"a": 1},\n{"a": [1,', 2, "line 2, column 10"),
        ('[{"a": 1},\n]', 2, "line 2, column 1"),
        ('[{"a": 1}]\n[{"a": 2}]', 2, "line 2, column 1"),
        ('{"a":\n 1,}', 1, "line 2, column 4"),
    ],
)
@pytest.mark.parametrize("block", [7, 1 << 20])
def test_a_place_that_is_no_json_is_told_and_ends_the_file(
    text: str, number: int, place: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BLOCK", block)
    path = tmp_path / "data.json"
    path.write_text(text)
    _, entries = opened(path)
    last = entries[-1]
    assert (last.number, last.lost) == (number, True)
    assert "not JSON" in (last.mistake or "") and place in (last.mistake or "")


def test_a_broken_line_tells_its_own_number(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    one = json.dumps(sample())
    path.write_text(f'{{"a" 1}}\n{one}\n{one[:40]}\n{one}\n')
    _, entries = opened(path)
    assert [each.mistake is None for each in entries] == [False, True, False, True]
    assert "line 1, column 6" in (entries[0].mistake or "")
    assert "line 3, " in (entries[2].mistake or "")


def test_a_line_longer_than_a_block_of_other_alphabets_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many characters as a block has bytes do not stand in it."""
    monkeypatch.setattr(reading, "BLOCK", 600)
    samples = [sample(text="猫" * 500), sample(text="犬" * 500)]
    path = tmp_path / "data.json"  # the ending does not tell
    path.write_text("\n".join(json.dumps(each, ensure_ascii=False) for each in samples))
    assert [each.value for each in opened(path)[1]] == samples


@pytest.mark.parametrize("form", ["list", "lines"])
def test_a_giant_sample_is_told(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK", 64)
    monkeypatch.setattr(reading, "MAX_SAMPLE", 2_000)
    giant = [sample(), sample(text="a " * 5_000), sample()]
    path = (write_list if form == "list" else write_lines)(tmp_path / "x.json", giant)
    _, entries = opened(path)
    assert [each.mistake is None for each in entries] == [True, False]
    assert entries[1].lost and "more than 2,000 characters" in (entries[1].mistake or "")


def test_the_line_that_is_no_utf8_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK", 16)
    path = tmp_path / "data.jsonl"
    one = json.dumps(sample()).encode()
    path.write_bytes(one + b"\n" + one + b'\n{"tid": "\xff"}\n')
    with pytest.raises(InputError, match="line 3 is not UTF-8"):
        opened(path)
    path.write_bytes('[{"a": 1}]'.encode("utf-16"))
    with pytest.raises(InputError, match="UTF-16"):
        opened(path)
