"""What the adapter was written for after vLLM's documentation, against vLLM itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cogenesis.errors import CloudError
from cogenesis.fused_writing import DeviceTokens, FusedWriting, connect
from cogenesis.fusion.opening import fusion_prompt
from cogenesis.fusion.settings import FusionSettings
from cogenesis.models.cloud_connection import CloudConnection, CloudKind
from cogenesis.models.draft_scoring import NOISE, Prefix, Scoring
from cogenesis.models.protocol import Sampling
from cogenesis.models.token_scorer import TokenScorer
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.released import _MINT, GeneralInstruction, Released, ReturnedText, public
from cogenesis.privacy.shield import Shield
from cogenesis.wire import Deadline, Text
from tests.unit.fusion.word_models import WithVocabulary
from tests.unit.privacy.test_shield import LEXICON
from tests.vllm.conftest import Vllm

GENERAL = GeneralInstruction("A letter to a friend about the garden", _MINT, source="given")
STORY = (
    public("Dear friend,\n\nThis year the garden"),
    public(" is"),
    public(" full"),
    public(" of flowers"),
    public(", and"),
)
DRAFT: list[Prefix] = [Text(STORY[:end]) for end in range(1, len(STORY) + 1)]
K = 64


@contextmanager
def connected(vllm: Vllm, folder: Path, kind: CloudKind = "auto") -> Iterator[CloudConnection]:
    with (
        Ledger.open(folder / "ledger.sqlite") as ledger,
        Egress(CloudEndpoint.parse(vllm.url), ledger) as egress,
    ):
        yield CloudConnection(egress, vllm.model, kind)


@pytest.fixture(scope="module")
def cloud(vllm: Vllm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudConnection]:
    with connected(vllm, tmp_path_factory.mktemp("vllm")) as connection:
        yield connection


@pytest.fixture(scope="module")
def scorer(cloud: CloudConnection) -> TokenScorer:
    return cloud.scorer()


@pytest.fixture(scope="module")
def scoring(scorer: TokenScorer) -> Scoring:
    return scorer.probe(deadline=Deadline(300))


def test_it_shows_itself(scorer: TokenScorer) -> None:
    assert repr(scorer).endswith("VllmDialect)")
    assert not scorer.chat


def test_every_way_passes_the_probe(scoring: Scoring) -> None:
    """K entries, unmoved by temperature, drafts as one by one, cached on a repeat, with ids."""
    assert scoring.failed == ()
    assert scoring.ways == ("batch", "single")
    assert scoring.largest_k >= K
    assert scoring.ids
    assert scoring.caches


def test_a_draft_in_one_request_is_scored_as_one_by_one(
    scorer: TokenScorer, scoring: Scoring
) -> None:
    together = scorer.next_distributions(DRAFT, K)
    alone = [scorer.next_distribution(each, K) for each in DRAFT]
    for one, other in zip(together, alone, strict=True):
        assert one.total_variation(other) < NOISE
        assert len(one) > 0.9 * K
    assert max(a.total_variation(b) for a, b in pairwise(alone)) > 0.3


def test_what_it_lists_makes_sense(scorer: TokenScorer) -> None:
    """Probabilities of text, not of ids or of markers."""
    row = scorer.next_distribution(
        Text((public("Paris is the capital of France, Rome is the capital of"),)), K
    )
    assert row.tokens[int(np.argmax(row.logprobs))].strip() == b"Italy"
    assert 0.0 <= row.rest < 0.5


def test_ids_of_a_text_score_like_the_text(scorer: TokenScorer, scoring: Scoring) -> None:
    text: Text[Released] = Text(STORY)
    encoded = scorer.encode(text)
    by_ids = scorer.next_distribution(encoded.ids, K)
    assert by_ids.total_variation(scorer.next_distribution(Text(STORY), K)) < NOISE
    found = scorer.score_draft(encoded.ids, len(encoded.ids) - 2, K)
    assert len(found) == 3
    assert found[-1].total_variation(by_ids) < NOISE


def test_the_models_own_template_is_shown(cloud: CloudConnection, scorer: TokenScorer) -> None:
    """With the assistant's turn open at its end, and the opening token in it only once."""
    try:
        filled = scorer.fill_template(fusion_prompt(GENERAL))
    except CloudError as error:  # a base model
        assert error.reason == "bad-request"
        pytest.skip("this model has no chat template")
    assert isinstance(filled, ReturnedText)
    assert "Write this text for another person" in filled.text
    assert GENERAL.text in filled.text
    assert not filled.text.rstrip().endswith(GENERAL.text)
    first, second = scorer.encode(Text((filled,))).ids.ids[:2]
    assert first != second
    row = scorer.next_distribution(Text((filled, public("Dear"))), K)
    assert row.rest < 0.9


def test_as_a_chat_server_it_goes_on_with_a_turn(vllm: Vllm, tmp_path: Path) -> None:
    with connected(vllm, tmp_path, "openai-chat") as connection:
        scoring = connection.scorer().probe(deadline=Deadline(300))
    assert scoring.ways == ("single",), scoring.failed
    assert not scoring.drafts


def test_a_text_is_written_with_it(cloud: CloudConnection) -> None:
    device = WithVocabulary()
    tokens = DeviceTokens(device)
    link = replace(connect(cloud, GENERAL, tokens, Deadline(300)), deadline_s=60.0)
    assert not link.same_vocabulary
    prompt = device.encode_text("Write a letter\n")
    texts = []
    for decoding in ("lockstep", "draft-and-verify"):
        writing = FusedWriting(
            tokens,
            link,
            Shield(LEXICON, GENERAL),
            FusionSettings(decoding=decoding),
        )
        found = list(writing.tokens(prompt, Sampling(0.7, top_p=1.0, max_tokens=20, seed=1)))
        assert writing.figures.fallbacks == 0
        assert any(token.source != "device" for token in found)
        texts.append([token.id for token in found])
    # Batches move the last bits of its numbers: the first tokens agree, all of them mostly do.
    assert texts[0][:3] == texts[1][:3]
