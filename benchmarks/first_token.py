"""How well the device's reading and the cloud's writing overlap in sketch mode.

The cloud is a sketch replayed after a delay, so that it costs no processor time, as a real
cloud does. For each delay three times to the first token are measured, each with a freshly
loaded device model (nothing cached, loading not counted): the device alone, the cloud alone,
both together. The overlap ratio is both / the longer of the two: 1 is perfect.

    python benchmarks/first_token.py --json

With --real the demo cloud model answers instead, on the same machine: it shares the cores,
so that figure says what `cogenesis demo` feels like, not how well the two overlap.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cogenesis.assistant import Assistant, Result, Task
from cogenesis.cli.connect import connect
from cogenesis.cloud_server import DemoCloud
from cogenesis.demo import DEMO_INSTRUCTION, demo_person
from cogenesis.models import LlamaCpp, ScriptedModel
from cogenesis.models.catalogue import get_model
from cogenesis.models.protocol import CloudModel

OUTLINE = """1. Greet the whole group
2. Say that the day moves
3. Give the new day and time
4. Name the new place
5. Say who leads the start
6. Thank them for their patience
7. Ask for a short answer
8. Close with good wishes
"""


def replayed(delay_s: float) -> ScriptedModel:
    return ScriptedModel([OUTLINE, OUTLINE], role="cloud", chat=False, first_piece_s=delay_s)


def write(path: Path, cloud: CloudModel | None) -> Result:
    """One text of a few tokens by a freshly loaded device model."""
    task = Task(DEMO_INSTRUCTION, demo_person(), mode="sketch" if cloud else "device", max_tokens=8)
    with LlamaCpp(path, threads=1) as device:
        device.probe()
        return Assistant(device, cloud=cloud).write(task)


def first_token(path: Path, cloud: CloudModel | None) -> float:
    result = write(path, cloud)
    if result.degraded is not None or result.timing.first_token_s is None:
        raise SystemExit(f"no valid run: {result.degraded}")
    return result.timing.first_token_s


def timed(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def cloud_alone(delay_s: float) -> float:
    model = replayed(delay_s)
    return timed(lambda: list(model.generate(model.encode_text("x"), sampling())))


def sampling() -> Any:
    from cogenesis.sketch.prompt import OUTLINE_SAMPLING

    return OUTLINE_SAMPLING


def overlap(path: Path, factors: list[float], runs: int) -> list[dict[str, float]]:
    first_token(path, replayed(0.0))  # load the word lists once: a long-running program has them
    rows = []
    base = statistics.median(first_token(path, None) for _ in range(runs))
    for factor in factors:
        delay = base * factor
        ratios, both, alone = [], [], []
        for _ in range(runs):
            # One after the other in the same run, so that a slow moment hits all alike.
            device_s = first_token(path, None)
            both_s = first_token(path, replayed(delay))
            longer = max(device_s, cloud_alone(delay))
            ratios.append(both_s / longer)
            both.append(both_s)
            alone.append(device_s)
        rows.append(
            {
                "cloud_delay_s": round(delay, 2),
                "device_alone_s": round(statistics.median(alone), 2),
                "together_s": round(statistics.median(both), 2),
                "overlap_ratio": round(statistics.median(ratios), 3),
                "worst_ratio": round(max(ratios), 3),
            }
        )
    return rows


def real_pair(path: Path) -> dict[str, float | None]:
    with ExitStack() as stack:
        server = stack.enter_context(DemoCloud(get_model("demo-cloud")))
        ledger = Path(stack.enter_context(_folder())) / "ledger.sqlite"
        cloud, _ = connect(stack, server.url, server.model, "auto", "", ledger)
        timing = write(path, cloud).timing
    return {
        "first_token_s": timing.first_token_s,
        "sketch_s": timing.sketch_s,
        "reading_s": timing.reading_s,
    }


def _folder() -> Any:
    import tempfile

    return tempfile.TemporaryDirectory()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--factors", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    parser.add_argument("--real", action="store_true", help="also the demo cloud model")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    path = get_model("demo-device")
    report: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "runs": options.runs,
        "overlap": overlap(path, options.factors, options.runs),
    }
    if options.real:
        report["real_pair"] = real_pair(path)
    if options.json:
        print(json.dumps(report, indent=2))
        return
    for row in report["overlap"]:
        print(
            f"cloud {row['cloud_delay_s']} s, device {row['device_alone_s']} s, together "
            f"{row['together_s']} s: ratio {row['overlap_ratio']} (worst {row['worst_ratio']})"
        )


if __name__ == "__main__":
    main()
