"""Does anything private get past the shield in long texts of real models? Prints JSON.

    python -m benchmarks.shield_audit --data FILE [--limit 10] [--tokens 300] [--save FILE.jsonl]

Every sample of the file (the published form) is written in fusion mode by the demo models, as
`cogenesis write --mode fusion` does. A relay in front of the cloud server keeps what arrives
there, and only that is looked at: every text of every body, drafts that were thrown away and
half words included. Two scans look for private units: `Guard.audit`, and one that shares no code
with the lexicon, the guard or the shield (that of `tests/thorough/test_published_samples.py`).
The same scan of what was really written is the positive control: how many units there were to
hide.

With --save each sample is a line of JSON as soon as it is done, and a second run goes on where
the first one stopped. Figures only: nothing that was written or found is kept. --show prints
what was found to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cogenesis.assistant import Assistant
from cogenesis.cli.ledger import text_fields
from cogenesis.cloud_server import DemoCloud
from cogenesis.context.reader import Sample, read_samples
from cogenesis.evaluation.recording_relay import RecordingRelay, Request
from cogenesis.events import Result, Task
from cogenesis.fused_writing import SAMPLES
from cogenesis.fusion.opening import fusion_prompt
from cogenesis.models import LlamaCpp
from cogenesis.models.catalogue import get_model
from cogenesis.models.cloud_connection import CloudConnection
from cogenesis.models.scoring_probe import PROBE_TEXTS
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.released import PublicText
from cogenesis.privacy.shield import Shield
from cogenesis.writing import lexicon_of
from tests.thorough import test_published_samples as oracle
from tests.thorough.test_fusion_shield import PLACEHOLDER
from tests.thorough.test_shield_published import Case, akin, leaks, telling_beginning

_PUBLIC: Final = PROBE_TEXTS | {each.text for each in SAMPLES}
_MASK: Final = "; zqx; "
"""Put for a placeholder: a word of its own, no name, and no run goes through it."""


@dataclass(frozen=True)
class Audited:
    """One sample: what was written, what arrived at the cloud, and what was found in it.

    Attributes:
        units_written: private units in the text as it was written: the control.
        masked: spans of that text for which a placeholder stands.
        texts: different texts that arrived, beginnings of others left out.
        found: private units in them.
    """

    sample: str
    mode: str
    degraded: str | None
    tokens: int
    characters: int
    units_written: int
    masked: int
    requests: int
    received_bytes: int
    texts: int
    found: int


class Scan:
    """Looks for private units of one person."""

    def __init__(self, sample: Sample, result: Result, small: frozenset[str]) -> None:
        if result.general is None:
            raise ValueError("nothing was released")
        items = list(sample.context.texts())
        names = (
            word
            for item in items
            if item.label in {"Name", "Location"}
            for word in oracle.field_words(item.label, item.text)
        )
        self._general, self._small = result.general, small
        self._guard = Guard(lexicon_of(sample.context))
        title = sample.instruction.partition(": ")[0]
        texts = tuple(item.text for item in items)
        sent = oracle.Sent(title, texts, frozenset(names), self._general.text, "title", None)
        lexicon = lexicon_of(sample.context, sample.instruction)
        self._case = Case(sent, self._general, lexicon, "", "")
        prompt = fusion_prompt(self._general).completion
        self._fixed = [part for part in prompt if isinstance(part, PublicText)]
        self._opening = "".join(part.text for part in prompt)

    def masked(self, text: str) -> int:
        """Spans of a text for which a placeholder stands."""
        view = Shield(self._case.lexicon, self._general).view(text + "\n")
        return len(view.spans)

    def written(self, text: str) -> list[object]:
        """What the independent scan finds in a text that was not shielded."""
        return list(dict.fromkeys(leaks(self._case, text, self._small)))

    def received(self, requests: Sequence[Request]) -> tuple[int, list[object]]:
        """How many texts arrived, and what is private in them."""
        texts = {text for each in requests for _, text in text_fields(each.body)} - _PUBLIC
        ordered = sorted(texts)
        following = [*ordered[1:], ""]
        # Sorted, a text stands right before those that begin with it: they tell no less.
        whole = [a for a, b in zip(ordered, following, strict=True) if not b.startswith(a)]
        found = [each for text in whole for each in self._private(text)]
        found += filter(None, map(self._half, whole))
        return len(whole), list(dict.fromkeys(found))

    def _private(self, text: str) -> Iterator[object]:
        plain = PLACEHOLDER.sub(_MASK, text.removeprefix(self._opening))
        audited = self._guard.audit(plain, self._general, self._fixed)
        for finding in audited:
            rest = finding.text.replace("zqx", ".")
            # Some rules read a placeholder as a name: what is left without it is what counts.
            only_mask = rest != finding.text and not self._guard.audit(rest, self._general)
            if not only_mask and not (finding.kind == "run" and self._of_topic(finding.text)):
                yield finding.text
        yield from leaks(self._case, plain, self._small)

    def _of_topic(self, run: str) -> bool:
        """Whether each word of it was released: "recycling policy" where "policies" was."""
        topic = oracle.tokens(self._general.text)
        return all(any(akin(word, each) for each in topic) for word in oracle.tokens(run))

    def _half(self, text: str) -> str | None:
        grown = PLACEHOLDER.sub(_MASK, text.removeprefix(self._opening))
        return telling_beginning(self._case, grown) if grown[-1:].isalpha() else None


class Writer:
    """The demo models, with a relay that sees what arrives at the cloud."""

    def __init__(self, stack: ExitStack) -> None:
        server = stack.enter_context(DemoCloud(get_model("demo-cloud")))
        self.relay = stack.enter_context(RecordingRelay(server.url))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ledger = stack.enter_context(Ledger.open(folder / "ledger.sqlite"))
        egress = stack.enter_context(Egress(CloudEndpoint.parse(self.relay.url), ledger))
        device = stack.enter_context(LlamaCpp(get_model("demo-device"), threads=1))
        cloud = CloudConnection(egress, server.model)
        self._assistant = Assistant(device, cloud=cloud, traffic=lambda: egress.traffic)

    def write(self, sample: Sample, tokens: int) -> tuple[Result, list[Request]]:
        """The text, and every request that arrived meanwhile."""
        task = Task(sample.instruction, sample.context, "fusion", max_tokens=tokens)
        result = self._assistant.write(task)
        for thread in threading.enumerate():  # requests that were called off are of this text
            if thread.name == "fusion-request":
                thread.join(60)
        return result, self.relay.take()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--save", type=Path, default=None)
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    samples = read_samples(options.data)
    small = frozenset(
        word
        for sample in samples
        for item in sample.context.texts()
        for word in re.findall(r"\b[a-z]+\b", item.text)
    )
    rows = _saved(options.save, options.tokens)
    with ExitStack() as stack:
        writer: Writer | None = None
        for sample in samples[: options.limit]:
            if sample.id in rows:
                continue
            writer = writer or Writer(stack)
            rows[sample.id] = row = _audited(writer, sample, options.tokens, small, options.show)
            _save(options.save, options.tokens, row)
            print(json.dumps(asdict(row)), file=sys.stderr, flush=True)
    shown = [rows[each.id] for each in samples[: options.limit] if each.id in rows]
    print(json.dumps(_report(shown, options), indent=2))


def _audited(
    writer: Writer, sample: Sample, tokens: int, small: frozenset[str], show: bool
) -> Audited:
    result, requests = writer.write(sample, tokens)
    written, masked, texts = 0, 0, 0
    found: list[object] = []
    if result.general is not None:
        scan = Scan(sample, result, small)
        written, masked = len(scan.written(result.text)), scan.masked(result.text)
        texts, found = scan.received(requests)
    if show and found:
        print(sample.id, found, file=sys.stderr, flush=True)
    return Audited(
        sample=sample.id,
        mode=result.mode,
        degraded=result.degraded.reason if result.degraded is not None else None,
        tokens=len(result.tokens),
        characters=len(result.text),
        units_written=written,
        masked=masked,
        requests=len(requests),
        received_bytes=sum(len(each.body) for each in requests),
        texts=texts,
        found=len(found),
    )


def _saved(path: Path | None, tokens: int) -> dict[str, Audited]:
    """What an earlier run with as many tokens has done; half a line at the end is left out."""
    if path is None or not path.exists():
        return {}
    rows = {}
    for line in path.read_text("utf-8").splitlines(keepends=True):
        if line.endswith("\n") and (row := json.loads(line)).pop("limit_tokens") == tokens:
            rows[row["sample"]] = Audited(**row)
    return rows


def _save(path: Path | None, tokens: int, row: Audited) -> None:
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**asdict(row), "limit_tokens": tokens}) + "\n")


def _report(rows: Sequence[Audited], options: argparse.Namespace) -> dict[str, object]:
    fused = [row for row in rows if row.mode == "fusion"]
    names = ("tokens", "characters", "units_written", "masked", "requests", "texts", "found")
    return {
        "samples": len(rows),
        "in_fusion": len(fused),
        "degraded": sum(row.degraded is not None for row in rows),
        **{name: sum(getattr(row, name) for row in fused) for name in names},
        "received_bytes": sum(row.received_bytes for row in rows),
        "data": options.data.name,
        "date": datetime.now(UTC).date().isoformat(),
        "command": f"python -m benchmarks.shield_audit --data {options.data.name} "
        f"--limit {options.limit} --tokens {options.tokens}",
        "machine": {
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
    }


if __name__ == "__main__":
    main()
