"""`data export`: samples as a JSON list, JSON lines, Parquet, or a folder for `datasets`.

A `datasets` folder is what `datasets.load_dataset("FOLDER")` reads: Parquet files by split, and
a README whose head names them. The library itself is not needed to write it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cogenesis.data.reading import entries
from cogenesis.data.rows import Row, row_of
from cogenesis.data.writing_out import not_onto, sample_file, whole_file
from cogenesis.errors import InputError

SHARD: Final = 50_000
"""Samples of one Parquet file: about 150 MB of published ones."""

_ABOUT: Final = (
    "Exported by `cogenesis data export`. Each row is one text that a person with a profile and "
    "earlier texts wrote for one task."
)
_COLUMNS: Final = (
    "Columns: `id`, `group` (people of one group resemble one another: never put a group into two "
    "splits), `origin`, `general_instruction` (what a cloud model may see), `details` (what stays "
    "on the device), `instruction` (both), `text`, `profile`, `history` (earlier titles and "
    "texts), `more` (JSON of what these columns cannot hold)."
)

Splits = Mapping[str, Sequence[Path]]


@dataclass(slots=True)
class Exported:
    """What was written.

    Attributes:
        samples: by split.
        left_out: samples that are not of the form.
        files: in the order in which they were written.
    """

    samples: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    files: list[Path] = field(default_factory=list)
    origins: Counter[str] = field(default_factory=Counter)


_ENDING: Final = re.compile(r"\.[A-Za-z]{1,8}")
"""How the name of a file ends; ".v2" and ".0" may end that of a folder."""


def export(splits: Splits, out: Path, tick: Callable[[], None] = lambda: None) -> Exported:
    """Write a file of samples where the name ends like one, else a folder for `datasets`.

    Raises:
        InputError: the name ends like another file; and as the two below.
        MissingExtraError: pyarrow is needed and not installed.
    """
    if out.suffix in {".json", ".jsonl", ".parquet"}:
        return export_file(splits, out, tick)
    if _ENDING.fullmatch(out.suffix) and not out.is_dir():
        raise InputError(
            f"{out}: a file is written as .json, .jsonl or .parquet; a folder for datasets has no "
            "such ending"
        )
    return export_folder(splits, out, tick)


def export_file(splits: Splits, out: Path, tick: Callable[[], None] = lambda: None) -> Exported:
    """Write all samples into one file (.json, .jsonl or .parquet).

    Raises:
        InputError: a file cannot be read or written, or there is not one sample.
        MissingExtraError: pyarrow is needed and not installed.
    """
    not_onto(out, (path for paths in splits.values() for path in paths))
    done = Exported(files=[out])
    with sample_file(out) as put:
        for name, paths in splits.items():
            for sample in _usable(paths, done):
                put(sample)
                done.samples[name] += 1
                tick()
        _need_samples(done)
    return done


def export_folder(
    splits: Splits, folder: Path, tick: Callable[[], None] = lambda: None
) -> Exported:
    """Write a folder for `datasets`.

    Raises:
        InputError: the folder holds something else, or a file cannot be read or written.
        MissingExtraError: pyarrow is not installed.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already and not empty: name a new folder")
    names = [_plain(name) for name in splits]
    if len(set(names)) < len(names):
        raise InputError(f"two splits get the same name ({', '.join(names)}): use NAME=FILE")
    done = Exported()
    with _nothing_left(folder, done.files):
        for name, paths in splits.items():
            _write_split(name, paths, folder / "data", done, tick)
        _need_samples(done)
        card = folder / "README.md"
        with whole_file(card) as path:
            path.write_text(_card(done), "utf-8")
        done.files.append(card)
    return done


@contextmanager
def _nothing_left(folder: Path, files: Sequence[Path]) -> Iterator[None]:
    """On an error, remove what was made, so that the corrected command finds a new folder.

    These files and the folders that are new and empty then: nothing that others put there.
    """
    inner = folder / "data"
    new = [each for each in (inner, *inner.parents) if not each.exists()]
    try:
        yield
    except BaseException:
        for path in files:
            with suppress(OSError):
                path.unlink()
        for each in new:
            with suppress(OSError):
                each.rmdir()
        raise


def _write_split(
    name: str, paths: Iterable[Path], folder: Path, done: Exported, tick: Callable[[], None]
) -> None:
    """The shards of one split, which `done.files` names as soon as they are there."""
    first = len(done.files)
    samples = _usable(paths, done)
    ended = False
    while not ended:
        number, count = len(done.files) - first, 0
        shard = folder / f"{_plain(name)}-{number:05d}.parquet"
        with sample_file(shard) as put:
            ended = True
            for sample in samples:
                put(sample)
                count += 1
                tick()
                if count == SHARD:
                    ended = False
                    break
        done.samples[name] += count
        if count or not number:
            done.files.append(shard)
        else:
            shard.unlink()  # the split ended with the shard before
    # The names of `datasets`: which one of how many.
    shards = len(done.files) - first
    for number in range(shards):
        whole = folder / f"{_plain(name)}-{number:05d}-of-{shards:05d}.parquet"
        done.files[first + number] = done.files[first + number].rename(whole)


def _usable(paths: Iterable[Path], done: Exported) -> Iterator[dict[str, object]]:
    for path in paths:
        for entry in entries(path):
            row = None if entry.value is None else row_of(entry.number, entry.value)
            if isinstance(row, Row) and entry.value is not None:
                done.origins[row.origin or "not said"] += 1
                yield entry.value
            else:
                done.left_out += 1


def _need_samples(done: Exported) -> None:
    if not done.samples.total():
        raise InputError(f"there is no sample to export: {done.left_out} are not of the form")


def _plain(name: str) -> str:
    """A split's name as `datasets` takes it: letters, numbers and underscores."""
    return "".join(char if char.isascii() and char.isalnum() else "_" for char in name) or "data"


def _card(done: Exported) -> str:
    """The README; its head, in YAML, tells `datasets` the splits."""
    config = ["configs:", "- config_name: default", "  data_files:"]
    for name in done.samples:
        config += [f"  - split: {_plain(name)}", f"    path: data/{_plain(name)}-*.parquet"]
    origins = ", ".join(f"{origin}: {count:,}" for origin, count in done.origins.most_common())
    lines = [
        "---",
        *config,
        "---",
        "",
        "# Context-aware writing data",
        "",
        _ABOUT,
        "",
        "| split | samples |",
        "|---|---:|",
        *(f"| {_plain(name)} | {count:,} |" for name, count in done.samples.items()),
        "",
        f"Where the texts come from: {origins}.",
        "",
        _COLUMNS,
        "",
    ]
    if set(done.origins) & {"own", "licensed"}:
        lines += ["**These rows hold own or licensed texts: they are not to be published.**", ""]
    return "\n".join(lines)
