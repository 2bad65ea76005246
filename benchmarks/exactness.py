"""Does draft-and-verify write lockstep's text, token for token, on real models? Prints JSON.

    python benchmarks/exactness.py [--data FILE] [--limit 50] [--demo-limit 10] [--json FILE]

Every prompt is written in lockstep, with drafts of adapting length, and with drafts of a fixed
length with two requests in flight, greedily and at temperature 0.7, through the real server,
egress and shield. One device model, one cloud: all three ways read from the same caches, and
both prompts are read apart from the first position, as in `fused_writing` (what llama.cpp says
depends a little on what it reads in one go).

Two pairs: the demo device model with itself in the cloud (one vocabulary; its numbers do not
depend on how a text was read, so every text has to be identical), and the demo pair (two
vocabularies). Gemma's numbers do depend on it, by up to 0.3 in a log-probability. There, at the
first token that differs, both runs were asked about the same text, and it counts as noise if
the two tokens lie no further apart (in log r + Gumbel noise, by which tokens are chosen) than
such values were seen to move between two runs where the tokens agreed. Without --data the
prompts are those of the sample person; a file has the published form.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from cogenesis.cloud_server import DemoCloud
from cogenesis.evaluation.speed_prompts import SpeedPrompt, speed_prompts, speed_tasks
from cogenesis.fused_writing import CloudLink, DeviceTokens, connect
from cogenesis.fusion.coupling import gumbels
from cogenesis.fusion.decoding import Decoding, FusedToken
from cogenesis.fusion.draft import DraftAndVerify
from cogenesis.fusion.lockstep import Lockstep
from cogenesis.fusion.pace import Pacer
from cogenesis.fusion.pool import Listed
from cogenesis.fusion.settings import FusionSettings
from cogenesis.fusion.shielded_cloud import ShieldedCloud
from cogenesis.fusion.target import Shaped, Target
from cogenesis.models import LlamaCpp
from cogenesis.models.catalogue import get_model
from cogenesis.models.cloud_connection import CloudConnection
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import Sampling
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.shield import Shield
from cogenesis.wire import Deadline

PATIENT_S: Final = 600.0
"""For one block: a fallback would make the text another one, for a reason that is no bug."""

TEMPERATURES: Final = (0.0, 0.7)
FIXED: Final = (8, 2)
"""Positions in a request and requests in flight of the fixed way to draft."""


@dataclass(frozen=True)
class Recorded(Target):
    """A target that keeps by which values a token is chosen, for each text so far."""

    seed: int = 0
    kept: dict[tuple[int, ...], dict[int, float]] = field(default_factory=dict)

    def at(
        self, device: Distribution, listed: Listed | None, step: int, generated: Sequence[int]
    ) -> Shaped:
        found = Target.at(self, device, listed, step, generated)
        if self.shaping.temperature > 0.0:
            values = found.logprobs + gumbels(self.seed, step, found.ids)
        else:  # there the largest is left alone, at any other temperature it is the same one
            plain = replace(self.shaping, temperature=1.0)
            target = Target(self.rule, self.gate, plain, self.schedule, self.k)
            values = target.at(device, listed, step, generated).logprobs
        self.kept[tuple(generated)] = dict(zip(found.ids.tolist(), values.tolist(), strict=True))
        return found


@dataclass(frozen=True)
class Written:
    """One text: its tokens, and the values by which each was chosen."""

    tokens: tuple[FusedToken, ...]
    values: dict[tuple[int, ...], dict[int, float]]
    acceptance: float | None
    fallbacks: int

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(token.id for token in self.tokens)


class Pair:
    """A device model and a cloud that is asked through the real egress."""

    def __init__(self, device: LlamaCpp, tokens: DeviceTokens, cloud: CloudConnection) -> None:
        self._device, self._tokens, self._cloud = device, tokens, cloud

    def texts(
        self, prompt: SpeedPrompt, temperature: float, seed: int, max_tokens: int
    ) -> dict[str, Written]:
        """The same text by each way of decoding."""
        link = connect(self._cloud, prompt.general, self._tokens, Deadline(PATIENT_S))
        sampling = Sampling(temperature=temperature, top_p=1.0, max_tokens=max_tokens, seed=seed)
        how = Decoding(seed=seed, max_tokens=max_tokens, deadline_s=PATIENT_S, patience_s=math.inf)
        self._device.next_distribution(prompt.ids, 1)
        found = {}
        for name in ("lockstep", "draft-and-verify", "fixed drafts"):
            plain = FusionSettings().target(sampling)
            target = Recorded(
                plain.rule, plain.gate, plain.shaping, plain.schedule, plain.k, seed=seed
            )
            view = self._view(link, prompt)
            decoder: Lockstep | DraftAndVerify
            if name == "lockstep":
                decoder = Lockstep(self._tokens, view, target, how)
            else:
                pace = None if name == "draft-and-verify" else Pacer(FIXED[0], FIXED[1])
                decoder = DraftAndVerify(self._tokens, view, target, how, pace=pace)
            tokens = tuple(decoder.tokens(prompt.ids))
            settle()
            tally = decoder.tally
            found[name] = Written(tokens, target.kept, tally.acceptance, tally.fallbacks)
        return found

    def _view(self, link: CloudLink, prompt: SpeedPrompt) -> ShieldedCloud[Any]:
        shield = Shield(prompt.lexicon, prompt.general)
        known = link.vocabularies(self._tokens)
        return ShieldedCloud(link.scorer, link.begun, shield, known, k=link.k)


def settle() -> None:
    """Wait for requests that were called off: they must not disturb the next run."""
    for thread in threading.enumerate():
        if thread.name == "fusion-request":
            thread.join()


# --- comparing ------------------------------------------------------------------------------


@dataclass
class Compared:
    """What two ways of decoding gave, over all texts.

    Attributes:
        tokens: compared where the cloud was asked, up to the first that differs in each text.
        moved: by how much the lead of the best candidate over the second moved between the
            two runs, at every position where they agree.
        apart: how far apart the two tokens were where the texts first differ: the smaller of
            the leads that each run gave its own choice.
    """

    texts: int = 0
    identical: int = 0
    tokens: int = 0
    fallbacks: int = 0
    accepted: list[float] = field(default_factory=list)
    moved: list[float] = field(default_factory=list)
    apart: list[float] = field(default_factory=list)

    def add(self, one: Written, other: Written) -> None:
        self.texts += 1
        self.identical += one.ids == other.ids
        self.fallbacks += one.fallbacks + other.fallbacks
        if other.acceptance is not None:
            self.accepted.append(other.acceptance)
        # One more than there are tokens: the end of a text is chosen, too.
        for at in range(min(len(one.ids), len(other.ids)) + 1):
            before = one.ids[:at]
            mine, theirs = one.values.get(before), other.values.get(before)
            if mine is None or theirs is None:
                # Nothing may be asked here, so that a draft is not even judged.
                if one.ids[at : at + 1] != other.ids[at : at + 1]:
                    self.apart.append(np.inf)
                    return
                continue
            a, b = max(mine, key=mine.__getitem__), max(theirs, key=theirs.__getitem__)
            if a != b:
                self.apart.append(min(mine[a] - mine[b], theirs[b] - theirs[a]))
                return
            self.tokens += 1
            second = max((each for each in mine if each != a), key=mine.__getitem__, default=a)
            if np.isfinite(mine[second]) and np.isfinite(theirs.get(second, -np.inf)):
                self.moved.append(abs((mine[a] - mine[second]) - (theirs[a] - theirs[second])))

    @property
    def noise(self) -> float:
        """The most that a lead moved where both runs agreed."""
        return max(self.moved, default=0.0)

    @property
    def beyond_noise(self) -> int:
        """Texts that differ by more than noise explains, in length too."""
        explained = sum(each <= self.noise for each in self.apart)
        return self.texts - self.identical - explained

    def report(self) -> dict[str, Any]:
        return {
            "texts": self.texts,
            "identical": self.identical,
            "differ_by_noise": self.texts - self.identical - self.beyond_noise,
            "differ_beyond_noise": self.beyond_noise,
            "tokens_compared": self.tokens,
            "fallbacks": self.fallbacks,
            "acceptance": round(float(np.mean(self.accepted)), 3) if self.accepted else None,
            "noise_max": round(self.noise, 4),
            "noise_median": round(float(np.median(self.moved)), 4) if self.moved else None,
            "apart_where_texts_differ": [round(each, 4) for each in sorted(self.apart)],
        }


def compare(
    pair: Pair, prompts: Sequence[SpeedPrompt], max_tokens: int
) -> dict[float, dict[str, Compared]]:
    """For each temperature, each way of drafting beside lockstep; a prompt's place is its seed."""
    found = {
        temperature: {"draft-and-verify": Compared(), "fixed drafts": Compared()}
        for temperature in TEMPERATURES
    }
    for seed, prompt in enumerate(prompts):
        for temperature, ways in found.items():
            texts = pair.texts(prompt, temperature, seed, max_tokens)
            for name, one in ways.items():
                one.add(texts["lockstep"], texts[name])
            done = " and ".join(f"{one.identical} of {one.texts}" for one in ways.values())
            print(f"temperature {temperature}: {done} texts are identical", file=sys.stderr)
    return found


def open_pair(stack: ExitStack, device: Path, cloud: Path, window: int) -> tuple[LlamaCpp, Pair]:
    """Both models with one thread each, the cloud in a process of its own."""
    model = stack.enter_context(LlamaCpp(device, threads=1, context_tokens=window))
    server = stack.enter_context(DemoCloud(cloud, threads=1, context_tokens=window))
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    ledger = stack.enter_context(Ledger.open(folder / "ledger.sqlite", key=os.urandom(32)))
    egress = stack.enter_context(Egress(CloudEndpoint.parse(server.url), ledger))
    connection = CloudConnection(egress, server.model, "llama-server")
    return model, Pair(model, DeviceTokens(model), connection)


def left_out(number: int, why: str) -> None:
    """Tell of a sample that cannot be used."""
    print(f"sample {number} is left out: {why}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="samples in the published form")
    parser.add_argument("--limit", type=int, default=50)
    parser.add_argument("--demo-limit", type=int, default=10)
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--window", type=int, default=1024, help="tokens; shorter is quicker")
    parser.add_argument("--device", type=Path, help="another file for the demo device model")
    parser.add_argument("--cloud", type=Path, help="another file for the demo cloud model")
    options = parser.parse_args()
    device = options.device or get_model("demo-device")
    cloud = options.cloud or get_model("demo-cloud")
    tasks = speed_tasks(options.data, left_out)
    pairs: dict[str, Any] = {}
    for name, served, limit in (
        ("smollm2-smollm2", device, options.limit),
        ("demo", cloud, options.demo_limit),
    ):
        with ExitStack() as stack:
            model, pair = open_pair(stack, device, served, options.window)
            prompts = speed_prompts(model, tasks, limit, options.max_tokens, left_out)
            pairs[name] = {
                f"temperature {temperature}": {way: one.report() for way, one in found.items()}
                for temperature, found in compare(pair, prompts, options.max_tokens).items()
            }
    named = " --data FILE" if options.data else ""
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": f"python benchmarks/exactness.py{named} --limit {options.limit} "
        f"--demo-limit {options.demo_limit} --max-tokens {options.max_tokens} "
        f"--window {options.window}",
        "data": options.data.name if options.data else "the sample person's tasks",
        "pairs": pairs,
        "machine": {
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "load_1min": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
