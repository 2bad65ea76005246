"""`cogenesis evaluate text` on texts that are there already: from the file to the figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cogenesis.cli import main
from cogenesis.evaluation.generation import WrittenText, content_key, open_texts
from tests.unit.evaluation.test_leaks_report import TOPICS, person


def test_texts_of_others_are_measured_beside_the_authors_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COGENESIS_HOME", str(tmp_path / "home"))
    people = [person(name, topic) for name, topic in TOPICS.items()]
    Path("people.json").write_text(json.dumps(people))
    with open_texts(Path("texts.jsonl"), Path("people.json")) as file:
        for number, each in enumerate(people, start=1):
            reference = each["conversations"][1]["value"]
            for system, said in {"copy": reference, "blank": "", "other": "A dog ran."}.items():
                file.add(WrittenText(content_key(system, number), system, number, said))
    arguments = ["text", "--data", "people.json", "--texts", "texts.jsonl", "--json"]
    for system in ("copy", "blank", "other"):
        arguments += ["--system", system]
    monkeypatch.setattr(sys, "argv", ["cogenesis", "evaluate", *arguments, "--baseline", "other"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)
    reference, copy, blank, other = (row["measures"] for row in told["systems"])
    assert [copy[each]["value"] for each in ("rouge1", "rougeL", "chrf")] == [100.0] * 3
    assert reference["rouge1"]["value"] is None
    for measure in ("words", "coverage", "facts", "style_js"):
        assert copy[measure] == reference[measure]
    assert (blank["words"]["value"], blank["chrf"]["value"]) == (0.0, 0.0)
    assert blank["style_js"]["value"] is None
    assert other["rouge1"]["value"] < 20.0
    row = told["systems"][1]
    assert row["over_baseline"]["chrf"]["low"] > 0.0
    assert (told["evaluation"], told["samples"], told["baseline"]) == ("text", 6, "other")
