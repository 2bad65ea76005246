"""Finding out which ways of asking for log-probabilities really work on a server.

Servers promise much: some drop log-probabilities without a word, some list fewer than asked,
some tell what is left after sampling, some score a draft wrongly. So each way is tried on
fixed public text, through the egress, and is used only if

* K entries come back, no token twice (K from a short list of values);
* they are the same at temperatures 0 and 1. Requests are sent at 0; 1 is the other value
  at which SGLang leaves log-probabilities alone, and where post-sampling values would differ;
* a repeated prompt comes from the cache, where the server tells (not asked of chats);
* a chat goes on with what the assistant has begun;
* a draft scored in one request agrees with the same positions asked one by one.

Not covered: a server that behaves on this text and not on another. Every answer is checked
again where it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cogenesis.errors import CloudError
from cogenesis.models.distribution import Distribution
from cogenesis.models.draft_scoring import NOISE, Answer, Asking, Prefix, Scoring, Turns, Way
from cogenesis.models.protocol import Message
from cogenesis.privacy.released import Released, ReleasedIds, public
from cogenesis.wire import Deadline, Text

LADDER: Final = (128, 64, 20, 5)
"""K that are tried. OpenAI-style APIs stop at 20 or 5; fusion's candidates are 64."""

_ENOUGH: Final = 0.9
"""Share of K that must come back with its bytes: some tokens are half a character."""

_PASSING: Final = frozenset({"unreachable", "timeout", "rate-limited", "unauthorised"})
"""Errors that say nothing about what the server can do: the probe is tried again later."""

# Long enough for caches that keep whole blocks: a block has up to 128 tokens.
_STORY: Final = public(
    "The old harbour town lies between two green hills. In the morning the boats come back "
    "with fish, and people meet on the square to buy bread, fruit and flowers. Children walk "
    "to school along the river, where the water is clear and cold. At noon the bells ring, "
    "the shops close for an hour, and the streets become quiet. In the afternoon the wind "
    "turns, and visitors climb to the lighthouse to look at the sea. There is a small museum "
    "with old maps, a library with a reading room, and a theatre that plays every summer. In "
    "the evening there is music on the square, and the lamps are lit one after another. The "
    "town is not rich, but those who live there say that they would not like to live in any "
    "other place. A visitor once asked an old man why he had never left. He thought for a "
    "while. Paris is the capital of France, Rome is the capital of Italy, and Madrid is the "
    "capital of"
)
_NEXT: Final = (public(" Spain"), public(", and"), public(" Lisbon"))
_TASK: Final = public("Count from 1 to 9, with a comma after each number.")
_BEGUN: Final = public("1, 2, 3, 4, 5, 6,")
_SPACE: Final = public(" ")

PROBE_TEXTS: Final = frozenset(
    {_TASK.text, _BEGUN.text, _BEGUN.text + _SPACE.text}
    | {"".join(part.text for part in (_STORY, *_NEXT[:count])) for count in range(len(_NEXT) + 1)}
)
"""Every text that a probe sends, whole: the same for everybody, and the only one with places."""


def find_scoring(asking: Asking, deadline: Deadline | None = None) -> Scoring:
    """Try every way of a dialect on its server.

    Raises:
        CloudError: the server cannot be reached, or does not let us in.
        PrivacyError: nothing may be sent.
    """
    failed: list[str] = []
    try:
        k, first = _largest_k(asking, deadline)
        base = _basic_faults(asking, k, first, failed, deadline)
    except CloudError as error:
        _raise_if_passing(error)
        failed.append(f"no log-probabilities of a next token: {error}")
    if failed:
        return Scoring((), failed=tuple(failed))
    ids = _ids(asking, deadline)
    trial = _Trial(asking, k, _drafts(asking, ids), failed, deadline)
    ways: list[Way] = [way for way in asking.dialect.ways if trial.passes(way)]
    caches = True if base.cached else None
    return Scoring(tuple(ways), k, caches, ids is not None, tuple(failed))


def _prefixes(asking: Asking) -> list[Prefix]:
    if asking.dialect.chat:
        return [_counting(_BEGUN)]
    return [Text((_STORY, *_NEXT[:count])) for count in range(len(_NEXT) + 1)]


def _counting(*begun: Released) -> Turns:
    return Turns((Message("user", (_TASK,)),), Text(begun))


def _goes_on(asking: Asking, k: int, first: Distribution, deadline: Deadline | None) -> bool:
    """Whether the assistant's own counting is gone on with: " 7", or " " and then "7"."""
    likely = _likely(first)
    if likely == b" ":  # a tokenizer that keeps digits apart
        prefix = (_counting(_BEGUN, _SPACE),)
        likely = _likely(_only(asking.ask(prefix, k, "single", deadline=deadline)))
    return likely.strip().startswith(b"7")


def _likely(one: Distribution) -> bytes:
    return one.tokens[int(one.logprobs.argmax())]


def _largest_k(asking: Asking, deadline: Deadline | None) -> tuple[int, Distribution]:
    """The largest K that really comes back, and what came."""
    prefix = _prefixes(asking)[:1]
    for k in LADDER:
        try:
            found = _only(asking.ask(prefix, k, "single", deadline=deadline))
        except CloudError as error:
            _raise_if_passing(error)
            if k == LADDER[-1] or error.reason in {"not-found", "server-error"}:
                raise
            continue
        if len(found) >= _ENOUGH * k:
            return k, found
    raise CloudError("bad-reply", f"{asking.server} lists fewer tokens than it is asked for")


def _basic_faults(
    asking: Asking, k: int, first: Distribution, failed: list[str], deadline: Deadline | None
) -> Answer:
    """Ask the same once more, at another temperature, and note what is wrong with it."""
    prefix = _prefixes(asking)[:1]
    again = asking.ask(prefix, k, "single", temperature=1.0, deadline=deadline)
    if first.total_variation(_only(again)) > NOISE:
        failed.append("log-probabilities move with the temperature: they are not the model's")
    if asking.dialect.chat:  # these turns are shorter than a block, so no cache would show
        if not _goes_on(asking, k, first, deadline):
            failed.append("it does not go on with what the assistant has begun")
    elif again.cached == 0:
        failed.append("a repeated prompt did not come from the cache: each token would cost it all")
    return again


def _ids(asking: Asking, deadline: Deadline | None) -> ReleasedIds | None:
    """The fixed text and its draft in the server's vocabulary, None where it tells no ids."""
    if asking.dialect.chat:
        return None
    try:
        return asking.encode(Text((_STORY, *_NEXT)), deadline).ids
    except CloudError as error:
        _raise_if_passing(error)
        return None


def _drafts(asking: Asking, ids: ReleasedIds | None) -> list[Sequence[Prefix]]:
    """Prefixes that grow out of one another: as texts, and as ids where there are any."""
    drafts: list[Sequence[Prefix]] = [_prefixes(asking)]
    if ids is not None and len(ids) > len(_NEXT):
        drafts.append([ids.prefix(n) for n in range(len(ids) - len(_NEXT), len(ids) + 1)])
    return drafts


class _Trial:
    """Tries ways on drafts. Each draft is asked one by one only once, and only if needed."""

    def __init__(
        self,
        asking: Asking,
        k: int,
        drafts: list[Sequence[Prefix]],
        failed: list[str],
        deadline: Deadline | None,
    ) -> None:
        self._asking = asking
        self._k = k
        self._drafts = drafts
        self._alone: dict[int, tuple[Distribution | None, ...]] = {}
        self._failed = failed
        self._deadline = deadline

    def passes(self, way: Way) -> bool:
        """Whether it gives what asking one by one gives, on every kind of prefix it fits."""
        if way == "single":
            return True
        dialect = self._asking.dialect
        fitting = [at for at, draft in enumerate(self._drafts) if dialect.fits(draft, way)]
        if not fitting:
            self._failed.append(f"{way}: the server does not tell the ids that it needs")
            return False
        try:
            worst = max(self._distance(at, way) for at in fitting)
        except CloudError as error:
            _raise_if_passing(error)
            self._failed.append(f"{way}: {error}")
            return False
        if worst > NOISE:
            self._failed.append(f"{way}: scores of a draft differ by {worst:.2f} from one by one")
        return worst <= NOISE

    def _distance(self, at: int, way: Way) -> float:
        """The largest total variation between a draft's positions and the same, one by one."""
        draft = self._drafts[at]
        together = self._ask(draft, way)
        if at not in self._alone:
            self._alone[at] = self._ask(draft, "single")
        both = zip(together, self._alone[at], strict=True)
        pairs = [(a, b) for a, b in both if a is not None and b is not None]
        if together[-1] is None or len(pairs) < 2:
            raise CloudError("bad-reply", f"{self._asking.server} left positions of a draft out")
        return max(a.total_variation(b) for a, b in pairs)

    def _ask(self, draft: Sequence[Prefix], way: Way) -> tuple[Distribution | None, ...]:
        return self._asking.ask(draft, self._k, way, deadline=self._deadline).distributions


def _only(answer: Answer) -> Distribution:
    (one,) = answer.distributions
    if one is None:
        raise CloudError("bad-reply", "the server left the only position out")
    return one


def _raise_if_passing(error: CloudError) -> None:
    if error.reason in _PASSING:
        raise error
