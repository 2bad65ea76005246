"""Where in its own tokens the cloud is asked, when the device's text ends somewhere.

The device's text ends at some byte. The cloud's tokenisation of that text ends there too, but
its last tokens are provisional: "Marketi" is [" Market", "i"], while the text that goes on as
"Marketing" is one token. A cloud that is asked after [" Market", "i"] sees what it never saw
in training. So it is asked at the last *safe boundary*, before which more text changes
nothing, and the bytes after it are *pending*: `vocabulary.align` conditions on them.

Which boundary is safe? Nothing is known about the tokenizer. In both common families (byte
pair encoding on words that a pattern has cut out: GPT-2 to Llama 3, Qwen, SmolLM2; and
SentencePiece: Llama 2, Mistral, Gemma) no token reaches from one word into the next, so the
*beginning of the last word* is safe, its leading space included, once a part of it is there.
Ends of text are never trusted, not even after a full stop or a newline: "." may become ".\\n"
(GPT-4's pattern takes newlines along) or "...", "\\n" may become "\\n\\n", spaces may become
longer runs. That costs little: the tokens since the boundary are the spelling that
`align` goes along, and their distributions have been asked before, as the text grew.

Safe are therefore, scanning back from the end, at least one token:
- before a token that begins with a space, after a token that does not end in white space;
- before a token that does not begin with white space, after a token that ends in a newline;
- after a special token (no bytes): nothing merges with it;
- the start of the list: what stands before is the prompt, which ends there on purpose.

Not covered: tokenizers with tokens of several words; texts without spaces (Chinese, long
addresses), where REACH tokens back is only probably safe. What an unsafe boundary costs is
quality at that position, nothing else.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

REACH: Final = 6
"""At most so many tokens back: each is one more distribution that has to be known."""

_SPACE: Final = (b" ", b"\n", b"\t", b"\r")
_NEWLINE: Final = (b"\n", b"\r")


@dataclass(frozen=True, slots=True)
class Position:
    """Where the cloud is asked for one position of the device.

    Attributes:
        index: number of cloud tokens before the safe boundary.
        pending: bytes of the text after it.
        path: the cloud's tokens after it that lie wholly in the text, in order. The
            distributions after `index`, `index + 1`, ... `index + len(path)` tokens tell
            what `vocabulary.align` needs.
    """

    index: int
    pending: bytes = b""
    path: tuple[bytes, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether whole cloud tokens spell all pending bytes."""
        return sum(map(len, self.path)) == len(self.pending)

    @property
    def last(self) -> int:
        """Number of cloud tokens before the last distribution that is needed."""
        return self.index + len(self.path)


def position(cloud_tokens: Sequence[bytes]) -> Position:
    """The safe boundary of a text, from the cloud's tokens of exactly this text.

    A function of the text so far and nothing else: lockstep and drafts get the same.
    """
    return _placed(cloud_tokens, len(cloud_tokens), b"")


def positions(cloud_tokens: Sequence[bytes], offsets: Sequence[int]) -> list[Position]:
    """The same for every given end of the text, from one tokenisation of the longest.

    So all positions of a draft share the distributions of one sequence. It gives what
    `position` gives for each text alone only where that text's tokens are a beginning of
    `cloud_tokens` (check with `nests`); elsewhere the last token is cut, `Position.whole` is
    false, and the result depends on what the draft says next. A target that must not look at
    the draft takes `position` there.

    Args:
        cloud_tokens: bytes of the cloud's tokens, in order; special tokens are empty.
        offsets: ends of the text, in bytes from the start of the first token.

    Raises:
        ValueError: an offset lies outside the tokens.
    """
    ends = list(accumulate(map(len, cloud_tokens)))
    size = ends[-1] if ends else 0
    found: list[Position] = []
    for offset in offsets:
        if not 0 <= offset <= size:
            raise ValueError(f"offset {offset} lies outside the {size} bytes of the tokens")
        count = bisect_right(ends, offset)  # tokens that end at or before the offset
        begun = offset - (ends[count - 1] if count else 0)
        part = cloud_tokens[count][:begun] if begun else b""
        found.append(_placed(cloud_tokens, count, part))
    return found


def nests(cloud_tokens: Sequence[bytes], part: Sequence[bytes]) -> bool:
    """Whether the tokens of a shorter text are a beginning of those of a longer one."""
    return len(part) <= len(cloud_tokens) and list(part) == list(cloud_tokens[: len(part)])


def _placed(tokens: Sequence[bytes], count: int, part: bytes) -> Position:
    """Scan back over the first `count` tokens and the begun one after them."""
    index = count
    right = part
    while index > 0 and count - index < REACH and not _safe(tokens[index - 1], right):
        index -= 1
        right = tokens[index]
    path = tuple(tokens[index:count])
    return Position(index, b"".join(path) + part, path)


def _safe(left: bytes, right: bytes) -> bool:
    """Whether the tokenisation can no longer change across this boundary."""
    if not left:
        return True
    if not right:
        return False
    if right.startswith(b" "):
        return not left.endswith(_SPACE)
    return left.endswith(_NEWLINE) and not right.startswith(_SPACE)
