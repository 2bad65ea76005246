"""Where the cloud is asked, when the device's text ends somewhere inside a word.

The cloud's tokenisation of a text is provisional at its end: "Marketi" is [" Market", "i"],
while the text that goes on as "Marketing" is one token. A cloud that is asked after
[" Market", "i"] sees what it never saw in training. So it is asked at the last *safe boundary*,
before which more text changes nothing, and the bytes after it are *pending*:
`vocabulary.align` conditions on them.

Which boundary is safe? Nothing is known about the tokenizer. In both common families (byte
pair encoding on words that a pattern has cut out: GPT-2 to Llama 3, Qwen, SmolLM2; and
SentencePiece: Llama 2, Mistral, Gemma) no token reaches from one word into the next, so the
*beginning of the last word* is safe, its leading space included, once a part of it is there.
Ends of text are never trusted, not even after a full stop or a newline: "." may become ".\\n"
(GPT-4's pattern takes newlines along) or "...", "\\n" may become "\\n\\n", spaces may become
longer runs.

Not covered: tokenizers with tokens of several words; texts without spaces (Chinese, long
addresses), where REACH tokens back is only probably safe; the first word after an empty line in
GPT-2's own pattern, which takes white space as one token at the end of a text and as two before
a word. What an unsafe boundary costs is quality at that position, nothing else.
"""

from __future__ import annotations

import re
from typing import Final

REACH: Final = 6
"""At most so many tokens back: each is one more distribution that has to be known."""

_LOOKED_AT: Final = 200
"""Characters: a word that is longer is cut by REACH anyway."""

_WORD_BEGINS: Final = re.compile(r"(?<=\S)(?= )|(?<=\n)(?=\S)")


def last_boundary(text: str) -> int:
    """Where the last word of a text begins, its space included; 0 if there is one word only.

    A function of the text so far and nothing else: lockstep and drafts get the same.
    """
    found = 0
    for match in _WORD_BEGINS.finditer(text, max(0, len(text) - _LOOKED_AT)):
        found = match.start()
    return found
