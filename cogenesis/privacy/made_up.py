"""Text about people who do not exist, for `data build`: what may be told to the cloud model.

A data build makes people up: a generator draws their names, a model invents the rest, and both
go back into the next prompt. None of it is private, but it looks just like what is. So there is
a door of its own: `released.made_up` releases a text only if this build made it up, whole and
word for word. A build knows

* the templates of its prompts, which ship with the program or were given by the user for it;
* what its generator of names and its plan drew;
* what the cloud model itself answered in this build.

No code path of `write`, `serve` or the assistant has such an object, and the modules that have
one import nothing that reads a private context (tests look).

Not covered: a user who writes private matter into a template of their own. A reply that is kept
in the folder of the build is taken for what the model answered, also if somebody changed it.
"""

from __future__ import annotations

from typing import Any

from cogenesis.errors import EgressError


class MadeUp:
    """What one build has made up so far. Not thread-safe: each worked-on person has its own."""

    __slots__ = ("_known", "source")

    def __init__(self, source: str) -> None:
        """`source` names the build for the ledger."""
        self._known: set[str] = set()
        self.source = source

    def __repr__(self) -> str:
        return f"MadeUp({self.source!r}, {len(self._known)} texts)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("made-up text is not pickled: each worker makes up its own")

    def learn(self, value: Any) -> None:
        """Each string in a template, a draw or a reply."""
        if isinstance(value, str):
            self._known.add(_whole(value))
        elif isinstance(value, dict):
            for each in value.values():
                self.learn(each)
        elif isinstance(value, list | tuple):
            for each in value:
                self.learn(each)

    def known(self, text: str) -> str:
        """The text, if it was made up here.

        Raises:
            EgressError: it was not.
        """
        whole = _whole(text)
        if whole not in self._known:
            raise EgressError("a text that this build did not make up was about to be sent")
        return whole


def _whole(text: str) -> str:
    """Half characters become question marks: they cannot be sent."""
    return text.encode("utf-8", "replace").decode("utf-8")
