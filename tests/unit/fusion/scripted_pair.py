"""Two scripted models with one vocabulary, and a cloud view that can wait, fail and lie."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cogenesis.fusion.pool import Listed
from cogenesis.models.distribution import Distribution
from cogenesis.models.protocol import TokenIds
from cogenesis.models.scripted import ScriptedModel
from cogenesis.wire import Deadline

PROMPT = TokenIds(tuple(b"Dear Anna"))
MODEL = ScriptedModel(seed=1)
END = MODEL.end_token


class Kin:
    """A model that leans to `parent`: log p = share·log p_parent + (1 - share)·log p_own.

    Scripted logits depend on the last two tokens, so answers are kept by these.
    """

    def __init__(self, parent: ScriptedModel, own: ScriptedModel, share: float = 0.85) -> None:
        self._parent, self._own, self._share = parent, own, share
        self._kept: dict[tuple[tuple[int, ...], int], Distribution] = {}

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        key = (prefix.ids[-2:], k)
        if key not in self._kept:
            size = self._parent.capabilities.logprobs
            one, two = (m.next_distribution(prefix, size) for m in (self._parent, self._own))
            mixed = self._share * one.logprobs + (1.0 - self._share) * two.logprobs
            mixed -= np.log(np.exp(mixed.astype(np.float64)).sum())
            best = np.argsort(-mixed, kind="stable")[:k].tolist()
            self._kept[key] = Distribution.of(
                best, [float(mixed[i]) for i in best], [one.tokens[i] for i in best]
            )
        return self._kept[key]


class Table:
    """A model whose next token depends on the last one only: a row of probabilities each."""

    def __init__(self, rows: Sequence[Sequence[float]]) -> None:
        self._rows = rows
        self._kept: dict[tuple[int, int], Distribution] = {}

    def next_distribution(self, prefix: TokenIds, k: int) -> Distribution:
        last = prefix.ids[-1] % len(self._rows)
        if (last, k) not in self._kept:
            row = self._rows[last]
            best = np.argsort(-np.array(row), kind="stable")[:k].tolist()
            self._kept[last, k] = Distribution.of(
                best, [float(np.log(row[i])) for i in best], [b"%d" % i for i in best]
            )
        return self._kept[last, k]


@dataclass(frozen=True)
class Row:
    """A list of the device's own vocabulary. `added` came with it because of the draft."""

    listed: Distribution
    added: tuple[int, float] | None = None

    def onto(self, device: Distribution) -> Listed:
        known = np.isin(device.ids, self.listed.ids)
        mass = np.zeros(len(device))
        at = np.searchsorted(self.listed.ids, device.ids[known])
        mass[known] = np.exp(self.listed.logprobs[at].astype(np.float64))
        outside = max(0.0, 1.0 - self.listed.rest - float(mass.sum()))
        unlisted = self.listed.rest
        if self.added is not None and self.listed.logprob(self.added[0]) is None:
            at = np.flatnonzero(device.ids == self.added[0])
            mass[at], known[at] = self.added[1], True
            unlisted -= self.added[1] * len(at)
        return Listed(mass, known, outside, max(0.0, unlisted), self.listed)


def no_wait(call: int) -> float:
    return 0.0


def no_failure(call: int) -> Exception | None:
    return None


class SameVocabularyCloud:
    """Implements `CloudView` over a model with the device's vocabulary.

    Attributes:
        asked: (generated, draft) of every request, in order of arrival.
        k: length of its lists.
        naive: keep the entry that a server adds for the drafted token: then the target looks
            at the draft. It is wrong, and tests show that they notice.
    """

    def __init__(
        self,
        model: Kin | Table,
        k: int = 12,
        *,
        wait: Callable[[int], float] = no_wait,
        failure: Callable[[int], Exception | None] = no_failure,
        naive: bool = False,
        prompt: TokenIds = PROMPT,
    ) -> None:
        self._model, self._k, self._prompt = model, k, prompt
        self._wait, self._failure, self._naive = wait, failure, naive
        self._lock = threading.Lock()
        self.asked: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def score(
        self, generated: TokenIds, draft: TokenIds, deadline: Deadline
    ) -> Sequence[Row | None]:
        with self._lock:
            call = len(self.asked)
            self.asked.append((generated.ids, draft.ids))
        seconds = self._wait(call)
        if seconds > 0.0:
            time.sleep(seconds)
        failure = self._failure(call)
        if failure is not None:
            raise failure
        drafted = (*draft.ids, None)
        return [
            self.row((*generated.ids, *draft.ids[:at]), drafted[at]) for at in range(len(drafted))
        ]

    def requests(self, at_least: int) -> int:
        """How many came, as soon as `at_least` did: the last may be under way as a text ends."""
        latest = time.monotonic() + 5.0
        while len(self.asked) < at_least and time.monotonic() < latest:
            time.sleep(0.001)
        return len(self.asked)

    def row(self, before: Sequence[int], drafted: int | None = None) -> Row:
        """What it lists after `before`; `drafted` is the token that a draft has there."""
        prefix = TokenIds((*self._prompt.ids, *before))
        row = Row(self._model.next_distribution(prefix, self._k))
        if self._naive and drafted is not None:
            true = self._model.next_distribution(prefix, 400).logprob(drafted)
            row = replace(row, added=(drafted, float(np.exp(-50.0 if true is None else true))))
        return row
