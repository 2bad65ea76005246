"""From what each text costs to what a system costs, with the range that chance leaves.

Bits per byte: all bits over all bytes, so a long text counts more than a short one. The range
is a percentile bootstrap over texts: in each draw the same texts are taken for all systems,
so ratios and differences are ranges of pairs.

Not covered: texts of one person, or of people who write alike, are taken as independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cogenesis.errors import InputError
from cogenesis.evaluation.bits import ZERO_SHOT, Cost, ShieldState, TextCost

Array = npt.NDArray[np.float64]

DRAWS: Final = 10_000
PERCENT: Final = 95.0
"""Share of the draws between low and high."""

_DIGITS: Final = 5


@dataclass(frozen=True, slots=True)
class SampleCost:
    """What the text of one sample costs.

    Attributes:
        sample: its number in the file, from 1.
        id: what the file calls it.
        cut: whether only its beginning was scored.
        text: the figures.
    """

    sample: int
    id: str
    cut: bool
    text: TextCost

    def to_json(self) -> dict[str, Any]:
        """Numbers and the id only: nothing that was written."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> SampleCost:
        """What `to_json` gave. Raises KeyError, TypeError or ValueError if it is not that."""
        text = dict(value["text"])
        costs = {state: Cost(**each) for state, each in text.pop("costs").items()}
        return cls(
            int(value["sample"]),
            str(value["id"]),
            bool(value["cut"]),
            TextCost(**text, costs=costs),
        )


class _Draws:
    """How often each text is taken in each draw: shape (1 + DRAWS, texts), all once in row 0."""

    def __init__(self, texts: int, seed: int) -> None:
        drawn = np.random.default_rng(seed).multinomial(
            texts, np.full(texts, 1.0 / texts), size=DRAWS
        )
        self._taken = np.vstack([np.ones(texts), drawn])

    def totals(self, values: Sequence[float]) -> Array:
        """The sum over the texts taken, for each draw."""
        found: Array = self._taken @ np.asarray(values, dtype=np.float64)
        return found


def bits_report(samples: Sequence[SampleCost], seed: int = 0) -> dict[str, Any]:
    """The figures of `evaluate bits --json` (DESIGN section 7), without settings.

    `systems` is about the shield switched on. Where it was off, too, `unshielded` has the same
    and `shield_cost` the difference (on minus off).

    Raises:
        InputError: there is no sample.
    """
    if not samples:
        raise InputError("no sample could be measured: give other --data")
    draws = _Draws(len(samples), seed)
    size = draws.totals([each.text.bytes for each in samples])
    states = list(samples[0].text.costs)
    per_byte = {state: _per_byte(samples, state, draws, size) for state in states}
    told: dict[str, Any] = {"samples": len(samples)}
    first, *others = states
    told |= _state(samples, first, per_byte[first])
    for state in others:
        told["unshielded"] = _state(samples, state, per_byte[state])
        told["shield_cost"] = [
            {"name": name, "bits_per_byte": value, "low": low, "high": high}
            for name, rates in per_byte[first].items()
            if name not in {"device", ZERO_SHOT}  # they never ask
            for value, low, high in [_range(rates - per_byte[state][name])]
        ]
    tokens = [each.text.tokens for each in samples]
    told |= {"tokens": sum(tokens), "bytes": sum(each.text.bytes for each in samples)}
    told["texts_cut"] = sum(each.cut for each in samples)
    return told


def _per_byte(
    samples: Sequence[SampleCost], state: ShieldState, draws: _Draws, size: Array
) -> dict[str, Array]:
    """Bits per byte of each system: of all texts first, then of each draw."""
    paid = [each.text.costs[state].bits for each in samples]
    return {name: draws.totals([each[name] for each in paid]) / size for name in paid[0]}


def _state(
    samples: Sequence[SampleCost], state: ShieldState, per_byte: dict[str, Array]
) -> dict[str, Any]:
    costs = [each.text.costs[state] for each in samples]
    rows = []
    for name, rates in per_byte.items():
        value, low, high = _range(rates)
        ratio, ratio_low, ratio_high = _range(rates / per_byte["device"])
        row = {"name": name, "bits_per_byte": value, "low": low, "high": high}
        row |= {"ratio_to_device": ratio, "ratio_low": ratio_low, "ratio_high": ratio_high}
        rows.append(row)
    gates = [name for name in per_byte if name.startswith("fusion:gate")]
    compared = [("device", ZERO_SHOT)] if ZERO_SHOT in per_byte else []
    for gate in gates:
        compared += [
            (gate, name)
            for name in per_byte
            if name != gate and not (name in gates and gates.index(name) < gates.index(gate))
        ]
    differences = [_difference(per_byte, *pair) for pair in compared]
    positions = sum(each.text.tokens for each in samples)
    bits = sum(each.bits["device"] for each in costs)
    held = {
        "share_of_positions": sum(each.held for each in costs) / positions,
        "share_of_bits": sum(each.held_bits for each in costs) / bits,
    }
    return {
        "systems": rows,
        **({"differences": differences} if differences else {}),
        "held_back": {name: round(share, _DIGITS) for name, share in held.items()},
    }


def _difference(per_byte: dict[str, Array], name: str, than: str) -> dict[str, Any]:
    """One system minus, and over, another on the same texts."""
    value, low, high = _range(per_byte[name] - per_byte[than])
    ratio, ratio_low, ratio_high = _range(per_byte[name] / per_byte[than])
    told = {"name": name, "than": than, "bits_per_byte": value, "low": low, "high": high}
    return told | {"ratio": ratio, "ratio_low": ratio_low, "ratio_high": ratio_high}


def _range(values: Array) -> tuple[float, float, float]:
    """The figure itself, and the range of the draws."""
    tail = (100.0 - PERCENT) / 2.0
    low, high = np.percentile(values[1:], [tail, 100.0 - tail])
    return round(float(values[0]), _DIGITS), round(float(low), _DIGITS), round(float(high), _DIGITS)
