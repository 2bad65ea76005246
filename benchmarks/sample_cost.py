"""What does a sample of `data build` cost, and what do a million? Prints JSON.

    python -m benchmarks.sample_cost [--tasks 1] [--history 4] [--group-size 4]
        [--build REPORT.json] [--price-in 0.15 --price-out 0.6]
        [--tokens-per-second 50 --at-a-time 256] [--samples 1000000]

Two figures of one sample. `planned`: the calls that the four steps make for these options with
our templates, replies of usual lengths, each asked once (what `data build` tells before its first
question). `measured`: what a build took, replies that could not be used included, for each sample
that came out, from the report of `benchmarks.demo_build` or of `data build --json`.

The forecast is of the plan, or of the build where one is given. Prices and speeds are yours to
give: without them there is no cost and no time.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from cogenesis.data.building.estimate import assumed
from cogenesis.data.building.plan import Wanted
from cogenesis.data.building.templates import load_templates
from cogenesis.engines.cost import Measured, Prices, Tokens, forecast
from cogenesis.engines.pace import Limits

PEOPLE = 1_000
"""Of the plan: enough that a started group does not matter."""


def main() -> None:
    options = arguments()
    wanted = Wanted(PEOPLE, options.tasks, options.history, options.group_size, 0)
    plan = assumed(wanted, load_templates(None))
    found: dict[str, Any] = {"planned": per_sample(plan, PEOPLE * options.tasks)}
    basis, samples = plan, PEOPLE * options.tasks
    if options.build is not None:
        basis, samples = built(json.loads(options.build.read_text("utf-8")))
        found["measured"] = per_sample(basis, samples) | {"samples": samples}
    found["forecast"] = forecast_of(basis, samples, options)
    found["given"] = {k: v for k, v in vars(options).items() if k != "build" and v is not None} | {
        "basis": "planned" if options.build is None else options.build.name
    }
    print(json.dumps(found, indent=2))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1)
    parser.add_argument("--history", type=int, default=4)
    parser.add_argument("--group-size", type=int, default=4)
    parser.add_argument("--build", type=Path)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--price-in", type=float)
    parser.add_argument("--price-out", type=float)
    parser.add_argument("--tokens-per-second", type=float)
    parser.add_argument("--at-a-time", type=int, default=256)
    parser.add_argument("--requests-per-minute", type=float)
    parser.add_argument("--tokens-per-minute", type=float)
    return parser.parse_args()


def built(report: dict[str, Any]) -> tuple[Measured, int]:
    """What a build took. Replies that it found in its folder are taken to be like the others."""
    told = report.get("build", report)
    now, samples = told["now"], sum(told["samples"].values())
    if not (now["questions"] and samples):
        raise SystemExit("the build asked nothing, or no sample came out: give another report")
    share = 1 + now["replies_kept_before"] / now["questions"]
    tokens = Tokens(*(round(now["tokens"][name] * share) for name in ("sent", "received")))
    seconds, reserved = now["seconds_of_all_questions"] * share, now["tokens_reserved"] * share
    return Measured(round(now["questions"] * share), tokens, seconds, round(reserved)), samples


def per_sample(took: Measured, samples: int) -> dict[str, float]:
    return {
        "calls": round(took.calls / samples, 2),
        "tokens_sent": round(took.tokens.sent / samples),
        "tokens_received": round(took.tokens.received / samples),
        "tokens_received_a_call": round(took.tokens.received / took.calls),
    }


def forecast_of(took: Measured, samples: int, options: argparse.Namespace) -> dict[str, Any]:
    speed = options.tokens_per_second
    seconds = 0.0 if speed is None else took.tokens.received / speed
    found = forecast(
        replace(took, seconds=seconds),
        took.calls / samples * options.samples,
        at_a_time=options.at_a_time,
        prices=Prices(options.price_in, options.price_out),
        limits=Limits(options.requests_per_minute, options.tokens_per_minute),
    )
    timed = speed or options.requests_per_minute or options.tokens_per_minute
    return {
        "samples": options.samples,
        "calls": found.calls,
        "tokens_sent": found.tokens.sent,
        "tokens_received": found.tokens.received,
        "cost": found.cost,
        "hours": round(found.seconds / 3600, 1) if timed else None,
        "bound": found.bound if timed else None,
    }


if __name__ == "__main__":
    main()
