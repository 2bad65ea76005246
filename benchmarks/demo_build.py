"""Do the demo models go all the way: people made up, checked, tuned on? Prints JSON.

    python -m benchmarks.demo_build --out FOLDER [--people 20] [--history 1] [--epochs 1]

A real llama.cpp server (`cogenesis cloud`, held to the JSON schemas) answers `data build`; each
sample is read back as training reads it; `data check` looks at the splits; `train device` tunes
on the training split and validates on the other. The demo model cannot write: with
`--screening full` nearly all of its replies are refused, so by default replies are looked at for
their form, placeholders and leaks alone. Begun again with the same folder it goes on; `now` in
the report counts this run's questions, and `replies_kept_before` those that were there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cogenesis.cli.circumstances import when_and_where
from cogenesis.cloud_server import DemoCloud
from cogenesis.context.reader import read_samples
from cogenesis.models.catalogue import get_model

SPLITS = "train=0.8,validation=0.2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--history", type=int, default=1)
    parser.add_argument("--screening", default="leaks", help="as `data build` takes it")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of the server")
    parser.add_argument("--port", type=int, default=8094)
    options = parser.parse_args()
    where = when_and_where()
    get_model("demo-cloud")
    begun = time.monotonic()
    with DemoCloud(port=options.port, threads=options.threads) as server:
        built = build(options, server.url)
    built["minutes"] = round((time.monotonic() - begun) / 60, 1)
    report = {
        "build": built,
        "records": records(options.out),
        "check": check(options.out),
        "train": train(options),
        "options": {
            "people": options.people,
            "history": options.history,
            "screening": options.screening,
            "epochs": options.epochs,
            "server_threads": options.threads,
        },
        **where,
        "command": "python -m benchmarks.demo_build --out FOLDER "
        f"--people {options.people} --history {options.history} --screening {options.screening} "
        f"--epochs {options.epochs} --threads {options.threads}",
    }
    print(json.dumps(report, indent=2))


def cogenesis(*arguments: object, may_fail: bool = False) -> Any:
    """What the command prints as JSON; its progress goes to our standard error."""
    command = [sys.executable, "-m", "cogenesis", *map(str, arguments), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=not may_fail)
    return json.loads(done.stdout)


def build(options: argparse.Namespace, url: str) -> dict[str, Any]:
    told: dict[str, Any] = cogenesis(
        "data", "build", "--people", options.people, "--history", options.history,
        "--splits", SPLITS, "--screening", options.screening,
        "--cloud-url", url, "--cloud-model", "demo-cloud",
        "--at-a-time", 1, "--out", options.out, "--ledger", options.out.parent / "ledger.sqlite",
        "--yes",
    )  # fmt: skip
    kept = ("people", "samples", "groups", "dropped", "without_answer", "replies", "facts", "now")
    return {name: told[name] for name in kept}


def records(folder: Path) -> dict[str, int]:
    """Samples as training reads them: one that is not whole would be an error."""
    count = {name: len(read_samples(folder / f"{name}.json")) for name in ("train", "validation")}
    lines = (folder / "provenance.jsonl").read_text("utf-8").splitlines()
    return {**count, "provenance_lines": len(lines)}


def check(folder: Path) -> Any:
    return cogenesis(
        "data", "check", folder / "train.json", folder / "validation.json", may_fail=True
    )


def train(options: argparse.Namespace) -> dict[str, Any]:
    told: dict[str, Any] = cogenesis(
        "train", "device", "--data", options.out / "train.json",
        "--validation", options.out / "validation.json",
        "--epochs", options.epochs, "--out", options.out / f"run-{int(time.time())}",
    )  # fmt: skip
    del told["result"]  # a path
    return told


if __name__ == "__main__":
    main()
