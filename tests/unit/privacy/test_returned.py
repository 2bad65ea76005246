"""Token ids leave only as the server's own words about released text."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import cogenesis
from cogenesis.errors import CloudError, EgressError
from cogenesis.models.local_wire import LocalWire
from cogenesis.privacy.egress import Egress
from cogenesis.privacy.endpoint import CloudEndpoint
from cogenesis.privacy.ledger import Ledger
from cogenesis.privacy.released import Released, ReleasedIds, ReturnedText, public
from cogenesis.privacy.released_body import release_body
from cogenesis.privacy.returned import MAX_TEXT, ask_ids, ask_prompt
from cogenesis.wire import Text
from tests.unit.models.loopback import Handler, Loopback

HELLO: Text[Released] = Text((public("hello"),))


@contextmanager
def _egress(reply: object, folder: Path) -> Iterator[tuple[Egress, Loopback]]:
    def answer(handler: Handler) -> None:
        handler.send_json(reply)

    with (
        Loopback(answer) as server,
        Ledger.open(folder / "ledger.db") as ledger,
        Egress(CloudEndpoint.parse(server.url), ledger) as egress,
    ):
        yield egress, server


def _ids(*ids: int, folder: Path) -> ReleasedIds:
    with _egress({"tokens": ids}, folder) as (egress, _):
        return ask_ids(egress, {"content": HELLO}).ids


def test_ids_that_the_server_gave_may_go_back_to_it(tmp_path: Path) -> None:
    with _egress({"tokens": [5, 6, 7]}, tmp_path) as (egress, server):
        ids = ask_ids(egress, {"content": HELLO}).ids
        assert (ids.ids, ids.server, len(ids)) == ((5, 6, 7), egress.server, 3)
        egress.post("/v1/completions", {"prompt": (ids.prefix(1), ids), "logprobs": 2})
        assert server.asked[-1].body == {"prompt": [[5], [5, 6, 7]], "logprobs": 2}
        egress.post("/generate", {"input_ids": ids})
        assert server.asked[-1].body == {"input_ids": [5, 6, 7]}


def test_ids_cannot_be_made_of_numbers_joined_or_chosen(tmp_path: Path) -> None:
    with pytest.raises(EgressError):
        ReleasedIds((1, 2), "host", object())  # type: ignore[arg-type]
    with pytest.raises(EgressError):
        ReturnedText("secret", "host", object())  # type: ignore[arg-type]
    ids = _ids(5, 6, 7, folder=tmp_path)
    for length in (0, -1, 4):
        with pytest.raises(EgressError, match="beginning"):
            ids.prefix(length)
    anything: Any = ids
    with pytest.raises(TypeError):
        anything + anything
    with pytest.raises(TypeError):
        anything[1:]
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(ids)
    assert "5" not in repr(ids)


def test_only_one_module_mints_what_a_server_said() -> None:
    package = Path(cogenesis.__file__).parent
    minting = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "_ECHO" in path.read_text("utf-8")
    }
    assert minting == {"privacy/released.py", "privacy/returned.py"}


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": (5, 6)},
        {"prompt": ((5, 6), (7,))},
        {"prompt": 5},
        {"input_ids": (5,)},
        {"tokens": (5,)},
        {"logit_bias": ((5, 1.0),)},
        {"logit_bias": (("a", 1.0),)},
        {"logit_bias": ((HELLO, float("inf")),)},
        {"logit_bias": ((HELLO, HELLO),)},
        {"logit_bias": (5,)},
        {"logprob_token_ids": (5,)},
        {"sampling_params": {"max_new_tokens": 1, "secret": 5}},
    ],
)
def test_plain_numbers_in_place_of_ids_are_refused(body: Any) -> None:
    with pytest.raises(EgressError):
        release_body(body)


@pytest.mark.parametrize("key", ["content", "stop", "logprobs", "messages"])
def test_released_ids_stand_only_where_a_prompt_stands(key: str, tmp_path: Path) -> None:
    ids = _ids(5, folder=tmp_path)
    for body in ({key: ids}, {key: (ids,)}):
        with pytest.raises(EgressError, match="token ids where none belong"):
            release_body(body)


def test_a_bias_names_its_token_by_released_text() -> None:
    assert (
        release_body({"logit_bias": ((HELLO, 1e4),)}).data == b'{"logit_bias":[["hello",10000.0]]}'
    )


@pytest.mark.parametrize(
    "tokens",
    [None, [], "5", [True], [-1], [2**31], ["5"], [5.0], [{"piece": "a"}], [{"id": "5"}], [[5]]],
)
def test_a_reply_without_ids_is_an_error(tokens: object, tmp_path: Path) -> None:
    with _egress({"tokens": tokens}, tmp_path) as (egress, _):
        with pytest.raises(CloudError) as caught:
            ask_ids(egress, {"content": HELLO})
        assert caught.value.reason == "bad-reply"


def test_pieces_are_read_where_all_of_them_are_told(tmp_path: Path) -> None:
    told = [{"id": 5, "piece": "h"}, {"id": 6, "piece": [195]}]
    with _egress({"tokens": told}, tmp_path) as (egress, _):
        assert ask_ids(egress, {"content": HELLO}).pieces == (b"h", b"\xc3")
    with _egress({"tokens": [*told, {"id": 7, "piece": [256]}]}, tmp_path) as (egress, _):
        assert ask_ids(egress, {"content": HELLO}).pieces is None


def test_a_prompt_of_the_server_is_text_to_send_back(tmp_path: Path) -> None:
    with _egress({"prompt": "<turn>hello"}, tmp_path) as (egress, server):
        text = ask_prompt(egress, "/apply-template", {"content": HELLO})
        assert (type(text), text.text) == (ReturnedText, "<turn>hello")
        egress.post("/v1/completions", {"prompt": Text((text, public(" you")))})
        assert server.asked[-1].body == {"prompt": "<turn>hello you"}


@pytest.mark.parametrize("prompt", [None, 5, "x" * (MAX_TEXT + 1)])
def test_a_prompt_that_is_none_is_an_error(prompt: object, tmp_path: Path) -> None:
    with (
        _egress({"prompt": prompt}, tmp_path) as (egress, _),
        pytest.raises(CloudError, match="prompt of proper length"),
    ):
        ask_prompt(egress, "/detokenize", {"content": HELLO})


def test_nothing_is_minted_beside_the_egress() -> None:
    with Loopback(lambda handler: handler.send_json({"tokens": [5]})) as server:
        wire: Any = LocalWire.loopback(server.url)
        with pytest.raises(EgressError, match="only if the egress asked"):
            ask_ids(wire, {"content": HELLO})
        with pytest.raises(EgressError, match="only if the egress asked"):
            ask_prompt(wire, "/apply-template", {"content": HELLO})
        assert server.asked == []
        wire.close()


def test_text_of_the_user_is_text_in_the_ledger_also_where_it_is_only_tokenised(
    tmp_path: Path,
) -> None:
    with _egress({"tokens": [5], "prompt": "hi"}, tmp_path) as (egress, _):
        text = ask_prompt(egress, "/apply-template", {"content": HELLO})
        assert egress.traffic.round_trips == 0
        ask_ids(egress, {"content": Text((text,))})
        assert egress.traffic.round_trips == 1
