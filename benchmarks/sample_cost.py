"""What does a sample of the published kind cost to build, and what do a million? Prints JSON.

    python -m benchmarks.sample_cost --data train.json [--price-in 0.15 --price-out 0.6]
        [--tokens-per-second 50 --at-a-time 256] [--samples 1000000]

Measured: the lengths of the file's profiles, titles and texts, for which four bytes are taken
for a token. Taken: the four steps as calls, where a group has `--group` people and each person's
texts are written one after another, so that the profile and the earlier texts are in each
prompt; `--instructions` tokens of our own words in each call; no reply is thrown away. Prices
and the server's speed are yours to give: without them there is no cost and no time.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from cogenesis.engines.cost import BYTES_A_TOKEN, Measured, Prices, Tokens, forecast
from cogenesis.engines.pace import Limits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--instructions", type=int, default=350)
    parser.add_argument("--price-in", type=float)
    parser.add_argument("--price-out", type=float)
    parser.add_argument("--tokens-per-second", type=float)
    parser.add_argument("--at-a-time", type=int, default=256)
    parser.add_argument("--requests-per-minute", type=float)
    parser.add_argument("--tokens-per-minute", type=float)
    options = parser.parse_args()
    people = [calls_of(each, options) for each in json.loads(options.data.read_text("utf-8"))]
    calls = sum(len(each) for each in people) + len(people) / options.group
    texts = sum(len(each) - 2 for each in people)
    tokens = Tokens(
        round(sum(sent for each in people for sent, _ in each)),
        round(sum(received for each in people for _, received in each)),
    )
    # What a group portrait takes: our words, and about as much back as a profile's share.
    portraits = len(people) / options.group
    tokens = tokens.plus(Tokens(round(portraits * options.instructions), round(portraits * 200)))
    speed = options.tokens_per_second
    seconds = 0.0 if speed is None else tokens.received / speed
    measured = Measured(round(calls), tokens, seconds)
    found = forecast(
        measured,
        calls / texts * options.samples,
        at_a_time=options.at_a_time,
        prices=Prices(options.price_in, options.price_out),
        limits=Limits(options.requests_per_minute, options.tokens_per_minute),
    )
    limited = bool(options.requests_per_minute or options.tokens_per_minute)
    print(
        json.dumps(
            {
                "people": len(people),
                "texts": texts,
                "per_sample": {
                    "calls": round(calls / texts, 3),
                    "tokens_sent": round(tokens.sent / texts),
                    "tokens_received": round(tokens.received / texts),
                },
                "per_call_received_median": round(
                    statistics.median(r for each in people for _, r in each)
                ),
                "forecast": {
                    "samples": options.samples,
                    "calls": found.calls,
                    "tokens_sent": found.tokens.sent,
                    "tokens_received": found.tokens.received,
                    "cost": found.cost,
                    "hours": round(found.seconds / 3600, 1) if speed or limited else None,
                    "bound": found.bound if speed or limited else None,
                },
                "given": {k: v for k, v in vars(options).items() if k != "data"},
            },
            indent=2,
        )
    )


def calls_of(person: dict[str, Any], options: argparse.Namespace) -> list[tuple[float, float]]:
    """Tokens sent and received of each call for one person, the portrait left out."""
    profile = size(person["additional_profile"])
    old = [(size(each["title"]), size(each["text"])) for each in person["profile"]]
    first, second = (size(turn["value"]) for turn in person["conversations"][:2])
    tasks = [*old, (first, second)]
    calls = [(options.instructions, profile)]
    calls.append((options.instructions + profile, sum(title for title, _ in tasks)))
    earlier = 0.0
    for title, text in tasks:
        calls.append((options.instructions + profile + title + earlier, text))
        earlier += title + text
    return calls


def size(text: str) -> float:
    """Tokens, about."""
    return len(text.encode()) / BYTES_A_TOKEN


if __name__ == "__main__":
    main()
