"""The sketch: reading an outline out of whatever the cloud model answered.

The reply is untrusted. What comes out of here is a short list of short, plain points: no
control characters, no chat-template markers, no markup, no links, nothing that was copied
from the examples of the prompt.

Not covered: what the points *say*. A hostile server can still write six plausible points
that are off topic or rude, or spell a link out in words ("evil dot com").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from cogenesis.errors import CloudError
from cogenesis.privacy.released import GeneralInstruction
from cogenesis.sketch.prompt import EXAMPLE_POINTS
from cogenesis.untrusted import clean

MAX_REPLY_CHARS = 20_000
"""An honest outline has under 2,000 characters; reasoning before it takes some more."""

MIN_POINTS = 6
MAX_POINTS = 15
MAX_POINT_WORDS = 12
MAX_POINT_CHARS = 100

# A listed sentence longer than this is prose: cutting it would leave a torso, not a point.
_PROSE_WORDS = 30
# No line is read further than this, so that no pattern below can take long over one.
_MAX_LINE_CHARS = 600
# Tidying settles in two or three rounds; text that was built not to is dropped.
_TIDY_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Sketch:
    """An outline: 6 to 15 points of at most 12 words. Untrusted, but not private."""

    points: tuple[str, ...]

    def render(self) -> str:
        """The points as a numbered list, one a line."""
        return "\n".join(f"{i}. {point}" for i, point in enumerate(self.points, 1))


def parse_outline(text: str, *, general: GeneralInstruction | None = None) -> Sketch:
    """Find the points of an outline in a cloud model's reply.

    Listed lines count (numbers, letters, dashes, bullets, at any depth); headings and prose
    around them do not. Points that repeat one another, an example of the prompt, or the
    instruction itself (`general`) are dropped.

    Raises:
        CloudError: reason "no-sketch": fewer than 6 distinct points are left.
    """
    if len(text) > MAX_REPLY_CHARS:
        raise CloudError(
            "no-sketch", f"the reply is too long for an outline ({len(text)} characters)"
        )
    if _HTML.match(text):
        raise CloudError("no-sketch", "the reply is a web page, not an outline")
    seen = {_key(point) for point in EXAMPLE_POINTS}
    if general is not None:
        seen.add(_key(general.text))
    points: list[str] = []
    unusable = 0
    for line in _listed_lines(_plain(_THOUGHTS.split(text)[-1])):
        point = _tidy(line)
        key = _key(point)
        if not _says_something(point) or key in seen:
            unusable += 1
            continue
        seen.add(key)
        points.append(point)
        if len(points) == MAX_POINTS:
            break
    if len(points) < MIN_POINTS:
        raise CloudError("no-sketch", _too_few(len(points), unusable))
    return Sketch(tuple(points))


def _too_few(found: int, unusable: int) -> str:
    if not found and not unusable:
        return "the reply holds no list of points, so it is no outline"
    return (
        f"the outline has {found} usable points and {MIN_POINTS} are needed"
        f" ({unusable} more were empty, repeated, or copied from the examples)"
    )


# Reasoning models think aloud first: only what follows counts.
_THOUGHTS = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_HTML = re.compile(r"\s*<(?:!doctype|html|head|body|\?xml)\b", re.IGNORECASE)
_NEXT_TASK = re.compile(r"\W{0,4}task\b", re.IGNORECASE)
_EMPHASIS = re.compile(r"\*\*|__|~~|`")
# One list marker or several: "1." "2)" "(3)" "a)" "iv." "-" "*" "•" "[x]" "##".
_MARKER = re.compile(
    r"\s*(?:(?:"
    r"\(?\d{1,3}[.):](?!\d)"
    r"|\(?(?:[a-z]|[ivx]{2,5})[.)](?=\s)"
    r"|[-*+•‣⁃▪▫◦●○·–—](?=[\s\d*])"
    r"|\[[ x]?\](?=\s)"
    r"|#{1,6}(?=\s)"
    r")\s*)+",
    re.IGNORECASE,
)
# Further points of a list that is written in one line: "Greeting 2. News".
_INLINE = re.compile(r"\s+\d{1,2}[.)]\s+")
_SECOND = re.compile(r"\s\(?2[.):](?!\d)")


def _listed_lines(text: str) -> Iterator[str]:
    """The lines that a list marker introduces, without the marker.

    The completion form ends in "1.", so the reply begins inside the first point: a first
    line without a marker counts where number 2 comes next. A further "Task" line is
    a base model that goes on to invent the next example: the outline ends there.
    """
    lines = [_EMPHASIS.sub("", line[:_MAX_LINE_CHARS]) for line in text.splitlines()]
    lines = [line for line in lines if line.strip()]
    if lines and not _MARKER.match(lines[0]) and _SECOND.search("\n".join(lines[:2])):
        yield from _INLINE.split(lines[0])
    listed = False
    for line in lines:
        marker = _MARKER.match(line)
        if marker and not line.lstrip().startswith("#"):
            listed = True
            yield from _INLINE.split(line[marker.end() :])
        elif listed and _NEXT_TASK.match(line):
            return


_MARKDOWN_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)")
_TAG = re.compile(r"<[^<>]{0,200}>")
_LINK = re.compile(
    r"\b(?:[a-z][a-z0-9+.-]{0,20}://|www\.|(?:mailto|javascript|data|tel|sms|file):(?=\S))\S*"
    r"|\S*@\S*"  # e-mail addresses, and handles with them
    r"|[\w-]+(?:[.。][\w-]+)*[.。][^\W\d_]{2,}(?![\w-])(?:[/:?#]\S*)?",  # name.example/path
    re.IGNORECASE,
)
# What is left of markup: no point needs these, and a page that shows it might obey them.
_MARKUP = re.compile(r"[<>`|\\\[\]{}*_#~]")
_EDGES = " -–—:;,./'\"“”‘’()\u200c\u200d"


def _plain(text: str) -> str:
    """Clean, with look-alike characters folded first, so that none hides a marker or link."""
    return clean(unicodedata.normalize("NFKC", clean(text)))


def _tidy(line: str) -> str:
    """A line as a point, or "" where nothing usable is left.

    Repeated until nothing changes: removing one thing may uncover another, and a point
    must read the same when a rendered sketch is parsed again.
    """
    if len(line.split()) > _PROSE_WORDS:
        return ""
    for _ in range(_TIDY_ROUNDS):
        tidied = _tidy_once(line)
        if tidied == line:
            return line
        line = tidied
    return ""


def _tidy_once(line: str) -> str:
    line = _MARKDOWN_LINK.sub(r"\1", _plain(line))
    line = _LINK.sub(" ", _TAG.sub(" ", line))
    line = _MARKUP.sub(" ", line)
    marker = _MARKER.match(line)
    words = line[marker.end() if marker else 0 :].split()
    if len(words) > MAX_POINT_WORDS:
        words = words[:MAX_POINT_WORDS]
        while words and words[-1].casefold() in _FUNCTION_WORDS:
            words.pop()  # "... what to say to the": better without its loose end
    line = " ".join(words)
    if len(line) > MAX_POINT_CHARS:
        line = line[: MAX_POINT_CHARS + 1]
        line = line.rsplit(" ", 1)[0] if " " in line else line[:MAX_POINT_CHARS]
    return line.strip(_EDGES)


_WORD = re.compile(r"[^\W\d_]+")
_FUNCTION_WORDS = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "how", "in", "into", "is",
    "it", "its", "of", "on", "or", "our", "that", "the", "their", "them", "these", "this", "to",
    "was", "what", "when", "where", "which", "who", "why", "will", "with", "you", "your",
})  # fmt: skip


def _key(point: str) -> frozenset[str]:
    """The content words of a point: equal keys mean that two points say the same.

    Digits do not count, so "Chapter 1", "Chapter 2" are one point; nor does a plural s.
    """
    words = [word.casefold() for word in _WORD.findall(point)]
    content = [word for word in words if word not in _FUNCTION_WORDS] or words
    return frozenset(word.rstrip("s") or word for word in content)


def _says_something(point: str) -> bool:
    """Two words at least; or four characters in a script that writes without spaces."""
    words = _WORD.findall(point)
    return len(words) >= 2 or (len(words) == 1 and words[0] >= "\u0e00" and len(words[0]) >= 4)
