"""Asking a cloud model for next-token distributions, also at many positions in one request.

What the cloud is asked about is a *prefix*: a released text, or a beginning of the token ids
that the server itself gave for one (`privacy.returned`). Plain ids cannot be asked about: the
device's own draft reaches the cloud only as the text that the shield released.

How a kind of server is asked is a `Dialect`: what to send, how to read the answer, no network.
`Asking` puts it on the egress; `token_scorer.TokenScorer` is what fusion uses, and
`scoring_probe` finds out by fixed public text which ways really work.

Ways, best first:

* "sequence": one prompt, distributions along it. For prefixes that grow out of one another.
* "batch": many prompts in one request, one token each.
* "single": one request for each prefix. As slow as lockstep.

What is never sent: the device's candidates. Some servers would score named ids
(`logprob_token_ids` of vLLM), which saves a little; but the candidates were made from the
private context, and a name among them would tell it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal, Protocol, TypeAlias

from cogenesis.errors import CloudError, EgressError
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import Message, Prompt
from cogenesis.models.reply_reader import ReplyReader, check_wire
from cogenesis.privacy.released import Released, ReleasedIds, ReturnedText
from cogenesis.privacy.returned import Encoded, ask_ids, ask_prompt
from cogenesis.wire import Body, Deadline, Json, Reply, Text, Wire

Way = Literal["sequence", "batch", "single"]

NOISE: Final = 0.05
"""Total variation between scores that should agree: batches change the last bits."""


@dataclass(frozen=True, slots=True)
class Turns:
    """A prefix of a chat server: the turns, and what the assistant has written so far."""

    messages: tuple[Message[Released], ...]
    written: Text[Released]

    def __repr__(self) -> str:
        return f"Turns({len(self.messages)} messages)"


Prefix: TypeAlias = Text[Released] | ReleasedIds | Turns


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request told: None for a prefix that it could not answer.

    `cached` is the number of prompt tokens that came from the server's cache.
    """

    distributions: tuple[Distribution | None, ...]
    cached: int | None = None


_MOST_REASONS: Final = 4
_LONGEST_REASON: Final = 160
"""Characters: a server's own words may be in it."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """What a server was found to do. Found by a probe, never assumed.

    Attributes:
        ways: those that passed, best first; empty means: no log-probabilities to rely on.
        largest_k: K that really came back, 0 without any way.
        caches: whether a repeated prompt came from the cache; None if it does not say.
        ids: whether it tells the ids of a text, so that `TokenScorer.encode` works.
        failed: what did not pass and why, a sentence each.
    """

    ways: tuple[Way, ...]
    largest_k: int = 0
    caches: bool | None = None
    ids: bool = False
    failed: tuple[str, ...] = ()

    @property
    def drafts(self) -> bool:
        """Whether a whole draft can be scored in one request."""
        return "sequence" in self.ways or "batch" in self.ways

    @property
    def left(self) -> str:
        """Which mode is left, for the user; without fusion also why."""
        if self.drafts:
            return f"fusion works, with drafts, {self.largest_k} tokens at each position"
        if self.ways:
            return "fusion works, with one request for each token: it will be slow"
        reasons = "; ".join(each[:_LONGEST_REASON] for each in self.failed[:_MOST_REASONS])
        why = f" ({reasons})" if reasons else ""
        return f"this cloud model serves sketch mode only{why}; use --mode sketch"


@dataclass(frozen=True, slots=True)
class TemplateRequest:
    """How a chat prompt is asked for: at `/apply-template`, or as ids and back to text.

    `settings` are fields that both requests of the second form need.
    """

    endpoint: Literal["/apply-template", "/tokenize"]
    body: Mapping[str, Json[Released]]
    settings: Mapping[str, Json[Released]] = field(default_factory=dict)


class Dialect(Protocol):
    """How one kind of server is asked. Pure: it sends nothing."""

    @property
    def endpoint(self) -> str:
        """Where to ask."""
        ...

    @property
    def ways(self) -> tuple[Way, ...]:
        """What it may be able to do, best first; ends with "single"."""
        ...

    @property
    def chat(self) -> bool:
        """Whether its prefixes are `Turns`; else they are texts and ids."""
        ...

    def fits(self, prefixes: Sequence[Prefix], way: Way) -> bool:
        """Whether these prefixes can be asked in this way at all."""
        ...

    def body(
        self, prefixes: Sequence[Prefix], k: int, way: Way, temperature: float
    ) -> Body[Released]:
        """The request for one token after each prefix, with the K most probable ones."""
        ...

    def read(
        self, reply: Reply, prefixes: Sequence[Prefix], k: int, way: Way, reader: ReplyReader
    ) -> Answer:
        """The answer, checked. Raises the reader's fault where it is none."""
        ...

    def tokenize_body(self, text: Text[Released]) -> dict[str, Json[Released]] | None:
        """The request for a text's ids, opening token included; None if there is no way."""
        ...

    def piece(self, token_id: int) -> bytes | None:
        """The bytes of a token, where a vocabulary was given."""
        ...

    def template_body(self, prompt: Prompt[Released]) -> TemplateRequest | None:
        """How the server is asked for its chat template, filled in; None if there is no way."""
        ...


class Asking:
    """One dialect on one wire. Safe to use from several threads."""

    def __init__(self, wire: Wire[Released], dialect: Dialect) -> None:
        check_wire(wire, "cloud")
        self._wire = wire
        self.dialect = dialect
        self.reader = ReplyReader("cloud", wire.server)

    @property
    def server(self) -> str:
        """The cloud's host and port."""
        return self._wire.server

    def ask(
        self,
        prefixes: Sequence[Prefix],
        k: int,
        way: Way,
        *,
        temperature: float = 0.0,
        deadline: Deadline | None = None,
    ) -> Answer:
        """Ask about all prefixes in one way: one request, or one for each if "single".

        Raises:
            CloudError: the server does not answer, or not with distributions.
            PrivacyError: a prefix may not leave, or holds ids of another server.
        """
        for prefix in prefixes:
            if isinstance(prefix, ReleasedIds) and prefix.server != self.server:
                raise EgressError("token ids of one server were about to be sent to another")
        if way == "single" and len(prefixes) > 1:
            alone = [
                self.ask((each,), k, way, temperature=temperature, deadline=deadline)
                for each in prefixes
            ]
            return Answer(tuple(one for answer in alone for one in answer.distributions))
        body = self.dialect.body(prefixes, k, way, temperature)
        reply = self._wire.post(self.dialect.endpoint, body, deadline=deadline)
        answer = self.dialect.read(reply, prefixes, k, way, self.reader)
        if len(answer.distributions) != len(prefixes):
            raise self.reader.fault("answered another number of positions than were asked")
        return answer

    def encode(self, text: Text[Released], deadline: Deadline | None = None) -> Encoded:
        """As `TokenScorer.encode`."""
        body = self.dialect.tokenize_body(text)
        if body is None:
            raise CloudError("bad-request", f"{self.server} tells no token ids")
        told = ask_ids(self._wire, body, deadline=deadline)
        pieces = told.pieces or self._spelled(told.ids)
        plain = "".join(part.text for part in text.parts).encode("utf-8", "replace")
        return Encoded(told.ids, placed(pieces, plain))

    def fill_template(
        self, prompt: Prompt[Released], deadline: Deadline | None = None
    ) -> ReturnedText:
        """As `TokenScorer.fill_template`."""
        asked = self.dialect.template_body(prompt)
        if asked is None:
            raise CloudError("bad-request", f"{self.server} does not show its chat template")
        if asked.endpoint == "/apply-template":
            return ask_prompt(self._wire, "/apply-template", asked.body, deadline=deadline)
        body = {**asked.settings, **asked.body}
        ids = ask_ids(self._wire, body, deadline=deadline).ids
        back: dict[str, Json[Released]] = {**asked.settings, "tokens": ids}
        return ask_prompt(self._wire, "/detokenize", back, deadline=deadline)

    def _spelled(self, ids: ReleasedIds) -> tuple[bytes, ...] | None:
        pieces = [self.dialect.piece(each) for each in ids.ids]
        known = tuple(piece for piece in pieces if piece is not None)
        return known if len(known) == len(pieces) else None


def placed(pieces: tuple[bytes, ...] | None, plain: bytes) -> tuple[bytes, ...] | None:
    """The pieces if they spell the text, an opening token (which has no bytes) left aside.

    None where they do not: markers in the text, or a server with a spelling of its own.
    """
    if pieces is None or b"".join(pieces) == plain:
        return pieces
    if b"".join(pieces[1:]) == plain:
        return (b"", *pieces[1:])
    return None


def nested(prefixes: Sequence[Prefix]) -> bool:
    """Whether all are token ids, each a beginning of the next."""
    ids = [prefix.ids for prefix in prefixes if isinstance(prefix, ReleasedIds)]
    return len(ids) == len(prefixes) and all(
        longer[: len(shorter)] == shorter and len(longer) > len(shorter)
        for shorter, longer in pairwise(ids)
    )
