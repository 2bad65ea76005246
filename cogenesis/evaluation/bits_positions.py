"""A text that somebody wrote, token by token, as both models see it coming (teacher forcing).

    for position in positions(tokens, [cloud], reference, k=1024, vocabulary=49152, block=16):
        listed = position.row.onto(position.device) if position.row else None
        target.score(position.device, listed, position.step, position.gold, position.logprob)

The device and the cloud go through the text at the same time: the cloud in blocks, in a
thread of its own. Nothing is made up where the cloud fails: the error ends the measurement.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Final, Protocol

from cogenesis.errors import CloudError, ModelError
from cogenesis.fusion.asking import CloudRow, CloudView
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import TokenIds
from cogenesis.wire import Deadline

BLOCK_DEADLINE_S: Final = 120.0
"""One block, on a cloud that may share the cores and has a long prompt to read."""

_WIDER: Final = 8
"""A token that is not listed is looked for in a list so many times as long, then in all."""


class Device(Protocol):
    """Gives next-token distributions; `fused_writing.DeviceTokens` is one."""

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        """The K most probable next tokens, raw."""
        ...


@dataclass(frozen=True, slots=True)
class Reference:
    """A text in the device's tokens.

    Attributes:
        prompt: what the device reads before it.
        ids: the text's tokens, without an end.
        pieces: their bytes.
    """

    prompt: TokenIds
    ids: tuple[int, ...]
    pieces: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"Reference({len(self.ids)} tokens)"


@dataclass(frozen=True, slots=True, eq=False)
class Position:
    """One token of a text, and what was thought about it before it came.

    Attributes:
        step: counts the text's tokens from 0.
        device: the device model's distribution.
        rows: what each view of the cloud says; None where it may not be asked.
        gold: the token that comes.
        logprob: its natural log-probability on the device, exact, also where it is not listed.
        size: its bytes.
    """

    step: int
    device: Distribution
    rows: tuple[CloudRow | None, ...]
    gold: int
    logprob: float
    size: int

    def __repr__(self) -> str:
        return f"Position({self.step})"

    @property
    def row(self) -> CloudRow | None:
        """What the first view says."""
        return self.rows[0] if self.rows else None


def positions(
    device: Device,
    clouds: Sequence[CloudView],
    reference: Reference,
    *,
    k: int,
    vocabulary: int,
    block: int,
    deadline_s: float = BLOCK_DEADLINE_S,
) -> Generator[Position, None, None]:
    """Every token of a text. Closing it stops the cloud.

    Args:
        device: the device model.
        clouds: views of the cloud, all asked about the same text, one after the other.
        reference: the text.
        k: entries of the device's distributions.
        vocabulary: entries of its whole vocabulary.
        block: positions in one request to a cloud.
        deadline_s: seconds that one request may take.

    Raises:
        ModelError: the device failed; `CloudError`: a cloud did.
        PrivacyError: a request may not leave.
    """
    with closing(_Rows(clouds, reference.ids, block, deadline_s)) as rows:
        # The prompt apart from the first position, as in `fused_writing`: what llama.cpp says
        # depends a little on what it reads in one go.
        device.next_distribution(reference.prompt, 1)
        for step, (gold, piece) in enumerate(zip(reference.ids, reference.pieces, strict=True)):
            prefix = TokenIds((*reference.prompt.ids, *reference.ids[:step]))
            found = device.next_distribution(prefix, k)
            logprob = _logprob(device, prefix, found, gold, vocabulary)
            yield Position(step, found, rows.at(step), gold, logprob, len(piece))


def _logprob(
    device: Device, prefix: TokenIds, found: Distribution, gold: int, vocabulary: int
) -> float:
    """The token's own, from longer and longer lists.

    Raises:
        ModelError: it is in none of them.
    """
    logprob, k = found.logprob(gold), len(found)
    while logprob is None and k < vocabulary:
        k = min(_WIDER * k, vocabulary)
        logprob = device.next_distribution(prefix, k).logprob(gold)
    if logprob is None:
        raise ModelError("the device model gives no probability to a token of the text")
    return logprob


class _Rows:
    """What the clouds say about every position, asked for in one thread."""

    def __init__(
        self, clouds: Sequence[CloudView], ids: Sequence[int], block: int, deadline_s: float
    ) -> None:
        """Start asking: the first cloud about the whole text, then the next.

        Not by turns, because then each request would push the other text out of the cache.
        """
        self._ids, self._block, self._deadline_s = tuple(ids), block, deadline_s
        self._deadline: Deadline | None = None
        self._stopped = False
        self._thread = ThreadPoolExecutor(1, "bits-cloud")
        self._asked: list[list[Future[Sequence[CloudRow | None]]]] = [
            [
                self._thread.submit(self._ask, cloud, start, min(start + block, len(ids)))
                for start in range(0, len(ids), block)
            ]
            for cloud in clouds
        ]

    def at(self, step: int) -> tuple[CloudRow | None, ...]:
        """One row of each cloud, as soon as it is there. Raises what asking raised."""
        block, place = divmod(step, self._block)
        return tuple(asked[block].result()[place] for asked in self._asked)

    def close(self) -> None:
        """Hang up, and wait for the thread."""
        self._stopped = True
        if self._deadline is not None:
            self._deadline.call_off()
        self._thread.shutdown(cancel_futures=True)

    def _ask(self, cloud: CloudView, start: int, end: int) -> Sequence[CloudRow | None]:
        """Rows of positions `start` to `end - 1`."""
        deadline = self._deadline = Deadline(self._deadline_s)
        if self._stopped:
            deadline.call_off()
        before, draft = TokenIds(self._ids[:start]), TokenIds(self._ids[start : end - 1])
        try:
            rows = cloud.score(before, draft, deadline)
        except CloudError as error:
            if error.reason != "too-large" or end - start < 2:
                raise
            middle = (start + end) // 2
            return [*self._ask(cloud, start, middle), *self._ask(cloud, middle, end)]
        if len(rows) != end - start:
            raise CloudError("bad-reply", "the cloud answered about another number of positions")
        return rows
