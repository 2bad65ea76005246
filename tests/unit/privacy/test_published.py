"""The one door for contexts that are sent on purpose: what goes through, and who has the key."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any, cast

import pytest

from cogenesis.errors import EgressError, InputError
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.published import PublishedData, refuse_private_data
from cogenesis.privacy.released import Released, public, published, written_from
from cogenesis.privacy.released_body import release_body
from cogenesis.wire import Body, Text
from tests.conftest import PACKAGE
from tests.unit.models.loopback import Loopback

KEYS = re.compile(
    r"PublishedData|import[^\n]*PublishedText|written_from|import published|\bpublished\("
)

# The modules that may name them, besides the two that define them.
KEY_HOLDERS = {
    "privacy/released_body.py": "notes in the ledger what was sent on purpose",
    "evaluation/systems_cloud.py": "the upper bound: a cloud model that sees the context",
    "evaluation/generation_run.py": "hands the proof on to the upper bound",
    "evaluation/judge_prompts.py": "the judge sees the profile",
    "evaluation/judge.py": "holds the proof for the prompts",
    "evaluation/judge_asking.py": "each worker opens the file, with the flag that the user gave",
    "cli/evaluate_texts.py": "opens the file where the user gave the flag",
}


def sample(**more: Any) -> dict[str, Any]:
    return {
        "additional_profile": "Name: Wren Aldous\nAge: 41",
        "profile": [{"title": "A note", "text": "Dear all, orchids."}],
        "conversations": [
            {"from": "user", "value": "Write a note: orchids"},
            {"from": "assistant", "value": "Hello, I am Wren."},
        ],
        **more,
    }


def written(tmp_path: Path, value: object) -> Path:
    path = tmp_path / "people.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def opened(tmp_path: Path, value: object) -> PublishedData:
    return PublishedData(written(tmp_path, value), unsafe_send_context=True)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (sample(), "one person's own"),
        ([sample()], "one person's own"),
        ([], "one person's own"),
        ([sample(), {"cogenesis": 1, **sample()}], "sample 2 has no task"),
        ([sample(), sample(conversations=[])], "sample 2 has no task"),
        ([sample(), sample(conversations=[{"from": "user", "value": "x"}])], "sample 2"),
        ([sample(), "text"], "sample 2 has no task"),
        ([sample(origin="synthetic"), sample(origin="private")], "sample 2 has an origin"),
        ([sample(), sample(origin=None)], "sample 2 has an origin"),
        ([sample(), sample(origin=["published"])], "sample 2 has an origin"),
        ("[{]", "no JSON"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_what_may_be_somebodys_own_is_not_opened(value: object, why: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=why) as refused:
        opened(tmp_path, value)
    assert "Wren" not in str(refused.value)


def test_only_a_list_without_a_private_mark_is_sent_without_the_shield(tmp_path: Path) -> None:
    """Also a mark that stands far behind the beginning: in a late sample, or at a sample's end."""
    fine = [sample(origin="published"), sample(), {"additional_profile": "no task"}, "no sample"]
    refuse_private_data(written(tmp_path, fine))
    refuse_private_data(written(tmp_path, "\ufeff\n  " + json.dumps([sample(), sample()])))
    for mark in ("own", "licensed", "stolen", None, ["published"]):
        late = {**sample(additional_profile="word " * 2_000), "origin": mark}
        with pytest.raises(InputError, match="sample 5 is marked as private texts") as refused:
            refuse_private_data(written(tmp_path, [*fine, late]))
        assert "word" not in str(refused.value)
    with pytest.raises(InputError, match="sample 2 is marked"):
        refuse_private_data(written(tmp_path, [sample(), sample(cogenesis=1)]))
    for value, why in [
        (sample(), "no list of two samples"),
        ([sample()], "no list of two samples"),
        ("[{]", "no JSON"),
        ("[" * 100_000, "no JSON"),
    ]:
        with pytest.raises(InputError, match=why):
            refuse_private_data(written(tmp_path, value))
    with pytest.raises(InputError, match="cannot be read"):
        refuse_private_data(tmp_path / "none.json")


@pytest.mark.parametrize("flag", [False, None, 1, "yes"])
def test_nothing_is_opened_without_the_flag(flag: object, tmp_path: Path) -> None:
    path = written(tmp_path, [sample(), sample()])
    with pytest.raises(InputError, match="--unsafe-send-context"):
        PublishedData(path, unsafe_send_context=cast(bool, flag))
    with pytest.raises(InputError, match="cannot be read"):
        PublishedData(tmp_path / "none.json", unsafe_send_context=True)


def test_text_is_released_by_its_place_in_the_file_and_by_nothing_else(tmp_path: Path) -> None:
    data = opened(tmp_path, [sample(origin="published"), sample(odd="half \ud800 pair")])
    assert published(data, 1, "profile", 0, "text").text == "Dear all, orchids."
    assert published(data, 2, "odd").text == "half ? pair"
    assert data.has(1, "additional_profile") and not data.has(1, "odd")
    for place in [(0, "odd"), (3, "odd"), (1, "none"), (1, "profile"), (1, "profile", 1, "text")]:
        with pytest.raises(EgressError):
            published(data, *cast(Any, place))
    with pytest.raises(EgressError):
        published(data, 1, "additional_profile", 3)
    assert "Wren" not in repr(data) + repr(published(data, 1, "additional_profile"))
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(data)


def test_json_lines_are_a_list_of_samples_too(tmp_path: Path) -> None:
    lines = [json.dumps(each) for each in (sample(), sample(origin="synthetic"), sample())]
    data = opened(tmp_path, "\n".join(lines))
    assert (data.samples, published(data, 3, "profile", 0, "title").text) == (3, "A note")
    for wrong, why in [
        (lines[:1], "one person's own"),
        ([*lines, json.dumps(sample(origin="own"))], "sample 4 has an origin"),
        ([lines[0], lines[1][:90]], "no JSON"),
        ([lines[0], '{"origin": "own", ' + lines[1][1:]], "appears twice"),
    ]:
        with pytest.raises(InputError, match=why):
            opened(tmp_path, "\n".join(wrong))


def test_what_was_not_looked_at_is_not_sent(tmp_path: Path) -> None:
    """The samples are read again when they are asked for: from a file that may be another one."""
    data = opened(tmp_path, [sample(), sample()])
    path = written(tmp_path, [sample(), sample(origin="own")])
    assert published(data, 1, "profile", 0, "text").text == "Dear all, orchids."
    with pytest.raises(InputError, match="was changed"):
        published(data, 2, "profile", 0, "text")
    path.write_text(json.dumps([sample(), sample()]).replace("orchids", "secrets"))
    with pytest.raises(InputError, match="was changed"):
        published(data, 2, "profile", 0, "text")
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        data.has(2, "additional_profile")


def test_a_text_of_other_data_is_not_released(tmp_path: Path) -> None:
    data = opened(tmp_path, [sample(), sample()])
    assert written_from(data, "I am Wren", data.sha256).text == "I am Wren"
    with pytest.raises(EgressError, match="other data"):
        written_from(data, "my own secret", "0" * 64)


def test_nobody_but_the_opened_file_is_a_proof() -> None:
    class Forged:
        name, sha256 = "mine", "0" * 64

        def at(self, *where: object) -> str:
            return "my own secret"

    with pytest.raises(EgressError, match="proof"):
        published(cast(PublishedData, Forged()), 1, "text")
    with pytest.raises(EgressError, match="proof"):
        written_from(cast(PublishedData, Forged()), "my own secret", "0" * 64)


def test_the_ledger_tells_what_was_sent_on_purpose(tmp_path: Path) -> None:
    data = opened(tmp_path, [sample(), sample()])
    profile = published(data, 1, "additional_profile")
    body: Body[Released] = {
        "messages": (
            {
                "role": Text((public("user"),)),
                "content": Text((profile, profile)),
            },
        ),
    }
    with (
        Loopback(lambda handler: handler.send_json({})) as server,
        Ledger.open(tmp_path / "ledger.sqlite") as ledger,
        Egress(CloudEndpoint.parse(server.url), ledger) as egress,
    ):
        egress.post("/v1/chat/completions", body)
        (row,) = ledger.entries(newest_first=False)
        assert egress.traffic.round_trips == 1
    assert row.entry.purpose == "published data"
    assert row.entry.note == (
        f"sent as it is, on the user's word: people.json ({data.sha256[:12]})"
    )
    assert json.loads(row.entry.body) == server.asked[0].body
    assert not release_body({"model": Text((public("user"),))}).published


def test_only_evaluations_hold_the_key() -> None:
    """Who can name the door can open it: nothing of the assistant, the server or `write` does."""
    texts = {
        path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8")
        for path in PACKAGE.rglob("*.py")
    }
    holders = {name for name, text in texts.items() if KEYS.search(text)}
    doors = {"privacy/published.py", "privacy/released.py"}
    assert doors <= holders <= {*KEY_HOLDERS, *doors}
    opening = {name for name, text in texts.items() if "PublishedData(" in text}
    assert opening <= {
        "privacy/published.py",
        "cli/evaluate_texts.py",
        "evaluation/judge_asking.py",
    }
