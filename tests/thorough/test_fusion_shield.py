"""Fusion on the published samples, with a device model that copies its context word for word.

Everything between the device and the wire is real: the shield, both vocabularies, draft and
verify, the egress, the ledger. Only the models are scripted. The device puts most of its mass
on the next piece of the person's context, in tokens of any length, and some on other pieces of
it; the cloud behind a loopback server wants plain words, so many drafts are rejected, and each
of them has left in a request by then. Every ninth text is written in lockstep.

What left is read from the bytes that the server got, every text of every body on its own, by
two checks: `Guard.audit`, and that of `test_published_samples`, which shares no code with the
lexicon or the shield. All 271 samples take part; each gives its first lines (name, place, age)
and a short stretch from another place for each sample, so that the file takes seconds.
"""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

import pytest

from cogenesis.cli.ledger import text_fields
from cogenesis.context.reader import Sample, read_samples
from cogenesis.fused_writing import (
    SAMPLES,
    CloudLink,
    DeviceTokens,
    FusedWriting,
    Habits,
    connect,
)
from cogenesis.fusion.opening import fusion_prompt
from cogenesis.fusion.pace import Pacer
from cogenesis.fusion.settings import FusionSettings
from cogenesis.models.cloud_connection import CloudConnection
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import Sampling, TokenIds
from cogenesis.models.scoring_probe import PROBE_TEXTS
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.released import GeneralInstruction, PublicText
from cogenesis.privacy.shield import Shield
from cogenesis.wire import Deadline
from cogenesis.writing import lexicon_of
from tests.thorough import test_published_samples as oracle
from tests.thorough.test_shield_published import Case, leaks, stretch, telling_beginning
from tests.unit.fusion.word_models import WordCloud, WordModel
from tests.unit.models.loopback import Loopback

pytestmark = oracle.pytestmark

PARTS: Final = 8
FIRST_LINES: Final = 45
"""Characters of the context's beginning that each device copies, before a stretch of it."""

PLAIN: Final = (b" the", b" and", b",", b" good", b".")
TOKEN: Final = 9
"""Bytes of the longest token; it may begin and end anywhere, also inside a character."""

# As the shield writes it, also without the closing sign: the cloud is asked there, too.
PLACEHOLDER: Final = re.compile(
    r"\[(?:person|group|place|name|contact|date|amount|number|address|word) \d+(?:\]|$)"
)
Decoder = Literal["draft-and-verify", "lockstep"]
QUESTIONS: Final = PROBE_TEXTS | {each.text for each in SAMPLES}


class Copyist:
    """A device model that copies a text, whatever else is written in between.

    Its vocabulary is every piece of the text of up to TOKEN bytes, every word of it, and a few
    plain words. The place in the text is told by what was written: a token that goes on there
    moves it, any other leaves it at the next word.
    """

    def __init__(self, text: str, seed: int) -> None:
        self._text, self._seed = text.encode(), seed
        ends = range(len(self._text))
        self._words = re.findall(rb"[ \n][^ \n]+", self._text) or [b" the"]
        pieces = {self._text[a : a + n] for a in ends for n in range(1, TOKEN + 1)}
        self._tokens = (*PLAIN, *sorted(pieces.union(self._words) - set(PLAIN)), b"")
        self._ids = {token: at for at, token in enumerate(self._tokens)}
        self._known: dict[tuple[int, ...], int] = {(): 0}

    def vocabulary(self) -> tuple[bytes, ...]:
        return self._tokens

    def place(self, generated: tuple[int, ...]) -> int:
        """How much of the text is copied."""
        at = self._known.get(generated)
        if at is None:
            at, token = self.place(generated[:-1]), self._tokens[generated[-1]]
            if self._text.startswith(token, at):
                at += len(token)
            elif at and (word := re.compile(rb"[ \n]").search(self._text, at)) is not None:
                at = word.start()
            self._known[generated] = at
        return at

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        """The prompt is one token; mostly the next piece, sometimes a plain or another word."""
        place = self.place(prefix.ids[1:])
        if place >= len(self._text):
            return Distribution.of([self._ids[b""]], [-1e-4], [b""])
        random = Random(f"{self._seed}:{place}:{len(prefix)}")
        masses: Counter[bytes] = Counter()
        for parts in (60, 15, 5):
            masses[self._text[place : place + random.randint(1, TOKEN)]] += parts
        masses[random.choice(self._words)] += 10
        masses.update(dict.fromkeys(PLAIN, 2))
        return Distribution.of(
            [self._ids[token] for token in masses],
            [math.log(parts / 101) for parts in masses.values()],
            list(masses),
        )


@dataclass
class Told:
    """What a part of the samples sent."""

    requests: int = 0
    bytes: int = 0
    texts: int = 0
    asked: int = 0
    rejected_left: int = 0
    written: int = 0
    found: list[object] = field(default_factory=list)


class Part:
    """A share of the samples, written through one egress."""

    def __init__(self, samples: Mapping[int, Sample], small: frozenset[str]) -> None:
        self._samples, self._small = samples, small

    def write(self, told: Told, *, open_shield: bool = False) -> None:
        memory = Path("/dev/shm")  # the ledger syncs each row
        folder = memory if os.access(memory, os.W_OK) else None
        with (
            tempfile.TemporaryDirectory(dir=folder) as place,
            Loopback(WordCloud(WordModel(2))) as server,
            Ledger.open(Path(place) / "ledger.db") as ledger,
            Egress(CloudEndpoint.parse(server.url), ledger) as egress,
        ):
            cloud, people = CloudConnection(egress, "some-model"), []
            for number, sample in self._samples.items():
                one, begun = Person(number, sample, open_shield=open_shield), egress.traffic
                written = one.write(cloud)
                settle()
                people.append((one, written, begun.requests, egress.traffic.requests))
            rows = [row.entry.body for row in ledger.entries(newest_first=False)]
            assert (len(rows), sum(map(len, rows))) == (
                egress.traffic.requests,
                egress.traffic.bytes,
            )
            # What was called off may not have arrived. All that did is in the ledger.
            arrived = Counter(json.dumps(asked.body) for asked in server.asked if asked.body)
            assert not arrived - Counter(json.dumps(json.loads(row)) for row in rows if row)
        for one, written, begin, end in people:
            one.check(rows[begin:end], written, told, self._small)
        told.requests += len(rows)
        told.bytes += sum(map(len, rows))


def settle() -> None:
    """Wait for requests that were called off: they are of this text."""
    for thread in threading.enumerate():
        if thread.name == "fusion-request":
            thread.join()


class Person:
    """One sample: its shield, its device, and what may leave."""

    def __init__(self, number: int, sample: Sample, *, open_shield: bool) -> None:
        self._number = number
        items = list(sample.context.texts())
        texts = tuple(item.text for item in items)
        self.guard = Guard(lexicon_of(sample.context))
        self.general = self.guard.derive(sample.instruction)
        lexicon = lexicon_of(sample.context, sample.instruction)
        self.shield = Shield(Lexicon(()) if open_shield else lexicon, self.general)
        whole = "\n".join(texts)
        self.copied = f"{whole[:FIRST_LINES]} {stretch(whole, number)}\n"
        names = frozenset(
            word
            for item in items
            if item.label in {"Name", "Location"}
            for word in oracle.field_words(item.label, item.text)
        )
        title = sample.instruction.partition(": ")[0]
        facts = oracle.Sent(title, texts, names, self.general.text, self.general.source, None)
        self.case = Case(facts, self.general, lexicon, self.copied, sample.reference)

    def write(self, cloud: CloudConnection) -> str:
        device = Copyist(self.copied, self._number)
        tokens = DeviceTokens(device)  # type: ignore[arg-type]  # it is asked for tokens only
        link = self._link(cloud, tokens)
        decoding: Decoder = "draft-and-verify" if self._number % 9 else "lockstep"
        settings = FusionSettings(weight=0.6, decoding=decoding)
        random = Random(self._number)
        pace = Pacer(random.randint(2, 10), flying=random.randint(1, 3))
        habits = Habits(pace)  # type: ignore[arg-type]  # a fixed one will do
        writing = FusedWriting(tokens, link, self.shield, settings, habits)
        sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=60, seed=self._number)
        data = b"".join(token.data for token in writing.tokens(TokenIds((0,)), sampling))
        return data.decode("utf-8", "replace")

    def _link(self, cloud: CloudConnection, tokens: DeviceTokens) -> CloudLink:
        return connect(cloud, self.general, tokens, Deadline(60))

    def check(self, bodies: list[bytes], written: str, told: Told, small: frozenset[str]) -> None:
        opening = "".join(part.text for part in fusion_prompt(self.general).completion)
        seen = self.shield.view(written + "\n").released.text
        told.written += len(written)
        left: set[str] = set()
        for body in filter(None, bodies):
            texts = {text for _, text in text_fields(body)} - QUESTIONS
            left |= texts
            for text in texts:
                grown = text.removeprefix(opening)
                told.asked += grown != text
                told.rejected_left += grown != text and not seen.startswith(grown)
                # What is a beginning of something that has left tells nothing more.
                if not any(other != text and other.startswith(text) for other in left):
                    told.texts += 1
                    told.found += self._private(grown, small)

    def _private(self, grown: str, small: frozenset[str]) -> Iterator[object]:
        # A placeholder is a word of its own, no name, and no run goes through it.
        plain = PLACEHOLDER.sub("; zqx; ", grown)
        found = self.guard.audit(plain, self.general, fixed(self.general))
        yield from (f for f in found if f.text != "zqx")  # "Dr. zqx"
        yield from leaks(self.case, plain, small)
        if plain[-1:].isalpha() and (word := telling_beginning(self.case, plain)) is not None:
            yield word


def fixed(general: GeneralInstruction) -> list[PublicText]:
    return [part for part in fusion_prompt(general).completion if isinstance(part, PublicText)]


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [s for name in oracle.FILES for s in read_samples(oracle.DATA / name)]


@pytest.fixture(scope="module")
def small(samples: list[Sample]) -> frozenset[str]:
    """Every word that somebody's context writes with a small letter: no name by itself."""
    return frozenset(
        word
        for sample in samples
        for item in sample.context.texts()
        for word in re.findall(r"\b[a-z]+\b", item.text)
    )


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_private_leaves_in_any_request(
    samples: list[Sample], small: frozenset[str], part: int, record_property: Any
) -> None:
    told, chosen = Told(), dict(list(enumerate(samples))[part::PARTS])
    Part(chosen, small).write(told)
    assert told.found == []
    # It is worth something only if much was asked, and drafts left that were thrown away.
    assert told.requests > 5 * len(chosen)
    assert told.asked > 15 * len(chosen)
    assert told.rejected_left > len(chosen)
    assert told.written > 60 * len(chosen)
    record_property(
        "checked",
        f"{told.texts} texts of {len(chosen)} people in {told.requests} requests, "
        f"{told.bytes:,} bytes; {told.rejected_left} texts held drafts that were thrown away",
    )


def test_the_check_itself_finds_what_an_open_shield_lets_through(
    samples: list[Sample], small: frozenset[str]
) -> None:
    """A positive control: the same loop, with a shield that knows no context."""
    caught = 0
    chosen = dict(list(enumerate(samples))[:: len(samples) // 20])
    for number, sample in chosen.items():
        told = Told()
        Part({number: sample}, small).write(told, open_shield=True)
        caught += bool(told.found)
    assert caught >= len(chosen) - 1
