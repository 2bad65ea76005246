"""How often does the guard change or refuse an instruction, why, and what does it cost? JSON.

    python benchmarks/guard_quality.py [--data FILE ...] [--json]

Without --data only our own 100 instructions (benchmarks/data/instructions.txt) are judged,
with an empty context: the general rules alone decide. --data takes files of samples in the
published form; each sample is judged with its own context, from its title as it stands and
from the rest without the title. Prints counts only; without --json it also lists, on this
screen, what was changed. The cost is CPU time of one core, best of three.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cogenesis.context.private_context import ContextText
from cogenesis.context.reader import Sample, read_samples
from cogenesis.errors import GuardRefusedError
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.released import GeneralInstruction
from cogenesis.sketch.prompt import outline_prompt

OWN = Path(__file__).parent / "data" / "instructions.txt"
MEGABYTE = 1_000_000


@dataclass
class Tally:
    """Verdicts on one set of instructions."""

    total: int = 0
    unchanged: int = 0
    changed: int = 0
    refused: int = 0
    as_title: int = 0
    roles: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)

    def judge(self, guard: Guard, instruction: str, expected: str) -> None:
        """Derive the general part and count what became of it."""
        self.total += 1
        try:
            minted = guard.derive(instruction)
        except GuardRefusedError as error:
            self.refused += 1
            self.reasons[_reason(error)] += 1
            self.shown.append(f"{expected}\n  refused: {_reason(error)}")
            return
        self.as_title += minted.source == "title"
        if minted.text == expected:
            self.unchanged += 1
            return
        self.changed += 1
        found = (
            [*guard.lexicon.identifiers(expected), *guard.lexicon.sensitive(expected)]
            if minted.source == "title"
            else guard.inspect(expected)
        )
        self.roles.update({f"{f.kind}: {f.role}" for f in found})
        self.shown.append(f"{expected}\n  -> {minted.text}")

    def report(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "unchanged": self.unchanged,
            "changed": self.changed,
            "refused": self.refused,
            "as_title": self.as_title,
            "changed_with": dict(self.roles.most_common()),
            "refused_because": dict(self.reasons.most_common()),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="*", default=[])
    parser.add_argument("--json", action="store_true", help="print the counts only")
    options = parser.parse_args()
    samples = [sample for path in options.data for sample in read_samples(path)]
    tallies = {f"own, {kind}": own(kind) for kind in ("clean", "private")}
    guards = [Guard(Lexicon(sample.context.texts())) for sample in samples]
    if samples:
        tallies |= published(samples, guards)
    if not options.json:
        for name, tally in tallies.items():
            print(f"\n== {name}: changed or refused")
            print("\n".join(tally.shown))
    report = {
        "verdicts": {name: tally.report() for name, tally in tallies.items()},
        "cost": cost(samples, guards) if samples else None,
        "data": [path.name for path in options.data],
        "date": datetime.now(UTC).date().isoformat(),
        "command": "python benchmarks/guard_quality.py --data train.json validation.json --json",
        "machine": machine(),
    }
    print(json.dumps(report, indent=2))


def own(kind: str) -> Tally:
    """Our instructions that do, or do not, hold private particulars."""
    tally, guard = Tally(), Guard(Lexicon(()))
    for line in OWN.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            instruction, expected = line.split("\t")
            if expected == kind:
                tally.judge(guard, instruction, instruction)
    return tally


def published(samples: Sequence[Sample], guards: Sequence[Guard]) -> dict[str, Tally]:
    """Each sample twice: with its title, and without."""
    titles, rests = Tally(), Tally()
    for sample, guard in zip(samples, guards, strict=True):
        title, _, rest = sample.instruction.partition(": ")
        titles.judge(guard, sample.instruction, title)
        rest = rest.replace(": ", ", ")  # or what is before it would be a title again
        rests.judge(guard, rest, rest)
    return {"published, titles": titles, "published, without the title": rests}


def cost(samples: Sequence[Sample], guards: Sequence[Guard]) -> dict[str, Any]:
    """Milliseconds for the lexicon and the verdicts, per sample and per kB that leaves."""
    texts = [list(sample.context.texts()) for sample in samples]
    chars = sum(len(text.text) for items in texts for text in items)
    megabyte = one_megabyte(texts)
    pairs = list(zip(samples, guards, strict=True))
    general_bytes = request_bytes = 0
    for sample, guard in pairs:
        minted = guard.derive(sample.instruction)
        general_bytes += len(minted.text.encode())
        prompt = outline_prompt(minted)
        request_bytes += sum(len(p.text.encode()) for m in prompt.messages for p in m.parts)
    builds = best_of(lambda: [Lexicon(items) for items in texts], times=2)
    big = best_of(lambda: Lexicon(megabyte))
    big_lexicon = Lexicon(megabyte)
    both = best_of(lambda: [verdicts(guard.lexicon, sample) for sample, guard in pairs])
    with_big = best_of(lambda: [verdicts(big_lexicon, sample) for sample in samples])
    return {
        "lexicon_ms_per_sample": round(1000 * builds / len(samples), 2),
        "context_kB_per_sample": round(chars / len(samples) / 1000, 1),
        "lexicon_s_for_1_MB": round(big, 2),
        "lexicon_kB_per_s_for_1_MB": round(MEGABYTE / 1000 / big),
        "derive_and_release_ms": round(1000 * both / len(samples), 3),
        "derive_and_release_ms_with_1_MB_lexicon": round(1000 * with_big / len(samples), 3),
        "derive_and_release_ms_per_kB_of_request_text": round(1e6 * both / request_bytes, 3),
        "derive_and_release_ms_per_kB_of_general_instruction": round(1e6 * both / general_bytes, 2),
        "general_instruction_bytes": round(general_bytes / len(samples), 1),
        "request_text_bytes": round(request_bytes / len(samples), 1),
    }


def verdicts(lexicon: Lexicon, sample: Sample) -> GeneralInstruction | None:
    """Derive and release, as `write` and a second look do; None where the guard refuses.

    With a guard of its own, as every text has: one that has seen the text remembers it.
    """
    guard = Guard(lexicon)
    try:
        return guard.release(guard.derive(sample.instruction).text)
    except GuardRefusedError:
        return None


def one_megabyte(texts: Iterable[Sequence[ContextText]]) -> list[ContextText]:
    """Texts of several people in a row until they make a megabyte."""
    out: list[ContextText] = []
    size = 0
    for items in texts:
        for item in items:
            if size < MEGABYTE:
                out.append(item)
                size += len(item.text)
    return out


def best_of(action: Callable[[], object], *, times: int = 3) -> float:
    seconds = []
    for _ in range(times):
        begun = time.process_time()
        action()
        seconds.append(time.process_time() - begun)
    return min(seconds)


def machine() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }


def _reason(error: GuardRefusedError) -> str:
    message = str(error)
    for part, reason in (
        ("too little is left", "too little left"),
        ("word lists are English", "not English"),
        ("no short general part", "too long"),
        ("holds private matter", "private matter left"),
    ):
        if part in message:
            return reason
    return "the guard failed"


if __name__ == "__main__":
    main()
