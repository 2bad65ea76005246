"""`data build` against a real llama.cpp server that is held to the JSON schemas."""

from __future__ import annotations

import json
from pathlib import Path

from cogenesis.cloud_server import DemoCloud
from cogenesis.data.building.folder import REPLIES
from cogenesis.data.building.forms import Portrait, parse
from cogenesis.data.building.pipeline import Build, Made, Settings
from cogenesis.data.building.plan import Wanted
from cogenesis.data.building.templates import load_templates
from cogenesis.engines.cloud import CloudAddress
from cogenesis.engines.engine import open_engine
from cogenesis.privacy.ledger import Ledger


def test_a_portrait_of_a_real_server_has_the_form_and_is_asked_once(
    cloud_gguf: Path, tmp_path: Path
) -> None:
    with DemoCloud(cloud_gguf, threads=1, context_tokens=2048) as server:
        address = CloudAddress.of(server.url, server.model, ledger=tmp_path / "ledger.sqlite")
        wanted = Wanted(people=1, tasks=1, history=0, group=1, seed=0)
        folder = tmp_path / "made"
        folder.mkdir()
        settings = Settings(wanted, address, load_templates(None), folder, 120.0)
        with (
            open_engine("local", at_a_time=1) as engine,
            Made.opened(folder) as first,
            Made.opened(folder) as again,
        ):
            assert list(Build(settings, engine, first).portraits()) == [1]
            assert list(Build(settings, engine, again).portraits()) == [1]
    replies = [
        json.loads(path.read_text("utf-8").splitlines()[1])
        for path in (folder / REPLIES).rglob("*")
        if path.is_file()
    ]
    assert replies
    # What the grammar let through in full has the form; a weak model may still be cut off.
    whole = [each["text"] for each in replies if each["whole"]]
    assert whole
    assert all(isinstance(parse(Portrait, text), Portrait) for text in whole)
    assert "portrait: wrong form" not in first.events
    # The second run found every reply in the folder, and nothing left for it.
    assert again.measured.calls == 0
    assert again.kept == len(replies) == first.measured.calls
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.verify().ok
        assert ledger.totals().requests >= len(replies)
