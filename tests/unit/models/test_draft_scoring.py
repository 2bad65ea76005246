"""What holds for every kind of server: probing, ways, bad replies, and what may leave."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cogenesis.errors import CloudError, EgressError
from cogenesis.models.chat_logprobs import ChatDialect
from cogenesis.models.draft_scoring import Dialect, Scoring, Turns, placed
from cogenesis.models.llama_scoring import LlamaDialect
from cogenesis.models.local_wire import LocalWire
from cogenesis.models.openai_completions import CompletionsDialect
from cogenesis.models.protocol import Message
from cogenesis.models.sglang import SglangDialect
from cogenesis.models.token_scorer import TokenScorer
from cogenesis.models.vllm import VllmDialect
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.released import Released, Setting, public
from cogenesis.wire import Text
from tests.unit.models.loopback import Handler, Loopback
from tests.unit.models.scoring_server import VOCABULARY, Change, Scores, row_after, scorer

MODEL = Setting.of("cloud")
DIALECTS: dict[str, tuple[str, Callable[[], Dialect]]] = {
    "llama": ("llama", LlamaDialect),
    "vllm": ("vllm", lambda: VllmDialect(MODEL, VOCABULARY)),
    "vllm by text": ("vllm", lambda: VllmDialect(MODEL)),
    "sglang": ("sglang", lambda: SglangDialect(MODEL, VOCABULARY)),
    "sglang by text": ("sglang", lambda: SglangDialect(MODEL)),
    "batch": ("completions", lambda: CompletionsDialect(MODEL)),
    "echo": ("completions", lambda: CompletionsDialect(MODEL, "echo")),
    "echo_last": ("completions", lambda: CompletionsDialect(MODEL, "echo_last")),
    "chat": ("chat", lambda: ChatDialect(MODEL)),
}
WAYS = {
    "llama": ("batch", "single"),
    "vllm": ("batch", "single"),
    "vllm by text": ("batch", "single"),
    "sglang": ("sequence", "single"),
    "sglang by text": ("sequence", "single"),
    "batch": ("batch", "single"),
    "echo": ("sequence", "batch", "single"),
    "echo_last": ("sequence", "batch", "single"),
    "chat": ("single",),
}
TEXT: Text[Released] = Text((public("Dear all, "), public("we meet")))
Honest = Callable[[str], tuple[TokenScorer, Loopback]]
each_dialect = pytest.mark.parametrize("name", list(DIALECTS))


def prefix_of(dialect: Dialect, text: Text[Released] = TEXT) -> Text[Released] | Turns:
    return Turns((Message("user", (public("hi"),)),), text) if dialect.chat else text


def largest(name: str) -> int:
    """Echoes repeat everything: with 64 entries for each letter they would be too large."""
    return 20 if name.startswith("echo") else 64


@pytest.fixture(scope="module")
def honest() -> Iterator[Honest]:
    """Honest servers by the name of their dialect: probed once, which takes most of the time."""
    with ExitStack() as stack:

        @cache
        def opened(name: str) -> tuple[TokenScorer, Loopback]:
            kind, dialect = DIALECTS[name]
            return stack.enter_context(scorer(dialect(), Scores(kind, largest=largest(name))))

        yield opened


def probed(name: str, **how: Any) -> Scoring:
    kind, dialect = DIALECTS[name]
    with scorer(dialect(), Scores(kind, largest=largest(name), **how)) as (asked, _):
        return asked.scoring


def expected(text: str, k: int) -> dict[bytes, float]:
    return {name.encode(): logprob for name, logprob in row_after(text, k)}


@each_dialect
def test_an_honest_server_passes_with_the_k_that_it_lists(name: str, honest: Honest) -> None:
    found = honest(name)[0].scoring
    assert (found.ways, found.failed) == (WAYS[name], ())
    assert found.largest_k == largest(name)
    assert found.caches is True
    assert found.drafts is (name != "chat")


@each_dialect
def test_a_distribution_is_what_the_model_said(name: str, honest: Honest) -> None:
    found = honest(name)[0].next_distribution(prefix_of(DIALECTS[name][1]()), 5)
    told = dict(zip(found.tokens, found.logprobs.tolist(), strict=True))
    assert told == pytest.approx(expected("Dear all, we meet", 5), abs=1e-6)
    assert found.rest == pytest.approx(1 - sum(math.exp(lp) for lp in told.values()))


@pytest.mark.parametrize("name", ["llama", "vllm", "sglang", "sglang by text"])
def test_a_draft_is_scored_by_ids_in_one_request(name: str, honest: Honest) -> None:
    asked, server = honest(name)
    text = asked.encode(TEXT)
    assert asked.scoring.drafts
    before = len(server.asked)
    found = asked.score_draft(text.ids, 14, 5)
    assert len(server.asked) == before + 1
    assert len(found) == 4  # "eet" was drafted
    for at, one in enumerate(found):
        assert set(one.tokens) == set(expected("Dear all, we meet"[: 14 + at], 5))


@pytest.mark.parametrize("name", ["llama", "vllm", "batch", "echo", "echo_last"])
def test_texts_are_asked_together_without_any_ids(name: str, honest: Honest) -> None:
    parts = [public("Dear"), public(" all"), public(","), public(" we")]
    texts: list[Text[Released]] = [Text(tuple(parts[:end])) for end in range(1, 5)]
    asked, server = honest(name)
    assert asked.scoring.drafts
    before = len(server.asked)
    found = asked.next_distributions(texts, 5)
    assert len(server.asked) == before + 1
    for text, one in zip(texts, found, strict=True):
        plain = "".join(part.text for part in text.parts)
        # The token that was drafted is listed only where it is one of the best.
        assert set(one.tokens) == set(expected(plain, 5))


def post_sampling(path: str, body: dict[str, Any], reply: Any) -> Any:
    """What a server tells that shows what is left after sampling: another row at another T."""
    hot = body.get("temperature", body.get("sampling_params", {}).get("temperature"))
    return _mapped(reply, lambda lp: lp * 3 - 1) if hot == 1.0 else reply


def one_entry_only(path: str, body: dict[str, Any], reply: Any) -> Any:
    return _shortened(reply)


def moved_drafts(path: str, body: dict[str, Any], reply: Any) -> Any:
    together = "logprob_start_len" in body or "echo" in body or "echo_last" in body
    several = isinstance(body.get("prompt"), list) and len(body["prompt"]) > 1
    return _mapped(reply, lambda lp: lp * 2 - 1) if together or several else reply


def _mapped(value: Any, change: Callable[[float], float]) -> Any:
    if isinstance(value, float):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    return [_mapped(item, change) for item in value] if isinstance(value, list) else value


def _shortened(value: Any) -> Any:
    """The reply with one entry left in every row."""
    if isinstance(value, dict):
        if len(value) > 4 and all(isinstance(item, float) for item in value.values()):
            return dict(list(value.items())[:1])
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        rows = len(value) > 4 and all(isinstance(item, list | dict) and item for item in value)
        return value[:1] if rows else [_shortened(item) for item in value]
    return value


@each_dialect
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (post_sampling, "move with the temperature"),
        (one_entry_only, "tokens where 5 were asked for"),
        (lambda path, body, reply: None, "400"),
        (lambda path, body, reply: {}, "expected"),
    ],
)
def test_a_server_that_fails_the_probe_is_left_sketch_mode(
    name: str, change: Change, reason: str
) -> None:
    kind, dialect = DIALECTS[name]
    with scorer(dialect(), Scores(kind, largest=largest(name), change=change)) as (asked, _):
        found = asked.scoring
        assert (found.ways, found.largest_k) == ((), 0)
        assert any(reason in each for each in found.failed), found.failed
        with pytest.raises(CloudError, match="sketch mode only") as caught:
            asked.next_distribution(prefix_of(dialect()), 5)
    assert caught.value.reason == "bad-request"


@pytest.mark.parametrize("name", [name for name in DIALECTS if name != "chat"])
def test_a_server_without_a_cache_is_not_used(name: str) -> None:
    found = probed(name, cached=0)
    assert found.ways == ()
    assert any("cache" in each for each in found.failed)
    assert probed(name, cached=None).caches is None  # it does not say


@pytest.mark.parametrize("name", [name for name in DIALECTS if name != "chat"])
def test_a_way_whose_draft_scores_differ_is_not_used(name: str) -> None:
    found = probed(name, change=moved_drafts)
    assert found.ways == ("single",)
    assert any("differ by" in each for each in found.failed)
    assert "slow" in found.left


def test_a_chat_that_begins_a_new_turn_is_not_used() -> None:
    def new_turn(path: str, body: dict[str, Any], reply: Any) -> Any:
        return {
            **reply,
            "choices": Scores("chat")._chat({**body, "messages": [{"content": ""}]})["choices"],
        }

    found = probed("chat", change=new_turn)
    assert found.failed == ("it does not go on with what the assistant has begun",)


def test_a_chat_is_too_short_for_its_cache_to_show() -> None:
    """As vLLM on a processor: its blocks have 128 tokens."""
    found = probed("chat", cached=0)
    assert (found.ways, found.caches, found.failed) == (("single",), None, ())


@pytest.mark.parametrize(("after", "used"), [("7", True), ("1", False)])
def test_a_chat_whose_tokenizer_keeps_digits_apart_goes_on_by_a_space(
    after: str, used: bool
) -> None:
    """As SmolLM2 in vLLM: " ", then "7"."""

    def apart(path: str, body: dict[str, Any], reply: Any) -> Any:
        written = body["messages"][-1]["content"]
        likely = after if written.endswith(" ") else " "
        for choice in reply["choices"]:
            row = choice["logprobs"]["content"][0]["top_logprobs"]
            row[:] = [each for each in row if each["token"] != likely]
            row[0] = {"token": likely, "bytes": [*likely.encode()], "logprob": -0.01}
            for each in row[1:]:
                each["logprob"] -= 9.0
        return reply

    found = probed("chat", change=apart)
    assert bool(found.ways) == used


def test_a_chat_may_list_several_special_tokens_without_a_name() -> None:
    """As vLLM does, whose different ones are all called ""."""

    def special(path: str, body: dict[str, Any], reply: Any) -> Any:
        for choice in reply["choices"]:
            row = choice["logprobs"]["content"][0]["top_logprobs"]
            for each in row[-2:]:
                each.update(token="", bytes=[])
        return reply

    assert probed("chat", change=special).ways == ("single",)


def test_a_server_that_tells_no_ids_is_asked_by_text() -> None:
    def no_ids(path: str, body: dict[str, Any], reply: Any) -> Any:
        return None if path == "/tokenize" else reply

    vllm, sglang = probed("vllm", change=no_ids), probed("sglang", change=no_ids)
    assert (vllm.ways, vllm.ids) == (("batch", "single"), False)
    assert (sglang.ways, sglang.ids) == (("single",), False)


@pytest.mark.parametrize(("status", "reason"), [(429, "rate-limited"), (401, "unauthorised")])
def test_what_passes_is_no_verdict(status: int, reason: str, tmp_path: Path) -> None:
    """A server that is busy or not let in is asked again later, not written off."""
    answers = Scores("llama")
    statuses = [status]

    def answer(handler: Handler) -> None:
        if statuses:
            handler.send_json({}, status=statuses.pop())
        else:
            answers(handler)

    with (
        Loopback(answer) as server,
        Ledger.open(tmp_path / "ledger.db") as ledger,
        Egress(CloudEndpoint.parse(server.url), ledger, attempts=1) as egress,
    ):
        asked = TokenScorer(egress, LlamaDialect())
        with pytest.raises(CloudError) as caught:
            asked.probe()
        assert caught.value.reason == reason
        assert asked.scoring.drafts


def test_ids_of_another_server_are_refused() -> None:
    with (
        scorer(LlamaDialect(), Scores("llama")) as (one, _),
        scorer(LlamaDialect(), Scores("llama")) as (other, server),
    ):
        ids = one.encode(TEXT).ids
        assert other.scoring.ways
        before = len(server.asked)
        with pytest.raises(EgressError, match="of one server"):
            other.next_distribution(ids, 5)
        assert len(server.asked) == before


@pytest.mark.parametrize("first", [0, -1, 99])
def test_a_draft_needs_a_prefix(first: int) -> None:
    with scorer(LlamaDialect(), Scores("llama")) as (asked, _):
        ids = asked.encode(TEXT).ids
        with pytest.raises(CloudError, match="one token or more"):
            asked.score_draft(ids, first, 5)


def test_any_other_wire_is_refused() -> None:
    wire: Any = LocalWire.loopback("http://127.0.0.1:9")
    with pytest.raises(EgressError, match="egress only"):
        TokenScorer(wire, LlamaDialect())
    wire.close()


@each_dialect
def test_every_request_passes_the_egress(name: str, honest: Honest) -> None:
    """All parameters are known to it, and no plain number stands where ids could."""
    asked, _ = honest(name)
    assert asked.scoring.ways == WAYS[name]
    asked.next_distribution(prefix_of(DIALECTS[name][1]()), 5)
    if asked.scoring.ids:
        asked.score_draft(asked.encode(TEXT).ids, 12, 5)


def test_pieces_are_trusted_only_where_they_spell_the_text() -> None:
    assert placed((b"a", b"b"), b"ab") == (b"a", b"b")
    assert placed((b"<s>", b"a", b"b"), b"ab") == (b"", b"a", b"b")
    assert placed(("Ġa".encode(), b"b"), b" ab") is None
    assert placed(None, b"ab") is None


def test_nothing_of_the_text_shows_in_a_repr() -> None:
    with scorer(LlamaDialect(), Scores("llama")) as (asked, _):
        text = asked.encode(TEXT)
        shown = repr((asked, text, prefix_of(ChatDialect(MODEL)), TEXT))
    assert "Dear" not in shown
    assert "68" not in shown.replace(asked._asking.server, "")  # the id of "D"
