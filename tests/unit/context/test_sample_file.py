"""Samples that are read when they are asked for: the same ones as from a list of all."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest

from cogenesis.context.reader import read_samples
from cogenesis.context.sample_file import SampleFile
from cogenesis.data import reading
from cogenesis.errors import ContextError
from tests.unit.data.people import sample, write_lines, write_list

MIXED = [sample("1_1_1"), sample(profile=3), sample("1_1_3", tid=None), 7, sample("1_1_5")]


@pytest.mark.parametrize("write", [write_list, write_lines])
def test_samples_are_those_of_the_whole_list(write: type, tmp_path: Path) -> None:
    path = write(tmp_path / "data.json", MIXED)
    told: dict[int, str] = {}
    whole = read_samples(path, on_bad=lambda number, why: told.update({number: why}))
    samples = SampleFile(path)
    assert list(samples) == [1, 3, 5]
    assert (len(samples), samples.last) == (3, 5)
    for number, expected in zip(samples, whole, strict=True):
        found = samples[number]
        assert (found.context, found.instruction) == (expected.context, expected.instruction)
        assert (found.reference, found.id) == (expected.reference, expected.id)
    assert samples[3].id == "3"
    assert (
        samples.bad == told == {2: "profile must be a list [...]", 4: "it must be an object {...}"}
    )
    assert 3 in samples and 2 not in samples and 6 not in samples
    for number in (0, 2, 6):
        with pytest.raises(KeyError):
            samples[number]
    assert "Nora" not in repr(samples)


def test_the_first_samples_count_those_that_cannot_be_used(tmp_path: Path) -> None:
    samples = SampleFile(write_list(tmp_path / "data.json", MIXED))
    first = samples.first(3)
    assert (list(first), list(first.bad), len(first)) == ([1, 3], [2], 2)
    assert 5 not in first and first[3].id == "3"
    assert samples.first(None) is samples.first(9) is samples


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"[]", "at least one sample"),
        (b"17", "holds no samples"),
        (b'[{"tid": "1"}, {"ti', "sample 2: it is not JSON from here on: line 1, column 17"),
        (b'[{"tid": "secret"}]]', "sample 2: it is not JSON"),
        (b'{"tid": "secret",\n', "not JSON: line 2, column 1"),
        (b'["\xff"]', "line 1 is not UTF-8"),
        ("[1]".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_bytes(content)
    for read in (SampleFile, lambda at: read_samples(at, on_bad=lambda *_: None)):
        with pytest.raises(ContextError, match=said) as caught:
            read(path)
        assert "secret" not in str(caught.value)
    for none in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ContextError, match=r"no such file|is a folder"):
            SampleFile(none)


def test_a_changed_file_is_told_by_frames_without_private_text(tmp_path: Path) -> None:
    path = write_list(tmp_path / "data.json", MIXED)
    samples = SampleFile(path)
    path.write_text(path.read_text().replace("Nora Quill", "Vera Quill"))
    with pytest.raises(ContextError, match="changed while it was in use") as caught:
        samples[1]
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "Quill" not in "".join(frames.format())


def test_repairs_are_told_once_for_the_file_and_made_in_each_sample(tmp_path: Path) -> None:
    path = write_list(
        tmp_path / "data.json", [sample(text="a\x00b c"), sample(text="d \ud800 e\x00")]
    )
    told: list[str] = []
    samples = SampleFile(path, on_warning=told.append)
    assert told == [
        f"{path}: removed 2 NUL character(s), which no model can read",
        f"{path}: replaced 1 broken character(s) (half of a pair)",
    ]
    assert (samples[1].reference, samples[2].reference) == ("ab c", "d \ufffd e")
    assert len(told) == 2


def test_a_broken_line_is_left_out_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "data.jsonl", [sample("1_1_1"), sample(), sample("1_1_3")])
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1][:50], lines[2]]))
    samples = SampleFile(path)
    assert [samples[number].id for number in samples] == ["1_1_1", "1_1_3"]
    assert "it is not JSON: line 2" in samples.bad[2]


def test_a_giant_sample_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_SAMPLE", 1 << 20)
    path = write_list(tmp_path / "data.json", [sample(), sample(text="a" * (3 << 20))])
    with pytest.raises(ContextError, match="sample 2: a sample of more than 1,048,576 characters"):
        SampleFile(path)


def test_too_deep_is_a_mistake_of_one_sample(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    one = json.dumps(sample())
    deep = one[:-1] + ', "more": ' + "[" * 500 + "]" * 500 + "}"
    path.write_text(f"[{one}, {deep}, {one}]")
    samples = SampleFile(path)
    assert list(samples) in ([1, 2, 3], [1, 3])  # as deep as the stack allows
    assert samples[3].instruction
