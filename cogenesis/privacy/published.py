"""Data that may be sent with its contexts: made-up or published, and the user says so.

A judge must see the profile that a text is about, and the upper bound of an experiment is a
cloud model that sees everything. Both break promise 1 on purpose, so there is one door for
them, apart from the guard's and the shield's: `released.published` takes a string out of a
`PublishedData` by its place in the file. No string of another source can go through it, and
no code path of `write`, `serve` or the assistant has such an object (a test looks).

A file passes if the user gave `--unsafe-send-context` for this command, and the file is

* a list of two samples or more, or JSON lines of as many, each with a task and its reference
  text, as published data sets have it. One person's own context is one object, in either form,
  or a list of one;
* and no sample of it says otherwise: `"origin"`, where a sample has it, is `"published"` or
  `"synthetic"`.

All samples are looked at when the file is opened, and each is read again when it is asked for:
what goes out is what was looked at, byte for byte (`FileIndex`), or nothing.

Not covered: somebody who writes real people's contexts into a file of that form, and gives
the flag. The form and the flag are two deliberate steps, not a proof that nobody is hurt.

`evaluate bits --shield off` sends no context, but the texts as they are. Its door is
`refuse_private_data`: a list, with the same marks on every sample.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cogenesis.data.file_index import FileIndex
from cogenesis.data.reading import NO_OBJECT, Entry
from cogenesis.errors import EgressError, InputError

ORIGINS: Final = frozenset({"published", "synthetic"})

FLAG: Final = "--unsafe-send-context"

_USER: Final = frozenset({"user", "human"})
_ASSISTANT: Final = frozenset({"assistant", "gpt"})


class PublishedData:
    """The samples of one marked file, for `released.published`. Made by opening the file only.

    Attributes:
        name: the file's name, without its folder.
        sha256: of its bytes, in hex.
        samples: how many there are.
    """

    __slots__ = ("_held", "_index", "name", "samples", "sha256")

    def __init__(self, path: Path, *, unsafe_send_context: bool) -> None:
        """Read the file and look for its mark.

        Raises:
            InputError: the flag is missing, or the file is not marked or cannot be read.
        """
        if unsafe_send_context is not True:
            raise InputError(
                "this sends the people's profiles and texts to a cloud model as they are. Add "
                f"{FLAG}, and only for published or made-up data: a list of samples in the "
                "published form."
            )
        self._index = _marked(path)
        self.name = path.name
        self.sha256 = self._index.sha256
        self.samples = self._index.count
        # The sample that was read last: a prompt takes many strings of one.
        self._held: tuple[int, dict[str, Any]] = (0, {})

    def __repr__(self) -> str:
        return f"PublishedData({self.name!r}, {self.samples} samples)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("published data is not pickled: open the file again")

    def at(self, sample: int, *where: str | int) -> str:
        """The string at a place of a sample, counted from 1: `at(3, "profile", 0, "text")`.

        Half characters become question marks.

        Raises:
            EgressError: there is no string at that place.
            InputError: the file was changed since it was opened.
        """
        if not 1 <= sample <= self.samples:
            raise EgressError(f"the published data has no sample {sample}")
        value: Any = self._sample(sample)
        for step in where:
            inside = isinstance(value, dict) and step in value
            if isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
                inside = True
            if not inside:
                raise EgressError("the published data has nothing at that place")
            value = value[step]
        if not isinstance(value, str):
            raise EgressError("the published data has no text at that place")
        return value.encode("utf-8", "replace").decode("utf-8")

    def _sample(self, number: int) -> dict[str, Any]:
        held = self._held
        if held[0] != number:
            held = self._held = (number, self._index.value(number))
        return held[1]

    def has(self, sample: int, *where: str | int) -> bool:
        """Whether there is a text at that place that is not blank."""
        try:
            return bool(self.at(sample, *where).strip())
        except EgressError:
            return False


def refuse_private_data(path: Path) -> str:
    """Let only a list of samples be sent without the shield, none of them marked as private.

    Returns the SHA-256 of what was looked at, in hex: nothing else may be sent.

    A list in the published form is taken for published or made-up data, on the word of whoever
    gave `--unsafe-send-context`; a file with one object may be somebody's own context. Every
    sample is looked at, wherever its mark stands: lists are merged. One that has no task is no
    reason to refuse, because nothing of it is sent.

    Raises:
        InputError: it is no list, a sample's origin is another one, or it cannot be read.
    """

    def look(entry: Entry) -> None:
        sample = entry.value
        if entry.lost:
            raise InputError(
                f"{path}: sample {entry.number} is no JSON that can be used: {entry.mistake}"
            )
        if sample is not None and ("cogenesis" in sample or not _may_be_sent(sample)):
            raise InputError(
                f"{path}: sample {entry.number} is marked as private texts: they are not sent "
                'without the shield. "origin", if a sample has it, must be "published" or '
                '"synthetic".'
            )

    index = _index(path, look)
    if index.count < 2:
        raise InputError(
            f"{path} is no list of two samples or more, so it may be one person's own context. "
            "Without the shield only published or made-up data is sent: a list in the published "
            "form."
        )
    return index.sha256


def _may_be_sent(sample: dict[str, Any]) -> bool:
    """Whether its mark, if it has one, allows it."""
    return "origin" not in sample or str(sample["origin"]) in ORIGINS


def _index(path: Path, look: Callable[[Entry], None]) -> FileIndex:
    try:
        return FileIndex(path, look)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _marked(path: Path) -> FileIndex:
    """The samples, if all of them may be sent. Messages name numbers, never values."""

    def look(entry: Entry) -> None:
        number, sample = entry.number, entry.value
        if sample is None and entry.mistake != NO_OBJECT:
            raise InputError(
                f"{path}: sample {number} is no JSON that can be used: {entry.mistake}"
            )
        if sample is None or "cogenesis" in sample or not _has_task(sample):
            raise _refused(path, f"sample {number} has no task with a reference text")
        if not _may_be_sent(sample):
            raise _refused(path, f"sample {number} has an origin that is neither of the two")

    index = _index(path, look)
    if index.count < 2:
        raise _refused(path, "it is no list of two samples or more, so it may be one person's own")
    return index


def _has_task(sample: dict[str, Any]) -> bool:
    turns = sample.get("conversations")
    if not isinstance(turns, list):
        return False
    speakers = {each.get("from") for each in turns if isinstance(each, dict)}
    return bool(speakers & _USER) and bool(speakers & _ASSISTANT)


def _refused(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} is not sent: {why}. Only published or made-up data may be: a list of samples in "
        'the published form; "origin", if a sample has it, is "published" or "synthetic".'
    )
