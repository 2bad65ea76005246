"""The adapter on the real Presidio, where the extra is installed. Everybody is invented.

No trained spaCy model is on a package index, so the model here is a blank English pipeline
that knows its names by rules; everything around it is Presidio's own.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from cogenesis.errors import GuardRefusedError, InputError
from cogenesis.privacy.guard import Guard
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.presidio import PresidioRecogniser

pytest.importorskip("presidio_analyzer")
pytest.importorskip("spacy")

TOLD = "write to quellmar in ropewalk about the garden of plumeworks, card 4111 1111 1111 1111"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    nlp = import_module("spacy").blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(
        [
            {"label": "PERSON", "pattern": "quellmar"},
            {"label": "GPE", "pattern": "ropewalk"},
            {"label": "ORG", "pattern": "plumeworks"},
            {"label": "NORP", "pattern": "gardeners"},
        ]
    )
    folder = tmp_path_factory.mktemp("spacy") / "model"
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def recogniser(model: Path) -> PresidioRecogniser:
    return PresidioRecogniser.load(str(model))


def test_names_of_the_model_and_numbers_of_presidio(recogniser: PresidioRecogniser) -> None:
    found = {TOLD[s.start : s.end]: s.role for s in recogniser.recognise(TOLD)}
    assert found == {
        "quellmar": "person",
        "ropewalk": "place",
        "plumeworks": "organisation",
        "4111 1111 1111 1111": "number",
    }


def test_the_guard_takes_them_out(recogniser: PresidioRecogniser) -> None:
    guard = Guard(Lexicon([]), recogniser=recogniser)
    released = guard.derive("write a plan for the gardeners about the tools and the school")
    assert released.text == "write a plan for something personal about the tools and the school"
    with pytest.raises(GuardRefusedError, match="quellmar"):
        guard.release("A plan for quellmar about the garden")


def test_e_mail_is_left_to_our_rules_as_presidio_asks_the_web_for_it(
    recogniser: PresidioRecogniser,
) -> None:
    """The suite fails on any socket that is opened; without the adapter's care one is."""
    told = "write to joan@mail.example and www.mail.example about the garden and tools"
    assert list(recogniser.recognise(told)) == []
    assert "mail" not in Guard(Lexicon([]), recogniser=recogniser).derive(told).text


def test_a_model_that_is_missing_is_refused_and_not_downloaded(tmp_path: Path) -> None:
    for missing in ("en_core_web_none", str(tmp_path)):
        with pytest.raises(InputError, match="spacy download"):
            PresidioRecogniser.load(missing)
