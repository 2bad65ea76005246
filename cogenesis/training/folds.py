"""Who belongs together, and who is left out: splits by groups of people, never by texts.

Samples of the published data set are called `BATCH_PORTRAIT_USER`. People of one portrait were
made from one description and resemble each other, so a portrait is never split. Of samples
with other names each is a group of its own, unless the sample names its group (`group`).
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

_PORTRAIT: Final = re.compile(r"(\d+_\d+)_\d+")


def group_of(sample_id: str, number: int, named: str = "") -> str:
    """The group of a sample.

    Args:
        sample_id: what the file calls it.
        number: its place in the file, from 1: names the nameless.
        named: the group that the sample names, "" if it does not.
    """
    if named:
        return named
    found = _PORTRAIT.fullmatch(sample_id)
    return found[1] if found else sample_id or f"#{number}"


def fold_of(group: str, folds: int, seed: int = 0) -> int:
    """The fold of a group, from 0 to `folds - 1`: the same in every file and on every machine.

    Folds differ in size by chance, because nobody has to know all groups.
    """
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % folds
