"""Fitting gates, and saying honestly how good they are.

**Held-out people.** Texts are divided by groups of people. Each group is scored once by gates
that were fitted to the other groups (cross-validation); of these, some more are kept back to
say when to stop. The gate that is saved is then fitted to all but those.

**Cross-fitting.** The paper fits its gate on texts that the device model was tuned on, where
it is surer than it will be later. Texts whose `seen` is true are such. Gates are fitted to the
others, if there are any, and scored on these alone; where there are both kinds, a gate fitted
to the seen ones of the same people is scored beside it, so that the difference shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from cogenesis.errors import InputError
from cogenesis.evaluation.bits import Cost, TextCost
from cogenesis.evaluation.bits_report import SampleCost, bits_report
from cogenesis.fusion.gates import PaperGate, SmallGate
from cogenesis.training.gate_data import GateData, Positions
from cogenesis.training.gate_fit import (
    FitSettings,
    best_fixed,
    fit_paper,
    fit_small,
    nats_at,
    paper_logits,
    small_logits,
)

Network = Literal["small", "paper"]
Chosen = npt.NDArray[np.bool_]

SHARE: Final = 0.15
"""Groups kept back to say when to stop, of those that a gate is fitted to."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A gate, its kind, and what it costs."""

    kind: Network
    gate: SmallGate | PaperGate
    metrics: dict[str, Any] = field(default_factory=dict)


class GateTraining:
    """Fits gates to texts that were extracted."""

    def __init__(
        self, data: GateData, settings: FitSettings, *, say: Say = lambda line: None
    ) -> None:
        """Nothing is fitted yet.

        Raises:
            InputError: too few people, or the extraction lacks what a gate needs.
        """
        self._data, self._settings, self._say = data, settings, say
        self._groups = np.array(data.groups)
        if len(set(data.groups)) < 3:
            raise InputError(
                "a gate needs texts of three groups of people at least: to fit, to stop, to test"
            )
        self._vocabulary = int(data.heads[0]["about"]["device"].get("tokens") or 0)

    def fit(self, kind: Network) -> SmallGate | PaperGate:
        """The gate that is kept: fitted to all texts but those that say when to stop."""
        return self._fit(kind, self._fitting(seen=False))

    def _fitting(self, *, seen: bool) -> Chosen:
        """Texts of one kind; all of them where there is only one kind."""
        known = self._data.seen
        if known.all() or not known.any():
            return np.ones(len(known), dtype=np.bool_)
        return known if seen else ~known

    def _fit(self, kind: Network, chosen: Chosen) -> SmallGate | PaperGate:
        train, kept = self._divided(chosen)
        if kind == "small":
            return fit_small(train, kept, self._settings)
        if not self._vocabulary:
            raise InputError(
                "the paper's gate needs the device model's vocabulary: extract with a GGUF file"
            )
        return fit_paper(train, kept, self._settings, self._vocabulary)

    def _divided(self, chosen: Chosen) -> tuple[Positions, Positions]:
        """What is fitted to, and what says when to stop: never people of one group."""
        groups = np.unique(self._groups[chosen])
        if len(groups) < 2:
            raise InputError("a gate needs texts of two groups of people at least")
        random = np.random.default_rng(self._settings.seed)
        back = random.permutation(groups)[: max(1, round(SHARE * len(groups)))]
        stop = chosen & np.isin(self._groups, back)
        positions = self._data.positions
        return positions.of(chosen & ~stop), positions.of(stop)

    def cross_validate(self, kinds: Sequence[Network], folds: int) -> dict[str, Any]:
        """Bits per byte of each system on people that its gate was not fitted to.

        Returns the report of `evaluate bits` on the texts that the device model was not tuned
        on: `device`, `fusion:RULE` (even), `fusion:RULE@best` (one weight, fitted likewise),
        `fusion:gate` (small), `fusion:gate:paper`; and with `:seen` those that were fitted to
        texts that the device model was tuned on.
        """
        data, rule = self._data, self._settings.rule
        scored = self._fitting(seen=False)
        groups = np.unique(self._groups[scored])
        folds = min(folds, len(groups))
        order = np.random.default_rng(self._settings.seed).permutation(groups)
        costs: dict[str, npt.NDArray[np.float64]] = {}
        both = data.seen.any() and not data.seen.all()
        for fold in range(folds):
            out = np.isin(self._groups, order[fold::folds])
            test = data.positions.of(scored & out)
            for mark, seen in (("", False), (":seen", True)) if both else (("", False),):
                chosen = self._fitting(seen=seen) & ~out
                for name, z in self._systems(kinds, chosen, test):
                    nats = nats_at(rule, test, z)
                    sums = np.bincount(test.text, nats, minlength=len(data.texts))
                    held = costs.setdefault(name + mark, np.zeros(len(data.texts)))
                    held += sums
            self._say(f"fold {fold + 1} of {folds} is scored")
        return self._report(costs, np.flatnonzero(scored))

    def _systems(
        self, kinds: Sequence[Network], chosen: Chosen, test: Positions
    ) -> list[tuple[str, Any]]:
        rule = self._settings.rule
        train, _ = self._divided(chosen)
        weight = best_fixed(rule, train)
        found: list[tuple[str, Any]] = [
            (f"fusion:{rule}", np.zeros(len(test))),
            (f"fusion:{rule}@best", np.full(len(test), np.log(weight) - np.log1p(-weight))),
        ]
        for kind in kinds:
            gate = self._fit(kind, chosen)
            if isinstance(gate, SmallGate):
                found.append(("fusion:gate", small_logits(gate, test)))
            else:
                found.append(("fusion:gate:paper", paper_logits(gate, test)))
        return found

    def _report(
        self, costs: dict[str, npt.NDArray[np.float64]], texts: npt.NDArray[np.int64]
    ) -> dict[str, Any]:
        data = self._data
        samples = []
        for at in texts.tolist():
            held = float(data.held_bits[at])
            bits = {"device": float(data.device_bits[at])}
            bits |= {name: held + float(nats[at]) / np.log(2.0) for name, nats in costs.items()}
            cost = Cost(bits, int(data.held[at]), held)
            text = TextCost(int(data.tokens[at]), int(data.bytes[at]), {"on": cost})
            samples.append(SampleCost(data.texts[at].sample, data.texts[at].id, False, text))
        return bits_report(samples)
