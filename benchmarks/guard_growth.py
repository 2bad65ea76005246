"""How does the guard's time grow with an instruction, whatever it is made of? Prints JSON.

    python -m benchmarks.guard_growth

Each instruction is one piece again and again. `growth`: CPU time for 10,000 characters over that
for 5,000 (linear work doubles, quadratic work takes four times as long), for the pieces that take
0.2 s and more; the least of three tries, because other programs disturb it. `longest`: CPU
seconds for the longest instruction there may be, with endings that some rules look back from.
`derive` is the guard's general part of an instruction, `hold` a lexicon of a context.

What Python calls is counted by tests/thorough/test_guard_growth.py; the time of regular
expressions shows here alone.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cogenesis.errors import CogenesisError
from cogenesis.privacy.guard import MAX_INSTRUCTION, Guard
from cogenesis.privacy.lexicon import Lexicon

SIZE: Final = 10_000
FLOOR: Final = 0.2
"""Below so many seconds constants rule."""

TRIES: Final = 3

# fmt: off
PIECES: Final = (
    "a", "A", "ab", "7", "7 ", "a ", "a b ", "five ", "five apple ", "(", "<a", "`", ".", "a.",
    "-", "ab-", "ab-1 ", "WRITE A LETTER ", "\u200b", "a\u200b", "_", "a_", "aB", "a1", "@", "a@",
    '"', "'a ", "a: ", " ", "\n", "Elena Okafor met Tobias. ", "zqxkwv ", "Qx9+Zk4/w ", "6f ",
    "6f", "12,", "1,000,", "3,4.5,abc,", "$1,", "12 a b c d ", "12/3 ", "12 of ", ". ", ".- / ",
    "%41", "&abc", "&#65;", "&eacute;", "alpha bravo ", "é", "жя ", "a!", "xn--", "x\u0301",
    "fooBar(a_b, c1d2); ", "a dot ", "room ", "Garden Letter Summer ", "please ",
)
# fmt: on
ENDED: Final = ("a", "7", "ab-", "12,", "<a")
ENDINGS: Final = ("", " 1", " xn--b", " hundred", ".")

Action = Callable[[str], None]


@dataclass
class Item:
    """A text of a context."""

    label: str
    text: str


LEXICON: Final = Lexicon(
    [Item("Name", "Odalys Fenwright"), Item("note", "Bertrand tunes 47 uprights")]
)


def derive(text: str) -> None:
    """The general part of an instruction, if the guard gives one."""
    with contextlib.suppress(CogenesisError):
        Guard(LEXICON).derive(text)


def hold(text: str) -> None:
    """What is private of a text."""
    Lexicon([Item("note", text)])


ACTIONS: Final[dict[str, Action]] = {"derive": derive, "hold": hold}


def halves(piece: str, size: int, ending: str = "") -> tuple[str, str]:
    """A text of about half of so many characters, and one of twice as many pieces.

    The number of pieces is even, so that what is opened in one is closed in both.
    """
    count = size // len(piece) // 4 * 2
    return piece * count + ending, piece * count * 2 + ending


def main() -> None:
    print(
        json.dumps(
            {
                "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
                "command": "python -m benchmarks.guard_growth",
                "pieces": len(PIECES),
                "growth": {name: growth(action) for name, action in ACTIONS.items()},
                "longest": longest(),
                "machine": {
                    "system": platform.platform(),
                    "cores": os.cpu_count(),
                    "load_1min": round(os.getloadavg()[0], 2),
                    "python": platform.python_version(),
                },
            },
            indent=2,
        )
    )


def growth(action: Action) -> dict[str, Any]:
    """The pieces that take long, the steepest first."""
    found: dict[str, float] = {}
    most = 0.0
    for piece in PIECES:
        half, whole = halves(piece, SIZE)
        tries = [(seconds(action, half), seconds(action, whole)) for _ in range(TRIES)]
        took = min(long for _, long in tries)
        most = max(most, took)
        if took >= FLOOR:
            found[piece] = round(min(long / short for short, long in tries), 2)
    steep = sorted(found.items(), key=lambda each: -each[1])
    return {"slowest_s": round(most, 2), "pieces": dict(steep)}


def longest() -> dict[str, Any]:
    """The slowest of the longest instructions."""
    found = {}
    for piece in ENDED:
        for ending in ENDINGS:
            text = piece * ((MAX_INSTRUCTION - len(ending)) // len(piece)) + ending
            found[f"{piece}…{ending}"] = round(seconds(derive, text), 2)
    slow = sorted(found.items(), key=lambda each: -each[1])
    return {"characters": MAX_INSTRUCTION, "seconds": dict(slow[:5])}


def seconds(action: Action, text: str) -> float:
    """CPU time of this process."""
    begun = time.process_time()
    action(text)
    return time.process_time() - begun


if __name__ == "__main__":
    main()
