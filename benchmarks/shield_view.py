"""What does one `Shield.view` cost as a text grows word by word? Prints JSON.

    python benchmarks/shield_view.py [--data FILE] [--words 1000]

Without --data an invented context of about 7 kB is used, and a text of random frequent words
with private ones in every eighth place. With --data (a file of samples) the contexts and the
references of that file are used instead, references of one sample joined until they have
enough words. Times are of the processor, for one core: `grow_ms` is a call with one token
more (half a word or a whole one), `rollback_ms` a call that takes back eight words of a
rejected draft and puts another one there, `fresh_ms` a first call on the whole text.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cogenesis.context.reader import read_samples
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon, TextOfContext
from cogenesis.privacy.shield import Shield
from cogenesis.privacy.words import frequent_words

ROLLED_BACK = 8
"""Words of a draft."""

PEOPLE = 4
"""Contexts that are measured with --data."""


@dataclass
class Item:
    label: str
    text: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--words", type=int, default=1000)
    options = parser.parse_args()
    grow: dict[str, list[float]] = {"to 500 words": [], "500 words on": []}
    rollback: list[float] = []
    fresh: list[float] = []
    sizes: list[int] = []
    for texts, written in cases(options.data, options.words):
        sizes.append(sum(len(item.text) for item in texts))
        lexicon = Lexicon(texts)
        general = Guard(lexicon).release("A friendly letter about the weather and the garden")
        measure(Shield(lexicon, general), written, grow, rollback)
        fresh.append(timed(Shield(lexicon, general), " ".join(written)))
    report = {
        "grow_ms": {name: summary(times) for name, times in grow.items() if times},
        "rollback_ms": summary(rollback),
        "fresh_ms": round(statistics.median(fresh), 1),
        "words": options.words,
        "context_kB": round(statistics.mean(sizes) / 1000, 1),
        "data": options.data.name if options.data else "invented",
        "date": datetime.now(UTC).date().isoformat(),
        "command": "python benchmarks/shield_view.py"
        + (f" --data {options.data.name}" if options.data else ""),
        "machine": {
            "system": platform.platform(),
            "cpu": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load_1min": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
        },
    }
    print(json.dumps(report, indent=2))


def cases(data: Path | None, size: int) -> Iterator[tuple[list[TextOfContext], list[str]]]:
    """Contexts, and what is written under each."""
    if data is None:
        yield invented(size)
        return
    for sample in read_samples(data)[:PEOPLE]:
        written = sample.reference.split() * (size // len(sample.reference.split()) + 1)
        yield list(sample.context.texts()), written[:size]


def invented(size: int) -> tuple[list[TextOfContext], list[str]]:
    """A context of 7 kB of the frequency list's words, the rarer ones private."""
    pick = random.Random(7)
    rarer = [word for word in frequent_words(3.2) if word.isalpha() and len(word) > 3]
    common = [word for word in frequent_words(4.8) if word.isalpha()]
    texts: list[TextOfContext] = [Item("Name", "Odalys Fenwright"), Item("Age", "47")]
    for number in range(20):
        lines = (pick.choice(common if i % 3 else rarer) for i in range(60))
        texts.append(Item(f"writing {number}", " ".join(lines)))
    private = " ".join(item.text for item in texts).split()
    written = [pick.choice(common if i % 8 else private) for i in range(size)]
    return texts, written


def measure(
    shield: Shield, written: list[str], grow: dict[str, list[float]], rollback: list[float]
) -> None:
    shield.view("a first call loads the word lists ")
    text = ""
    for i, word in enumerate(written):
        times = grow["to 500 words" if i < 500 else "500 words on"]
        half = max(1, len(word) // 2)
        for token in (f" {word[:half]}", word[half:]):
            text += token
            times.append(timed(shield, text))
        if i % 50 == 49:
            back = " ".join(written[: i + 1 - ROLLED_BACK])
            rollback.append(timed(shield, f" {back} otherwise"))
            shield.view(text)


def timed(shield: Shield, text: str) -> float:
    """Milliseconds of the processor."""
    begun = time.process_time()
    shield.view(text)
    return 1000 * (time.process_time() - begun)


def summary(times: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(times, n=100)
    return {
        "mean": round(statistics.mean(times), 3),
        "median": round(statistics.median(times), 3),
        "p95": round(cuts[94], 3),
        "max": round(max(times), 3),
    }


if __name__ == "__main__":
    main()
