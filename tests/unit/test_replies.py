"""What a server says about its own errors is untrusted too."""

from __future__ import annotations

import httpx2
import pytest

from cogenesis.replies import ReplyError, check_status

DEEP = 100_000
NESTED = b'{"error":{"message":' + b"[" * 900 + b"]" * 900 + b"}}"


def refusal(body: bytes) -> str:
    with pytest.raises(ReplyError) as refused:
        check_status(httpx2.Response(400, content=body), None)
    assert refused.value.reason == "bad-request"
    return str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * DEEP,
        b'{"error":' * DEEP,
        b'{"error":{"message":' + b"[" * DEEP + b"]" * DEEP + b"}}",
        NESTED,
        b'{"error":' + b"9" * 10_000 + b"}",
        b'{"error": 3}',
        b'{"error": null}',
        b"[1]",
        b"\xff",
        b"",
    ],
    ids=lambda body: repr(body[:22]),
)
def test_an_error_without_a_message_is_told_by_its_number(body: bytes) -> None:
    assert refusal(body) == "the server answered 400"


@pytest.mark.parametrize("form", ['{"error": {"message": "%s"}}', '{"error": "%s"}'])
def test_the_message_of_an_error_is_told_in_short(form: str) -> None:
    message = "no \\u001b[2Jsuch\\n model" + "!" * 900
    said = refusal((form % message).encode())
    assert said.startswith("the server answered 400: no [2Jsuch model!!!")
    assert len(said) < 240
