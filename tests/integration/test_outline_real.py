"""The demo cloud model, a base model, gives usable outlines to plain general instructions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cogenesis.errors import CloudError
from cogenesis.models.llama_cpp import LlamaCpp
from cogenesis.privacy.released import _MINT, GeneralInstruction
from cogenesis.sketch.outline import Sketch, parse_outline
from cogenesis.sketch.prompt import EXAMPLE_POINTS, OUTLINE_SAMPLING, outline_prompt
from cogenesis.sketch.request import ASKS

INSTRUCTIONS = (
    "Email to the hiking club about a change of plans",
    "Blog post on growing vegetables in a small flat",
    "Write a farewell speech for a colleague",
    "Review of a science museum",
    "Proposal for a neighbourhood bicycle workshop",
    "Short story",
)


@pytest.fixture(scope="module")
def cloud(cloud_gguf: Path) -> Iterator[LlamaCpp]:
    with LlamaCpp(cloud_gguf, threads=1, context_tokens=1024) as model:
        yield model


def _general(text: str) -> GeneralInstruction:
    return GeneralInstruction(text, _MINT, source="given")


def _reply(cloud: LlamaCpp, general: GeneralInstruction, seed: int) -> str:
    sampling = replace(OUTLINE_SAMPLING, seed=seed)
    return "".join(piece.text for piece in cloud.generate(outline_prompt(general), sampling))


def _sketch(cloud: LlamaCpp, general: GeneralInstruction) -> Sketch | None:
    for seed in range(ASKS):
        try:
            return parse_outline(_reply(cloud, general, seed), general=general)
        except CloudError as error:
            assert error.reason == "no-sketch"
    return None


def test_nearly_every_instruction_gets_an_outline_of_its_own(cloud: LlamaCpp) -> None:
    sketches = [_sketch(cloud, _general(text)) for text in INSTRUCTIONS]
    found = [sketch for sketch in sketches if sketch is not None]
    # The benchmark measures the share; here one miss among six is let pass.
    assert len(found) >= len(INSTRUCTIONS) - 1
    assert len({sketch.points for sketch in found}) == len(found)
    for sketch in found:
        assert set(sketch.points).isdisjoint(EXAMPLE_POINTS)


def test_the_same_seed_gives_the_same_outline_and_another_seed_another(cloud: LlamaCpp) -> None:
    general = _general(INSTRUCTIONS[0])
    _reply(cloud, general, 0)  # the first reading of a prompt may be batched differently
    first, again, other = (_reply(cloud, general, seed) for seed in (7, 7, 8))
    assert first == again != other


def test_the_prompt_leaves_most_of_a_small_window_free(cloud: LlamaCpp) -> None:
    tokens = len(cloud.encode(outline_prompt(_general(INSTRUCTIONS[0]))))
    assert tokens + OUTLINE_SAMPLING.max_tokens < 1024


def test_an_instruct_model_answers_the_chat_form_with_a_list(device_gguf: Path) -> None:
    """A very small instruct model in the cloud's place: the form is asked for, not quality."""
    with LlamaCpp(device_gguf, threads=1, context_tokens=1024) as model:
        assert model.probe().chat
        found = [_sketch(model, _general(text)) for text in INSTRUCTIONS[:3]]
    assert any(sketch is not None for sketch in found)
