"""The bytes of every token of a GGUF model, read from its header.

They are the bytes that llama.cpp writes for them: alignment compares them with the bytes of
the cloud's tokens. The two kinds of tokenizer that models for writing have are known: byte
pairs as in GPT-2 ("gpt2") and SentencePiece ("llama").

Not covered: control tokens that a faulty file lists as normal ones keep their bytes, save
those that the file itself names as beginning or end. llama.cpp knows some more by name.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cogenesis.errors import ModelFileError
from cogenesis.models.gguf_header import (
    ARRAY,
    INT32,
    STRING,
    UINT32,
    BadHeaderError,
    HeaderReader,
    open_header,
)

_NORMAL: Final = 1
_USER_DEFINED: Final = 4
_BYTE: Final = 6
# Other types have no bytes: 0 undefined, 2 unknown, 3 control, 5 unused.

_ENDS: Final = frozenset(
    f"tokenizer.ggml.{name}_token_id".encode() for name in ("bos", "eos", "eot", "eom")
)
_SPACE: Final = "\u2581".encode()
_BYTE_TOKEN: Final = re.compile(rb"<0x([0-9A-Fa-f]{2})>")


def read_vocabulary(path: Path) -> tuple[bytes, ...]:
    """The bytes of all tokens in the order of their ids; special ones have none.

    Raises:
        ModelFileError: the file cannot be read, or holds no vocabulary of a known kind.
    """
    with open_header(path) as (header, _):
        told = _read(header)
        spell = _SPELLERS.get(told.kind)
        if spell is None:
            kind = told.kind.decode("ascii", "replace")[:40]
            raise ModelFileError(
                f"{path} has a tokenizer of a kind that is not known here ({kind!r}). Use a "
                "model with a tokenizer like GPT-2's or Llama's: most have one."
            )
        return tuple(
            b"" if number in told.ends else spell(token, type_)
            for number, (token, type_) in enumerate(zip(told.tokens, told.types, strict=True))
        )


@dataclass(slots=True)
class _Told:
    """What the header says about the tokenizer."""

    kind: bytes = b""
    tokens: Sequence[bytes] = ()
    types: Sequence[int] = ()
    ends: set[int] = field(default_factory=set)


def _read(header: HeaderReader) -> _Told:
    _, pairs = header.counts()
    told = _Told()
    for _ in range(pairs):
        name, kind = header.string(), header.u32()
        if name == b"tokenizer.ggml.model" and kind == STRING:
            told.kind = header.string()
        elif name == b"tokenizer.ggml.tokens" and kind == ARRAY:
            item, count = header.list_head()
            if item != STRING:
                raise BadHeaderError("its list of tokens holds no texts")
            told.tokens = header.strings(count)
        elif name == b"tokenizer.ggml.token_type" and kind == ARRAY:
            item, count = header.list_head()
            if item not in {INT32, UINT32}:
                raise BadHeaderError("its list of token types holds no whole numbers")
            told.types = struct.unpack(f"<{count}i", header.take(4 * count))
        elif name in _ENDS and kind == UINT32:
            told.ends.add(header.u32())
        else:
            header.skip_value(kind)
    if not told.kind or not told.tokens:
        raise BadHeaderError("it holds no vocabulary")
    told.types = told.types or (_NORMAL,) * len(told.tokens)
    if len(told.types) != len(told.tokens):
        raise BadHeaderError(
            f"it has {len(told.tokens):,} tokens and the types of {len(told.types):,}"
        )
    return told


def _byte_for_character() -> dict[int, str]:
    """GPT-2 writes each byte as a visible character; back from there, as Latin-1.

    Bytes that are visible stand for themselves, the others for characters from U+0100 on in
    their order. Characters below that which stand for nothing are led out of Latin-1.
    """
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in visible]
    outside = {byte: chr(0x10FFFF) for byte in hidden}
    return outside | {0x100 + at: chr(byte) for at, byte in enumerate(hidden)}


_BYTE_FOR_CHARACTER: Final = _byte_for_character()


def _byte_pairs(token: bytes, type_: int) -> bytes:
    if type_ == _USER_DEFINED:
        return token
    if type_ != _NORMAL:
        return b""
    try:
        return token.decode().translate(_BYTE_FOR_CHARACTER).encode("latin-1")
    except UnicodeError:
        return token  # added to the list as it is, as other libraries read it too


def _sentence_pieces(token: bytes, type_: int) -> bytes:
    if type_ in {_NORMAL, _USER_DEFINED}:
        return token.replace(_SPACE, b" ")
    if type_ != _BYTE:
        return b""
    match = _BYTE_TOKEN.fullmatch(token)
    if match is None:
        raise BadHeaderError("one of its byte tokens is not of the form <0x0A>")
    return bytes.fromhex(match[1].decode())


_SPELLERS: Final[dict[bytes, Callable[[bytes, int], bytes]]] = {
    b"gpt2": _byte_pairs,
    b"llama": _sentence_pieces,
}
