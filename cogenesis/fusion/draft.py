"""Draft-and-verify: the device drafts, one request scores a block, and the text is exact.

The device drafts on while requests fly. A token that was drafted is always judged or thrown
away because one *before* it was wrong; it is never drawn again because of what it is. That,
and a target that cannot see drafts, is all that exactness needs: how long blocks are, when
they are sent and answered, and which are lost changes the speed only.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from cogenesis.fusion.asking import Asking, Breaker, CloudView, Look, Request, fused
from cogenesis.fusion.decoding import Decoding, Drafter, Emission, FusedToken, Tally, decided
from cogenesis.fusion.pace import Pace, Pacer, sureness
from cogenesis.fusion.target import Shaped, Target
from cogenesis.fusion.verify import Coupled, Verification
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import TokenIds


class DraftAndVerify:
    """Decides whole blocks with one round trip.

    With `Coupled` (the default) the text is lockstep's, token for token. With `Rejection` it
    follows lockstep's distribution. Where a request fails, both hold for the target that is
    the device's own distribution at the positions that the tokens' `fallback` names.

    Attributes:
        tally: what the text took that was begun last.
        pace: chooses when to ask; keeps what it learnt from text to text.
    """

    def __init__(
        self,
        device: Drafter,
        cloud: CloudView | None,
        target: Target,
        decoding: Decoding,
        *,
        verification: Verification | None = None,
        pace: Pacer | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        """Arguments as for `Lockstep`; `verification` is `Coupled`, `pace` adapts by default."""
        self._parts = _Parts(device, cloud, target, decoding, verification or Coupled())
        self._breaker = breaker if breaker is not None else Breaker()
        self.pace = pace if pace is not None else Pace()
        self.tally = Tally()

    def tokens(self, prompt: TokenIds) -> Generator[FusedToken, None, None]:
        """The text's tokens, each as soon as its text is settled. Closing it stops the cloud.

        Raises:
            ModelError: the device model failed.
            InputError: the gate cannot work with these two models.
        """
        self.tally = Tally()
        run = _Run(self._parts, prompt, self.pace, self._breaker, self.tally)
        try:
            yield from run.tokens()
        finally:
            run.close()


@dataclass(frozen=True, slots=True)
class _Parts:
    device: Drafter
    cloud: CloudView | None
    target: Target
    decoding: Decoding
    verification: Verification


@dataclass(frozen=True, slots=True)
class _Drafted:
    """A position that the device has drafted and nobody has judged.

    `asks` says whether the cloud counts there; if not, the draft stands. `sure` is the draft's
    `sureness`, `doubt` what the pace made of it.
    """

    device: Distribution
    proposal: Shaped
    at: int
    asks: bool
    sure: float
    doubt: float

    @property
    def id(self) -> int:
        return int(self.proposal.ids[self.at])


class _Run:
    """One text. Positions before len(text) are decided, then come the drafted ones."""

    def __init__(
        self, parts: _Parts, prompt: TokenIds, pace: Pacer, breaker: Breaker, tally: Tally
    ) -> None:
        self._parts, self._prompt, self._pace, self._tally = parts, prompt, pace, tally
        self._emission = Emission(parts.decoding)
        self._asking = parts.decoding.asking(parts.cloud, breaker)
        self._text: list[int] = []
        self._chain: deque[_Drafted] = deque()
        self._blocks: deque[Request] = deque()
        self._look: tuple[int, Look] | None = None  # at the first position not drafted

    def tokens(self) -> Iterator[FusedToken]:
        while self._emission.finish is None:
            yield from self._decide()
            if self._emission.finish is not None:
                return
            self._look_ahead()
            self._send()
            if self._may_draft():
                self._draft()
            elif self._waiting():
                self._wait()

    def close(self) -> None:
        """Call off what flies."""
        if self._asking is not None:
            self._asking.close()
            self._tally.round_trips = self._asking.round_trips

    @property
    def _tip(self) -> int:
        """The first position that is not drafted."""
        return len(self._text) + len(self._chain)

    def _beforehand(self, step: int) -> bool | None:
        """Whether the cloud counts at the first position that is not drafted, if it is known."""
        if self._asking is None or self._held():
            return False
        return self._parts.target.schedule.beforehand(step)

    def _held(self) -> bool:
        """Whether it is known that nothing may be asked at the first position not drafted."""
        return self._look is not None and self._look[1].held is True

    def _look_ahead(self) -> None:
        """Let the shield read the text up to there while the device works."""
        if self._asking is None or (self._look is not None and self._look[0] == self._tip):
            return
        self._look = None
        if self._may_go_on() and self._parts.target.schedule.beforehand(self._tip) is not False:
            self._look = self._tip, self._asking.look(self._before(self._tip))

    def _before(self, position: int) -> list[int]:
        """The text before a position, drafts included."""
        return [*self._text, *(each.id for each in self._chain)][:position]

    # --- deciding -----------------------------------------------------------------------

    def _decide(self) -> Iterator[FusedToken]:
        """Decide every position that can be decided now."""
        while self._chain and not self._waiting():
            head, block = self._chain[0], self._block()
            fallback = None
            choice, at, accepted = head.proposal, head.at, True
            if head.asks and block is not None:
                choice, at, accepted = self._judge(head, block)
                fallback = block.failure
            self._chain.popleft()
            self._text.append(int(choice.ids[at]))
            if not accepted:
                self._throw_away()
            self._retire()
            self._pace.decided()
            self._tally.tokens += 1
            self._tally.fallbacks += fallback is not None
            if self._asking is not None:
                self._tally.round_trips = self._asking.round_trips
            ready = self._emission.push(decided(head.device, choice, at, fallback))
            self._tally.finish = self._emission.finish
            yield from ready
            if self._emission.finish is not None:
                return

    def _block(self) -> Request | None:
        """The request that covers the next position."""
        block = self._blocks[0] if self._blocks else None
        return block if block is not None and block.first <= len(self._text) else None

    def _waiting(self) -> bool:
        """Whether the next position needs an answer that is not there."""
        if not self._chain or not self._chain[0].asks:
            return False
        block = self._block()
        return block is None or not block.settled()

    def _judge(self, head: _Drafted, block: Request) -> tuple[Shaped, int, bool]:
        parts, step = self._parts, len(self._text)
        target = fused(block, parts.target, head.device, step, self._text)
        if target is None:
            self._finish(block)
        if target is None or target.pool is None:
            return head.proposal, head.at, True
        verdict = parts.verification.judge(
            head.proposal, target, head.at, parts.decoding.seed, step
        )
        self._tally.accepted += verdict.accepted
        self._tally.rejected += not verdict.accepted
        self._pace.judged(head.sure, verdict.accepted)
        return target, verdict.at, verdict.accepted

    def _throw_away(self) -> None:
        """The last token was not the drafted one: all that was built on it is for nothing."""
        self._tally.discarded += len(self._chain)
        self._chain.clear()
        self._look = None
        while self._blocks:
            self._finish(self._blocks.popleft())

    def _retire(self) -> None:
        while self._blocks and self._blocks[0].end <= len(self._text):
            self._finish(self._blocks.popleft())

    def _finish(self, block: Request) -> None:
        if self._asking is None or block.finished:
            return
        asked = sum(row is not None for row in block.rows)
        if asked and block.failure is None and block.seconds is not None and block.done.is_set():
            self._pace.answered(asked, block.seconds)
        self._asking.finish(block)

    # --- asking -------------------------------------------------------------------------

    def _send(self) -> None:
        """Ask about the first positions that nobody has asked about, if it is time to."""
        while self._asking is not None:
            first = self._uncovered()
            size = self._size(first)
            if size < 1 or not self._time_to_send(first, self._asking):
                return
            before = self._before(first + size - 1)
            if not self._asking.paused:
                self._pace.asked()
            self._blocks.append(self._asking.send(first, before[:first], before[first:]))

    def _uncovered(self) -> int:
        """The first position that needs an answer, or may, and has no request."""
        first = max(len(self._text), self._blocks[-1].end if self._blocks else 0)
        while first < self._tip and not self._chain[first - len(self._text)].asks:
            first += 1
        return first

    def _size(self, first: int) -> int:
        """How many positions to ask about: no more than planned, none at the end in vain."""
        size = self._pace.size
        end = min(first + size, self._tip)
        while end > first and not self._chain[end - 1 - len(self._text)].asks:
            end -= 1
        open_end = first + size > self._tip and self._may_go_on()
        if end == self._tip and open_end and self._beforehand(self._tip) is not False:
            # The position after the draft: its row is there before the device gets to it.
            known = self._beforehand(self._tip) is True
            end += known or end > first
        return end - first

    def _time_to_send(self, first: int, asking: Asking) -> bool:
        busy = sum(not block.settled() for block in self._blocks)
        if asking.paused or not (busy or self._may_draft()):
            return True
        goes_on = self._may_go_on()
        next_asks = goes_on and self._beforehand(self._tip) is not False
        doubts = [each.doubt if each.asks else 0.0 for each in self._chain]
        doubts.append(self._pace.doubt() if next_asks else 0.0)
        waits = first - len(self._text)
        if self._pace.asks_now(doubts[:waits], doubts[waits:], busy):
            return True
        return busy < self._pace.flying and not goes_on

    def _wait(self) -> None:
        block = self._block()
        if self._asking is not None and block is not None:
            self._asking.wait(block)

    # --- drafting -----------------------------------------------------------------------

    def _may_go_on(self) -> bool:
        """Whether a position after the drafted ones can be part of the text."""
        if self._tip >= self._parts.decoding.max_tokens:
            return False
        if not self._chain:
            return True
        last = self._chain[-1]
        return not self._parts.decoding.ended_by(last.id, last.device.tokens[last.at])

    def _may_draft(self) -> bool:
        unasked = self._tip - self._uncovered()
        return self._may_go_on() and self._pace.drafts_on(len(self._chain), unasked)

    def _draft(self) -> None:
        parts, step = self._parts, self._tip
        before = self._before(step)
        started = time.perf_counter()
        device = parts.device.next_distribution(
            TokenIds((*self._prompt.ids, *before)), parts.target.k
        )
        self._pace.drafted(time.perf_counter() - started)
        self._tally.device_calls += 1
        # A request that is on its way there is waited for, whatever the shield said meanwhile.
        covered = bool(self._blocks) and self._blocks[-1].end > step
        held = self._asking is None or (self._held() and not covered)
        asks = not held and parts.target.schedule.asks(step, device)
        proposal = parts.target.alone(device, before)
        at = parts.verification.draft(proposal, parts.decoding.seed, step)
        sure = sureness(proposal, at, parts.decoding.seed, step)
        doubt = self._pace.doubt(sure)
        self._chain.append(_Drafted(device, proposal, at, asks, sure, doubt))
