"""Alignment on the two demo models: their tokenizers, and what the cloud adds to the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from cogenesis.fusion import mixing
from cogenesis.fusion.boundary import last_boundary
from cogenesis.fusion.pool import pooled
from cogenesis.fusion.vocabulary import Step, align
from cogenesis.models.llama_cpp import LlamaCpp
from cogenesis.models.protocol import Prompt, TokenIds

LETTER = """Dear neighbours,

Our street fair returns on the first weekend of May. Expect home-made cakes, live music from \
the neighbourhood's brass ensemble, and a second-hand bookstall; children can have their faces \
painted between 2:30 and 5 p.m. Volunteers are wonderful, so please don't hesitate: sign up at \
the bakery, whose owner has generously sponsored this year's loudspeakers (again!).

Warmest regards,
The organising committee"""

ODDITIES = """Wetter: 🌧 🐧 und  doppelte  Leerzeichen


  - Liste
\t- Tab 12345, 3.14!!! ...
世界你好，今天天气很好。 https://example.org/a-b_c?x=1&y=22
def f(x):
    return x+1
"""


@pytest.fixture(scope="module")
def device(device_gguf: Path) -> Iterator[LlamaCpp]:
    with LlamaCpp(device_gguf, threads=1, context_tokens=1024) as model:
        yield model


@pytest.fixture(scope="module")
def cloud(cloud_gguf: Path) -> Iterator[LlamaCpp]:
    with LlamaCpp(cloud_gguf, threads=1, context_tokens=1024) as model:
        yield model


@pytest.mark.parametrize("which", ["device", "cloud"])
def test_more_text_changes_nothing_before_the_boundary(
    which: str, request: pytest.FixtureRequest
) -> None:
    """Both families: byte pairs (SmolLM2) and SentencePiece (Gemma), at every character.

    Without the boundary the same texts do change: that is why it is needed.
    """
    model: LlamaCpp = request.getfixturevalue(which)
    asked = changed_otherwise = 0
    for text in (LETTER, ODDITIES):
        _, whole = model.tokenise(text)
        assert b"".join(whole) == text.encode()
        for end in range(len(text) + 1):
            begin = last_boundary(text[:end])
            if which == "device" and text[:begin].endswith("\n\n"):
                continue  # `boundary` tells it under "not covered"
            assert begins(whole, model.tokenise(text[:begin])[1]), text[:end]
            asked += 1
            changed_otherwise += not begins(whole, model.tokenise(text[:end])[1][:-1])
    assert changed_otherwise > asked / 20


def begins(tokens: Sequence[bytes], part: Sequence[bytes]) -> bool:
    """Whether the tokens of a shorter text are a beginning of those of a longer one."""
    return list(part) == list(tokens[: len(part)])


def test_conditioning_on_the_covering_tokens_helps(device: LlamaCpp, cloud: LlamaCpp) -> None:
    """Bits of a letter, teacher-forced: the cloud's part alone, and fused with the device's.

    Asking at the end of the text as it stands is what the boundary replaces.
    """
    title = "A friendly letter to the neighbours about the street fair.\n\n"
    opening = [model.encode(Prompt((), (title,))).ids for model in (device, cloud)]
    ids, tokens = device.tokenise(LETTER)
    bits = dict.fromkeys(("device", "at the end", "covering", "fused"), 0.0)
    text = b""
    for at, (token, piece) in enumerate(zip(ids, tokens, strict=True)):
        one = device.next_distribution(TokenIds((*opening[0], *ids[:at])), 256)
        asked_ids, so_far = cloud.tokenise(text.decode())
        begin = last_boundary(text.decode())
        index = len(cloud.tokenise(text.decode()[:begin])[0])
        path, pending = so_far[index:], text[begin:]
        text += piece
        asked = [
            cloud.next_distribution(TokenIds((*opening[1], *asked_ids[:end])), 256)
            for end in range(index, len(so_far) + 1)
        ]
        found = np.flatnonzero(one.ids == token)
        if not len(found):
            continue
        steps = [Step(*each) for each in zip(path, asked[1:], strict=True)]
        covering = align(one, asked[0], same_vocabulary=False, pending=pending, after=steps)
        pool = pooled(one, covering)
        plain = pooled(one, align(one, asked[-1], same_vocabulary=False))
        mixed = mixing.mixture(pool.device, pool.cloud, 0.5)
        for name, values in (
            ("device", pool.device),
            ("at the end", plain.cloud),
            ("covering", pool.cloud),
            ("fused", mixed),
        ):
            bits[name] -= float(values[found[0]]) / np.log(2)
    assert bits["covering"] < bits["at the end"]
    assert bits["fused"] < min(bits["device"], bits["covering"])
