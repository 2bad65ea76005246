"""What `train extract` keeps, and how it survives being stopped."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from cogenesis.cli import main
from cogenesis.context.private_context import PrivateContext
from cogenesis.context.reader import Sample
from cogenesis.engines.engine import Engine, Plain
from cogenesis.engines.local import LocalEngine
from cogenesis.errors import InputError, ModelError
from cogenesis.fusion.gate_input import SEEN, most_probable
from cogenesis.fusion.gates import FixedWeight
from cogenesis.fusion.pool import pooled
from cogenesis.fusion.target import Target
from cogenesis.training.extract import Extracted, Tuning, extract
from cogenesis.training.extract_file import (
    ExtractWriter,
    Text,
    extract_groups,
    extract_head,
    load_parquet,
)
from cogenesis.training.extract_rows import Columns, columns
from cogenesis.training.folds import fold_of, group_of
from cogenesis.training.gate_data import pools
from tests.training.texts import ABOUT, SIZE, WORDS, along, write
from tests.unit.evaluation.test_bits_work import Dying


def test_columns_are_what_decoding_sees() -> None:
    found = along(WORDS[0])
    kept = columns(found, SEEN)
    assert len(kept) == len(WORDS[0])
    np.testing.assert_array_equal(kept.gold, list(WORDS[0].encode()))
    np.testing.assert_array_equal(kept.held, [at % 5 == 0 for at in range(len(kept))])
    device, cloud = pools(kept)
    for at, position in enumerate(found):
        listed = (
            None
            if position.row is None
            else position.row.onto(most_probable(position.device, SEEN))
        )
        if listed is None:
            assert not np.isfinite(kept.gold_cloud[at])
            continue
        pool = pooled(most_probable(position.device, SEEN), listed)
        np.testing.assert_array_equal(kept.ids[at], pool.ids)
        np.testing.assert_allclose(np.exp(device[at]), np.exp(pool.device), atol=1e-3)
        np.testing.assert_allclose(np.exp(cloud[at]), np.exp(pool.cloud), atol=1e-3)
        np.testing.assert_array_equal(kept.known[at], listed.known)
        assert kept.gold_logprob[at] == pytest.approx(position.logprob)
        wide = position.row.onto(position.device) if position.row else None
        score = Target(gate=FixedWeight(0.0)).score(
            position.device, wide, at, position.gold, position.logprob
        )
        assert kept.gold_cloud[at] == pytest.approx(score, abs=1e-5)
        assert listed.source is not None
        best = most_probable(listed.source, 16)
        np.testing.assert_array_equal(kept.own_ids[at][: len(best)], best.ids)


def test_a_device_that_lists_too_few_is_told() -> None:
    with pytest.raises(ModelError, match="lists 20 tokens only"):
        columns(along("we sang", k=20), SEEN)


def test_the_file_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "found.parquet"
    assert write(path, WORDS[:3]) == [1, 2, 3]
    assert [each.name for each in tmp_path.iterdir()] == ["found.parquet"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert extract_head(path)["about"] == ABOUT
    found = list(extract_groups(path))
    assert [text.group for text, _ in found] == ["3_1", "3_2", "3_3"]
    for (text, kept), words in zip(found, WORDS[:3], strict=True):
        assert (text.fold, text.seen) == (None, False)
        true = columns(along(words), SEEN)
        for each in fields(Columns):
            ours, theirs = getattr(kept, each.name), getattr(true, each.name)
            assert ours.dtype == theirs.dtype, each.name
            np.testing.assert_array_equal(ours, theirs, err_msg=each.name)


def test_one_text_is_one_row_group_in_the_order_of_the_data(tmp_path: Path) -> None:
    _, parquet = load_parquet()
    path = tmp_path / "found.parquet"
    rows = columns(along("soup"), SEEN)
    with ExtractWriter(path, ABOUT, k=SEEN, resume=False) as out:
        for number in (3, 1, 2):
            out.add(Text(number, str(number), str(number)), rows)
    with parquet.ParquetFile(path) as file:
        assert file.num_row_groups == 3
        assert file.read(columns=["sample"])["sample"].to_pylist() == [1] * 4 + [2] * 4 + [3] * 4
    with ExtractWriter(path, ABOUT, k=SEEN, resume=True) as out:
        assert out.done == {1, 2, 3}
        out.add(Text(0, "0", "0"), rows)
    assert [text.sample for text, _ in extract_groups(path)] == [0, 1, 2, 3]


def test_another_measurement_is_not_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / "found.parquet"
    write(path, WORDS[:1])
    with pytest.raises(InputError, match="add --resume"):
        write(path, WORDS[:2])
    with pytest.raises(InputError, match="another cloud"):
        write(path, WORDS[:2], resume=True, about={**ABOUT, "cloud": {"name": "near"}})
    assert write(path, WORDS[:2], resume=True) == [2]
    assert len(list(extract_groups(path))) == 2


@pytest.mark.parametrize("data", [b"", b"no file", b"PAR1" + bytes(50) + b"PAR1"])
def test_what_is_no_extraction_is_told(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "found.parquet"
    with pytest.raises(InputError, match="cannot be read"):
        extract_head(path)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"no file of|damaged|cannot be read"):
        extract_head(path)


KILLED = """
import sys
from pathlib import Path
from tests.training.texts import write, WORDS
write(Path(sys.argv[1]), WORDS * 40, resume=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    path, parts = tmp_path / "found.parquet", tmp_path / "found.parquet.parts"
    running = subprocess.Popen([sys.executable, "-c", KILLED, str(path)])
    while len(list(parts.glob("*.parquet"))) < 5:
        time.sleep(0.01)
        assert running.poll() is None
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not path.exists()
    assert stat.S_IMODE(parts.stat().st_mode) == 0o700
    before = {each.name: each.read_bytes() for each in sorted(parts.glob("*.parquet"))}
    (parts / "0000999.parquet.new").write_bytes(b"half")
    count = len(before) + 3
    added = write(path, (WORDS * 40)[:count], resume=True)
    assert added == list(range(len(before) + 1, count + 1))
    assert [text.sample for text, _ in extract_groups(path)] == list(range(1, count + 1))
    assert not parts.exists()


def test_people_of_one_portrait_are_never_divided() -> None:
    assert group_of("3_7_4", 1) == group_of("3_7_5", 2) == "3_7"
    assert group_of("", 5) == "#5"
    assert group_of("paper-12", 5) == "paper-12"
    counts = np.bincount([fold_of(f"3_{at}", 4) for at in range(400)], minlength=4)
    assert counts.min() > 60
    # The same on every machine, or a resumed extraction would mix folds.
    assert [fold_of(f"14_{at}", 4) for at in range(6)] == [1, 0, 3, 0, 0, 3]


def test_which_texts_the_device_model_knows() -> None:
    fold = fold_of("3_7", 4)
    sample = Sample(PrivateContext(), "Write", "Dear", "3_7_4")
    text = Tuning(4, fold).text(1, sample)
    assert (text.fold, text.seen) == (fold, False)
    assert Tuning(4, (fold + 1) % 4).text(1, sample).seen
    assert Tuning(seen=True).text(1, sample).seen
    assert not Tuning().text(1, sample).seen
    assert not Tuning(4).text(1, sample).seen
    named = Sample(PrivateContext(), "Write", "Dear", "3_7_4", group="choir")
    assert Tuning().text(1, named).group == "choir"
    for wrong in ((4, 4, False), (0, 1, False), (4, None, True)):
        with pytest.raises(InputError):
            Tuning(*wrong)


def extracted(path: Path, engine: Engine) -> tuple[Extracted, dict[int, str]]:
    """Add what the file lacks of three texts; also what was left out."""
    told: dict[int, str] = {}
    plain: Plain[int, Columns | str] = Plain(lambda number: columns(along(WORDS[number]), SEEN))
    with ExtractWriter(path, ABOUT, k=SEEN, resume=True) as out:
        texts = [Text(n, f"3_{n}_1", f"3_{n}") for n in (1, 2, 3) if n not in out.done]
        done = extract(
            engine, plain, texts, out, left_out=lambda number, why: told.update({number: why})
        )
    return done, told


def test_a_text_at_which_workers_die_is_told_and_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "found.parquet"
    done, told = extracted(path, Dying())
    assert (done.texts, done.seconds) == (2, 1.0)
    assert done.positions == len(WORDS[1]) + len(WORDS[3])
    assert list(told) == [2]
    assert "3 workers died" in told[2]
    assert [text.sample for text, _ in extract_groups(path)] == [1, 3]
    done, told = extracted(path, LocalEngine(at_a_time=1))
    assert (done.texts, told) == (1, {})
    assert [text.sample for text, _ in extract_groups(path)] == [1, 2, 3]


def test_a_device_server_is_not_reached_from_other_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", "none.json", "--out", str(tmp_path / "x"), "--engine", "ray"]
    options += ["--device", "http://127.0.0.1:9", "--ray-address", "10.0.0.1:6379"]
    monkeypatch.setattr(sys, "argv", ["cogenesis", "train", "extract", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "leave out --ray-address" in " ".join(capsys.readouterr().err.split())


def test_the_file_names_nobody(tmp_path: Path) -> None:
    """What it says about itself holds no path of this machine."""
    path = tmp_path / "found.parquet"
    write(path, WORDS[:1])
    assert str(tmp_path) not in json.dumps(extract_head(path))
    assert SIZE > SEEN


def test_data_without_a_usable_sample_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "data.json", tmp_path / "out.parquet"
    data.write_text('[{"additional_profile": "Name: Bo"}]')
    options = ["--data", str(data), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["cogenesis", "train", "extract", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "no sample of --data can be used" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [data]
