"""What a server says about released text may go back to that server.

Token-level work in the cloud needs two things that only the server knows: the ids of a text
in its vocabulary, and a chat prompt as its template writes it. Both are asked for with
released text, through the egress and its ledger, and both come back as a type of their own.
Sending them back tells the server nothing that it did not write itself, whatever it wrote.

That is why ids are minted from a reply, here, and not from numbers: a list of numbers that
the device made (a draft, say, or its candidates) is text that nobody released.

Not covered: which of its answers is sent back, and how long a beginning of it, is the
caller's choice, as it is with every released text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeGuard

from cogenesis.errors import CloudError, EgressError
from cogenesis.privacy.released import _ECHO, Released, ReleasedIds, ReturnedText

if TYPE_CHECKING:
    from cogenesis.wire import Body, Deadline, Wire

MAX_TEXT: Final = 100_000
"""Characters of a returned prompt. A longer one would cost the user with every request."""

_MAX_ID: Final = 2**31


@dataclass(frozen=True, slots=True)
class Encoded:
    """A released text in a server's vocabulary.

    `pieces` are the bytes of each token where the server tells them; they stay here.
    """

    ids: ReleasedIds
    pieces: tuple[bytes, ...] | None

    def __repr__(self) -> str:
        return f"Encoded({len(self.ids)} tokens)"


def ask_ids(
    wire: Wire[Released], body: Body[Released], *, deadline: Deadline | None = None
) -> Encoded:
    """The server's ids of a released text, from `/tokenize` (llama.cpp, vLLM, SGLang).

    Raises:
        CloudError: the server does not answer, or not with ids.
        PrivacyError: the body is not released, or the wire is no egress.
    """
    _require_egress(wire)
    tokens = wire.post("/tokenize", body, deadline=deadline).get("tokens")
    if not isinstance(tokens, list) or not tokens:
        raise CloudError("bad-reply", f"{wire.server} found no token in a text")
    named = [token if isinstance(token, dict) else {"id": token} for token in tokens]
    ids = tuple(each for each in (token.get("id") for token in named) if _is_id(each))
    if len(ids) != len(named):
        raise CloudError("bad-reply", f"{wire.server} answered without token ids for a text")
    pieces = tuple(_piece(token.get("piece")) for token in named)
    known = tuple(piece for piece in pieces if piece is not None)
    return Encoded(
        ReleasedIds(ids, wire.server, _ECHO), known if len(known) == len(pieces) else None
    )


def _is_id(told: object) -> TypeGuard[int]:
    return type(told) is int and 0 <= told < _MAX_ID


def _piece(told: object) -> bytes | None:
    """llama.cpp tells a piece as a string, or as a list of bytes where it is half a character."""
    if isinstance(told, str):
        return told.encode("utf-8", "replace")
    if isinstance(told, list) and all(type(each) is int and 0 <= each < 256 for each in told):
        return bytes(told)
    return None


def ask_prompt(
    wire: Wire[Released],
    endpoint: Literal["/apply-template", "/detokenize"],
    body: Body[Released],
    *,
    deadline: Deadline | None = None,
) -> ReturnedText:
    """Released chat turns, or released ids, as one text: as the server itself writes it.

    Raises:
        CloudError: the server does not answer, or not with a text of reasonable length.
        PrivacyError: the body is not released, or the wire is no egress.
    """
    _require_egress(wire)
    prompt = wire.post(endpoint, body, deadline=deadline).get("prompt")
    if not isinstance(prompt, str) or len(prompt) > MAX_TEXT:
        raise CloudError("bad-reply", f"{wire.server} answered without a prompt of proper length")
    return ReturnedText(prompt.encode("utf-8", "replace").decode(), wire.server, _ECHO)


def _require_egress(wire: Wire[Released]) -> None:
    if not wire.released_only:
        raise EgressError("what a server says is released only if the egress asked it")
