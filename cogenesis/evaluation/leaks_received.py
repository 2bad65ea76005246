"""What the server side learnt of one text, out of the requests as they came.

Nothing is left out by what it means. What is the same for everybody tells nothing about
anybody, so it is set aside: `Fixed` holds what came for an empty context and an instruction
of our own. Prefixes that grow word by word are kept once, at their longest.

Set aside, too: the length of a body, which is that of the text, and token ids, which a server
gave for text that came before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from cogenesis.evaluation.recording_relay import Request

SentMode = Literal["sketch", "fusion"]

TOO_LONG: Final = "too-long"
"""Why nothing came of a text whose instruction cannot be used."""

_LENGTH: Final = "content-length:"
_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Received:
    """What came for one text, without what is the same for everybody.

    Attributes:
        opening: what every text for the model began with: the general instruction.
        grown: what followed, each as long as it came to be. A rejected draft is one, too.
        rest: anything else: headers, settings.
        ends: words that only beginnings of these had, half words included.
    """

    opening: str = field(default="", repr=False)
    grown: tuple[str, ...] = field(default=(), repr=False)
    rest: tuple[str, ...] = field(default=(), repr=False)
    ends: tuple[str, ...] = field(default=(), repr=False)

    def texts(self) -> Iterator[str]:
        """All of it."""
        yield from (self.opening, *self.grown, *self.rest, *self.ends)

    def to_json(self) -> dict[str, Any]:
        """Everything: it has left already."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Received:
        """What `to_json` gave. Raises KeyError or TypeError if it is not that."""
        lists = {name: tuple(map(str, value[name])) for name in ("grown", "rest", "ends")}
        return cls(opening=str(value["opening"]), **lists)


class Fixed:
    """What a server receives, whoever writes."""

    def __init__(self, requests: Iterable[Request] = (), said: str = "") -> None:
        """`requests` came for somebody without a context, whose general instruction was `said`."""
        self._lines: set[str] = set()
        self._frames: set[tuple[str, str]] = set()
        self._rest: set[str] = set()
        for request in requests:
            strings, others = _leaves(request)
            self._lines.update(line.rstrip() for each in strings for line in each.splitlines())
            self._rest.update(others)
        # What stands around a general instruction on its line ("Title: ") is nobody's, too.
        for line in self._lines:
            before, found, after = line.partition(said) if said else (line, "", "")
            if found and (before or after):
                self._frames.add((before, after))

    def received(self, requests: Iterable[Request]) -> Received:
        """What came beyond it."""
        prompts: dict[str, None] = {}
        rest: dict[str, None] = {}
        for request in requests:
            strings, others = _leaves(request)
            prompts.update(dict.fromkeys(map(self._own_lines, strings)))
            rest.update(dict.fromkeys(each for each in others if each not in self._rest))
        return of_texts([each for each in prompts if each.strip()], tuple(rest))

    def _own_lines(self, text: str) -> str:
        """The lines of a text that are not the same for everybody."""
        lines = text.splitlines(keepends=True)
        return "".join(self._bare(line) for line in lines if line.rstrip() not in self._lines)

    def _bare(self, line: str) -> str:
        for before, after in self._frames:
            shown = line.rstrip("\n")
            if shown.startswith(before) and shown.endswith(after):
                return line.removeprefix(before).removesuffix(after)
        return line


def of_texts(prompts: Sequence[str], rest: tuple[str, ...] = ()) -> Received:
    """Put together what came, each text once.

    A text that is the beginning of another is in it; its last word may be cut there.
    """
    ordered = sorted(set(prompts))
    # Sorted, a text stands right before those that begin with it.
    longest = [
        text
        for text, following in zip(ordered, [*ordered[1:], ""], strict=False)
        if not following.startswith(text)
    ]
    opening = _beginning(ordered)
    seen = {word for text in longest for word in _WORD.findall(text)}
    last = (_WORD.findall(text[-100:])[-1:] for text in ordered)
    ends = sorted({word for words in last for word in words} - seen)
    grown = tuple(each for text in longest if (each := text[len(opening) :]).strip())
    return Received(opening, grown, rest, tuple(ends))


def _beginning(ordered: Sequence[str]) -> str:
    """What all texts begin with, up to the end of a line where there is more than that."""
    if not ordered:
        return ""
    first, last = ordered[0], ordered[-1]
    size = 0
    while size < min(len(first), len(last)) and first[size] == last[size]:
        size += 1
    same = first[:size]
    if size == len(first) == len(last):
        return same
    # A text may grow in one way only, and then all of it begins alike.
    whole = same[: same.find("\n") + 1]
    return whole if whole.strip() else same


def _leaves(request: Request) -> tuple[list[str], list[str]]:
    """Strings of the body; and everything else of the request as words."""
    others = [request.target]
    others += [line for line in request.headers if not line.lower().startswith(_LENGTH)]
    if not request.body:
        return [], others
    try:
        body = json.loads(request.body)
    except ValueError:
        return [request.body.decode("utf-8", "replace")], others
    strings: list[str] = []
    for name, value in _walk(body, ""):
        if isinstance(value, str):
            strings.append(value)
        else:
            others.append(f"{name} {json.dumps(value)}")
    return strings, others


def _walk(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every leaf with the key it stands under. A list of token ids is no leaf and left out."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield f"key {key}", None
            yield from _walk(each, str(key))
    elif isinstance(value, list):
        if not (value and all(type(each) is int for each in value)):
            for each in value:
                yield from _walk(each, name)
    else:
        yield name, value
