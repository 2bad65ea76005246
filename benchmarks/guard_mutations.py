"""How many disguised private spans pass the guard, and how many harmless sentences does it stop?

    python benchmarks/guard_mutations.py [--mutations 10000] [--seed 1] [--data FILE ...]
                                         [--json] [--save]

Spans of invented people (`benchmarks/mutations.py`) are written in other ways and put into
instructions, some by the seed. A mutation *passes*

* if it is an identifier or a sensitive word and `Guard.release` mints the instruction with it
  (a sensitive word passes only if the preview does not name it), or
* if `Guard.derive` leaves it readable: all of a rare word or run, most of anything else.

Rare words and runs may leave through `release`: there they are the topic that the user typed.
A disguise that is an ordinary word ("terra" for "green") is documented as not covered; such
are not generated, and counted as `skipped`.

False alarms: the sentences of benchmarks/data/common_sentences.txt through `release`, each with
the context of an invented person, and with --data also with those of published samples.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Final

from benchmarks.guard_quality import machine
from benchmarks.mutations import IDENTIFIERS, WORD_KINDS, Person, Span, person, ways
from cogenesis.context.reader import read_samples
from cogenesis.errors import CogenesisError, GuardRefusedError
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.normal import tidy, words
from cogenesis.privacy.words import ordinary, zipf

SENTENCES: Final = Path(__file__).parent / "data" / "common_sentences.txt"
RESULTS: Final = Path(__file__).parent / "results" / "guard_mutations.json"
PEOPLE: Final = 100
READABLE: Final = 0.7
"""Share of a mutated span that, left in one piece, counts as readable."""
SHORT: Final = 6
"""Characters of a span that must be left whole: "ope" of "Hope" stands in "opening", too."""

CARRIERS: Final = (
    "A short plan about {} for the office party",
    "{} and the story of our little town",
    "Write a friendly note about {}",
    "Please write a long and friendly note to our neighbours about {} and the noise",
    "Speech for the opening of the new library with {}",
    "Some thoughts ({}) on how to keep a better garden",
    "Write a poem about {}, the sea and the wind",
    "A thank-you card for everybody who helped with {}",
    "Please tell them that {} is the reason and that it will be fine",
    "An invitation to dinner; mention {} at the end",
)


@dataclass
class Outcome:
    """What became of the mutations."""

    total: int = 0
    skipped: int = 0
    passed_release: int = 0
    passed_derive: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    by_way: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, nargs="*", default=[])
    parser.add_argument("--json", action="store_true", help="print the counts only")
    parser.add_argument("--save", action="store_true", help=f"write them to {RESULTS.name}")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    begun = time.process_time()
    people = [person(rng) for _ in range(PEOPLE)]
    guards = [Guard(Lexicon(p.texts)) for p in people]
    outcome = mutate(people, guards, options.mutations, rng)
    seconds = time.process_time() - begun
    shown: list[str] = []
    alarms = {"invented people": false_alarms(guards, shown)}
    if options.data:
        samples = [s for path in options.data for s in read_samples(path)]
        published = [Guard(Lexicon(s.context.texts())) for s in samples]
        alarms["published samples"] = false_alarms(published, shown)
    if not options.json:
        print("\n".join([*outcome.shown, *shown]))
    report = {
        "mutations": {
            "generated": outcome.total,
            "passed": len(outcome.shown),
            "passed_release": outcome.passed_release,
            "passed_derive": outcome.passed_derive,
            "skipped_as_ordinary_words": outcome.skipped,
            "ways": len(outcome.by_way),
            "by_kind": dict(outcome.by_kind.most_common()),
            "passed_by_kind_and_way": dict(outcome.passed.most_common()),
            "cpu_s": round(seconds, 1),
        },
        "false_alarms": alarms,
        "seed": options.seed,
        "date": datetime.now(UTC).date().isoformat(),
        "command": "python benchmarks/guard_mutations.py --json --save"
        + (f" --data {' '.join(path.name for path in options.data)}" if options.data else ""),
        "machine": machine(),
    }
    if options.save:
        RESULTS.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    print(json.dumps(report, indent=2))


def mutate(
    people: Sequence[Person], guards: Sequence[Guard], count: int, rng: random.Random
) -> Outcome:
    """Judge so many mutations: every kind of span and every way comes up in turn."""
    outcome = Outcome()
    kinds = sorted({span.kind for span in people[0].spans})
    while outcome.total < count:
        kind = kinds[outcome.total % len(kinds)]
        i = rng.randrange(len(people))
        span = rng.choice([s for s in people[i].spans if s.kind == kind])
        way = rng.choice(sorted(ways(kind)))
        mutated = ways(kind)[way](span.text, rng)
        if kind == "name word" and not any(c.isupper() for c in tidy(mutated)) and way in ORDINARY:
            outcome.skipped += 1
            continue
        if is_ordinary(span, mutated):
            outcome.skipped += 1
            continue
        outcome.total += 1
        outcome.by_kind[kind] += 1
        outcome.by_way[way] += 1
        judge(guards[i], span, way, rng.choice(CARRIERS).format(mutated), mutated, outcome)
    return outcome


ORDINARY: Final = frozenset({"lower case", "mixed case"})


def is_ordinary(span: Span, mutated: str) -> bool:
    """Whether the disguise of a word is itself a word in common use."""
    if span.kind not in WORD_KINDS:
        return False
    original = {w.key for w in words(span.text)}
    return any(
        w.key not in original and len(w.key) > 2 and (ordinary(w.key) or zipf(w.key) >= 3.0)
        for w in words(tidy(mutated))
    ) and len(words(tidy(mutated))) <= len(original)


def judge(
    guard: Guard, span: Span, way: str, instruction: str, mutated: str, outcome: Outcome
) -> None:
    told = tidy(mutated)
    passed = []
    if span.kind in IDENTIFIERS or span.kind == "sensitive":
        try:
            released = guard.release(instruction)
        except CogenesisError:
            pass
        else:
            if told in released.text and not (span.kind == "sensitive" and released.sensitive):
                passed.append("release")
    try:
        derived = guard.derive(instruction).text
    except CogenesisError:
        pass
    else:
        if readable(told, derived, whole=span.kind in {"rare", "run"}):
            passed.append("derive")
    if passed:
        outcome.passed_release += "release" in passed
        outcome.passed_derive += "derive" in passed
        outcome.passed[f"{span.kind}: {way}"] += 1
        outcome.shown.append(f"{'+'.join(passed)}\t{span.kind}\t{way}\t{span.text}\t{told}")


def readable(told: str, text: str, *, whole: bool) -> bool:
    """Whether a span is left in one piece: all of it, or of a longer one most."""
    if whole or len(told) <= SHORT:
        return told in text
    match = SequenceMatcher(None, told, text, autojunk=False).find_longest_match()
    return match.size >= max(SHORT, READABLE * len(told))


def false_alarms(guards: Sequence[Guard], shown: list[str]) -> dict[str, Any]:
    """Common sentences refused, or minted otherwise than they were typed."""
    sentences = [
        line for line in SENTENCES.read_text("utf-8").splitlines() if line and line[0] != "#"
    ]
    roles: Counter[str] = Counter()
    stopped = 0
    for i, sentence in enumerate(sentences):
        try:
            fine = guards[i % len(guards)].release(sentence).text == sentence
        except GuardRefusedError as error:
            fine = False
            roles.update(f.role for f in error.spans)
            named = ", ".join(f.text for f in error.spans) or str(error)
            shown.append(f"alarm\t{sentence}\t{named}")
        stopped += not fine
    return {
        "sentences": len(sentences),
        "refused_or_changed": stopped,
        "share": round(stopped / len(sentences), 4),
        "because_of": dict(roles.most_common()),
    }


if __name__ == "__main__":
    main()
