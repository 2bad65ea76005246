"""The cloud's next-token distributions, as fusion asks for them.

    scorer = TokenScorer(egress, LlamaDialect())
    text = scorer.encode(Text((general, shielded)))
    scores = scorer.score_draft(text.ids, first, k=64)

A draft is part of the released text: `encode` gives the ids of all of it, and the positions
are beginnings of those. Where a short text's ids are not a beginning of the long one's, ask
about the texts themselves: `next_distributions` takes them too, and then no ids are needed.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from cogenesis.errors import CloudError
from cogenesis.models.distribution import Distribution
from cogenesis.models.draft_scoring import Asking, Dialect, Prefix, Scoring
from cogenesis.models.protocol import Prompt
from cogenesis.models.scoring_probe import find_scoring
from cogenesis.privacy.released import Released, ReleasedIds, ReturnedText
from cogenesis.privacy.returned import Encoded
from cogenesis.wire import Deadline, Text, Wire


class TokenScorer:
    """Distributions of one cloud model, through the egress only.

    Safe to use from several threads. What the server answers wrongly is an error of that
    block and is not asked again here: the device goes on.
    """

    def __init__(self, wire: Wire[Released], dialect: Dialect) -> None:
        """Nothing is sent before the first use. Any wire but the egress is refused."""
        self._asking = Asking(wire, dialect)
        self._scoring: Scoring | None = None
        self._probing = threading.Lock()

    def __repr__(self) -> str:
        return f"TokenScorer({self._asking.server!r}, {type(self._asking.dialect).__name__})"

    @property
    def chat(self) -> bool:
        """Whether its prefixes are `Turns`; else they are texts and ids."""
        return self._asking.dialect.chat

    @property
    def scoring(self) -> Scoring:
        """The last result of `probe`, which runs at first use."""
        return self.known()

    def known(self, deadline: Deadline | None = None) -> Scoring:
        """The same, with a deadline for the probe. Raises as `probe` does."""
        with self._probing:
            return self._scoring or self.probe(deadline=deadline)

    def probe(self, *, deadline: Deadline | None = None) -> Scoring:
        """Find out what the server really does, by fixed public text only.

        Raises:
            CloudError: the server cannot be reached, or does not let us in.
            PrivacyError: nothing may be sent.
        """
        self._scoring = find_scoring(self._asking, deadline)
        return self._scoring

    def encode(self, text: Text[Released], *, deadline: Deadline | None = None) -> Encoded:
        """The server's ids of a released text, and the bytes of each token where it tells.

        One request. An opening token that the server adds has no bytes. `pieces` are None
        where they do not spell the text, so that places in it cannot be told.

        Raises:
            CloudError: the server has no such endpoint, or does not answer properly.
            PrivacyError: the text may not leave.
        """
        return self._asking.encode(text, deadline)

    def fill_template(
        self, prompt: Prompt[Released], *, deadline: Deadline | None = None
    ) -> ReturnedText:
        """The chat turns as the model's own template writes them, up to the assistant's turn.

        Put it before the text so far: `Text((filled, shielded))` is then a prefix.

        Raises:
            CloudError: the server does not show it (ask it by `ChatDialect` then).
            PrivacyError: the turns may not leave.
        """
        return self._asking.fill_template(prompt, deadline)

    def next_distribution(
        self, prefix: Prefix, k: int, *, deadline: Deadline | None = None
    ) -> Distribution:
        """The K most probable next tokens after one prefix, raw."""
        (found,) = self.next_distributions((prefix,), k, deadline=deadline)
        return found

    def score_draft(
        self, ids: ReleasedIds, first: int, k: int, *, deadline: Deadline | None = None
    ) -> tuple[Distribution, ...]:
        """Distributions along a released text that ends in a draft.

        Args:
            ids: the whole text, in the server's vocabulary.
            first: how many of them were there before the draft, at least one.
            k: entries wanted at each position.
            deadline: for all of it.

        Returns:
            len(ids) - first + 1 distributions: before every drafted token, and after the last.
        """
        if not 1 <= first <= len(ids):
            raise CloudError("bad-request", "a draft follows a prefix of one token or more")
        ends = range(first, len(ids) + 1)
        return self.next_distributions([ids.prefix(end) for end in ends], k, deadline=deadline)

    def next_distributions(
        self, prefixes: Sequence[Prefix], k: int, *, deadline: Deadline | None = None
    ) -> tuple[Distribution, ...]:
        """The K most probable next tokens after each prefix, in as few requests as possible.

        Raises:
            CloudError: "bad-reply" if what comes back is no distribution; "bad-request" if
                the probe found no way to ask, or K is more than the server gives.
            PrivacyError: a prefix may not leave, or holds ids of another server.
        """
        scoring = self.known(deadline)
        if not scoring.ways:
            raise CloudError("bad-request", f"{self._asking.server}: {scoring.left}")
        if not 1 <= k <= scoring.largest_k:
            raise CloudError(
                "bad-request", f"{self._asking.server} lists {scoring.largest_k} tokens, not {k}"
            )
        found: dict[int, Distribution] = {}
        for way in scoring.ways:
            missing = [at for at in range(len(prefixes)) if at not in found]
            asked = [prefixes[at] for at in missing]
            if not asked or (way != "single" and len(asked) == 1):
                continue
            if self._asking.dialect.fits(asked, way):
                answer = self._asking.ask(asked, k, way, deadline=deadline)
                told = zip(missing, answer.distributions, strict=True)
                found |= {at: one for at, one in told if one is not None}
        if len(found) < len(prefixes):
            raise self._asking.reader.fault("left a position without an answer")
        return tuple(found[at] for at in range(len(prefixes)))
