"""Whether general instructions are general: the guard is asked, as it is before anything leaves.

Data whose general instructions name the person teaches nothing about working without context,
and leaks when it is sent. The published "context-free" instructions name the user in 35 of 240.

Not covered: what the guard does not cover (paraphrase, inference); identifiers in the details,
which stay on the device. Whether the details name the person is told apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cogenesis.context.private_context import PrivateContext
from cogenesis.data.rows import Row
from cogenesis.errors import CogenesisError, GuardRefusedError
from cogenesis.privacy.guard import Guard
from cogenesis.writing import lexicon_of

_TITLES: Final = frozenset(
    {"mr", "mrs", "ms", "miss", "dr", "prof", "sir", "rev", "jr", "sr", "the"}
)


@dataclass(frozen=True, slots=True)
class Leaks:
    """What the instruction of one sample tells.

    Attributes:
        refused: why the guard would not let the general part go; "" if it would.
        role: the kind of the first private span ("name", "date"); "" without one.
        whole_refused: whether the guard would refuse the whole instruction, as the published
            code sends it.
        general_names: whether the general part holds a part of the person's name.
        details_name: whether the rest does.
    """

    refused: str = field(repr=False)
    role: str
    whole_refused: bool
    general_names: bool
    details_name: bool


def leaks(row: Row) -> Leaks:
    """Ask the guard, with the sample's own context, about the general part.

    Without a context it knows identifiers by its own rules only.
    """
    guard = Guard(lexicon_of(row.context))
    refused, role = _verdict(guard, row.general)
    whole = refused if row.instruction == row.general else _verdict(guard, row.instruction)[0]
    pattern = name_pattern(row.name)
    return Leaks(
        refused,
        role,
        bool(whole),
        bool(pattern and pattern.search(row.general)),
        bool(pattern and pattern.search(row.details)),
    )


def clearing(context: PrivateContext) -> Callable[[str], bool]:
    """Tells whether the guard lets a general part go as it is, for a person with this context."""
    guard = Guard(lexicon_of(context))
    return lambda general: not _verdict(guard, general)[0]


def _verdict(guard: Guard, text: str) -> tuple[str, str]:
    """Why the guard refuses, and the kind of the first private span; two "" if it does not."""
    try:
        guard.release(text)
    except GuardRefusedError as error:
        spans = ", ".join(f"“{span.text}” ({span.role})" for span in error.spans)
        return spans or str(error), error.spans[0].role if error.spans else ""
    except CogenesisError as error:
        return str(error), ""
    return "", ""


def name_pattern(name: str) -> re.Pattern[str] | None:
    """Finds the name or a part of it, written as a name; None where there is no name to find."""
    parts = [part.strip(".,\"'()“”") for part in name.split()]
    wanted = [
        re.escape(part)
        for part in parts
        if len(part) > 2 and part[0].isupper() and part.casefold().rstrip(".") not in _TITLES
    ]
    return re.compile(rf"\b(?:{'|'.join(wanted)})\b") if wanted else None
