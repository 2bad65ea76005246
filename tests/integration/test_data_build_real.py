"""`data build` against a real llama.cpp server that is held to the JSON schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cogenesis.cloud_server import DemoCloud
from cogenesis.data.building.finish import finish
from cogenesis.data.building.folder import REPLIES, begin
from cogenesis.data.building.forms import FORMS, SCHEMAS, parse
from cogenesis.data.building.pipeline import Build, Made, Settings
from cogenesis.data.building.plan import Wanted
from cogenesis.data.building.templates import load_templates
from cogenesis.engines.cloud import CloudAddress
from cogenesis.engines.engine import open_engine
from cogenesis.privacy.ledger import Ledger


def kept_in(folder: Path) -> dict[str, dict[str, Any]]:
    """The replies of a build, by the key of their question."""
    return {
        path.stem: json.loads(path.read_text("utf-8").splitlines()[1])
        for path in (folder / REPLIES).glob("??/*.json")
    }


@pytest.mark.timeout(1800)  # about 6 questions of 8 s each; other programs may have the cores
def test_all_four_steps_are_answered_in_the_form_of_their_schema(
    cloud_gguf: Path, tmp_path: Path
) -> None:
    """One person from the portrait to the text, however badly the model writes.

    A step whose replies were all cut off ends a person: then there is another one.
    """
    steps: set[str] = set()
    # The longest prompt is that of a text that is repaired: with its reply about 4,500 tokens.
    with DemoCloud(cloud_gguf, threads=1, context_tokens=6144) as server:
        address = CloudAddress.of(server.url, server.model, ledger=tmp_path / "ledger.sqlite")
        for seed in range(3):
            folder = tmp_path / f"made-{seed}"
            steps |= built(folder, address, seed)
            if steps == FORMS.keys():
                break
    assert steps == FORMS.keys()
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.verify().ok
        assert ledger.totals().requests >= sum(1 for _ in tmp_path.glob("made-*/replies/??/*.json"))


def built(folder: Path, address: CloudAddress, seed: int) -> set[str]:
    """Build one person, and again from the replies; the steps whose answer was used."""
    wanted = Wanted(people=1, tasks=1, history=0, group=1, seed=seed, screening="leaks")
    templates, shares = load_templates(None), {"train": 1.0}
    begin(folder, wanted, address.model, templates, shares)
    settings = Settings(wanted, address, templates, folder, 300.0)
    with (
        open_engine("local", at_a_time=1) as engine,
        Made.opened(folder) as made,
        Made.opened(folder) as again,
    ):
        reports = []
        for each in (made, again):
            build = Build(settings, engine, each)
            assert list(build.portraits()) == [1]
            list(build.people())
            reports.append(finish(settings, each, shares))
        outcomes = [each for shelf in (made.portraits, made.people) for _, each in shelf.all()]
    report, repeated = reports
    assert not report["without_answer"] and repeated == report
    assert again.measured.calls == 0 and again.kept == made.measured.calls
    replies = kept_in(folder)
    assert len(replies) == made.measured.calls
    assert {each["held"] for each in replies.values()} == {"schema"}
    keys = [set(json.loads(schema.text)["properties"]) for schema in SCHEMAS.values()]
    # What was not cut off is of a step's form: the grammar let nothing else through.
    assert all(set(json.loads(each["text"])) in keys for each in replies.values() if each["whole"])
    used = {each["step"]: replies[each["reply"]] for outcome in outcomes for each in outcome.record}
    for step, reply in used.items():
        assert isinstance(parse(FORMS[step], reply["text"]), FORMS[step])
    return set(used)
