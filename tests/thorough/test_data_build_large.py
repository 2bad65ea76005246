"""What keeps a build of a million people possible: constant work and memory for each of them."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from cogenesis.data.building.finish import finish
from cogenesis.data.building.folder import begin
from cogenesis.data.building.forms import Profile
from cogenesis.data.building.nearest import OTHERS, Nearest
from cogenesis.data.building.pipeline import Build, Made, Settings, Worked, waves
from cogenesis.data.building.plan import Wanted, group_of, person_of
from cogenesis.data.building.samples import PersonTexts, WrittenText, samples_of
from cogenesis.data.building.screening import wrong_sample
from cogenesis.data.building.shelf import Shelf
from cogenesis.data.building.steps import Maker, Outcome
from cogenesis.data.building.templates import load_templates
from cogenesis.engines.cloud import CloudAddress
from cogenesis.engines.cost import Measured
from cogenesis.engines.engine import Done
from cogenesis.errors import InputError
from tests.unit.data.building.invented import good, text


def test_the_nearest_portraits_are_those_that_a_look_at_all_of_them_finds() -> None:
    wanted = Wanted(people=700, tasks=1, history=0, group=1, seed=3)
    nearest = Nearest()
    earlier: list[int] = []
    groups = [group_of(wanted, number) for number in range(700)]
    for number, group in enumerate(groups):
        near = []
        for each in earlier:
            other = groups[each]
            score = 2 * (other.field == group.field) + (other.region == group.region)
            near.append((score, each))
        expected = [f"line {each}" for _, each in sorted(near, reverse=True)[:OTHERS]]
        assert nearest.of(group) == expected
        if number % 7:  # some portraits come to nothing
            earlier.append(number)
            nearest.add(group, f"line {number}")


def test_waves_grow_and_begin_at_the_same_groups_in_a_larger_build() -> None:
    large = list(waves(250_000))
    assert [number for wave in large for number in wave] == list(range(250_000))
    assert len(large) < 120 and max(map(len, large)) == 4096
    assert {len(wave) for wave in large[:16]} == {16}
    for wave in waves(1_000):
        assert any(each.start == wave.start and each.stop >= wave.stop for each in large)


def test_a_shelf_gives_back_what_was_put_on_it_in_order(tmp_path: Path) -> None:
    with Shelf.opened(tmp_path) as shelf:
        for number in (7, 2, 30):
            made = {"text": f"Zoë wrote {number}\n"}
            shelf.put(number, Outcome(made, [{"seed": number}], {"e": 1}, 0, ["", "wrong"]))
        assert len(shelf) == 3
        assert shelf.get(3) is None and shelf.get(99) is None
        assert [number for number, _ in shelf.all()] == [2, 7, 30]
        found = shelf.get(7)
        assert found == Outcome(
            {"text": "Zoë wrote 7\n"}, [{"seed": 7}], {"e": 1}, 0, ["", "wrong"]
        )
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="cannot be kept"), Shelf.opened(tmp_path / "nowhere"):
        pass

    class Full:
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None: ...

        def seek(self, *_: int) -> int:
            return 0

        def write(self, _: bytes) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: Full())
    with Shelf.opened(tmp_path) as shelf, pytest.raises(InputError, match="No space left"):
        shelf.put(0, Outcome(None, [], {}, 0))


class Instant:
    """An engine that makes everybody at once, without any server."""

    at_a_time = 4

    def __init__(
        self, texts: Any, outline: Sequence[str], verdicts: Mapping[tuple[int, int], str]
    ) -> None:
        self._texts, self._outline, self._verdicts = texts, list(outline), verdicts

    def map(self, _: Any, items: Any) -> Iterator[Any]:
        for key, item in items:
            if item.group is not None:
                outcome = Outcome(good("portrait", "", item.group.number), [], {}, 0)
            else:
                profile = Profile.model_validate(good("profile", "", item.person.number))
                found = PersonTexts(item.person, "a baker", profile)
                for written in self._texts(item.person.number):
                    made = WrittenText("Write a letter", "soon", written, self._outline, [1], [])
                    found.texts.append(made)
                verdicts = [self._verdicts.get((item.person.number, at), "") for at in range(2)]
                outcome = Outcome(found.told(), [], {}, 0, verdicts)
            yield Done(key, Worked(outcome, None, Measured()), 0.0)


SHARES = {"train": 0.9, "test": 0.1}


def settings(folder: Path, people: int) -> Settings:
    wanted = Wanted(people, tasks=2, history=0, group=4, seed=9)
    cloud = CloudAddress("http://127.0.0.1:1", "m", "auto", "", False, folder / "ledger", None)
    return Settings(wanted, cloud, {}, folder, 1.0)


def two_texts(number: int) -> list[str]:
    return [text(1_000 * number), text(1_000 * number + 500)]


def built(
    folder: Path,
    people: int,
    texts: Any,
    outline: Sequence[str] = ("begin",),
    verdicts: Mapping[tuple[int, int], str] = MappingProxyType({}),
) -> dict[str, Any]:
    chosen = settings(folder, people)
    begin(folder, chosen.wanted, "m", {}, SHARES)
    with Made.opened(folder) as made:
        build = Build(chosen, Instant(texts, outline, verdicts), made)
        assert list(build.portraits())[-1] == -(-people // 4)
        assert list(build.people())[-1] == people
        return finish(chosen, made, SHARES)


def test_no_two_groups_are_asked_for_in_the_same_words_and_with_the_same_seed(
    tmp_path: Path,
) -> None:
    """They would get the same reply from the cache, and be the same people."""
    asked: list[tuple[str, int | None]] = []

    class Stub:
        def reply(
            self, prompt: Any, sampling: Any, *_: Any, **more: Any
        ) -> tuple[str, dict[str, Any], bool]:
            said = "".join(part.text for part in prompt.messages[0].parts)
            asked.append((said, sampling.seed))
            return "key", {"text": json.dumps(good("portrait", "", len(asked)))}, False

    class Recording(Instant):
        def map(self, making: Any, items: Any) -> Iterator[Any]:
            kept = list(items)
            for _, item in kept:
                maker.portrait(item.group, item.others, item.twins)
            yield from super().map(making, kept)

    chosen = settings(tmp_path, 4 * 1_500)
    stub: Any = Stub()
    maker = Maker(stub, load_templates(), wanted=chosen.wanted, source="a test")
    with Made.opened(tmp_path) as made:
        for _ in Build(chosen, Recording(two_texts, (), {}), made).portraits():
            pass
    assert len({said for said, _ in asked}) < len(set(asked))  # some words came twice
    assert len(set(asked)) == len(asked) >= 1_500


def test_texts_nearly_like_those_of_somebody_else_are_dropped_and_counted(tmp_path: Path) -> None:
    def texts(number: int) -> list[str]:
        # The second text of persons 5 and 8 is that of person 2, but for a word.
        own = text(1_000 + number)
        taken = f"{text(1_002)} Goodbye{number}." if number in (2, 5, 8) else own
        return [text(number), taken]

    report = built(tmp_path / "out", 12, texts)
    assert report["dropped"] == {"nearly the same text": 2}
    assert sum(report["samples"].values()) == 22 and report["people"] == 12
    written = "".join((tmp_path / "out" / f"{name}.json").read_text() for name in ("train", "test"))
    assert "Goodbye2." in written and "Goodbye5." not in written and "Goodbye8." not in written


def test_what_a_worker_found_wrong_is_dropped_and_meets_no_other_text(tmp_path: Path) -> None:
    """Of two that are the same, the good one stays where the first is dropped for its own sake."""

    def texts(number: int) -> list[str]:
        return [text(1_000 * number), text(77) if number in (1, 3) else text(1_000 * number + 500)]

    why = {(1, 1): "private in the general part", (2, 0): "no sample"}
    report = built(tmp_path / "out", 4, texts, verdicts=why)
    assert report["dropped"] == {"private in the general part": 1, "no sample": 1}
    assert sum(report["samples"].values()) == 6
    written = "".join((tmp_path / "out" / f"{name}.json").read_text() for name in SHARES)
    assert text(77) in written and text(2_000) not in written


def test_a_finished_sample_is_shown_to_the_guard() -> None:
    def sample(task: str) -> dict[str, Any]:
        person = PersonTexts(
            person_of(Wanted(1, 1, 0, 1, 0), 0),
            "a baker",
            Profile.model_validate(good("profile", "", 1)),
        )
        person.texts.append(WrittenText(task, "soon", text(3), [], [], []))
        return next(samples_of(person, 0, 0)) | {"name": person.person.name}

    assert wrong_sample(sample("Write a letter about the weather")) == ""
    name = sample("")["name"]
    assert wrong_sample(sample(f"Write a letter from {name}")) == "private in the general part"
    assert wrong_sample(sample("Write a letter") | {"conversations": []}) == "no sample"


def test_the_report_tells_whom_the_samples_cover(tmp_path: Path) -> None:
    report = built(tmp_path / "out", 64, two_texts)
    assert set(report["coverage"]) == {"age", "field", "region", "register"}
    for name in ("age", "region"):
        assert sum(report["coverage"][name]["values"].values()) == 128
    assert len(report["coverage"]["region"]["values"]) == 16
    assert report["coverage"]["region"]["evenness"] == 1.0
    assert report["coverage"]["register"]["values"] == {"letter": 128}
    assert sum(report["groups"].values()) == 16
    assert report["facts"] == {"told": 1.0, "found": 0.0}


def test_memory_grows_by_little_for_each_person(tmp_path: Path) -> None:
    """Each person is 40 KB of JSON: of 200 more, 8 MB would stay if they were kept in memory."""
    built(tmp_path / "warm", 64, two_texts)  # names of all regions are loaded
    peaks = []
    for people in (40, 240):
        tracemalloc.start()
        built(tmp_path / str(people), people, two_texts, outline=["point " * 40] * 80)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    size = sum(path.stat().st_size for path in (tmp_path / "240").glob("*.json"))
    assert size > 8_000_000
    assert peaks[1] - peaks[0] < 800_000
