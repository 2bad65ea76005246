from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest

from cogenesis.errors import CloudError, ModelError
from cogenesis.models.llama_server import LlamaServer
from cogenesis.models.local_wire import LocalWire
from cogenesis.models.protocol import DeviceText, Message, Piece, Prompt, Sampling, TokenIds
from cogenesis.privacy.released import Released, public
from cogenesis.wire import Deadline
from tests.unit.models.loopback import Handler, Loopback, ReleasedWire

PROMPT: Prompt[DeviceText] = Prompt(
    messages=(Message("system", ("Be kind.",)), Message("user", ("Hello", ", you"))),
    completion=("Once ", "upon"),
    stop=(public("\n\n"),),
)
RELEASED: Prompt[Released] = Prompt(
    messages=(Message("user", (public("Hello"), public(", you"))),),
    completion=(public("Once "), public("upon")),
    stop=(public("\n\n"),),
)
SAMPLING = Sampling(temperature=0.5, max_tokens=7, seed=2**32 - 1)
END = {"content": "", "stop": True, "tokens_predicted": 2, "tokens": []}
CHATML = "{{'<|im_start|>' + message['role']}}"


class FakeLlama:
    """The endpoints of llama.cpp for a vocabulary of one token a character."""

    def __init__(self) -> None:
        self.template = "{{ bos_token }}[{{ role }}]"
        self.marker_is_token = True
        self.bos: list[int] = [1]
        self.complete: Callable[[Handler], None] = lambda handler: handler.send_events(END)
        self.row: Any = [
            {"id": 7, "bytes": [32, 240], "logprob": -1.0},
            {"id": 3, "bytes": [], "logprob": -0.7},
        ]
        self.piece: Callable[[int], Any] = lambda id_: chr(id_ - 100)
        self.reading = {"prompt_n": 3, "cache_n": 20, "predicted_n": 0}
        self.props: Any = {"default_generation_settings": {"n_ctx": 512}}

    def __call__(self, handler: Handler) -> None:
        body = handler.asked.body
        match handler.asked.path:
            case "/props":
                handler.send_json({**self.props, "chat_template": self.template})
            case "/v1/models":
                handler.send_json({"data": [{"meta": {"n_vocab": 99}}]})
            case "/tokenize":
                found: list[Any] = self._tokens(body)
                if body.get("with_pieces"):
                    found = [{"id": id_, "piece": self.piece(id_)} for id_ in found]
                handler.send_json({"tokens": found})
            case "/apply-template":
                turns = "".join(f"[{m['role']}]{m['content']}" for m in body["messages"])
                handler.send_json({"prompt": turns})
            case "/v1/completions":
                rows = [] if self.row is None else [{"top_logprobs": self.row}]
                handler.send_json({"choices": [{"index": 0, "logprobs": {"content": rows}}]})
            case "/completion" if body["n_predict"] == 0:
                handler.send_json({**END, "timings": self.reading})
            case _:
                self.complete(handler)

    def _tokens(self, body: dict[str, Any]) -> list[int]:
        if body["content"] == "<|im_start|>" and body["parse_special"] and self.marker_is_token:
            return [2]
        opening = self.bos if body["add_special"] else []
        return opening + [100 + ord(character) for character in body["content"]]


@contextmanager
def _device(llama: FakeLlama) -> Iterator[tuple[LlamaServer[DeviceText], Loopback]]:
    with Loopback(llama) as server, LlamaServer(LocalWire.loopback(server.url)) as model:
        yield model, server


@contextmanager
def _cloud(llama: FakeLlama) -> Iterator[tuple[LlamaServer[Released], Loopback]]:
    with (
        Loopback(llama) as server,
        LlamaServer(ReleasedWire.loopback(server.url), role="cloud", name="c") as model,
    ):
        yield model, server


def _bodies(server: Loopback, path: str) -> list[Any]:
    return [asked.body for asked in server.asked if asked.path == path]


def test_probe_finds_what_the_server_can_do() -> None:
    with _device(FakeLlama()) as (model, _):
        found = model.capabilities
    assert (found.chat, found.ids, found.drafts) == (True, True, True)
    assert (found.logprobs, found.context_tokens, found.vocabulary) == (2, 512, 99)


def test_probe_survives_a_server_without_log_probabilities() -> None:
    llama = FakeLlama()
    llama.row = None
    with _device(llama) as (model, _):
        assert (model.capabilities.logprobs, model.capabilities.drafts) == (0, False)


@pytest.mark.parametrize(
    ("template", "one_token", "chat"),
    [(CHATML, True, True), (CHATML, False, False), ("", True, False), ("[INST]", False, True)],
)
def test_a_base_model_is_told_by_a_marker_that_it_spells_out(
    template: str, one_token: bool, chat: bool
) -> None:
    llama = FakeLlama()
    llama.template, llama.marker_is_token = template, one_token
    with _device(llama) as (model, _):
        assert model.capabilities.chat is chat


def test_a_chat_goes_through_the_models_own_template_as_ids() -> None:
    with _device(FakeLlama()) as (model, server):
        ids = model.encode(PROMPT).ids
        list(model.generate(PROMPT, SAMPLING))
        sent = _bodies(server, "/completion")[-1]
    rendered = "[system]Be kind.[user]Hello, you"
    assert ids == (1, *(100 + ord(character) for character in rendered))
    assert sent["prompt"] == list(ids)
    assert sent["stop"] == []


def test_a_template_that_opens_the_text_itself_does_not_open_it_twice() -> None:
    llama = FakeLlama()
    llama.bos = [100 + ord("[")]  # "[" begins every rendered prompt
    with _device(llama) as (model, _):
        ids = model.encode(PROMPT).ids
    assert ids[:2] == (100 + ord("["), 100 + ord("s"))


def test_a_base_model_completes_one_text_until_a_stop_string() -> None:
    llama = FakeLlama()
    llama.template = ""
    with _device(llama) as (model, server):
        list(model.generate(PROMPT, SAMPLING))
        sent = _bodies(server, "/completion")[-1]
        tokenized = _bodies(server, "/tokenize")[-1]
    assert tokenized == {"content": "Once upon", "add_special": True, "parse_special": False}
    assert sent["stop"] == ["\n\n"]


def test_a_text_is_told_as_ids_and_bytes() -> None:
    llama = FakeLlama()
    llama.piece = lambda id_: [240, 159] if id_ == 100 + ord("b") else chr(id_ - 100)
    with _device(llama) as (model, server):
        assert model.tokenise("aé<b") == (
            (197, 333, 160, 198),
            (b"a", "é".encode(), b"<", b"\xf0\x9f"),
        )
        (asked,) = _bodies(server, "/tokenize")
    assert (asked["content"], asked["add_special"], asked["parse_special"]) == (
        "aé<b",
        False,
        False,
    )


@pytest.mark.parametrize("piece", [None, 7, [256], ["a"], {"a": 1}])
def test_a_token_without_bytes_is_refused(piece: object) -> None:
    llama = FakeLlama()
    llama.piece = lambda _: piece
    with (
        _device(llama) as (model, _),
        pytest.raises(ModelError, match=r"was expected|made of bytes"),
    ):
        model.tokenise("a")


def test_a_prompt_is_read_apart_from_its_first_token() -> None:
    """Then a seed gives one text, whether or not the prompt is in the cache."""
    with _device(FakeLlama()) as (model, server):
        list(model.generate(TokenIds((5, 6)), SAMPLING))
        reading, writing = _bodies(server, "/completion")
    assert reading == {"prompt": [5, 6], "n_predict": 0}
    assert (writing["prompt"], writing["n_predict"]) == ([5, 6], SAMPLING.max_tokens)


def test_every_value_of_the_sampling_is_sent() -> None:
    with _device(FakeLlama()) as (model, server):
        list(model.generate(TokenIds((5,)), SAMPLING))
        sent = _bodies(server, "/completion")[-1]
    expected = {
        "prompt": [5],
        "n_predict": 7,
        "temperature": 0.5,
        "top_p": 0.95,
        "top_k": 0,
        "min_p": 0.0,
        "repeat_penalty": 1.0,
        "repeat_last_n": 64,
        "presence_penalty": 0.0,
        "cache_prompt": True,
        "samplers": ["penalties", "temperature", "top_k", "top_p", "min_p"],
        "stream": True,
    }
    assert {name: sent[name] for name in expected} == expected
    assert sent["seed"] == 0  # 2**32 - 1 would mean "random"


def test_pieces_carry_the_id_where_one_token_made_them() -> None:
    llama = FakeLlama()
    llama.complete = lambda handler: handler.send_events(
        {"content": "Hi", "stop": False, "tokens": [4], "tokens_predicted": 1},
        {"content": " 🐧", "stop": False, "tokens": [9], "tokens_predicted": 4},
        {"content": "", "stop": False, "tokens": [8], "tokens_predicted": 5},
        {
            **END,
            "tokens_predicted": 5,
            "timings": {"prompt_n": 1, "cache_n": 22, "predicted_n": 5},
        },
    )
    with _device(llama) as (model, _):
        assert list(model.generate(TokenIds((5,)), SAMPLING)) == [Piece("Hi", 4), Piece(" 🐧")]
        usage = model.last_usage
    assert usage is not None
    assert (usage.read, usage.cached, usage.written) == (3, 20, 5)


def _faults() -> dict[str, Callable[[Handler], None]]:
    word = {"content": "Dear", "stop": False}
    return {
        "cut off": lambda handler: handler.send_events(word),
        "reported an error": lambda handler: handler.send_events(word, {"error": {"message": "x"}}),
        "'content'": lambda handler: handler.send_events({"content": None, "stop": True}),
        "JSON": lambda handler: handler.send_events(word, '{"content": "tru'),
    }


@pytest.mark.parametrize("fault", list(_faults()))
@pytest.mark.parametrize("role", ["device", "cloud"])
def test_every_fault_of_a_stream_has_an_error(fault: str, role: Literal["device", "cloud"]) -> None:
    llama = FakeLlama()
    llama.template = ""
    llama.complete = _faults()[fault]
    with Loopback(llama) as server:
        wire = ReleasedWire.loopback(server.url)
        model: LlamaServer[Any] = (
            LlamaServer(wire) if role == "device" else LlamaServer(wire, role="cloud")
        )
        with model, pytest.raises(ModelError, match=fault) as caught:
            list(model.generate(RELEASED, SAMPLING))
    # What the wire finds is the wire's error; what the adapter finds depends on its role.
    if fault != "JSON":
        assert isinstance(caught.value, CloudError) is (role == "cloud")


def test_a_cloud_that_writes_nothing_is_an_error_and_a_device_is_not() -> None:
    llama = FakeLlama()
    llama.template = ""
    llama.complete = lambda handler: handler.send_events({**END, "content": " \n"})
    with _cloud(llama) as (cloud, _), pytest.raises(CloudError, match="empty text"):
        list(cloud.generate(RELEASED, SAMPLING))
    with _device(llama) as (device, _):
        assert list(device.generate(PROMPT, SAMPLING)) == [Piece(" \n")]


def test_a_cloud_chat_is_sent_as_turns_and_never_as_ids() -> None:
    llama = FakeLlama()
    llama.complete = lambda handler: handler.send_events(
        {"choices": [{"delta": {"role": "assistant", "content": None}}]},
        {"choices": [{"delta": {"content": "1. One"}, "finish_reason": None}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {}},
        "[DONE]",
    )
    with _cloud(llama) as (model, server):
        assert list(model.generate(RELEASED, SAMPLING)) == [Piece("1. One")]
        assert not (model.capabilities.ids or model.capabilities.logprobs)
        paths = [asked.path for asked in server.asked]
        sent = server.asked[-1].body
    assert "/tokenize" not in paths
    assert "/apply-template" not in paths
    assert paths[-1] == "/v1/chat/completions"
    assert sent["messages"] == [{"role": "user", "content": "Hello, you"}]
    assert sent["temperature"] == 0.5


def test_a_cloud_completion_is_sent_as_text() -> None:
    llama = FakeLlama()
    llama.template = ""
    llama.complete = lambda handler: handler.send_events({**END, "content": "a time"})
    with _cloud(llama) as (model, server):
        assert list(model.generate(RELEASED, SAMPLING)) == [Piece("a time")]
        sent = server.asked[-1].body
    assert (sent["prompt"], sent["stop"]) == ("Once upon", ["\n\n"])


def test_a_cloud_refuses_everything_about_ids() -> None:
    with _cloud(FakeLlama()) as (model, server):
        ids = TokenIds((1, 2))
        for call in (
            lambda: model.encode(RELEASED),
            lambda: model.tokenise("a"),
            lambda: list(model.generate(ids, SAMPLING)),
            lambda: model.next_distribution(ids, 4),
            lambda: model.score_draft(ids, [3], 4),
        ):
            with pytest.raises(CloudError, match="sketch mode only") as caught:
                call()
            assert caught.value.reason == "bad-request"
        assert server.asked == []


def test_a_distribution_is_asked_for_with_a_whole_character_forced() -> None:
    with _device(FakeLlama()) as (model, server):
        found = model.next_distribution(TokenIds((5, 6)), 2)
        sent = _bodies(server, "/v1/completions")[-1]
    assert found.ids.tolist() == [3, 7]
    assert found.tokens == (b"", b" \xf0")
    assert sent["logit_bias"] == [[100 + ord("a"), 1e4]]
    assert (sent["logprobs"], sent["max_tokens"], sent["temperature"]) == (2, 1, 0)


def test_a_draft_is_scored_on_growing_prefixes() -> None:
    with _device(FakeLlama()) as (model, server):
        assert len(model.score_draft(TokenIds((5,)), [6, 7], 2)) == 3
        prompts = [body["prompt"] for body in _bodies(server, "/v1/completions")]
    assert prompts == [[5], [5, 6], [5, 6, 7]]


@pytest.mark.parametrize(
    "row",
    [
        None,
        [],
        [{"id": 1, "bytes": [97], "logprob": None}],
        [{"id": 1, "bytes": [97], "logprob": 0.5}],
        [{"id": 1, "bytes": [970], "logprob": -1.0}],
        [{"id": 1, "bytes": "a", "logprob": -1.0}],
        [{"id": "1", "bytes": [97], "logprob": -1.0}],
        [{"id": 1, "bytes": [97], "logprob": -1.0}, {"id": 1, "bytes": [97], "logprob": -2.0}],
        ["a"],
    ],
)
def test_a_distribution_that_is_none_is_refused(row: object) -> None:
    llama = FakeLlama()
    llama.row = row
    with _device(llama) as (model, _), pytest.raises(ModelError):
        model.next_distribution(TokenIds((5,)), 4)


def test_an_empty_prefix_is_refused_before_it_is_sent() -> None:
    with _device(FakeLlama()) as (model, server):
        with pytest.raises(ModelError, match="one token or more"):
            model.next_distribution(TokenIds(()), 4)
        assert server.asked == []


def test_a_server_of_another_kind_is_found_out() -> None:
    llama = FakeLlama()
    llama.props = {"default_generation_settings": None}
    with _device(llama) as (model, _), pytest.raises(ModelError, match="default_generation"):
        model.probe()


def test_the_deadline_covers_probe_and_template_too() -> None:
    silent = threading.Event()
    with Loopback(lambda handler: bool(silent.wait(5))) as server:  # type: ignore[arg-type]
        begin = time.monotonic()
        with (
            LlamaServer(LocalWire.loopback(server.url)) as model,
            pytest.raises(ModelError, match="longer than it was given"),
        ):
            list(model.generate(PROMPT, SAMPLING, deadline=Deadline(0.2)))
        silent.set()
    assert time.monotonic() - begin < 2


def test_half_a_character_from_a_server_becomes_a_whole_one() -> None:
    llama = FakeLlama()
    llama.complete = lambda handler: handler.send_events('{"content": "\\ud83d", "stop": true}')
    with _device(llama) as (model, _):
        assert [piece.text for piece in model.generate(TokenIds((5,)), SAMPLING)] == ["?"]


def test_nothing_private_shows_in_a_repr() -> None:
    with _device(FakeLlama()) as (model, _):
        shown = repr(model) + repr(PROMPT) + repr(Piece("secret")) + repr(TokenIds((1, 2)))
    assert "Hello" not in shown
    assert "secret" not in shown
