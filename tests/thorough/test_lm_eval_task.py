"""The writing task of lm-evaluation-harness: documents, scores, and the harness where it is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from benchmarks.lm_eval import writing
from cogenesis.context.reader import read_samples

TEXT = "Dear neighbours, the fair is on Sunday. Odalys"
SAMPLE = {
    "additional_profile": "Name: Odalys Fenwright\nOccupation: baker",
    "additional_tasks": [],
    "conversations": [
        {"from": "user", "value": "Write a note to the neighbours about the street fair"},
        {"from": "assistant", "value": TEXT},
    ],
}


def sample_file(folder: Path) -> Path:
    path = folder / "samples.json"
    path.write_text(json.dumps([SAMPLE]), "utf-8")
    return path


def test_a_prompt_is_that_of_write_with_or_without_context(tmp_path: Path) -> None:
    (sample,) = read_samples(sample_file(tmp_path))
    told = writing.document(sample, True, 4096)
    assert told["reference"] == TEXT
    assert "street fair" in told["prompt"] and "baker" in told["prompt"]
    assert "baker" not in writing.document(sample, False, 4096)["prompt"]


def test_bits_are_over_bytes_not_characters() -> None:
    likelihood, size = writing.bits({"reference": "Café"}, [(-5 * math.log(2), False)])[
        "bits_per_byte"
    ]
    assert -likelihood / size / math.log(2) == pytest.approx(1.0)


def test_nearness_to_the_authors_text() -> None:
    doc = {"reference": TEXT}
    same = writing.nearness(doc, [TEXT])
    assert same["rouge_l"] == pytest.approx(100) and same["chrf"] == pytest.approx(100)
    assert writing.nearness(doc, ["xyz"])["rouge_l"] == 0


def test_data_must_be_named() -> None:
    with pytest.raises(ValueError, match="--metadata"):
        writing.documents()


def test_the_harness_takes_both_tasks(tmp_path: Path) -> None:
    tasks = pytest.importorskip("lm_eval.tasks")
    about = {"data": str(sample_file(tmp_path))}
    manager = tasks.TaskManager(include_path=str(Path(writing.__file__).parent), metadata=about)
    loaded = manager.load_task_or_group(["cogenesis_bits", "cogenesis_text"])
    for task in loaded.values():
        (doc,) = task.test_docs()
        assert "street fair" in task.doc_to_text(doc)
