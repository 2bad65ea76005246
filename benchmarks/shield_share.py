"""How much does the shield hold back, and how much does it mask? Prints JSON.

    python benchmarks/shield_share.py --data FILE [FILE ...] [--limit N]

Every reference text of a file of samples (published form) is taken as the text that the
device writes, under the shield of its own context and of the general instruction that the
guard derives. Positions are those at which a next token could be asked for: before each word
(after the space) and, as most vocabularies join the space to the word, right after each word.
`held_after_word` is the share of positions right after a word where the cloud is not asked,
`held_before_word` that of positions after the space; `masked_words` the share of words inside
a span. Counts only; no text is printed.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cogenesis.context.reader import Sample, read_samples
from cogenesis.errors import GuardRefusedError
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.normal import words
from cogenesis.privacy.shield import Shield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--limit", type=int, default=None)
    options = parser.parse_args()
    samples = [s for path in options.data for s in read_samples(path)][: options.limit]
    counts: Counter[str] = Counter()
    for sample in samples:
        counts += count(sample)
    total = counts["words"]
    report: dict[str, Any] = {
        "samples": counts["samples"],
        "refused_by_the_guard": counts["refused"],
        "words": total,
        "held_after_word": round(counts["held_after"] / total, 4),
        "held_before_word": round(counts["held_before"] / total, 4),
        "masked_words": round(counts["masked"] / total, 4),
        "masked_by_kind": {
            kind: round(counts[f"masked {kind}"] / total, 4)
            for kind in ("identifier", "sensitive", "rare", "run")
        },
        "spans": counts["spans"],
        "data": [path.name for path in options.data],
        "date": datetime.now(UTC).date().isoformat(),
        "command": "python benchmarks/shield_share.py --data train.json validation.json",
    }
    print(json.dumps(report, indent=2))


def count(sample: Sample) -> Counter[str]:
    """Positions, held positions and masked words of one reference."""
    lexicon = Lexicon(sample.context.texts())
    try:
        general = Guard(lexicon).derive(sample.instruction)
    except GuardRefusedError:
        return Counter(refused=1)
    if not sample.reference:
        return Counter()
    shield, text = Shield(lexicon, general), sample.reference
    found = words(text)
    out: Counter[str] = Counter(samples=1, words=len(found))
    for here, following in zip(found, [*found[1:], None], strict=True):
        out["held_after"] += not shield.view(text[: here.end]).asks
        before = following.start if following is not None else len(text)
        out["held_before"] += not shield.view(text[:before]).asks
    view = shield.view(text + "\n")
    out["spans"] += len(view.spans)
    for span in view.spans:
        inside = sum(span.start <= w.start < span.end for w in found)
        out["masked"] += inside
        out[f"masked {span.kind}"] += inside
    return out


if __name__ == "__main__":
    main()
