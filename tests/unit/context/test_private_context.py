from __future__ import annotations

import copy
import dataclasses
import io
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogenesis.context.private_context import Activity, PrivateContext, ProfileField, Writing
from cogenesis.context.reader import Sample, parse_context
from cogenesis.errors import ContextError

# Long enough and odd enough not to be part of a class name or a path by chance.
canaries = st.text("qxzQXZ\u05d0\U0001f600", min_size=9, max_size=20)


def context_with(canary: str) -> PrivateContext:
    return PrivateContext(
        [ProfileField(canary, canary)],
        [Activity(canary, canary, canary)],
        [Writing(canary, canary)],
    )


def private_values(canary: str) -> list[object]:
    context = context_with(canary)
    return [
        context,
        *context.fields,
        *context.activities,
        *context.writings,
        *context.texts(),
        Sample(context, canary, canary, canary, group=canary, origin=canary),
    ]


@dataclasses.dataclass
class Holder:
    value: object


@given(canaries)
def test_no_way_of_showing_a_value_shows_what_it_holds(canary: str) -> None:
    for value in private_values(canary):
        log = io.StringIO()
        handler = logging.StreamHandler(log)
        record = logging.LogRecord("x", 30, "x", 1, "%s %r", (value, value), None)
        handler.emit(record)
        shown = [
            repr(value),
            str(value),
            f"{value}",
            f"{value!r}",
            f"{value}",
            "%s" % (value,),  # noqa: UP031
            ascii(value),
            pprint.pformat([value]),
            pprint.pformat({"a": value}, width=1),
            repr(dataclasses.asdict(Holder(value))),
            repr(Holder(value)),
            log.getvalue(),
        ]
        for text in shown:
            assert canary not in text
            assert canary.encode("unicode-escape").decode() not in text


@given(canaries)
def test_a_traceback_with_locals_shows_nothing(canary: str) -> None:
    context = context_with(canary)
    del canary

    def fail(held: PrivateContext) -> None:
        parts = list(held.texts())
        raise RuntimeError(f"failed with {held} and {parts}")

    try:
        fail(context)
    except RuntimeError as error:
        shown = "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )
    assert "PrivateContext(1 field, 1 activity, 1 writing)" in shown
    assert context.fields[0].value not in shown


@given(canaries)
def test_a_refused_file_shows_nothing_even_in_a_traceback_with_locals(canary: str) -> None:
    bad: list[Any] = [
        {"cogenesis": 1, "profile": {canary: {"deep": canary}}},
        {"cogenesis": 1, "writings": [{"title": canary, "txt": canary}], canary: canary},
        {"cogenesis": canary},
        {"additional_profile": [canary]},
        [canary, canary],
        canary,
    ]
    files = [json.dumps(value).encode() for value in bad]
    files.append(b'{"cogenesis": 1, "profile": {"a": "' + canary.encode() + b'",,}}')
    files.append(b'{"cogenesis": 1, "a": "' + canary.encode() + b'\xff"}')
    files.append(json.dumps({"a": 1}).encode()[:-1] + f',"{canary}":1,"{canary}":2}}'.encode())
    for number, data in enumerate(files):
        with pytest.raises(ContextError) as caught:
            parse_context(data, "file.json")
        frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        ours = [frame for frame in frames.stack if "cogenesis/context" in frame.filename]
        assert ours, number
        shown = str(caught.value) + repr(caught.value) + str([frame.locals for frame in ours])
        assert canary not in shown, number
        assert caught.value.__context__ is None
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "leak",
    [pickle.dumps, vars, json.dumps, dataclasses.asdict, lambda value: value.__getstate__()],
    ids=["pickle", "vars", "json", "asdict", "getstate"],
)
def test_a_private_value_is_never_serialised(leak: Callable[[Any], object]) -> None:
    for value in private_values("canarycanary"):
        with pytest.raises(TypeError) as caught:
            leak(value)
        assert "canarycanary" not in str(caught.value)


def test_copies_are_the_value_itself() -> None:
    context = context_with("canary")
    assert copy.copy(context) is context
    assert copy.deepcopy([context])[0] is context


def test_a_private_value_cannot_be_changed() -> None:
    field = ProfileField("Name", "Ann")
    with pytest.raises(AttributeError):
        field.value = "Bob"
    with pytest.raises(AttributeError):
        del field.value
    assert field.value == "Ann"


def test_equality_and_hash_go_by_value_and_type() -> None:
    assert context_with("a") == context_with("a")
    assert hash(context_with("a")) == hash(context_with("a"))
    assert context_with("a") != context_with("b")
    assert ProfileField("a", "b") != Writing("a", "b")


def test_counts_read_well() -> None:
    assert str(PrivateContext()) == "PrivateContext(0 fields, 0 activities, 0 writings)"
    assert repr(context_with("a")) == "PrivateContext(1 field, 1 activity, 1 writing)"


@pytest.mark.parametrize(
    "name", ["Writing_style", "writing style", "WRITING_STYLE ", "writing  style"]
)
def test_field_ignores_case_and_underscores(name: str) -> None:
    context = PrivateContext([ProfileField("Writing_Style", "plain")])
    assert context.field(name) == "plain"
    assert context.field("Name") is None


def test_texts_gives_every_private_string_as_read() -> None:
    context = PrivateContext(
        [ProfileField("Name", "Ann"), ProfileField("Insulin pump", "T-7")],
        [Activity("calendar", "Dentist", "Monday"), Activity("Grindr", "hello")],
        [Writing("A title", "A\x00 text\n"), Writing("", "Another")],
    )
    found = [(text.kind, text.label, text.text) for text in context.texts()]
    assert found == [
        ("field", "Name", "Ann"),
        ("field", "field name", "Insulin pump"),
        ("field", "Insulin pump", "T-7"),
        ("activity", "calendar", "Dentist"),
        ("activity", "when", "Monday"),
        ("activity", "source", "Grindr"),
        ("activity", "Grindr", "hello"),
        ("writing-title", "writing 1", "A title"),
        ("writing", "writing 1", "A\x00 text\n"),
        ("writing-title", "writing 2", ""),
        ("writing", "writing 2", "Another"),
    ]
