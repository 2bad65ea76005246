"""The folder of a build: what was wanted, the replies, and in the end the samples.

build.json            what was wanted, and with which model and templates
late.json             groups whose portrait had no answer in time, if there are any
replies/              every reply that was paid for (`cogenesis.data.cache`)
train.json, ...       the samples; a file for each split
provenance.jsonl      for each sample: model, versions of the prompts, replies, seeds, times
report.json           counts, coverage, what was dropped and why, what it took
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from cogenesis.data.building.asking import MAX_TOKENS
from cogenesis.data.building.forms import SCHEMAS
from cogenesis.data.building.plan import Wanted
from cogenesis.data.building.templates import StepName, Template
from cogenesis.data.writing_out import whole_file
from cogenesis.errors import InputError
from cogenesis.privacy.released import PublicText

FORM: Final = 2
BEGUN: Final = "build.json"
REPLIES: Final = "replies"

_LATE: Final = "late.json"
_OURS: Final = frozenset({"build", "late", "provenance", "replies", "report"})
"""Names in the folder that no split may have."""

_FIXED: Final = (
    "form", "model", "tasks", "history", "group", "seed", "screening", "faker", "templates", "asked"
)  # fmt: skip
"""What every question depends on. Another number of tasks asks each person anew for all of them,
and each text, too; another version of Faker gives other names. The server's address is not here:
it may change."""


def begin(
    folder: Path,
    wanted: Wanted,
    model: str | None,
    templates: Mapping[StepName, Template],
    splits: Iterable[str],
) -> None:
    """Write down what is wanted, or compare it with what was begun here.

    Another number of people than before may be asked for: those that were made stay as they
    are, and where they are.

    Raises:
        InputError: the folder holds another build, or cannot be used.
    """
    told = {
        "form": FORM,
        "model": model,
        **asdict(wanted),
        "faker": version("faker"),
        "asked": _digest(SCHEMAS, MAX_TOKENS),
        "templates": {
            step: {"version": each.version, "sha256": each.sha256}
            for step, each in templates.items()
        },
    }
    before = _before(folder)
    if before is not None:
        other = [name for name in _FIXED if before.get(name) != told[name]]
        if other:
            raise InputError(
                f"{folder} holds a build with {_listed(other, before)}: use the same again, or "
                "name another folder with --out. Only --people may grow"
            )
    named = sorted({*splits, *_splits_in(before)})
    write_json(folder / BEGUN, told | {"splits": named})


def _digest(schemas: Mapping[StepName, PublicText], lengths: Mapping[str, int]) -> str:
    """Of what is asked for beside the prompts: our own, and may change with a version of ours."""
    told = json.dumps([{step: each.text for step, each in schemas.items()}, lengths])
    return hashlib.sha256(told.encode()).hexdigest()


def _before(folder: Path) -> dict[str, Any] | None:
    """What was wanted when the build in this folder was begun; None for a new folder."""
    path = folder / BEGUN
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file: name a folder with --out")
        if path.exists():
            found = json.loads(path.read_text("utf-8"))
            if not isinstance(found, dict):
                raise ValueError
            return found
        # Begun and killed at once: half of our own file is no other file.
        if folder.exists() and not all(
            each.name.startswith(f".{BEGUN}.") for each in folder.iterdir()
        ):
            raise InputError(f"{folder} holds other files: name a new folder with --out")
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}") from None
    except ValueError:
        raise InputError(f"{path} is damaged: name another folder") from None
    return None


def _listed(other: Sequence[str], before: Mapping[str, Any]) -> str:
    """The settings that differ, with what they were where that is one word."""
    if {"form", "asked"} & set(other):
        return "questions of another version of cogenesis"
    plain = {name: before.get(name) for name in other}
    return ", ".join(
        f"{name} {value}" if isinstance(value, int | str) else f"other {name}"
        for name, value in plain.items()
    )


def remove_former(folder: Path, splits: Collection[str]) -> None:
    """Remove the files of splits that an earlier run was asked for and this one was not.

    Their groups are in other splits now.

    Raises:
        InputError: one cannot be removed.
    """
    for name in _splits_in(_before(folder)):
        if name not in splits:
            path = folder / f"{name}.json"
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise InputError(f"{path} cannot be removed: {error.strerror}") from None


def _splits_in(before: Mapping[str, Any] | None) -> list[str]:
    """The splits that runs in a folder were asked for; a file that was changed may say anything."""
    named = (before or {}).get("splits")
    listed = named if isinstance(named, list) else []
    return [name for name in listed if isinstance(name, str) and _may_be_split(name)]


def write_json(path: Path, value: Any) -> None:
    """A file that is whole or not there."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", "utf-8")


class Late:
    """Groups whose portrait was not there when later ones were made: these never know of it."""

    def __init__(self, folder: Path) -> None:
        """Those of earlier runs.

        Raises:
            InputError: the file is damaged.
        """
        self._path = folder / _LATE
        self._groups: set[int] = set()
        try:
            if self._path.exists():
                self._groups = {int(each) for each in json.loads(self._path.read_text("utf-8"))}
        except OSError as error:
            raise InputError(f"{self._path} cannot be read: {error.strerror}") from None
        except (ValueError, TypeError):
            raise InputError(f"{self._path} is damaged: name another folder") from None

    def __contains__(self, group: int) -> bool:
        return group in self._groups

    def add(self, groups: set[int]) -> None:
        """Some more, to the disk.

        Raises:
            InputError: it cannot be written.
        """
        if not groups <= self._groups:
            self._groups |= groups
            write_json(self._path, sorted(self._groups))


class Splits:
    """The split of each group: it depends on the group, the shares and the seed alone.

    So a build that grows moves no group, and what a model was tuned on never becomes its test.
    The first groups, as many as there are splits with a share, go one to each, the largest
    share first: a small build has something in every split. All others go by a hash, so shares
    are kept at the mean: of 100 groups a share of 0.1 gets 5 to 16 in 19 of 20 builds.
    """

    def __init__(self, shares: Mapping[str, float], seed: int) -> None:
        """At least one share is above 0."""
        # In an order of its own: the user may name them in another one the next time.
        named = sorted((-share, name) for name, share in shares.items() if share > 0)
        self._names = [name for _, name in named]
        self._ends = list(accumulate(-share for share, _ in named))
        self._seed = seed

    def of(self, group: int) -> str:
        """The split of the group of this number."""
        if group < len(self._names):
            return self._names[group]
        digest = hashlib.sha256(f"{self._seed}:{group}".encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64 * self._ends[-1]
        return self._names[min(bisect_right(self._ends, place), len(self._names) - 1)]


def parse_shares(given: str) -> dict[str, float]:
    """Shares of "train=0.8,validation=0.1,test=0.1".

    Raises:
        InputError: it is not of that form, or a name cannot be that of a file here.
    """
    found: dict[str, float] = {}
    for part in given.split(","):
        name, _, share = part.strip().partition("=")
        if name.casefold() in {each.casefold() for each in found}:
            raise InputError(f"--splits names {name} twice")
        try:
            found[name] = float(share)
        except ValueError:
            found[name] = -1.0
        if not (name.isidentifier() and 0 <= found[name] <= 1e9):
            raise InputError("--splits is such as train=0.8,validation=0.1,test=0.1")
        if not _may_be_split(name):
            raise InputError(f"--splits: {name}.json is a file of the build itself: call it else")
    if not sum(found.values()) > 0:
        raise InputError("--splits needs one split with a share above 0")
    return found


def _may_be_split(name: str) -> bool:
    return name.isidentifier() and name.casefold() not in _OURS
