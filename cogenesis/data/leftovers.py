"""Placeholders and leftovers of templates in a text that should be finished.

Three of a hundred published texts hold such things: a whole text that is only "[Content for
task 5]", a slot that nobody filled ("Dear [Client's Name]"), a remark of the model that wrote
it ("[Content truncated for brevity]"). A model that learns from them writes them.

Not covered: slots without brackets in a sentence ("Dear Client Name"), made-up facts, texts that
stop in the middle (`unfinished` tells those that end without a closing mark).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

LeftoverKind = Literal["empty", "placeholder", "slot", "remark", "markup"]

MIN_WORDS: Final = 5
"""A shorter text is none: the published ones of fewer words are all placeholders."""

_SLOTS: Final = (
    # "[Client's Name]", not "[1]", "[12, 13]", "[...]", "[sic]", "[STACS 2015]", "[text](link)".
    re.compile(r"\[(?=[^\]\n]*[^\W\d_]{3})(?!sic\])[^\]\[()\n]{3,120}(?<!\b(?:19|20)\d\d)\](?!\()"),
    re.compile(r"\{\{[^{}\n]{1,80}\}\}"),
    # TeX has braces, too: "{it lasso}", "{ABC-Miner}".
    re.compile(
        r"\{(?:[A-Za-z']+[ _])?(?:name|date|company|client|address|city|title|topic)\}", re.I
    ),
    re.compile(
        r"<(?:[A-Z][a-z]+ )*(?:your |the )?(?:name|date|company|address|title|email)>", re.I
    ),
    re.compile(r"<[a-z]+(?:_[a-z]+)+>|[［【][^\]］】\n]{2,80}[］】]"),
    re.compile(
        r"\((?:insert|enter|add|your|recipient's|sender's) (?:[a-z]+ ){0,2}"
        r"(?:name|date|company|address|city|title|number|amount|e-?mail)(?: here)?\)",
        re.I,
    ),
    re.compile(r"^\W*(?:your|sender's|recipient's) (?:full )?name\W*$", re.I | re.M),
    re.compile(r"\b(?:INSERT|ENTER|ADD) [A-Z][A-Z ]{2,40}\b"),
    re.compile(r"\b(?:TODO|TBD|FIXME|X{3,}|YYYY)\b|_{4,}"),
    re.compile(r"\blorem ipsum\b", re.I),
)

# fmt: off
_REMARKS: Final = re.compile(
    r"\bas an? (?:ai|artificial intelligence)(?: language)? (?:model|assistant)\b"
    r"|\bi(?:'m| am) (?:sorry, but i|unable to (?:fulfil|assist|provide))"
    r"|^\s*(?:sure|certainly|of course|absolutely)[,!.] (?:here(?:'s| is| are)|i'd be)\b"
    r"|^\s*here(?:'s| is) (?:the|a|an|your) (?:\w+ ){0,3}(?:text|draft|email|letter|content)\b.*:"
    r"|\bcontent (?:for|of) (?:the )?(?:text|task) \d+\b"
    r"|\b(?:content|text) (?:was )?(?:truncated|cut off|continues)\b"
    r"|\b(?:redacted|shortened|truncated|omitted) for (?:brevity|privacy)\b"
    r"|\bwould continue to meet the required\b",
    re.IGNORECASE | re.MULTILINE,
)
# fmt: on

_STAGE: Final = re.compile(
    r"\[(?:the |final |opening |closing )?(?:scene|camera|cut|fade|music|sound|open with|close-up|"
    r"pause|applause|laughter|voice-?over|transition|title card|zoom|intro|outro)\b",
    re.IGNORECASE,
)
"""How directions in the script of a film or a speech begin: they belong to it."""

_MARKUP: Final = re.compile(
    r"<\|[^<>|\n]{1,40}\|>|<(?:start|end)_of_turn>|\[/?INST\]|</?s>|^### (?:Instruction|Response):"
    r"|```json|^\s*\{\s*\"",
    re.MULTILINE,
)
_WORD: Final = re.compile(r"\w+")
_CLOSED: Final = re.compile(r"[.!?…。！？:)\]\"'”’»#]\W*$|[\U0001f300-\U0001faff]\W*$")
_PROTECTED: Final = "[email protected]"


@dataclass(frozen=True, slots=True)
class Leftover:
    """What was found: its kind, and the characters."""

    kind: LeftoverKind
    text: str


def leftovers(text: str) -> tuple[Leftover, ...]:
    """Everything in a text that shows that it is not finished; empty for a good text.

    "empty" and "placeholder" say that there is no text at all, and come alone.
    """
    if not text.strip():
        return (Leftover("empty", ""),)
    slots = [m for pattern in _SLOTS for m in pattern.finditer(text)]
    outside = text
    for slot in sorted(slots, key=lambda m: -m.start()):
        outside = outside[: slot.start()] + " " + outside[slot.end() :]
    if len(_WORD.findall(outside)) < MIN_WORDS:
        return (Leftover("placeholder", text.strip()[:80]),)
    found = [Leftover("remark", m.group().strip()) for m in _REMARKS.finditer(text)]
    # What stands in brackets is one thing: a remark if it reads like one, else a slot.
    found += [
        Leftover("slot", m.group())
        for m in slots
        if m.group() != _PROTECTED and not (_REMARKS.search(m.group()) or _STAGE.match(m.group()))
    ]
    found += [Leftover("markup", m.group().strip()) for m in _MARKUP.finditer(text)]
    return tuple(dict.fromkeys(found))


def unfinished(text: str) -> bool:
    """Whether the last line ends without a closing mark, as a text that was cut off does.

    A signature ends like that, too: so a last line of up to five words counts as finished, and
    one of which all longer words are written large ("Senior Manager at Hexagon Solutions").
    """
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if not lines or _CLOSED.search(lines[-1]):
        return False
    last = re.split(r"[.!?,]\s+", lines[-1])[-1]
    words = _WORD.findall(last)
    return len(words) > MIN_WORDS and any(len(word) > 4 and word.islower() for word in words)
