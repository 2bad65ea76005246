"""Which gate is measured where none is named, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cogenesis.cli.evaluate_bits import _chosen_gates
from cogenesis.evaluation.gate_notes import gate_notes
from cogenesis.fusion.gate_file import SHIPPED, load_gate, shipped_gate
from cogenesis.models.adapters import find_adapter
from cogenesis.models.fetch import sha256_of

DEMO = {"device": "demo-device", "cloud": "demo-cloud"}


def test_the_shipped_gate_is_for_the_models_it_was_fitted_to() -> None:
    assert shipped_gate("demo-device", "demo-cloud", None) == Path(SHIPPED)
    assert shipped_gate("demo-device", "demo-cloud", "none") is None
    assert shipped_gate("demo-device", "demo-cloud", "mine.gguf") is None
    assert shipped_gate("demo-device", "demo-device", None) is None
    assert shipped_gate("other", "demo-cloud", None) is None


@pytest.mark.parametrize(
    ("given", "models", "adapter", "chosen"),
    [
        (None, DEMO, None, [Path(SHIPPED)]),
        (None, DEMO, "none", []),
        (None, {**DEMO, "cloud": "demo-device"}, None, []),
        ([Path("none")], DEMO, None, []),
        ([Path("mine.npz")], DEMO, None, [Path("mine.npz")]),
    ],
)
def test_without_a_choice_bits_measures_the_shipped_gate(
    given: list[Path] | None, models: dict[str, str], adapter: str | None, chosen: list[Path]
) -> None:
    assert list(_chosen_gates(given, models, adapter)) == chosen


def test_a_gate_that_was_fitted_to_the_data_or_to_another_adapter_says_so() -> None:
    shipped, lora = load_gate(Path(SHIPPED)), find_adapter("demo-device", None)
    assert lora is not None
    own = sha256_of(lora)
    assert gate_notes("fusion:gate", shipped, "0" * 64, own) == []
    fitted = shipped.about["data"][0]["sha256"]
    assert "flatter" in gate_notes("fusion:gate", shipped, fitted, own)[0]
    other = gate_notes("fusion:gate", shipped, fitted, None)
    assert len(other) == 2
    assert "without an adapter" in other[1]
    unknown = replace(shipped, about={})
    assert gate_notes("fusion:gate", unknown, fitted, own) == []
