"""The folder of a build: what was wanted, the replies, and in the end the samples.

build.json            what was wanted, and with which model and templates
replies/              every reply that was paid for (`cogenesis.data.cache`)
train.json, ...       the samples; a file for each split
provenance.jsonl      for each sample: model, versions of the prompts, replies, seeds, times
report.json           counts, coverage, what was dropped and why, what it took
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from cogenesis.data.building.plan import Wanted
from cogenesis.data.building.templates import StepName, Template
from cogenesis.data.writing_out import whole_file
from cogenesis.errors import InputError

FORM: Final = 1
REPLIES: Final = "replies"


def begin(
    folder: Path, wanted: Wanted, model: str | None, templates: Mapping[StepName, Template]
) -> None:
    """Write down what is wanted, or compare it with what was begun here.

    More people or tasks than before may be asked for: those that were made stay as they are.

    Raises:
        InputError: the folder holds another build, or cannot be used.
    """
    told = {
        "form": FORM,
        "model": model,
        **asdict(wanted),
        "templates": {
            step: {"version": each.version, "sha256": each.sha256}
            for step, each in templates.items()
        },
    }
    path = folder / "build.json"
    if path.exists():
        try:
            before = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            before = None
        if not isinstance(before, dict):
            raise InputError(f"{path} is damaged: name another folder")
        fixed = ("form", "model", "history", "group", "seed", "templates")
        other = [name for name in fixed if before.get(name) != told[name]]
        if other:
            raise InputError(
                f"{folder} holds a build with other {', '.join(other)}: use the same again, or "
                "name another folder with --out"
            )
    elif folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} holds other files: name a new folder with --out")
    write_json(path, told)


def write_json(path: Path, value: Any) -> None:
    """A file that is whole or not there."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", "utf-8")


def split_names(groups: Sequence[str], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """The split of each group: shares of the groups, each split with one at least if possible.

    Groups are put in an order by their hash; a group is in one split only.
    """
    order = sorted(groups, key=lambda g: hashlib.sha256(f"{seed}:{g}".encode()).digest())
    names = [name for name, share in shares.items() if share > 0]
    counts = {name: 1 if len(order) >= len(names) else 0 for name in names}
    total = sum(shares[name] for name in names)
    while sum(counts.values()) < len(order):
        # The one that is furthest below its share gets the next.
        counts[max(names, key=lambda name: shares[name] / total * len(order) - counts[name])] += 1
    found: dict[str, str] = {}
    at = 0
    for name in names:
        for group in order[at : at + counts[name]]:
            found[group] = name
        at += counts[name]
    return found


def parse_shares(given: str) -> dict[str, float]:
    """Shares of "train=0.8,validation=0.1,test=0.1".

    Raises:
        InputError: it is not of that form.
    """
    found: dict[str, float] = {}
    for part in given.split(","):
        name, _, share = part.strip().partition("=")
        try:
            found[name] = float(share)
        except ValueError:
            found[name] = -1.0
        if not (name.isidentifier() and 0 <= found[name] <= 1e9):
            raise InputError("--splits is such as train=0.8,validation=0.1,test=0.1")
    if not sum(found.values()) > 0:
        raise InputError("--splits needs one split with a share above 0")
    return found
