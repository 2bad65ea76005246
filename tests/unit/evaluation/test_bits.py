"""What systems pay for a text, against numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2, sqrt

import pytest

from cogenesis.errors import InputError
from cogenesis.evaluation.bits import BitsSettings, ShieldState, TextCost, cost, systems
from cogenesis.evaluation.bits_positions import Reference, positions
from cogenesis.fusion.mixing import RULES
from cogenesis.models.protocol import TokenIds
from cogenesis.models.scripted import ScriptedModel
from cogenesis.wire import Deadline
from tests.unit.fusion.scripted_pair import MODEL, PROMPT, Kin, Row, SameVocabularyCloud, Table

# What comes after token 0, 1 and 2; the text is "1 2" after the prompt "0".
DEVICE = Table([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5], [1.0, 0.0, 0.0]])
CLOUD = Table([[0.25, 0.5, 0.25], [0.75, 0.125, 0.125], [1.0, 0.0, 0.0]])
START = TokenIds((0,))
TEXT = Reference(START, (1, 2), (b"on", b"the"))
WEIGHTS = (0.5, 0.9)


class Held(SameVocabularyCloud):
    """A cloud that may not be asked at every third position."""

    def score(
        self, generated: TokenIds, draft: TokenIds, deadline: Deadline
    ) -> Sequence[Row | None]:
        rows = super().score(generated, draft, deadline)
        return [row if (len(generated) + at) % 3 else None for at, row in enumerate(rows)]


def paid(k: int = 3) -> dict[str, float]:
    cloud = SameVocabularyCloud(CLOUD, prompt=START)
    found = positions(DEVICE, [cloud], TEXT, k=k, vocabulary=3, block=4)
    text = cost(found, systems(WEIGHTS), ["on"])
    assert (text.tokens, text.bytes) == (2, 5)
    assert (text.costs["on"].held, text.costs["on"].held_bits) == (0, 0.0)
    return text.costs["on"].bits


def test_the_names() -> None:
    names = [each.name for each in systems(WEIGHTS)]
    assert names[:2] == ["device", "cloud"]
    assert {f"fusion:{rule}" for rule in ("mixture", "logits", "product", "max")} <= set(names)
    assert len([each for each in names if "@" not in each]) == 2 + len(RULES)
    assert {"fusion:mixture@0.9", "fusion:logits@0.9"} <= set(names)
    assert not {"fusion:product@0.9", "fusion:max@0.9"} & set(names)
    assert names == [each.name for each in systems((0.9, 0.5, 0.9))]


def test_bits_are_those_worked_out_by_hand() -> None:
    # p and q of the two tokens: (1/4, 1/2) on the device, (1/2, 1/8) in the cloud.
    roots = (
        (sqrt(0.5 * 0.25), sqrt(0.25 * 0.5), sqrt(0.25 * 0.25)),
        (sqrt(0.25 * 0.75), sqrt(0.25 * 0.125), sqrt(0.5 * 0.125)),
    )
    expected = {
        "device": 2.0 + 1.0,
        "cloud": 1.0 + 3.0,
        "fusion:mixture": -log2(0.375) - log2(0.3125),
        "fusion:mixture@0.9": -log2(0.9 * 0.25 + 0.1 * 0.5) - log2(0.9 * 0.5 + 0.1 * 0.125),
        "fusion:logits": -log2(roots[0][1] / sum(roots[0])) - log2(roots[1][2] / sum(roots[1])),
        # Products: 1/8, 1/8, 1/16 and 3/16, 1/32, 1/16. Maxima: 1/2, 1/2, 1/4 and 3/4, 1/4, 1/2.
        "fusion:product": -log2(2 / 5) - log2(2 / 9),
        "fusion:max": -log2(2 / 5) - log2(1 / 3),
    }
    bits = paid()
    for name, value in expected.items():
        assert bits[name] == pytest.approx(value, abs=1e-6), name


def test_a_token_outside_the_list_shares_the_bucket_as_the_device_would() -> None:
    """With one candidate (token 0; then token 2) the bucket has half of the device's mass."""
    bits = paid(k=1)
    assert bits["device"] == pytest.approx(3.0, abs=1e-6)
    # First token: the cloud's 3/4 outside the list, of which the device gives this one half.
    assert bits["cloud"] == pytest.approx(-log2(0.75 / 2) + 3.0, abs=1e-6)
    mixed = (0.5 + 0.75) / 2 / 2
    assert bits["fusion:mixture"] == pytest.approx(-log2(mixed) - log2(0.3125), abs=1e-6)


LONG = b"the tide was in and we sang"
KIN = Kin(MODEL, ScriptedModel(seed=2))


def long(*clouds: SameVocabularyCloud, k: int = 40, weights: Sequence[float] = ()) -> TextCost:
    text = Reference(PROMPT, tuple(LONG), tuple(bytes([each]) for each in LONG))
    size = MODEL.capabilities.logprobs
    states: list[ShieldState] = ["on", "off"]
    found = positions(KIN, clouds, text, k=k, vocabulary=size, block=7)
    return cost(found, systems(weights), states[: len(clouds)])


@pytest.mark.parametrize("k", [5, 40, 267])
def test_a_cloud_that_is_the_device_changes_nothing_at_any_weight(k: int) -> None:
    weights = (0.0, 0.1, 0.7, 1.0)
    bits = long(SameVocabularyCloud(KIN, k=k), k=k, weights=weights).costs["on"].bits
    device = bits.pop("device")
    assert device > 0.5 * len(LONG)
    product = bits.pop("fusion:product")
    assert product != pytest.approx(device, rel=0.01)
    for name, value in bits.items():
        assert value == pytest.approx(device, rel=1e-5), name


def test_where_the_cloud_is_not_asked_all_systems_are_the_device() -> None:
    other = Kin(MODEL, ScriptedModel(seed=3))
    asked, held = long(SameVocabularyCloud(other), Held(other)).costs.values()
    third = len(range(0, len(LONG), 3))
    assert (asked.held, held.held) == (0, third)
    assert asked.held_bits == 0.0
    assert 0.0 < held.held_bits < held.bits["device"]
    assert asked.bits["device"] == held.bits["device"]

    class Mute(SameVocabularyCloud):
        def score(
            self, generated: TokenIds, draft: TokenIds, deadline: Deadline
        ) -> Sequence[Row | None]:
            return [None] * (len(draft) + 1)

    mute = long(Mute(other)).costs["on"]
    assert mute.held == len(LONG)
    assert mute.held_bits == mute.bits["device"]
    assert len(set(mute.bits.values())) == 1


def test_held_positions_cost_the_same_in_every_system() -> None:
    """Bits at held positions are the device's: asking there changes only the rest."""
    other = Kin(MODEL, ScriptedModel(seed=3))
    held = long(Held(other)).costs["on"]
    text = Reference(PROMPT, tuple(LONG), tuple(bytes([each]) for each in LONG))
    found = list(
        positions(KIN, [Held(other)], text, k=40, vocabulary=MODEL.capabilities.logprobs, block=7)
    )
    asked = cost((each for each in found if each.row is not None), systems(), ["on"]).costs["on"]
    for name, value in held.bits.items():
        assert value == pytest.approx(asked.bits[name] + held.held_bits, rel=1e-9), name


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weights": (0.5, 1.5)}, "--weight"),
        ({"device_k": 0}, "--device-k"),
        ({"cloud_k": 0}, "--cloud-k"),
        ({"max_tokens": 0}, "--max-tokens"),
    ],
)
def test_settings_that_measure_nothing_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BitsSettings(**wrong)  # type: ignore[arg-type]
