"""Reading log-probabilities out of what servers answer.

Every server writes them differently; all of them end here, in one check: finite, at most 0,
as many as were asked for, no token twice. What fails it is `CloudError("bad-reply")`, so that
a block can be made by the device alone.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cogenesis.errors import CloudError, ModelError
from cogenesis.models.distribution import Distribution
from cogenesis.models.reply_reader import ReplyReader
from cogenesis.untrusted import clean
from cogenesis.wire import Reply

NEVER: Final = -100.0
"""Servers write -9999 where they mean "not among the likely ones": not listed, then."""

_LONGEST: Final = 256
"""Bytes of a token. A longer one counts as unlisted: rows are kept, and no tokenizer has it."""

_MAX_ID: Final = 2**31

_ESCAPED: Final = re.compile(r"(?:\\x[0-9a-fA-F]{2})+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One listed token. `token` None: its bytes cannot be told, so it counts as unlisted."""

    id: int
    logprob: float
    token: bytes | None


def distribution(
    reader: ReplyReader,
    entries: Sequence[Entry],
    k: int,
    *,
    at_least: int | None = None,
    drafted: int | None = None,
) -> Distribution:
    """The K most probable of what a server listed for one position.

    Some servers add the token that was drafted (or sampled) to the K best. Whether it is
    listed must not depend on the draft, so what is more than K goes back to unlisted mass,
    the drafted token first.

    Args:
        reader: names the server in errors.
        entries: as listed, in any order.
        k: how many were asked for.
        at_least: how many must be there; K if not given.
        drafted: id of the token that the server may have added.

    Raises:
        CloudError: (or `ModelError`) this is no distribution.
    """
    needed = k if at_least is None else at_least
    if len(entries) < needed:
        raise reader.fault(f"listed {len(entries)} tokens where {k} were asked for")
    if len({entry.id for entry in entries}) < len(entries):
        raise reader.fault("listed a token twice")
    if any(not 0 <= entry.id < _MAX_ID for entry in entries):
        raise reader.fault("listed a token whose number cannot be one")
    if any(not entry.logprob <= 0.001 for entry in entries):  # NaN is not, either
        raise reader.fault("answered with numbers that are no log-probabilities")
    kept = list(entries)
    if len(kept) > k and drafted is not None:
        kept = [entry for entry in kept if entry.id != drafted]
    kept = sorted(kept, key=lambda entry: (-entry.logprob, entry.id))[:k]
    told = [
        (e.id, e.logprob, e.token)
        for e in kept
        if e.token is not None and len(e.token) <= _LONGEST and e.logprob > NEVER
    ]
    try:
        return Distribution.of(
            [each[0] for each in told], [each[1] for each in told], [each[2] for each in told]
        )
    except CloudError:
        raise
    except ModelError as error:
        raise reader.fault(f"answered with no distribution: {error}") from None


def entry_with_bytes(reader: ReplyReader, told: object) -> Entry:
    """An entry with `id`, `logprob` and `bytes`, as llama.cpp writes it."""
    row = reader.mapping(told, "top_logprobs[]")
    return Entry(
        reader.integer(row.get("id"), "id"),
        reader.number(row.get("logprob"), "logprob"),
        listed_bytes(reader, row.get("bytes")),
    )


def listed_bytes(reader: ReplyReader, told: object) -> bytes:
    """A token as a list of its bytes; special tokens have none."""
    values = [reader.integer(each, "bytes[]") for each in reader.items(told, "bytes")]
    if not all(0 <= each < 256 for each in values):
        raise reader.fault("answered with a token that is not made of bytes")
    return bytes(values)


MOST_NAMES: Final = 2**16
"""A text is made of far fewer tokens; with the longest of names this is 70 MB."""

LONGEST_NAME: Final = len("bytes:") + 4 * _LONGEST
"""Characters: a token of `_LONGEST` bytes, each written as `\\xe2`."""


class TokenNames:
    """Numbers for the tokens of a server that names them by text only, in order of appearance.

    The numbers mean nothing outside this object: such a server's distributions can be
    compared by bytes, never by id. Safe to use from several threads.

    A server that makes up names would fill the memory, so the oldest are forgotten; one that
    comes again gets a new number. No number is given twice.
    """

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._ids: dict[str, int] = {}
        self._next = 0
        self._most = most
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._ids)

    def entry(self, name: str, logprob: float) -> Entry:
        """The entry of a token that is called `name`. A name that is too long is not kept."""
        known = len(name) <= LONGEST_NAME
        with self._lock:
            number = self._ids.get(name) if known else None
            if number is None:
                number = self._next
                self._next += 1
                if known:
                    self._ids[name] = number
            if len(self._ids) > self._most:
                del self._ids[next(iter(self._ids))]
        return Entry(number, logprob, bytes_of_name(name) if known else None)


def bytes_of_name(name: str) -> bytes | None:
    """The bytes of a token that is told as text, None where they cannot be known.

    A token that is a part of a character is shown as a replacement character, which many
    tokens share, or as `bytes:\\xe2\\x80`. Markers of the chat template have no bytes.
    """
    if name.startswith("bytes:") and _ESCAPED.fullmatch(name[6:]):
        return bytes.fromhex(name[6:].replace("\\x", ""))
    if "�" in name:
        return None
    if name[:1] in {"<", "["} and not clean(name).strip():
        return b""
    return name.encode("utf-8", "replace")


def choices_in_order(reader: ReplyReader, reply: Reply, count: int) -> list[dict[str, Any]]:
    """The `count` answers of an OpenAI-style reply to that many prompts, by their index."""
    choices = [
        reader.mapping(each, "choices[]") for each in reader.items(reply.get("choices"), "choices")
    ]
    places = [reader.integer(each.get("index"), "index") for each in choices]
    if sorted(places) != list(range(count)):
        raise reader.fault(f"gave {len(choices)} answers to {count} prompts")
    return [choice for _, choice in sorted(zip(places, choices, strict=True), key=lambda p: p[0])]


def tokens_from_cache(reply: Reply) -> int | None:
    """How many tokens of the prompt the server had read before; None if it does not say.

    llama.cpp tells `timings.cache_n`; OpenAI-style servers tell it inside `usage`, SGLang in
    `meta_info`.
    """
    places = (
        ("timings", "cache_n"),
        ("usage", "prompt_tokens_details", "cached_tokens"),
        ("meta_info", "cached_tokens"),
    )
    for place in places:
        value: Any = reply
        for key in place:
            value = value.get(key) if isinstance(value, dict) else None
        if type(value) is int:
            return value
    return None
