"""The bytes of a model's tokens, from its header alone."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogenesis.errors import ModelFileError
from cogenesis.models.gguf_vocabulary import read_vocabulary

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def pair(name: str, kind: int, value: bytes) -> bytes:
    return text(f"tokenizer.ggml.{name}") + struct.pack("<I", kind) + value


def tokens_of(tokens: Sequence[str | bytes]) -> bytes:
    head = struct.pack("<IQ", 8, len(tokens))
    return pair("tokens", 9, head + b"".join(map(text, tokens)))


def types_of(types: Sequence[int]) -> bytes:
    return pair("token_type", 9, struct.pack(f"<IQ{len(types)}i", 5, len(types), *types))


def header(*pairs: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def vocabulary(path: Path, kind: str, *listed: tuple[str | bytes, int]) -> tuple[bytes, ...]:
    tokens, types = [one for one, _ in listed], [one for _, one in listed]
    path.write_bytes(header(pair("model", 8, text(kind)), tokens_of(tokens), types_of(types)))
    return read_vocabulary(path)


def gpt2_characters() -> dict[int, str]:
    """GPT-2's own table, as its paper's code builds it."""
    bytes_ = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)]
    bytes_ += range(ord("®"), ord("ÿ") + 1)
    characters, extra = list(bytes_), 0
    for byte in range(256):
        if byte not in bytes_:
            bytes_.append(byte)
            characters.append(256 + extra)
            extra += 1
    return dict(zip(bytes_, map(chr, characters), strict=True))


def test_byte_pairs_are_read_by_gpt2s_table(path: Path) -> None:
    table = gpt2_characters()
    every = [bytes([byte]) for byte in range(256)]
    more = [" naïve".encode(), b"\n\n  ", "🐧".encode()[:3], b"\x00\xff"]
    written = ["".join(table[byte] for byte in token) for token in every + more]
    listed = [(token, NORMAL) for token in written]
    assert vocabulary(path, "gpt2", *listed) == tuple(every + more)


def test_byte_pairs_that_were_added_stay_as_they_are(path: Path) -> None:
    found = vocabulary(
        path, "gpt2", ("Ġadded", USER), ("two words", NORMAL), ("世界", NORMAL), (b"\xff", NORMAL)
    )
    assert found == ("Ġadded".encode(), b"two words", "世界".encode(), b"\xff")


def test_sentence_pieces_have_spaces_and_bytes(path: Path) -> None:
    found = vocabulary(
        path,
        "llama",
        ("▁the", NORMAL),
        ("▁▁▁", USER),
        ("\n\n", USER),
        ("naïve", NORMAL),
        ("<0x0A>", BYTE),
        ("<0xfF>", BYTE),
        ("<0x41>", NORMAL),  # a token that looks like one
    )
    assert found == (b" the", b"   ", b"\n\n", "naïve".encode(), b"\n", b"\xff", b"<0x41>")


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
@pytest.mark.parametrize("type_", [0, UNKNOWN, CONTROL, UNUSED, 7])
def test_special_tokens_have_no_bytes(path: Path, kind: str, type_: int) -> None:
    assert vocabulary(path, kind, ("a", NORMAL), ("<s>", type_)) == (b"a", b"")


def test_what_the_file_names_as_an_end_has_no_bytes(path: Path) -> None:
    ends = [pair(f"{name}_token_id", 4, struct.pack("<I", at)) for at, name in ((1, "eos"),)]
    tokens = tokens_of(["a", "</s>", "b"])
    path.write_bytes(header(*ends, pair("model", 8, text("llama")), tokens))
    assert read_vocabulary(path) == (b"a", b"", b"b")


def test_other_metadata_is_passed_over(path: Path) -> None:
    others = [
        pair("scores", 9, struct.pack("<IQ2f", 6, 2, 0.5, 1.0)),
        pair("merges", 9, struct.pack("<IQ", 8, 1) + text("a b")),
        pair("add_bos_token", 7, b"\1"),
        pair("eos_token_id", 5, struct.pack("<i", -1)),  # of another type than llama.cpp reads
    ]
    path.write_bytes(header(*others, tokens_of(["a", "b"]), pair("model", 8, text("gpt2"))))
    assert read_vocabulary(path) == (b"a", b"b")


FLOAT_TYPES = pair("token_type", 9, struct.pack("<IQf", 6, 1, 1.0))
GPT2 = pair("model", 8, text("gpt2"))


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (header(), "no vocabulary"),
        (header(GPT2), "no vocabulary"),
        (header(GPT2, tokens_of([])), "no vocabulary"),
        (header(tokens_of(["a"])), "no vocabulary"),
        (header(GPT2, tokens_of(["a", "b"]), types_of([1])), "2 tokens and the types of 1"),
        (header(GPT2, pair("tokens", 9, struct.pack("<IQi", 5, 1, 7))), "holds no texts"),
        (header(GPT2, tokens_of(["a"]), FLOAT_TYPES), "holds no whole numbers"),
        (header(pair("model", 8, text("llama")), tokens_of(["x"]), types_of([BYTE])), "<0x0A>"),
        (header(pair("model", 8, text("bert")), tokens_of(["a"])), "kind that is not known"),
        (header(GPT2, tokens_of(["a" * 100]))[:-50], "cut off"),
        (header(GPT2, pair("tokens", 9, struct.pack("<IQ", 8, 15_000_000))), "cut off"),
        (header(GPT2, pair("tokens", 9, struct.pack("<IQ", 8, 2**50))), "items in one list"),
        (header(GPT2, pair("tokens", 9, struct.pack("<IQQ", 8, 1, 2**40))), "bytes in one text"),
        (b"PK\3\4", "not a GGUF"),
        (b"", "empty"),
    ],
)  # fmt: skip
def test_nonsense_is_named(path: Path, content: bytes, hint: str) -> None:
    path.write_bytes(content)
    started = time.monotonic()
    with pytest.raises(ModelFileError, match=hint):
        read_vocabulary(path)
    assert time.monotonic() - started < 5


def test_a_missing_file_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="models list"):
        read_vocabulary(tmp_path / "none.gguf")


@given(data=st.data())
def test_damage_never_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = header(GPT2, tokens_of(["Ġa", "b", "<s>"]), types_of([1, 1, 3]))
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole[: data.draw(st.integers(at + 1, len(whole)))])
    damaged[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    path.write_bytes(damaged)
    try:
        found = read_vocabulary(path)
    except ModelFileError:
        return
    assert all(isinstance(token, bytes) for token in found)
