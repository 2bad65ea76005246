"""Data files with the libraries of the extra: Parquet, `datasets` folders, MinHash, plots."""

from __future__ import annotations

import json
import random
import stat
from pathlib import Path
from typing import Any

import pytest

from cogenesis.cli import main
from cogenesis.data import exporting, reading
from cogenesis.data.check import Checked
from cogenesis.data.importing import Source, import_data
from cogenesis.data.languages import language_of
from cogenesis.data.reading import entries
from cogenesis.data.repeats import Near, alike, runs
from cogenesis.data.splits import splits_of
from cogenesis.errors import InputError
from tests.unit.data.people import TEXTS, sample, write_lines, write_list

WORDS = " ".join(TEXTS).lower().replace(".", "").replace(",", "").split()


def text_of(seed: int, words: int = 150) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def changed(text: str, words: int, seed: int = 0) -> str:
    found = text.split()
    for place in random.Random(seed).sample(range(len(found)), words):
        found[place] = f"other{place}"
    return " ".join(found)


def cogenesis(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    monkeypatch.setattr("sys.argv", ["cogenesis", "data", *args])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("ending", ["json", "jsonl", "parquet"])
def test_every_form_gives_the_same_samples_back(tmp_path: Path, ending: str) -> None:
    samples = [sample(f"1_2_{n}", text=text_of(n), additional_tasks=["x"]) for n in range(700)]
    samples[1]["conversations"].insert(0, {"from": "system", "value": "You are a helper."})
    samples[2]["conversations"] += [{"from": "user", "value": "Shorter, please."}]
    samples[3]["profile"][0]["id"] = "note-7"
    samples[4] |= {"tid": 4, "more": {"text": [1, None]}}
    out = tmp_path / f"out.{ending}"
    done = exporting.export_file({"all": [write_list(tmp_path / "in.json", samples)]}, out)
    assert done.samples == {"all": 700}
    assert [each.value for each in entries(out)] == samples
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_a_folder_for_datasets_has_parts_and_a_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "SHARD", 4)
    data = {
        "train": [write_list(tmp_path / "train.json", [sample(f"1_1_{n}") for n in range(8)])],
        "held out": [write_list(tmp_path / "held.json", [sample(origin="own"), {"tid": "bad"}])],
    }
    folder = tmp_path / "out"
    done = exporting.export_folder(data, folder)
    assert (done.samples, done.left_out) == ({"train": 8, "held out": 1}, 1)
    assert sorted(path.name for path in (folder / "data").iterdir()) == [
        "held_out-00000-of-00001.parquet",
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]
    card = (folder / "README.md").read_text("utf-8")
    assert "path: data/train-*.parquet" in card
    assert "not to be published" in card
    assert {name: len(paths) for name, paths in splits_of([str(folder)]).items()} == {
        "held_out": 1,
        "train": 2,
    }
    with pytest.raises(InputError, match="not empty"):
        exporting.export_folder(data, folder)


def test_a_failed_export_leaves_nothing_behind(tmp_path: Path) -> None:
    bad = write_list(tmp_path / "bad.json", [{"tid": "x"}])
    with pytest.raises(InputError, match="no sample to export"):
        exporting.export_file({"all": [bad]}, tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.json"]


def test_a_failed_export_of_a_folder_can_be_repeated_when_it_is_corrected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "SHARD", 2)
    train = write_list(tmp_path / "train.json", [sample(f"1_1_{n}") for n in range(5)])
    held = tmp_path / "held.json"
    held.write_bytes(b'["\xff"]')
    data = {"train": [train], "held": [held]}
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="UTF-8"):
        exporting.export(data, tmp_path / "new" / "out")
    assert sorted(tmp_path.iterdir()) == before
    write_list(held, [sample("2_1_1")])
    done = exporting.export(data, tmp_path / "new" / "out")
    assert done.samples == {"train": 5, "held": 1}


def test_a_failed_export_removes_nothing_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    data = {"train": [write_list(tmp_path / "train.json", [sample()] * 4)]}

    def stop() -> None:
        (folder / "note.txt").write_text("mine")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exporting.export_folder(data, folder, stop)
    assert [path.name for path in folder.iterdir()] == ["note.txt"]


def test_half_characters_become_question_marks_in_every_form(tmp_path: Path) -> None:
    data = {"all": [write_list(tmp_path / "in.json", [sample(text="Half \ud800.", x="\ud800")])]}
    for ending in ("json", "jsonl", "parquet"):
        out = tmp_path / f"out.{ending}"
        exporting.export(data, out)
        assert [each.value for each in entries(out)] == [sample(text="Half ?.", x="?")]


def test_another_table_is_told_as_mistakes(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"a": [1, 2]}), tmp_path / "a.parquet")
    assert [each.value for each in entries(tmp_path / "a.parquet")] == [None, None]
    named: dict[str, Any] = {"instruction": ["Write"], "text": ["Dear all"], "history": [None]}
    others: list[dict[str, Any]] = [{"history": [["a text"]]}, {"more": ["{"]}, {"more": ["3"]}]
    for at, other in enumerate(others):
        path = tmp_path / f"named-{at}.parquet"
        parquet.write_table(pa.table(named | other), path)
        assert [each.value for each in entries(path)] == [None]
    (tmp_path / "b.parquet").write_bytes(b"no table")
    with pytest.raises(InputError, match="Parquet"):
        list(entries(tmp_path / "b.parquet"))


def test_near_texts_are_found_and_others_not() -> None:
    near = Near()
    originals = [text_of(seed) for seed in range(200)]
    for each in originals:
        near.add(each)
    for number, each in enumerate(originals):
        near.add(changed(each, 3, number))
    for number, each in enumerate(originals):
        near.add(changed(each, 40, number))
    true = [alike(runs(each), runs(changed(each, 3, n))) for n, each in enumerate(originals)]
    assert min(true) > 0.85
    found = {(pair.first, pair.second) for pair in near.pairs()}
    assert len({(n, 200 + n) for n in range(200)} & found) >= 199
    assert {second - first for first, second in found} == {200}


def test_the_estimate_is_near_the_truth() -> None:
    near = Near()
    one, other = text_of(1, 400), changed(text_of(1, 400), 25)
    near.add(one)
    near.add(other)
    (pair,) = near.pairs(0.3)
    assert pair.alike == pytest.approx(alike(runs(one), runs(other)), abs=0.18)


def test_texts_without_words_are_alike_to_nothing() -> None:
    near = Near()
    for text in ("", "...", "!"):
        near.add(text)
    assert near.pairs(0.3) == []


def test_the_nearest_texts_of_two_splits_are_found(tmp_path: Path) -> None:
    """All 64 permutations agree on half of the pairs that differ in their last word only."""
    texts = [text_of(seed, 200) for seed in range(20)]
    held = [f"{text.rpartition(' ')[0]} elsewhere" for text in texts]
    found = Checked(skip=frozenset({"leaks", "language"}))
    for split, of in (("train", texts), ("held", held), ("same", texts)):
        samples = [sample(f"{split}_{at}", text=each, earlier=()) for at, each in enumerate(of)]
        found.read(split, write_list(tmp_path / f"{split}.json", samples))
    found.report()
    assert found.problems.count("near-shared-texts", "train and held") == 20
    # The very same texts are told as such and not once more.
    assert found.problems.count("shared-texts", "train and same") == 20
    assert found.problems.count("near-shared-texts", "train and same") == 0


@pytest.mark.parametrize("near", ["0.3", "0.59", "1.1"])
def test_a_threshold_at_which_too_little_is_found_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], near: str
) -> None:
    data = write_list(tmp_path / "train.json", [sample()])
    assert cogenesis(monkeypatch, "check", str(data), "--near", near) == 2
    assert "--near is from 0.6 to 1" in capsys.readouterr().err


def test_near_texts_within_and_between_splits(tmp_path: Path) -> None:
    long = [text_of(seed) + "." for seed in range(4)]
    train = [sample("a_1", text=long[0], earlier=()), sample("a_2", text=long[1], earlier=())]
    held = [
        sample("b_1", text=changed(long[0], 3), earlier=()),
        sample("b_2", text=long[2], earlier=()),
        sample("b_3", text=changed(long[2], 3), earlier=()),
    ]
    found = Checked(skip=frozenset({"leaks", "language"}))
    found.read("train", write_list(tmp_path / "train.json", train))
    found.read("held", write_lines(tmp_path / "held.jsonl", held))
    found.report()
    assert found.problems.count("near-shared-texts", "train and held") == 1
    assert found.problems.count("near-text", "held") == 1


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (" ".join(TEXTS[:2]), "en"),
        ("Der Hund läuft schnell über die Straße und bellt laut in den dunklen Wald hinein", "de"),
        ("Ma grand-mère gardait des abeilles derrière la grange et nous aimions le miel", "fr"),
        ("Привет, как дела? Сегодня очень хорошая погода.", "Cyrillic"),
        ("今日はとても良い天気ですね。", "ja"),
        ("Too short", "short"),
        ("", "short"),
    ],
)
def test_languages(text: str, language: str) -> None:
    assert language_of(text) == language


def test_a_page_and_pictures_of_check_and_stats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_list(
        tmp_path / "train.json",
        [
            sample("1_1_1", text=f"{TEXTS[0]} [<script>alert</script> slot]"),
            sample("1_1_2", text=""),
        ],
    )
    report = tmp_path / "report"
    assert cogenesis(monkeypatch, "check", str(data), "--plots", str(report), "--json") == 1
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["errors"] == 2
    assert cogenesis(monkeypatch, "stats", str(data), "--plots", str(report)) == 0
    assert "evenness" in capsys.readouterr().out
    page = (report / "check.html").read_text("utf-8")
    assert "<script>" not in page
    assert "Content-Security-Policy" in page
    assert {path.name for path in report.glob("*.png")} == {
        "check-lengths.png",
        "check-problems.png",
        "stats-coverage.png",
        "stats-lengths.png",
    }
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in report.glob("*.png"))


def test_plots_of_nothing_usable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_list(tmp_path / "bad.json", [{"tid": "x"}])
    plots = ("--plots", str(tmp_path / "report"))
    assert cogenesis(monkeypatch, "check", str(data), *plots) == 1
    capsys.readouterr()
    assert cogenesis(monkeypatch, "stats", str(data), *plots) == 2
    assert "bad.json, sample 1: conversations needs a turn" in capsys.readouterr().err


def test_stats_give_the_reason_for_what_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, none = tmp_path / "broken.json", tmp_path / "none.json"
    broken.write_text(f'[{json.dumps(sample())}, {{"tid": ')
    none.write_text("[]")
    assert cogenesis(monkeypatch, "stats", str(none)) == 2
    assert "none.json holds no sample" in capsys.readouterr().err
    assert cogenesis(monkeypatch, "stats", str(broken), str(none)) == 0
    shown = capsys.readouterr().out
    assert "broken.json, sample 2: it is not JSON from here on" in shown
    assert "none.json holds no sample" in shown
    assert cogenesis(monkeypatch, "stats", str(broken), "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["mistakes"]) == 1


@pytest.mark.parametrize("name", ["x.txt", "x.csv", "x.JSON", "x.ndjson", "x.json.gz"])
def test_an_export_to_an_unknown_ending_makes_no_folder(tmp_path: Path, name: str) -> None:
    data = {"train": [write_list(tmp_path / "in.json", [sample()])]}
    with pytest.raises(InputError, match=r"\.json, \.jsonl or \.parquet"):
        exporting.export(data, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["in.json"]


@pytest.mark.parametrize("name", ["my-data", "data.v2", "data-1.0"])
def test_a_name_that_is_no_files_is_a_folder(tmp_path: Path, name: str) -> None:
    data = {"train": [write_list(tmp_path / "in.json", [sample()])]}
    exporting.export(data, tmp_path / name)
    assert (tmp_path / name / "README.md").is_file()


def test_import_and_export_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_list(tmp_path / "in.json", [sample("1_1_1"), {"tid": "bad"}])
    made, out = tmp_path / "made.parquet", tmp_path / "folder"
    assert cogenesis(monkeypatch, "import", str(data), "--out", str(made), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["samples"], sum(told["left_out"].values())) == (1, 1)
    assert cogenesis(monkeypatch, "export", str(made), "--out", str(out)) == 0
    assert "made 1" in capsys.readouterr().out
    assert cogenesis(monkeypatch, "import", str(data), "--out", str(made), "--origin", "own") == 2


def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of 20 MB is read with a buffer of 64 KB and gives all its samples."""
    import tracemalloc

    monkeypatch.setattr(reading, "BLOCK", 1 << 16)
    path = tmp_path / "large.json"
    one = json.dumps(sample(text=text_of(1, 1_500)))
    with path.open("w", encoding="utf-8") as file:
        file.write("[" + ",".join([one] * 2_000) + "]")
    assert path.stat().st_size > 15_000_000
    tracemalloc.start()
    count = sum(1 for each in entries(path) if each.value is not None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 2_000
    assert peak < 3_000_000


def test_an_import_streams_to_its_file(tmp_path: Path) -> None:
    lines = write_lines(tmp_path / "in.jsonl", [sample(f"1_1_{n}") for n in range(600)])
    done = import_data(Source(lines), tmp_path / "out.parquet")
    assert done.samples == 600
    assert sum(1 for _ in entries(tmp_path / "out.parquet")) == 600
