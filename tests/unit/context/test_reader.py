from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import pytest

from cogenesis.context.private_context import PrivateContext
from cogenesis.context.reader import parse_context, read_context, read_samples
from cogenesis.errors import ContextError

OWN: dict[str, Any] = {
    "cogenesis": 1,
    "profile": {"Name": "Ann", "Age": 47, "Traits": ["calm", "kind"]},
    "activities": [{"source": "email", "text": "From Bo: yes", "when": "2026-01-02"}],
    "writings": [{"text": "Dear all"}],
}
PUBLISHED: dict[str, Any] = {
    "tid": "3_7_4",
    "conversations": [
        {"from": "user", "value": "Write a note: to Bo"},
        {"from": "assistant", "value": "Dear Bo"},
    ],
    "profile": [{"title": "A letter", "text": "Dear Sir", "id": "0"}],
    "additional_profile": "Age: 47\nName: Ann\nPersonal_traits: calm; kind\n"
    "Smart_device_usage: Runs: daily; Emails hold \n       'Pen 24'; Email: news\n"
    "Ai_assistant_usage: Drafts letters",
    "additional_tasks": ["not ours"],
}


def parse(value: object, warnings: list[str] | None = None) -> PrivateContext:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return parse_context(
        data, "me.json", on_warning=(warnings if warnings is not None else []).append
    )


def refusal(value: object) -> str:
    with pytest.raises(ContextError) as caught:
        parse(value)
    return str(caught.value)


def test_our_own_form() -> None:
    context = parse(OWN)
    assert [(f.name, f.value) for f in context.fields] == [
        ("Name", "Ann"),
        ("Age", "47"),
        ("Traits", "calm; kind"),
    ]
    activity = context.activities[0]
    assert (activity.source, activity.text, activity.when) == (
        "email",
        "From Bo: yes",
        "2026-01-02",
    )
    assert [(w.title, w.text) for w in context.writings] == [("", "Dear all")]


def test_the_published_form() -> None:
    context = parse(PUBLISHED)
    assert [(f.name, f.value) for f in context.fields] == [
        ("Age", "47"),
        ("Name", "Ann"),
        ("Personal_traits", "calm; kind"),
    ]
    assert [(a.source, a.text) for a in context.activities] == [
        ("smart device", "Runs: daily"),
        ("smart device", "Emails hold 'Pen 24'"),
        ("smart device", "Email: news"),
        ("AI assistant", "Drafts letters"),
    ]
    assert [(w.title, w.text) for w in context.writings] == [("A letter", "Dear Sir")]
    assert "Dear Bo" not in [text.text for text in context.texts()]


def test_the_example_of_the_documentation_is_read() -> None:
    page = Path(__file__).parents[3] / "docs" / "context-format.md"
    example = page.read_text("utf-8").split("```json\n")[1].split("```")[0]
    assert str(parse(example.encode())) == "PrivateContext(3 fields, 2 activities, 1 writing)"


def test_a_list_of_one_is_that_one() -> None:
    assert parse([PUBLISHED]) == parse(PUBLISHED)


def test_all_mistakes_are_told_together_by_place() -> None:
    message = refusal(
        {
            "cogenesis": 2,
            "profile": {"A": True, "B": "fine", "C": {"x": 1}},
            "activities": [{"source": "", "text": 4, "whn": "secret"}],
            "writings": [{"text": "fine"}, {"title": "secret"}, "secret"],
            "my secret key": 1,
        }
    )
    assert message.splitlines() == [
        "me.json: 9 things to correct:",
        "  cogenesis must be 1",
        "  profile entry 1 must be a text in quotes",
        "  profile entry 3 must be a text in quotes",
        "  activities[1].source is empty",
        "  activities[1].text must be a text in quotes",
        '  activities[1] entry 3 is not a key of this form (did you mean "when"?)',
        "  writings[2].text is missing",
        "  writings[3] must be an object {...}",
        "  entry 5 is not a key of this form",
    ]


def test_very_many_mistakes_are_counted() -> None:
    message = refusal({"cogenesis": 1, "writings": [{}] * 50})
    assert message.count("is missing") == 20
    assert message.endswith("and 30 more")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b" \n\x00", "is empty"),
        (b"\xef\xbb\xbf ", "is empty"),
        (b"{}", "the object is empty"),
        (b"[]", "the list is empty"),
        (b'{"cogenesis": 1}', "holds no profile"),
        (b'{"cogenesis": 1, "profile": {"Name": " "}}', "holds no profile"),
        (b'{"additional_profile": ""}', "holds no profile"),
        (b"<html></html>", "not JSON: line 1, column 1"),
        (b'{"cogenesis": 1,\n "profile": {"a" "b"}}', "not JSON: line 2, column 18"),
        (b'{"cogenesis": 1', "not JSON"),
        (b'{"name": "Ann"}', 'neither "cogenesis": 1 nor "additional_profile"'),
        (b'{"profile": {"Name": "Ann"}}', "cogenesis is missing"),
        (b"[{}, {}]", "a list of 2 samples"),
        (b"3", "a context is a JSON object"),
        (b"null", "a context is a JSON object"),
        (b'{"cogenesis": 1, "cogenesis": 1}', 'the key "cogenesis" appears twice'),
        (
            b'{"cogenesis": 1, "profile": {"a b!": "x", "a b!": "y"}}',
            "the key of 4 characters appears twice",
        ),
        (
            b'{"cogenesis": 1, "profile": {"Name": "x", "name": "y"}}',
            "profile entry 2 has the name",
        ),
        (b'{"cogenesis": NaN}', "NaN or Infinity"),
        (b'{"cogenesis": ' + b"1" * 9999 + b"}", "a number that is too long"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"cogenesis": 1,\n"profile": {"Name": "\xff"}}', "line 2 is not UTF-8"),
        ('{"cogenesis": 1}'.encode("utf-16"), "UTF-16"),
        ('{"cogenesis": 1}'.encode("utf-16-le"), "UTF-16"),
        ('{"cogenesis": 1}'.encode("utf-16-be"), "UTF-16"),
        ('{"cogenesis": 1}'.encode("utf-32"), "UTF-16 or UTF-32"),
        ('{"cogenesis": 1}'.encode("utf-32-be"), "UTF-16 or UTF-32"),
    ],
)
def test_bad_input_is_refused_with_a_reason(data: bytes, said: str) -> None:
    assert said in refusal(data)


def test_a_byte_order_mark_is_ignored() -> None:
    assert parse(b"\xef\xbb\xbf" + json.dumps(OWN).encode()) == parse(OWN)


def test_emoji_and_right_to_left_text_are_kept() -> None:
    text = "\U0001f469\u200d\U0001f52c \u202bשלום\u202c مرحبا"
    for escaped in (True, False):
        own = json.dumps({**OWN, "writings": [{"text": text}]}, ensure_ascii=escaped)
        assert parse(own.encode()).writings[0].text == text


def test_nuls_are_removed_and_counted() -> None:
    warnings: list[str] = []
    data = b'{"cogenesis": 1, "profile": {"Na\x00me": "A\\u0000n\\u0000n"}}\x00'
    assert parse(data, warnings).field("Name") == "Ann"
    assert warnings == ["me.json: removed 4 NUL character(s), which no model can read"]


def test_broken_surrogates_are_replaced_and_counted() -> None:
    warnings: list[str] = []
    data = b'{"cogenesis": 1, "profile": {"Name": "A\\ud83dB\\udc00 \\ud83d\\ude00"}}'
    assert parse(data, warnings).field("Name") == "A\ufffdB\ufffd \U0001f600"
    assert warnings == ["me.json: replaced 2 broken character(s) (half of a pair)"]


def test_repairs_are_logged_where_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        parse_context(b'{"cogenesis": 1, "profile": {"Name": "Ann\\u0000"}}', "me.json")
    assert "removed 1 NUL" in caplog.text
    assert "Ann" not in caplog.text


def test_no_such_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ContextError, match="no such file"):
        read_context(tmp_path / "none.json")
    with pytest.raises(ContextError, match="is a folder"):
        read_context(tmp_path)
    with pytest.raises(ContextError, match="NUL"):
        read_context(tmp_path / "a\0b")
    with pytest.raises(ContextError, match="cannot be read"):
        read_context(tmp_path / ("a" * 5000))


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "me.json"
    path.write_text("{}")
    path.chmod(0)
    with pytest.raises(ContextError, match="not allowed"):
        read_context(path)


def test_a_file_above_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(1_000_000_000_000)  # sparse: takes no room on the disk
    with pytest.raises(ContextError, match="larger than 64 MB"):
        read_context(path)


def test_ten_megabytes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    writings = [{"text": "word " * 400} for _ in range(5000)]
    path.write_text(json.dumps({**OWN, "writings": writings}))
    assert path.stat().st_size > 10_000_000
    begun = time.monotonic()
    assert len(read_context(path).writings) == 5000
    assert time.monotonic() - begun < 5  # 0.1 s when measured


def test_samples_are_read_with_their_task(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([PUBLISHED, {**PUBLISHED, "tid": None}]))
    first, second = read_samples(path)
    assert (first.id, first.instruction, first.reference) == (
        "3_7_4",
        "Write a note: to Bo",
        "Dear Bo",
    )
    assert first.context == parse(PUBLISHED)
    assert second.id == "2"
    assert "Dear" not in repr(first)


def test_samples_name_their_group_and_origin(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    marked = {**PUBLISHED, "group": "choir", "origin": "own"}
    path.write_text(json.dumps([PUBLISHED, marked, {**PUBLISHED, "group": 7, "origin": None}]))
    found = [(each.group, each.origin) for each in read_samples(path)]
    assert found == [("", ""), ("choir", "own"), ("7", "")]
    assert "choir" not in repr(read_samples(path)[1])
    path.write_text(json.dumps([{**PUBLISHED, "group": ["choir"]}]))
    with pytest.raises(ContextError, match="sample 1: group"):
        read_samples(path)
    # A context is one person: nothing of a data set's keys.
    assert parse({**PUBLISHED, "group": ["choir"]}) == parse(PUBLISHED)


def test_a_single_sample_is_a_data_set_of_one(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps(PUBLISHED))
    assert [sample.id for sample in read_samples(path)] == ["3_7_4"]


def test_mistakes_in_samples_are_told_together(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{**PUBLISHED, "profile": 3}, PUBLISHED, {"profile": []}, 7]))
    with pytest.raises(ContextError) as caught:
        read_samples(path)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("3 things to correct:")
    assert lines[1] == "  sample 1: profile must be a list [...]"
    assert lines[2].startswith("  sample 3: conversations needs a turn of the user")
    assert lines[3] == "  sample 4: it must be an object {...}"


def test_bad_samples_are_told_and_left_out_where_that_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{**PUBLISHED, "profile": 3}, {**PUBLISHED, "tid": None}, 7]))
    told: list[tuple[int, str]] = []
    (sample,) = read_samples(path, on_bad=lambda number, why: told.append((number, why)))
    assert sample.id == "2"
    assert told == [(1, "profile must be a list [...]"), (3, "it must be an object {...}")]


def test_an_empty_data_set_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text("[]")
    with pytest.raises(ContextError, match="at least one sample"):
        read_samples(path)
