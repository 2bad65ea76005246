"""Writing the texts of each system, with scripted models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cogenesis.context.reader import Sample, read_samples
from cogenesis.errors import CloudError, InputError, LedgerError, ModelError
from cogenesis.evaluation.generation import WrittenText
from cogenesis.evaluation.generation_run import (
    Generation,
    GenerationSettings,
    ModelNames,
    Models,
    is_final,
    text_key,
    wanted_texts,
)
from cogenesis.evaluation.systems import is_system, text_systems
from cogenesis.models.scripted import ScriptedModel
from cogenesis.privacy.published import PublishedData
from tests.unit.evaluation.test_leaks_report import TOPICS, person
from tests.unit.test_assistant import OUTLINE

NAMES = ModelNames({"name": "d", "sha256": "1"}, {"name": "z", "sha256": "2"}, {"name": "c"})
SETTINGS = GenerationSettings(max_tokens=6)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "people.json"
    path.write_text(json.dumps([person(name, topic) for name, topic in TOPICS.items()]))
    return path


@pytest.fixture
def samples(data: Path) -> list[tuple[int, Sample]]:
    return list(enumerate(read_samples(data), start=1))


def device(*said: str) -> ScriptedModel:
    return ScriptedModel(list(said))


def cloud(reply: Any = OUTLINE, **more: Any) -> ScriptedModel:
    return ScriptedModel(lambda prompt: reply, name="c", role="cloud", **more)


def written(
    names: list[str], samples: list[tuple[int, Sample]], models: Models
) -> list[WrittenText]:
    wanted = wanted_texts(dict(samples), text_systems(names), NAMES, SETTINGS)
    return list(Generation(models, NAMES, SETTINGS).write(wanted))


@pytest.mark.parametrize(
    ("name", "rule", "weight"),
    [("fusion:mixture", "mixture", 0.5), ("fusion:logits@0.7", "logits", 0.7)],
)
def test_a_fusion_names_its_rule_and_weight(name: str, rule: str, weight: float) -> None:
    (system,) = text_systems([name, name])
    assert (system.fusion.rule, system.fusion.weight) == (rule, weight)
    assert is_system(name) and is_system("fusion:gate") and not is_system("theirs")


@pytest.mark.parametrize(
    "name",
    ["", "theirs", "fusion", "fusion:", "fusion:none", "fusion:mixture@x", "fusion:mixture@2"],
)
def test_what_is_no_system_is_told(name: str) -> None:
    with pytest.raises(InputError):
        text_systems([name])
    with pytest.raises(InputError, match="--gate"):
        text_systems(["fusion:gate"])


def test_each_system_writes_through_its_models(samples: list[tuple[int, Sample]]) -> None:
    zero = device("before tuning")
    ours = device("alone now", "with a sketch")
    models = Models(lambda: ours, lambda: zero, cloud())
    names = ["device:zero-shot", "cloud", "device", "sketch"]
    found = {each.system: each for each in written(names, samples[:1], models)}
    assert list(found) == ["cloud", "device", "sketch", "device:zero-shot"]
    assert found["device"].text == "alone now"
    assert found["device:zero-shot"].text == "before tuning"
    assert (found["sketch"].text, found["sketch"].mode) == ("with a sketch", "sketch")
    assert found["cloud"].text is not None and found["cloud"].mode == "cloud"
    assert (found["cloud"].device, found["device"].cloud) == (None, None)
    assert (found["sketch"].device, found["sketch"].cloud) == ("d", "c")
    assert found["device"].title == "Write a note" and found["device"].reference
    assert all(each.max_tokens == 6 and each.tokens <= 6 for each in found.values())


def test_the_cloud_alone_is_told_the_general_instruction_only(
    samples: list[tuple[int, Sample]],
) -> None:
    model = cloud("A note.")
    written(["cloud"], samples[:1], Models(cloud=model))
    (prompt,) = model.asked
    shown = model.text_of(prompt)
    assert "Write a note" in shown and "Wren" not in shown and "orchids" not in shown


def test_the_upper_bound_needs_the_proof_and_then_sees_all(
    data: Path, samples: list[tuple[int, Sample]]
) -> None:
    model = cloud("A note.")
    for name in ("cloud:context", "cloud:instruction"):
        with pytest.raises(InputError, match="--unsafe-send-context"):
            written([name], samples[:1], Models(cloud=model))
    assert model.asked == []
    proof = PublishedData(data, unsafe_send_context=True)
    written(
        ["cloud:context", "cloud:instruction"], samples[:1], Models(cloud=model, published=proof)
    )
    context, instruction = (model.text_of(prompt) for prompt in model.asked)
    for private in ("Spends evenings with orchids", "Dear all, I love", "Wren Aldous tells of"):
        assert private in context
        assert (private in instruction) is private.startswith("Wren")
    assert "I am Wren Aldous and this" not in context  # the reference is what is to be written


@pytest.mark.parametrize("reason", ["unreachable", "bad-request"])
def test_a_cloud_that_fails_leaves_a_gap_and_the_rest_goes_on(
    reason: Any, samples: list[tuple[int, Sample]]
) -> None:
    broken = cloud(fail=CloudError(reason, "no"))
    models = Models(lambda: device("on my own"), cloud=broken)
    alone, sketch = written(["cloud", "sketch"], samples[:1], models)
    assert (alone.text, alone.degraded) == (None, reason)
    assert (sketch.text, sketch.mode, sketch.degraded) == ("on my own", "device", reason)
    assert not is_final(alone) and not is_final(sketch)


def test_what_the_guard_refuses_is_never_sent(samples: list[tuple[int, Sample]]) -> None:
    number, sample = samples[0]
    private = Sample(sample.context, "Wren Aldous", sample.reference, "1")
    model = cloud("A note.")
    (found,) = written(["cloud"], [(number, private)], Models(cloud=model))
    assert (found.text, found.degraded, model.asked) == (None, "refused", [])
    assert is_final(found) and not is_final(None)


def test_a_broken_ledger_or_device_ends_the_run(samples: list[tuple[int, Sample]]) -> None:
    with pytest.raises(LedgerError):
        written(["cloud"], samples[:1], Models(cloud=cloud(fail=LedgerError("full"))))
    broken = ScriptedModel([""], fail=ModelError("gone"))
    with pytest.raises(ModelError, match="gone"):
        written(["device"], samples[:1], Models(lambda: broken))
    with pytest.raises(InputError, match="--device"):
        written(["device"], samples[:1], Models())


def test_a_key_changes_with_all_that_a_text_depends_on(samples: list[tuple[int, Sample]]) -> None:
    (_, one), (_, two), *_ = samples
    sketch, fusion, lighter, alone = text_systems(
        ["sketch", "fusion:mixture", "fusion:mixture@0.7", "device"]
    )
    other = ModelNames(NAMES.device, NAMES.zero_shot, {"name": "c2"})
    keys = [
        text_key(sketch, NAMES, one, SETTINGS),
        text_key(sketch, NAMES, two, SETTINGS),
        text_key(sketch, other, one, SETTINGS),
        text_key(sketch, NAMES, one, GenerationSettings(max_tokens=7)),
        text_key(sketch, NAMES, one, GenerationSettings(max_tokens=6, seed=1)),
        text_key(fusion, NAMES, one, SETTINGS),
        text_key(lighter, NAMES, one, SETTINGS),
        text_key(alone, NAMES, one, SETTINGS),
    ]
    assert len(set(keys)) == len(keys)
    # A cloud that takes no part changes nothing.
    assert text_key(alone, other, one, SETTINGS) == keys[-1]
