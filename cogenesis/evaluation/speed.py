"""How fast is each way of decoding, at each distance from the cloud?

For every prompt the device and the cloud read it once; then all decodings write the same text
one after the other, at each round-trip time, over both ways to the cloud: the real one on this
machine, and the replayed one (see `replayed_cloud`). So what else the machine does hits all
of them alike, and nobody pays for reading the prompt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from cogenesis.errors import InputError
from cogenesis.evaluation.speed_rows import DECODINGS, DecodingName, Run, Way, row
from cogenesis.fusion.decoding import FusedToken, Tally
from cogenesis.models.protocol import TokenIds

TRIES: Final = 3
"""A replayed run that met unknown prefixes is made again, at most so often in all."""

_WAYS: Final[tuple[Way, ...]] = ("real", "replayed")


@dataclass(frozen=True, slots=True)
class SpeedSettings:
    """What is measured. The same for all decodings.

    Attributes:
        round_trips_ms: added to each round trip.
        max_tokens: longest text.
        repeat: how often each text is written.
        seed: of every text; with shared noise it fixes the text, so that it can be replayed.
        temperature: of the mixture.
        weight: the device model's share in the mixture.
    """

    round_trips_ms: tuple[float, ...] = (0.0, 20.0, 50.0, 100.0)
    max_tokens: int = 120
    repeat: int = 1
    seed: int = 0
    temperature: float = 0.7
    weight: float = 0.5

    def __post_init__(self) -> None:
        if self.max_tokens < 2:
            raise InputError("--max-tokens is at least 2: the first token is not timed")
        if self.repeat < 1:
            raise InputError("--repeat is at least 1")
        if not self.round_trips_ms or min(self.round_trips_ms) < 0:
            raise InputError("--rtt is a number of milliseconds, 0 or more")
        if len(set(self.round_trips_ms)) < len(self.round_trips_ms):
            raise InputError("an --rtt was given twice")


class Stage(Protocol):
    """One prompt, read by both models of a pair."""

    def fill(self) -> None:
        """Write the texts once, untimed, so that the replayed cloud knows the answers."""
        ...

    def write(self, decoding: DecodingName, rtt_ms: float, way: Way) -> Run:
        """Write the text by this decoding over this way to the cloud."""
        ...


class Decoder(Protocol):
    """`fusion.Lockstep` or `fusion.DraftAndVerify`."""

    tally: Tally

    def tokens(self, prompt: TokenIds) -> Iterator[FusedToken]:
        """The text; `tally` then says what it took."""
        ...


def timed(decoder: Decoder, prompt: TokenIds) -> Run:
    """Write a text to its end by the clock. What went over the network is not in it yet."""
    ids: list[int] = []
    first_s: float | None = None
    begun = time.perf_counter()
    for token in decoder.tokens(prompt):
        if first_s is None:
            first_s = time.perf_counter() - begun
        ids.append(token.id)
    total_s = time.perf_counter() - begun
    tally = decoder.tally
    return Run(
        ids=tuple(ids),
        tokens=tally.tokens,
        first_s=total_s if first_s is None else first_s,
        total_s=total_s,
        accepted=tally.accepted,
        rejected=tally.rejected,
        fallbacks=tally.fallbacks,
    )


def measure(
    pair: str,
    stages: Iterable[Stage],
    settings: SpeedSettings,
    tick: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """All rows of one pair.

    Args:
        pair: its name.
        stages: one for each prompt; each is used up before the next is made.
        settings: what is measured.
        tick: called after each step; `steps_of` says how many there are.

    Raises:
        ModelError: the device model failed, or the imitated network did.
    """
    runs: dict[tuple[DecodingName, float, Way], list[Run]] = {}
    for stage in stages:
        stage.fill()
        tick()
        for decoding, rtt_ms, way in _order(settings):
            runs.setdefault((decoding, rtt_ms, way), []).append(_run(stage, decoding, rtt_ms, way))
            tick()
    if not runs:
        raise InputError("there is no prompt to measure with")

    def of(decoding: DecodingName, rtt_ms: float) -> dict[Way, Sequence[Run]]:
        return {way: runs[decoding, rtt_ms, way] for way in _WAYS}

    return [
        row(
            decoding,
            pair,
            rtt_ms,
            of(decoding, rtt_ms),
            of("lockstep", rtt_ms) if decoding == "draft-and-verify" else None,
        )
        for rtt_ms in settings.round_trips_ms
        for decoding in DECODINGS
    ]


def steps_of(settings: SpeedSettings, prompts: int) -> int:
    """How often `measure` ticks."""
    return prompts * (1 + sum(1 for _ in _order(settings)))


def _order(settings: SpeedSettings) -> Iterator[tuple[DecodingName, float, Way]]:
    """What is compared with each other comes next to each other."""
    for _ in range(settings.repeat):
        for rtt_ms in settings.round_trips_ms:
            for way in _WAYS:
                for decoding in DECODINGS:
                    yield decoding, rtt_ms, way


def _run(stage: Stage, decoding: DecodingName, rtt_ms: float, way: Way) -> Run:
    """A run in which the real cloud had to be asked is none of a replayed cloud: once more."""
    run = stage.write(decoding, rtt_ms, way)
    again = 0
    while way == "replayed" and run.unknown and again + 1 < TRIES:
        again += 1
        run = replace(stage.write(decoding, rtt_ms, way), made_again=again)
    return run
