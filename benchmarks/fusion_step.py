"""How long does the arithmetic of one fused token take? Prints JSON.

    python benchmarks/fusion_step.py [--steps 300] [--k 64] [--vocabulary 152064]

A step is alignment of two different vocabularies (with a conditioned boundary: pending bytes
and the distribution after them), pool, gate, mixing, shaping and choice: all between the two
models' answers and the next token id. The distributions are made up: tokens of 1 to 8 bytes of
a small alphabet, so that prefix and extension rules have more to do than on real text.

The paper's gate is compared with its dense network at the paper's largest vocabulary; the
dense first layer needs 0.6 GB of memory.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from cogenesis.fusion import mixing
from cogenesis.fusion.coupling import choose
from cogenesis.fusion.gates import HIDDEN, LAST, PaperGate, SmallGate
from cogenesis.fusion.pool import pooled
from cogenesis.fusion.shaping import Shaping, shaped
from cogenesis.fusion.vocabulary import Spelling, Step, align
from cogenesis.models.distribution import Distribution

SHAPING = Shaping(temperature=0.7, top_k=40, top_p=0.95, min_p=0.02, repeat_penalty=1.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--k", type=int, default=64)
    parser.add_argument("--vocabulary", type=int, default=152_064)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    report = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": " ".join(["python", "benchmarks/fusion_step.py", *sys.argv[1:]]),
        "step_ms": steps(random, options.steps, options.k),
        "paper_gate": paper_gate(random, options.k, options.vocabulary),
        "k": options.k,
        "steps": options.steps,
        "machine": {
            "system": platform.platform(),
            "cpu": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load_1min": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
    }
    print(json.dumps(report, indent=2))


def made_up(random: np.random.Generator, words: list[bytes], k: int) -> Distribution:
    """K tokens of these words, ids by their place, as steep as real ones."""
    at = random.choice(len(words), size=k, replace=False)
    p = np.sort(random.dirichlet(np.full(k, 0.1) + 1e-3))[::-1] * 0.95 + 1e-9
    return Distribution.of(at.tolist(), np.log(p).tolist(), [words[each] for each in at])


def vocabulary(random: np.random.Generator, size: int) -> list[bytes]:
    """Different words of 1 to 8 letters; the lists of two draws overlap in the short ones."""
    found: set[bytes] = set()
    while len(found) < size:
        letters = random.choice(list(b" abcdef"), size=int(random.integers(1, 9)))
        found.add(bytes(letters.astype(np.uint8)))
    return sorted(found)


def steps(random: np.random.Generator, count: int, k: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each part and of the whole, over `count` steps."""
    words, others = vocabulary(random, 4000), vocabulary(random, 8000)
    gate = SmallGate.untrained(0.5)
    times: dict[str, list[float]] = {}
    for step in range(count):
        device = made_up(random, words, k)
        cloud, then = made_up(random, others, k), made_up(random, others, k)
        pending = cloud.tokens[int(np.argmax(cloud.logprobs))]
        spelling = Spelling(words)  # new: it remembers nothing, the slowest case
        marks = [("", time.perf_counter())]

        def mark(name: str, marks: list[tuple[str, float]] = marks) -> None:
            marks.append((name, time.perf_counter()))

        listed = align(
            device,
            cloud,
            same_vocabulary=False,
            pending=pending,
            after=[Step(pending, then)],
            spelling=spelling,
        )
        mark("alignment")
        pool = pooled(device, listed)
        mark("pool")
        weight = gate.weight(pool, device, cloud, step)
        mark("gate")
        mixed = mixing.logits(pool.device, pool.cloud, weight)
        mark("mixing")
        values = shaped(mixed, pool.ids, range(200), SHAPING)
        mark("shaping")
        choose(values, pool.ids, 0, step)
        mark("choice")
        for (_, start), (name, end) in itertools.pairwise(marks):
            times.setdefault(name, []).append((end - start) * 1000)
        times.setdefault("all", []).append((marks[-1][1] - marks[0][1]) * 1000)
        # Beside the step: the same words a second time, and one vocabulary.
        for name, same in (("alignment, words seen before", False), ("alignment by id", True)):
            align(device, cloud, same_vocabulary=same, spelling=spelling)
            start = time.perf_counter()
            align(device, cloud, same_vocabulary=same, spelling=spelling)
            times.setdefault(name, []).append((time.perf_counter() - start) * 1000)
    return {name: summary(each) for name, each in times.items()}


def paper_gate(random: np.random.Generator, k: int, size: int) -> dict[str, float]:
    """The gate from 2 K rows of its first layer against the whole network."""
    normal = random.standard_normal
    gate = PaperGate(
        normal((2 * size, HIDDEN), dtype=np.float32) * np.float32(0.02),
        normal(HIDDEN, dtype=np.float32),
        normal((HIDDEN, LAST), dtype=np.float32) * np.float32(0.05),
        normal(LAST, dtype=np.float32),
        normal(LAST, dtype=np.float32),
        0.1,
    )
    pairs: list[tuple[Distribution, Distribution]] = []
    for _ in range(50):
        pair = []
        for _ in "dc":
            ids = random.choice(size, size=k, replace=False)
            p = random.dirichlet(np.ones(k + 1))[:k] + 1e-9
            pair.append(Distribution.of(ids.tolist(), np.log(p).tolist(), [b"x"] * k))
        pairs.append((pair[0], pair[1]))
    apart = max(abs(gate.of(*pair) - gate.dense(*pair)) for pair in pairs[:10])
    sparse = timed(gate.of, pairs * 4)
    dense = timed(gate.dense, pairs[:20])
    return {
        "vocabulary": size,
        "sparse_ms": round(sparse, 4),
        "dense_ms": round(dense, 3),
        "ratio": round(dense / sparse, 1),
        "largest_difference": float(f"{apart:.2g}"),
    }


def timed(
    function: Callable[[Distribution, Distribution], float],
    pairs: list[tuple[Distribution, Distribution]],
) -> float:
    """Median milliseconds; every call has another pair, so that rows are not all cached."""
    times: list[float] = []
    for pair in pairs:
        start = time.perf_counter()
        function(*pair)
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def summary(times: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(times), 4),
        "p95": round(statistics.quantiles(times, n=100)[94], 4),
    }


if __name__ == "__main__":
    main()
