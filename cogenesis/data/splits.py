"""Which files make which split, as they are named on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cogenesis.data.reading import data_files
from cogenesis.errors import InputError

_SHARD: Final = re.compile(r"-\d{5}(?:-of-\d{5})?$")


def splits_of(named: Sequence[str]) -> dict[str, list[Path]]:
    """The splits of FILE, NAME=FILE or FOLDER, in their order.

    A split is called like its file; two files of one name in different folders like the folder
    and the file; the numbered parts of a Parquet folder ("train-00001-of-00003") are one split.

    Raises:
        InputError: there is no such file, or a file is named twice.
    """
    found: list[tuple[str | None, Path]] = []
    for each in named:
        name, equals, rest = each.partition("=")
        has_name = bool(equals and name and not Path(each).exists())
        files = data_files(Path(rest if has_name else each))
        found += [(name if has_name else None, path) for path in files]
    real = [path.resolve() for _, path in found]
    if len(set(real)) < len(real):
        raise InputError("a file is named twice")
    folders: dict[str, set[Path]] = {}
    for (given, _), whole in zip(found, real, strict=True):
        if given is None:
            folders.setdefault(_stem(whole), set()).add(whole.parent)
    splits: dict[str, list[Path]] = {}
    for (given, path), whole in zip(found, real, strict=True):
        stem = _stem(whole)
        alone = len(folders.get(stem, ())) <= 1
        called = given or (stem if alone else f"{whole.parent.name}/{stem}")
        splits.setdefault(called, []).append(path)
    return splits


def _stem(path: Path) -> str:
    return _SHARD.sub("", path.stem)
