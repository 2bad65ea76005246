"""Cleaning text that somebody else wrote before a device model reads it.

The sketch comes from a server that may be hostile; mail and calendar entries come from
anybody. Neither may end a chat turn, open a new one, hide characters or break a terminal.

Not covered: instructions in plain words ("ignore the above"). A sketch can bend the text
that the device writes; it cannot change what is sent later, because nothing the device
writes is sent in sketch mode.
"""

from __future__ import annotations

import re
import unicodedata

# Chat-template markers of the common families: <|im_start|>, <start_of_turn>, [INST], <s>,
# <<SYS>>, </s>, <bos>, <|eot_id|>, <think>, DeepSeek's full-width bars.
_MARKERS = re.compile(
    r"<[|｜][^<>\n]{0,60}[|｜]>"
    r"|</?(?:s|bos|eos|pad|unk|mask|start_of_turn|end_of_turn|think|tool_call|tool_response)>"
    r"|<</?SYS>>|\[/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT)\]"
    r"|<unused\d+>|<reserved_\d+>",
    re.IGNORECASE,
)


def clean(text: str) -> str:
    """Remove control and invisible direction characters and chat-template markers.

    Newlines and tabs stay. Zero-width joiners stay too: emoji and several scripts need
    them. Removal repeats until nothing is left to remove, so nested markers cannot
    rebuild one another.
    """
    text = "".join(c for c in text if visible(c))
    while True:
        cleaned = _MARKERS.sub(" ", text)
        if cleaned == text:
            return text
        text = cleaned


def visible(char: str) -> bool:
    """Whether a character may be shown: no control, hidden or direction character."""
    if char in "\n\t\u200c\u200d":
        return True
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
