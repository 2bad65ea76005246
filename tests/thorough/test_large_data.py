"""Data files above 64 MB: what reads them keeps little of each sample in memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from cogenesis.context.sample_file import SampleFile
from cogenesis.engines.local import LocalEngine
from cogenesis.evaluation.generation_run import GenerationSettings, ModelNames, wanted_texts
from cogenesis.evaluation.numbered_samples import first_samples, numbered_samples
from cogenesis.evaluation.said_before import SaidBefore
from cogenesis.evaluation.systems import text_systems
from cogenesis.evaluation.text_style import Histories, Style
from cogenesis.privacy.published import PublishedData
from cogenesis.privacy.released import published
from cogenesis.training.examples import read_data
from cogenesis.training.extract import Tuning
from cogenesis.training.sketches import sketch_tasks
from tests.unit.data.people import TEXTS, sample

SAMPLES = 4_000
LONG = " ".join(TEXTS) * 14
"""About 9 KB; twice in each sample."""


@pytest.fixture(scope="module", params=["json", "jsonl"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / f"people.{request.param}"
    ends = ("[", ",\n", "]") if request.param == "json" else ("", "\n", "\n")
    with path.open("w", encoding="utf-8") as file:
        file.write(ends[0])
        for number in range(SAMPLES):
            file.write(ends[1] if number else "")
            # Two samples a person.
            one = sample(f"person {number // 2}", text=TEXTS[1], earlier=(LONG, LONG))
            one["tid"] = f"1_{number}_1"
            file.write(json.dumps(one))
        file.write(ends[2])
    assert path.stat().st_size > 70_000_000
    return path


def peak_of(work: Callable[[], object]) -> int:
    """Bytes of Python and numpy at most, while it works."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_all_commands_look_samples_up_in(data: Path) -> None:
    def work() -> None:
        samples = numbered_samples(data, quiet=True)
        assert len(samples) == SAMPLES and samples[SAMPLES].id == f"1_{SAMPLES - 1}_1"
        said = SaidBefore(samples)
        assert said(SAMPLES) == ("Letter about a garden",)
        assert said(SAMPLES - 1) == ()

    SaidBefore(SampleFile(data).first(2))(2)  # word lists of the guard are loaded
    assert peak_of(work) < 16_000_000


def test_what_the_program_that_starts_a_run_keeps(data: Path) -> None:
    """`train extract` and `evaluate text`: an id, a group and keys of each sample."""

    def work() -> None:
        samples = first_samples(data, None, lambda number, why: pytest.fail(why))
        texts = [Tuning(folds=3).text(number, each) for number, each in samples.items()]
        systems = text_systems(["device", "sketch"])
        wanted = wanted_texts(samples, systems, ModelNames(), GenerationSettings())
        assert (len(texts), len(wanted)) == (SAMPLES, 2 * SAMPLES)
        assert wanted[-1].sample.id == f"1_{SAMPLES - 1}_1"

    assert peak_of(work) < 20_000_000


def test_outlines_are_asked_for_with_little(data: Path) -> None:
    def work() -> None:
        file, tasks, left_out = sketch_tasks(LocalEngine(), data, limit=3)
        assert ([each.number for each in tasks], left_out) == ([1, 2, 3], [])
        assert len(file.sha256) == 64

    work()  # word lists of the guard are loaded
    assert peak_of(work) < 16_000_000


def test_what_is_sent_on_purpose_is_looked_up_too(data: Path) -> None:
    def work() -> None:
        found = PublishedData(data, unsafe_send_context=True)
        assert found.samples == SAMPLES
        assert published(found, SAMPLES, "profile", 1, "text").text == LONG

    assert peak_of(work) < 16_000_000


def test_style_is_learnt_without_all_texts_at_once(data: Path) -> None:
    people = SampleFile(data).first(300)
    assert len(people) * 2 * len(LONG) > 5_000_000
    assert peak_of(lambda: Style(Histories(people))) < 2_000_000


def test_tuning_reads_it_too(data: Path) -> None:
    """All of it is in memory there."""
    assert len(read_data(data, pytest.fail, limit=SAMPLES - 1).samples) == SAMPLES - 1
