"""What is left of private units when nothing private is known beforehand? Prints figures.

    python benchmarks/pupa.py --data FILE [--limit N] [--json] [--save]

FILE is PUPA's `pupa_new.csv` (MIT licence, Columbia-NLP-Lab/PAPILLON): real user queries, the
private units in each (`pii_units`) and a reference redaction. Every query is derived into its
general instruction by a guard with an empty context, so rules and frequencies alone decide.

* `units`: all units of all queries, as PAPILLON counts them; a refused query leaks none, so
  `served_units` counts those of served queries only. A unit without any word is left out.
* literal: the unit's words in normal form stand in the general instruction, as whole words, in
  a row. `placeholders` are units that PUPA itself had replaced (PRESIDIO_ANONYMIZED_...).
  PUPA also counts words like "she", "his" and "you" as units: no policy takes them out, so the
  share is given for units with a content word, too.
* fuzzy: literal, or at least half of the unit's own words (content words that are in no
  dictionary, or have a Zipf frequency under 4; all content words where it has none of these)
  stand there in some inflection.
* kept: share of the reference redaction's different content words (base forms, numbers aside)
  that the general instruction has, mean over the served queries; `kept_by_count` weighs each
  word by its occurrences. Of refused queries nothing is kept.

PUPA repeats queries, so the halves are split by a hash of the query. Rules and thresholds were
settled on `tuning`. `held_out` is not quite unseen: before the split the first 40 rows and the
beginnings of all queries with a colon had been read, and its totals were looked at in between.
Counts only are printed and saved.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from cogenesis.errors import CogenesisError
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.normal import words
from cogenesis.privacy.words import base, content, families, ordinary, zipf

RESULT = Path(__file__).parent / "results" / "pupa.json"


@dataclass(frozen=True)
class Query:
    """One row: what was typed, its private units, and how people redacted it."""

    text: str
    units: tuple[str, ...]
    redaction: str

    @property
    def tuning(self) -> bool:
        return hashlib.sha256(self.text.encode()).digest()[0] % 2 == 0


@dataclass(frozen=True)
class Outcome:
    """What became of one query; `general` is None where the guard refused."""

    query: Query
    general: str | None
    reason: str | None = None
    source: str | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--save", action="store_true", help=f"write {RESULT.name}")
    options = parser.parse_args()
    queries = read(options.data)[: options.limit]
    begun = time.process_time()
    guard = Guard(Lexicon([]))
    outcomes = [derive(guard, query) for query in queries]
    seconds = time.process_time() - begun
    report: dict[str, Any] = {
        "all": figures(outcomes),
        "tuning": figures([o for o in outcomes if o.query.tuning]),
        "held_out": figures([o for o in outcomes if not o.query.tuning]),
        "cpu_ms_per_query": round(1000 * seconds / max(1, len(queries)), 1),
        "data": options.data.name,
        "date": datetime.now(UTC).date().isoformat(),
        "command": "python benchmarks/pupa.py --data pupa_new.csv",
    }
    if options.save:
        RESULT.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    print(json.dumps(report, indent=2) if options.json else table(report))


def read(path: Path) -> list[Query]:
    """The queries of a PUPA file."""
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Query(
                row["user_query"],
                tuple(unit for unit in row["pii_units"].split("||") if words(unit)),
                row["redacted_query"].replace("[REDACTED]", " "),
            )
            for row in csv.DictReader(file)
        ]


def derive(guard: Guard, query: Query) -> Outcome:
    """Derive one general instruction, or note why not."""
    try:
        general = guard.derive(query.text)
    except CogenesisError as error:
        return Outcome(query, None, reason(error))
    return Outcome(query, general.text, None, general.source)


def figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """All figures of one half, or of both."""
    units = [(o, unit) for o in outcomes for unit in o.query.units]
    real = [(o, unit) for o, unit in units if "presidio" not in unit.casefold()]
    telling = [(o, unit) for o, unit in real if any(content(key) for key in _keys(unit))]
    served = [o for o in outcomes if o.general is not None]
    kept = [kept_share(o) for o in served]
    return {
        "queries": len(outcomes),
        "different_queries": len({o.query.text for o in outcomes}),
        "served": share(len(served), len(outcomes)),
        "served_as": dict(Counter(o.source for o in served)),
        "refused_because": dict(Counter(o.reason for o in outcomes if o.reason)),
        "units": len(units),
        "placeholders": len(units) - len(real),
        "literal": share(sum(literal(o, u) for o, u in units), len(units)),
        "literal_without_placeholders": share(sum(literal(o, u) for o, u in real), len(real)),
        "served_units": sum(o.general is not None for o, _ in units),
        "literal_of_served_units": share(
            sum(literal(o, u) for o, u in units), sum(o.general is not None for o, _ in units)
        ),
        "literal_of_units_with_a_content_word": share(
            sum(literal(o, u) for o, u in telling), len(telling)
        ),
        "fuzzy": share(sum(fuzzy(o, u) for o, u in units), len(units)),
        "fuzzy_without_placeholders": share(sum(fuzzy(o, u) for o, u in real), len(real)),
        "kept": round(fmean(k for k, _ in kept), 4) if kept else None,
        "kept_by_count": round(fmean(k for _, k in kept), 4) if kept else None,
        "kept_over_all_queries": share(sum(k for k, _ in kept), len(outcomes)),
    }


def literal(outcome: Outcome, unit: str) -> bool:
    """Whether the unit's words stand in a row in what would leave."""
    if outcome.general is None:
        return False
    return f" {' '.join(_keys(unit))} " in f" {' '.join(_keys(outcome.general))} "


def fuzzy(outcome: Outcome, unit: str) -> bool:
    """Whether half of the unit's own words, or all of it, stand in what would leave."""
    if outcome.general is None:
        return False
    if literal(outcome, unit):
        return True
    told = [key for key in _keys(unit) if content(key)]
    own = [key for key in told if not ordinary(key) or zipf(key) < 4.0] or told
    sent = frozenset().union(*(families(key) for key in _keys(outcome.general)))
    there = [not families(key).isdisjoint(sent) for key in own]
    if not own:
        return False
    return all(there) if own == told and len(own) > 1 else sum(there) >= len(own) / 2


def kept_share(outcome: Outcome) -> tuple[float, float]:
    """Shares of the redaction's content words that are left: each once, and by occurrences."""
    sent = {base(key) for key in _keys(outcome.general or "")}
    counts = Counter(base(k) for k in _keys(outcome.query.redaction) if content(k) and k.isalpha())
    if not counts:
        return 0.0, 0.0
    here = [key for key in counts if key in sent]
    return len(here) / len(counts), sum(counts[k] for k in here) / counts.total()


def reason(error: CogenesisError) -> str:
    """A short word for why nothing can leave."""
    message = str(error)
    for part, word in (
        ("too little is left", "too little left"),
        ("word lists are English", "not English"),
        ("no short general part", "too long"),
        ("characters, more than", "too long"),
        ("holds private matter", "private matter left"),
        ("cannot make this", "private matter left"),
    ):
        if part in message:
            return word
    return "the guard failed"


def table(report: dict[str, Any]) -> str:
    """The figures side by side."""
    halves = ("all", "tuning", "held_out")
    lines = [f"{'':30}" + "".join(f"{half:>12}" for half in halves)]
    for name, value in report["all"].items():
        if not isinstance(value, dict):
            lines.append(f"{name:30}" + "".join(f"{report[half][name]!s:>12}" for half in halves))
    why = [f"{h}: {report[h]['served_as']}, {report[h]['refused_because']}" for h in halves]
    return "\n".join([*lines, *why, f"{report['cpu_ms_per_query']} ms of CPU time a query"])


def share(part: float, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _keys(text: str) -> list[str]:
    return [w.key for w in words(text)]


if __name__ == "__main__":
    main()
