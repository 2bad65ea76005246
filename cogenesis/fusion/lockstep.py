"""One round trip a token: the plain way, and the measure for every faster one."""

from __future__ import annotations

from collections.abc import Generator

from cogenesis.fusion.asking import Asking, Breaker, CloudView, Request, fused
from cogenesis.fusion.coupling import choose
from cogenesis.fusion.decoding import Decoding, Drafter, Emission, FusedToken, Tally, decided
from cogenesis.fusion.target import Target
from cogenesis.models.protocol import TokenIds


class Lockstep:
    """Decides one token after the other; both models work on each at the same time.

    Only a schedule that looks at the device's distribution makes the cloud wait for it.

    Attributes:
        tally: what the text took that was begun last.
    """

    def __init__(
        self,
        device: Drafter,
        cloud: CloudView | None,
        target: Target,
        decoding: Decoding,
        breaker: Breaker | None = None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            device: proposes candidates.
            cloud: scores them; None leaves the device alone.
            target: how the two become one.
            decoding: seed, ends and limits.
            breaker: kept from text to text, so that a dead cloud stays known.
        """
        self._device, self._cloud, self._target = device, cloud, target
        self._decoding, self._breaker = decoding, breaker if breaker is not None else Breaker()
        self.tally = Tally()

    def tokens(self, prompt: TokenIds) -> Generator[FusedToken, None, None]:
        """The text's tokens, each as soon as its text is settled. Closing it stops the cloud.

        Raises:
            ModelError: the device model failed.
            InputError: the gate cannot work with these two models.
        """
        self.tally = tally = Tally()
        emission = Emission(self._decoding)
        asking = self._decoding.asking(self._cloud, self._breaker)
        text: list[int] = []
        try:
            while emission.finish is None:
                token = self._step(prompt, text, asking)
                text.append(token.id)
                tally.tokens += 1
                tally.fallbacks += token.fallback is not None
                tally.round_trips = asking.round_trips if asking else 0
                ready = emission.push(token)
                tally.finish = emission.finish
                yield from ready
        finally:
            if asking is not None:
                asking.close()

    def _step(self, prompt: TokenIds, text: list[int], asking: Asking | None) -> FusedToken:
        step, target = len(text), self._target
        request: Request | None = None
        if asking is not None and target.schedule.beforehand(step):
            request = asking.send(step, text, ())
        device = self._device.next_distribution(TokenIds((*prompt.ids, *text)), target.k)
        self.tally.device_calls += 1
        if asking is not None and target.schedule.beforehand(step) is None:
            request = asking.send(step, text, ()) if target.schedule.asks(step, device) else None
        choice = None
        if asking is not None and request is not None:
            while not request.settled():
                asking.wait(request)
            choice = fused(request, target, device, step, text)
            asking.finish(request)
        if choice is None:
            choice = target.alone(device, text)
        at = choose(choice.logprobs, choice.ids, self._decoding.seed, step)
        return decided(device, choice, at, request.failure if request else None)
