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

from cogenesis.errors import InputError
from cogenesis.evaluation.bits import ZERO_SHOT, Cost, ShieldState, TextCost
from cogenesis.evaluation.bootstrap import Array, bounds, totals

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


def bits_report(samples: Sequence[SampleCost], seed: int = 0) -> dict[str, Any]:
    """The figures of `evaluate bits --json` (DESIGN section 7), without settings.

    `systems` is about the shield switched on. Where it was off, too, `unshielded` has the same
    and `shield_cost` the difference (on minus off).

    Raises:
        InputError: there is no sample.
    """
    if not samples:
        raise InputError("no sample could be measured: give other --data")
    states = list(samples[0].text.costs)
    per_byte = _per_byte(samples, states, seed)
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
    samples: Sequence[SampleCost], states: Sequence[ShieldState], seed: int
) -> dict[ShieldState, dict[str, Array]]:
    """Bits per byte of each system, by state: of all texts first, then of each draw."""
    places = [(state, name) for state in states for name in samples[0].text.costs[state].bits]
    rows = (
        [each.text.bytes, *(each.text.costs[state].bits[name] for state, name in places)]
        for each in samples
    )
    size, *bits = totals(np.array(list(rows), dtype=np.float64), seed).T
    found: dict[ShieldState, dict[str, Array]] = {state: {} for state in states}
    for (state, name), paid in zip(places, bits, strict=True):
        found[state][name] = paid / size
    return found


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
    low, high = bounds(values[1:])
    return round(float(values[0]), _DIGITS), round(low, _DIGITS), round(high, _DIGITS)
