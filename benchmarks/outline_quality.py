"""How often the cloud model's reply is an outline that can be used.

For every title of a data file (the instruction before its first ": ") the model is asked for
an outline as `write` asks: once, and once more with another seed where the reply cannot be
used. Usable means at least 6 distinct points, none copied from the examples of the prompt.

    python benchmarks/outline_quality.py --data FILE --json

The model is the demo cloud model, in this process with one thread; `--model FILE` takes
another GGUF, `--cloud-url URL` a llama-server or OpenAI-compatible server (through the
egress, as always). `--show` prints the titles and points, to judge with your own eyes what no
count can: whether they are on topic. The report holds numbers only, none of the data.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cogenesis.cli.connect import connect
from cogenesis.errors import CloudError
from cogenesis.models import LlamaCpp
from cogenesis.models.catalogue import get_model
from cogenesis.models.protocol import CloudModel
from cogenesis.privacy.released import _MINT, GeneralInstruction
from cogenesis.sketch.outline import Sketch, parse_outline
from cogenesis.sketch.prompt import OUTLINE_SAMPLING, outline_prompt
from cogenesis.sketch.request import ASKS


@dataclass(slots=True)
class Tally:
    """What became of the titles so far."""

    usable_at_ask: list[int] = field(default_factory=lambda: [0] * ASKS)
    points: list[int] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    on_topic: list[bool] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


def titles(path: Path) -> list[str]:
    samples = json.loads(path.read_text("utf-8"))
    return [sample["conversations"][0]["value"].split(": ")[0] for sample in samples]


def general(title: str) -> GeneralInstruction:
    # Straight from the data, past the guard: it may hold what the guard would take out. The
    # data is published and, unless --cloud-url is given, goes to no other process.
    return GeneralInstruction(title, _MINT, source="title")


@contextmanager
def opened(options: argparse.Namespace) -> Iterator[CloudModel]:
    if options.cloud_url is None:
        with LlamaCpp(options.model or get_model("demo-cloud"), threads=1) as model:
            yield model
        return
    with ExitStack() as stack:
        ledger = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "ledger.sqlite"
        cloud, _ = connect(
            stack, options.cloud_url, options.cloud_name, "auto", options.key_env, ledger
        )
        yield cloud


def ask(model: CloudModel, title: str, tally: Tally) -> tuple[Sketch | None, list[str]]:
    """One title as the product does it. Returns the sketch, if any, and the unusable replies."""
    prompt = outline_prompt(general(title))
    refused = []
    for number in range(ASKS):
        sampling = replace(OUTLINE_SAMPLING, seed=OUTLINE_SAMPLING.seed + number)
        begun = time.perf_counter()
        reply = "".join(piece.text for piece in model.generate(prompt, sampling))
        tally.seconds.append(time.perf_counter() - begun)
        try:
            sketch = parse_outline(reply, general=general(title))
        except CloudError as error:
            tally.failures[re.sub(r"\(.*|\d+(?= more)", "", str(error)).strip()] += 1
            refused.append(reply)
            continue
        tally.usable_at_ask[number] += 1
        tally.points.append(len(sketch.points))
        tally.words += [len(point.split()) for point in sketch.points]
        tally.on_topic.append(names_topic(title, sketch))
        return sketch, refused
    return None, refused


def names_topic(title: str, sketch: Sketch) -> bool:
    """Whether any point shares a word of five letters or more with the title, endings aside.

    A floor: "Make every ride count" is on the topic of cycling and is not counted.
    """
    stems = {word[:5] for word in re.findall(r"[^\W\d_]{5,}", title.casefold())}
    text = " ".join(sketch.points).casefold()
    return any(word[:5] in stems for word in re.findall(r"[^\W\d_]{5,}", text))


def report(tally: Tally, count: int, model: CloudModel, wall_s: float) -> dict[str, Any]:
    shares = [sum(tally.usable_at_ask[: n + 1]) / count for n in range(ASKS)]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "model": model.name,
        "chat": model.capabilities.chat,
        "sampling": asdict(OUTLINE_SAMPLING),
        "prompt_sha256": prompt_digest(),
        "titles": count,
        "usable_at_first_ask": round(shares[0], 4),
        "usable_after_second_ask": round(shares[-1], 4),
        "points_mean": round(statistics.mean(tally.points or [0]), 2),
        "words_per_point_mean": round(statistics.mean(tally.words or [0]), 2),
        "names_its_topic": round(statistics.mean(tally.on_topic or [0]), 4),
        "failures": dict(tally.failures.most_common()),
        "seconds_per_ask_median": round(statistics.median(tally.seconds), 2),
        "seconds_total": round(wall_s, 1),
    }


def prompt_digest() -> str:
    """Which wording was measured."""
    prompt = outline_prompt(general(""))
    texts = [part.text for message in prompt.messages for part in message.parts]
    texts += [part.text for part in (*prompt.completion, *prompt.stop)]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="samples in the published form")
    parser.add_argument("--limit", type=int, help="the first N titles only")
    parser.add_argument("--model", type=Path, help="a GGUF file instead of the demo cloud model")
    parser.add_argument("--cloud-url", help="a server instead of a model in this process")
    parser.add_argument("--cloud-name", help="the model's name on that server")
    parser.add_argument("--key-env", default="COGENESIS_CLOUD_KEY", help="holds the server's key")
    parser.add_argument("--show", action="store_true", help="print titles and points to stderr")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chosen = titles(options.data)[: options.limit]
    tally, begun = Tally(), time.perf_counter()
    with opened(options) as model:
        model.probe()
        for title in chosen:
            sketch, refused = ask(model, title, tally)
            if options.show:
                for reply in refused:
                    print(f"# {title}\nnot usable: {reply!r}", file=sys.stderr)
                if sketch is not None:
                    print(f"# {title}\n{sketch.render()}\n", file=sys.stderr)
        result = report(tally, len(chosen), model, time.perf_counter() - begun)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for key, value in result.items():
        print(f"{key}: {value}")


if __name__ == "__main__":
    main()
