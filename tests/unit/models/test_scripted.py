from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogenesis.errors import CloudError, ModelError
from cogenesis.models.protocol import (
    CloudModel,
    DeviceModel,
    Message,
    Piece,
    Prompt,
    Sampling,
    TokenIds,
)
from cogenesis.models.scripted import ScriptedModel
from cogenesis.privacy.released import Released, public
from cogenesis.wire import Deadline

PROMPT: Prompt[str] = Prompt(
    messages=(Message("user", ("Write", " it")),), completion=("Once",), stop=(public("STOP"),)
)
SAMPLING = Sampling(max_tokens=40, seed=1)


def _text(model: DeviceModel, sampling: Sampling = SAMPLING) -> str:
    return "".join(piece.text for piece in model.generate(PROMPT, sampling))


def test_it_stands_in_for_either_role() -> None:
    device: DeviceModel = ScriptedModel(["a"])
    cloud: CloudModel = ScriptedModel(["b"])
    released: Prompt[Released] = Prompt(messages=(), completion=(public("x"),))
    assert _text(device) == "a"
    assert [piece.text for piece in cloud.generate(released, SAMPLING)] == ["b"]


def test_replies_come_in_order_and_prompts_are_remembered() -> None:
    with ScriptedModel(["Dear  you,\n\nhello \n", "second"]) as model:
        assert _text(model) == "Dear  you,\n\nhello \n"
        assert _text(model) == "second"
        with pytest.raises(ModelError, match="2 scripted replies"):
            _text(model)
    assert model.asked == [PROMPT] * 3
    assert model.closed


def test_a_function_answers_what_it_reads() -> None:
    assert _text(ScriptedModel(lambda prompt: prompt.upper())) == "USER: WRITE IT\nASSISTANT: "


def test_stop_strings_end_a_completion_but_no_chat() -> None:
    assert _text(ScriptedModel(["one STOP two"], chat=False)) == "one "
    assert _text(ScriptedModel(["one STOP two"])) == "one STOP two"


def test_a_length_limits_scripted_pieces() -> None:
    assert _text(ScriptedModel(["a b c d"]), Sampling(max_tokens=2)) == "a b"


def test_it_fails_where_it_is_told_to() -> None:
    model = ScriptedModel(["a b c"], fail=CloudError("timeout", "too slow"), fail_at=2)
    pieces = model.generate(PROMPT, SAMPLING)
    assert [next(pieces).text, next(pieces).text] == ["a", " b"]
    with pytest.raises(CloudError, match="too slow"):
        next(pieces)


@pytest.mark.parametrize("role", ["cloud", "device"])
def test_it_is_cut_off_where_it_is_told_to(role: str) -> None:
    model = ScriptedModel(["a b c"], cut_at=1, role="cloud" if role == "cloud" else "device")
    with pytest.raises(ModelError, match="cut off in mid-stream") as caught:
        _text(model)
    assert isinstance(caught.value, CloudError) is (role == "cloud")
    assert model.written == 1


def test_it_waits_and_keeps_deadlines() -> None:
    model = ScriptedModel(["a b", "c"], first_piece_s=0.05, piece_s=0.02)
    begin = time.monotonic()
    assert _text(model) == "a b"
    assert time.monotonic() - begin >= 0.09
    slow, begin = ScriptedModel(["a b"], first_piece_s=60.0), time.monotonic()
    with pytest.raises(ModelError, match="longer than it was given"):
        list(slow.generate(PROMPT, SAMPLING, deadline=Deadline(0.01)))
    assert time.monotonic() - begin < 30


def test_closing_the_iterator_stops_it() -> None:
    model = ScriptedModel(["a b c d e"])
    pieces = model.generate(PROMPT, SAMPLING)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert model.written == 1


def test_a_prompt_beyond_the_window_is_refused() -> None:
    with pytest.raises(ModelError, match="window"):
        ScriptedModel(["a"], context_tokens=5).generate(PROMPT, SAMPLING)


@given(st.text())
def test_every_text_has_ids_and_comes_back(text: str) -> None:
    model = ScriptedModel()
    assert model.decode(model.encode_text(text)) == text.encode("utf-8")


def test_longer_tokens_are_preferred() -> None:
    model = ScriptedModel(tokens=[b"ab", b"abc"])
    assert model.encode_text("abcab").ids == (257, 256)


def test_distributions_are_whole_and_depend_on_seed_and_prefix_only() -> None:
    model, twin, other = ScriptedModel(), ScriptedModel(), ScriptedModel(seed=1)
    prefix = model.encode(PROMPT)
    full = model.next_distribution(prefix, 10_000)
    assert len(full) == model.capabilities.vocabulary
    assert full.rest == pytest.approx(0, abs=1e-6)
    assert full.tokens[model.end_token] == b""
    few = model.next_distribution(prefix, 8)
    assert few.logprobs.min() >= np.sort(full.logprobs)[-8]
    assert few.rest == pytest.approx(1 - float(np.exp(few.logprobs.astype(float)).sum()))
    assert twin.next_distribution(prefix, 8).total_variation(few) == 0
    assert other.next_distribution(prefix, 8).total_variation(few) > 0.1


def test_a_table_says_what_comes_next() -> None:
    model = ScriptedModel(tokens=[], table={(1,): {65: 1.0, 66: 1.0}, (1, 66): {256: 0.0}})
    found = model.next_distribution(TokenIds((1,)), 5)
    assert found.ids.tolist() == [65, 66]
    assert found.logprobs.tolist() == pytest.approx([np.log(0.5)] * 2)
    assert model.end_token == 256
    # Greedy takes the lower id of two equals; at top_p 1 both are drawn.
    greedy = model.generate(TokenIds((1,)), Sampling(temperature=0, max_tokens=1))
    assert list(greedy) == [Piece("A", 65)]
    drawn = {
        "".join(
            piece.text
            for piece in model.generate(TokenIds((1,)), Sampling(max_tokens=1, seed=seed))
        )
        for seed in range(20)
    }
    assert drawn == {"A", "B"}


def test_a_draft_is_scored_like_growing_prefixes() -> None:
    model = ScriptedModel()
    prefix, draft = model.encode_text("Hello"), model.encode_text(" the").ids
    scored = model.score_draft(prefix, draft, 16)
    assert len(scored) == len(draft) + 1
    after = model.next_distribution(TokenIds((*prefix.ids, *draft)), 16)
    assert scored[-1].total_variation(after) == 0


def test_sampled_text_is_made_of_whole_characters_and_repeats_with_its_seed() -> None:
    tokens = ["é".encode(), "🐧".encode()]
    model = ScriptedModel(tokens=tokens)
    first, again = _text(model), _text(model)
    assert first == again
    assert first != _text(model, Sampling(max_tokens=40, seed=2))
    parts = ScriptedModel(tokens=[], table=_spell("🐧"))
    pieces = list(parts.generate(TokenIds((1,)), SAMPLING))
    assert pieces == [Piece("🐧", None)]


def _spell(text: str) -> dict[tuple[int, ...], dict[int, float]]:
    """A table that writes `text` byte by byte after (1,), then ends."""
    data = tuple(text.encode())
    steps = {(1, *data[:at]): {byte: 0.0} for at, byte in enumerate(data)}
    return {**steps, (1, *data): {256: 0.0}}


@pytest.mark.parametrize("sampling", [Sampling(top_k=1), Sampling(top_p=1e-9), Sampling(min_p=1.0)])
def test_each_cut_alone_leaves_the_best_token_at_least(sampling: Sampling) -> None:
    model = ScriptedModel()
    prefix = model.encode(PROMPT)
    best = model.next_distribution(prefix, 1).best()
    for seed in range(5):
        once = Sampling(
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            max_tokens=1,
            seed=seed,
        )
        pieces = list(model.generate(prefix, once))
        expected = model.decode(TokenIds((best,))).decode("utf-8", "replace")
        assert "".join(piece.text for piece in pieces) == expected
