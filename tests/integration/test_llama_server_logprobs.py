"""Log-probabilities of a real llama.cpp server in the cloud's role, through the egress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cogenesis.cloud_server import DemoCloud
from cogenesis.errors import CloudError
from cogenesis.models.draft_scoring import NOISE, Asking
from cogenesis.models.llama_scoring import LlamaDialect
from cogenesis.models.protocol import Message, Prompt
from cogenesis.models.token_scorer import TokenScorer
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.released import Released, public
from cogenesis.wire import Text

BEGUN: tuple[Released, ...] = (public("Dear neighbours, on Saturday we will meet in the"),)
DRAFT: tuple[Released, ...] = (public(" garden behind the"), public(" café to plant trees 🌳"))

BIRDS = public("🐧🦜🐧🦜🐧🦜🐧🦜🐧🦜🐧🦜")
HIEROGLYPHS = public("𓀀𓀁𓀀𓀁𓀀𓀁𓀀𓀁𓀀𓀁𓀀𓀁𓀀𓀁𓀀𓀁𓀀𓀁𓀀𓀁")
STORY = public(
    "Every year the whole street meets once, and this year it is our turn to ask the others. "
    "There will be cake, and somebody will bring a guitar, as somebody always does."
)


@contextmanager
def _cloud(gguf: Path, folder: Path) -> Iterator[tuple[TokenScorer, Egress]]:
    with (
        DemoCloud(gguf, threads=1, context_tokens=1024) as cloud,
        Ledger.open(folder / "ledger.db") as ledger,
        Egress(CloudEndpoint.parse(cloud.url), ledger) as egress,
    ):
        yield TokenScorer(egress, LlamaDialect()), egress


@pytest.fixture(scope="module", params=["device_gguf", "cloud_gguf"])
def cloud(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TokenScorer, Egress]]:
    gguf = request.getfixturevalue(request.param)
    with _cloud(gguf, tmp_path_factory.mktemp("ledger")) as running:
        yield running


def test_the_probe_finds_drafts_ids_and_a_cache(cloud: tuple[TokenScorer, Egress]) -> None:
    scoring = cloud[0].scoring
    assert scoring.failed == ()
    assert (scoring.ways, scoring.largest_k) == (("batch", "single"), 128)
    assert scoring.ids
    assert scoring.caches


def test_a_draft_costs_one_request_and_agrees_with_one_by_one(
    cloud: tuple[TokenScorer, Egress],
) -> None:
    scorer, egress = cloud
    assert scorer.scoring.drafts
    begun, whole = scorer.encode(Text(BEGUN)), scorer.encode(Text(BEGUN + DRAFT))
    first = len(begun.ids)
    assert whole.ids.ids[:first] == begun.ids.ids
    assert whole.pieces is not None
    assert b"".join(whole.pieces).decode().endswith("trees 🌳")  # also pieces of one character
    # A token that was read together with others differs a little from one that was read alone,
    # and so do all after it (Gemma: total variation up to 0.061). Let both be read alone.
    for _ in range(2):
        scorer.next_distribution(begun.ids, 64)
    before = egress.traffic
    scores = scorer.score_draft(whole.ids, first, 64)
    assert egress.traffic.since(before).requests == 1
    assert len(scores) == len(whole.ids) - first + 1
    alone = [
        scorer.next_distribution(whole.ids.prefix(end), 64)
        for end in range(first, len(whole.ids) + 1)
    ]
    assert max(a.total_variation(b) for a, b in zip(scores, alone, strict=True)) <= NOISE
    assert all(len(each) == 64 and 0.0 <= each.rest < 1.0 for each in scores)


def test_texts_give_what_their_ids_give(cloud: tuple[TokenScorer, Egress]) -> None:
    scorer, egress = cloud
    texts = [Text(BEGUN), Text(BEGUN + DRAFT[:1]), Text(BEGUN + DRAFT)]
    ids = [scorer.encode(each).ids for each in texts]
    before = egress.traffic
    by_text = scorer.next_distributions(texts, 64)
    assert egress.traffic.since(before).requests == 1
    by_ids = scorer.next_distributions(ids, 64)
    assert max(a.total_variation(b) for a, b in zip(by_text, by_ids, strict=True)) <= NOISE


def test_places_where_half_a_character_is_likely_keep_their_rows(
    cloud: tuple[TokenScorer, Egress],
) -> None:
    """Without the bias on a whole character llama.cpp drops such a row.

    Gemma has tokens for these birds and SmolLM2 has none; hieroglyphs are bytes for Gemma.
    """
    scorer, _ = cloud
    found = scorer.next_distributions([Text((each,)) for each in (BIRDS, HIEROGLYPHS)], 20)
    likely = [each.tokens[int(each.logprobs.argmax())] for each in found]
    assert any("�" in token.decode("utf-8", "replace") for token in likely)


def test_a_growing_text_is_read_from_the_cache(cloud: tuple[TokenScorer, Egress]) -> None:
    scorer, egress = cloud
    asking = Asking(egress, LlamaDialect())
    assert scorer.scoring.caches
    begun: tuple[Released, ...] = (STORY, *BEGUN)
    length = len(scorer.encode(Text(begun)).ids)
    for text in (begun, begun + DRAFT, (*begun, public(" shed"))):
        answer = asking.ask([Text(text)], 5, "single")
    assert answer.cached is not None
    # After a draft that was rejected. For Gemma llama.cpp reads up to 7 tokens again.
    assert answer.cached >= length - 8


def test_more_entries_than_it_showed_are_not_asked_for(cloud: tuple[TokenScorer, Egress]) -> None:
    with pytest.raises(CloudError, match="lists 128 tokens, not 129"):
        cloud[0].next_distribution(Text(BEGUN), 129)


def test_a_chat_goes_on_where_its_template_ends(cloud: tuple[TokenScorer, Egress]) -> None:
    scorer, egress = cloud
    question: Prompt[Released] = Prompt((Message("user", (public("What is 2 + 2?"),)),), ())
    filled = scorer.fill_template(question)
    assert "What is 2 + 2?" in filled.text
    assert filled.server == egress.server
    found = scorer.next_distribution(Text((filled, public("2 + 2 ="))), 64)
    assert found.tokens[int(found.logprobs.argmax())].strip() in {b"4", b""}
