"""A large and strange context file, all the way to the prompt and to the lexicon."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cogenesis.context.budget import Window
from cogenesis.context.private_context import PrivateContext
from cogenesis.context.prompt import writing_prompt
from cogenesis.context.reader import read_context
from cogenesis.models.protocol import DeviceText
from cogenesis.privacy.lexicon import Lexicon
from cogenesis.privacy.released import Released

MIXED = (
    "\U0001f469\u200d\U0001f52c\U0001f680 \u202bשלום עולם\u202c مرحبا بالعالم \x00"
    "with Quill\x00ana Oster\u200bbeck at the river. "
)
QUOTED = "See below.\n" + ("> " * 40 + "\n" + "-" * 78 + "\n") * 50
"""What mail is full of. It costs the lexicon little, and the file has to be 10 MB."""


@pytest.fixture(scope="module", params=[True, False], ids=["escaped", "as it is"])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10 MB, NUL bytes and \\u0000 among them."""
    activities = [{"source": "email", "text": f"{MIXED}{n}"} for n in range(1000)]
    activities += [{"source": "email", "text": QUOTED} for _ in range(1200)]
    own = {
        "cogenesis": 1,
        "profile": {"Name": "Quillana \U0001f680 Oster\x00beck", "Sprache\x00": "עברית"},
        "activities": activities,
        "writings": [{"title": f"Text {n} \x00", "text": MIXED * 10} for n in range(100)],
    }
    path = tmp_path_factory.mktemp("large") / "me.json"
    text = json.dumps(own, ensure_ascii=request.param)
    path.write_text(text.replace("\\u0000", "\\u0000\x00"), "utf-8")
    assert path.stat().st_size > 10_000_000
    return path


@pytest.fixture(scope="module")
def context(large: Path) -> PrivateContext:
    warnings: list[str] = []
    found = read_context(large, on_warning=warnings.append)
    nuls = 2 * (2 * (1000 + 100 * 10) + 100 + 2)
    (warning,) = warnings
    assert warning.endswith(f": removed {nuls} NUL character(s), which no model can read")
    return found


def joined(parts: tuple[DeviceText | Released, ...]) -> str:
    return "".join(part if isinstance(part, str) else part.text for part in parts)


def test_it_becomes_a_prompt(context: PrivateContext) -> None:
    calls = 0

    def count(text: str) -> int:
        nonlocal calls
        calls += 1
        return len(text.split()) + text.count("\n")

    window = Window(context_tokens=4096, max_tokens=400)
    built = writing_prompt(context, "A note on the river", count=count, window=window)
    forms = ["\n".join(joined(turn.parts) for turn in built.prompt.messages)]
    forms.append(joined(built.prompt.completion))
    for text in forms:
        assert "\x00" not in text
        assert "\u202b" not in text  # what turns the direction of all that follows
        assert "\U0001f469\u200d\U0001f52c\U0001f680 שלום עולם مرحبا بالعالم" in text
        assert "Name: Quillana \U0001f680 Osterbeck\n" in text
        text.encode()  # no half of a pair is left
        assert len(text.split()) + window.max_tokens < window.context_tokens
    assert calls < 100
    assert built.notes


def test_it_becomes_a_lexicon(context: PrivateContext) -> None:
    lexicon = Lexicon(context.texts())
    for name in ("Quillana", "OSTERBECK", "Quill\u200bana"):
        found = lexicon.identifiers(f"A letter to {name} today")
        assert [finding.text for finding in found if finding.source == "context"] == [name]
    assert lexicon.identifiers("A letter to a friend today") == ()
    assert lexicon.rare("A walk to the water") == ()
