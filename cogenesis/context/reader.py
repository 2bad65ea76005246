"""Reading a private context from a file.

Two forms are read: one sample of the published CoGenesis data set, and our own form
(docs/context-format.md). Text is kept exactly as written, except that NUL characters and
half surrogate pairs, which no model and no data base can take, are removed or replaced and
counted in a warning (in a file of samples, a NUL that is not written as \\u0000 makes its sample
unreadable). Cleaning for the prompt comes later: the privacy lexicon must see what the file says.

Errors say where a mistake is, never what is written there. They are raised from frames
that hold no private text, so a traceback with locals shows none either. Not covered: the
caller's own frame, and errors that nobody expected (out of memory, a bug).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

from cogenesis.context.json_text import HELP, Repairs, Warn, load, log
from cogenesis.context.private_context import Private, PrivateContext, normal_name
from cogenesis.context.schema import (
    OwnForm,
    PublishedForm,
    PublishedSample,
    refuse,
    validate,
)
from cogenesis.data.reading import Entry, json_entries
from cogenesis.errors import ContextError, InputError

MAX_CONTEXT_BYTES = 64_000_000
"""Far above any honest context of one person. Files of samples have no such limit."""

OnBadSample = Callable[[int, str], None]
"""Is told the number of a sample, counted from 1, and what is wrong with it: places, no values."""

S = TypeVar("S")
T = TypeVar("T")


class Sample(Private):
    """One task of a data set: the context, what is asked, and the text somebody wrote.

    `group` and `origin` are "" where the file does not say; see docs/data-files.md.
    """

    __slots__ = ("context", "group", "id", "instruction", "origin", "reference")
    context: PrivateContext
    instruction: str
    reference: str
    id: str
    group: str
    origin: str

    def __init__(
        self,
        context: PrivateContext,
        instruction: str,
        reference: str,
        id: str,  # noqa: A002
        *,
        group: str = "",
        origin: str = "",
    ) -> None:
        self._set(context=context, instruction=instruction, reference=reference, id=id)
        self._set(group=group, origin=origin)

    def __repr__(self) -> str:
        return f"Sample({self.context!r}, {len(self.reference)} characters)"


def read_context(path: Path, *, on_warning: Warn | None = None) -> PrivateContext:
    """Read a context file.

    Raises:
        ContextError: there is no such file, or it cannot be used; the message says why.
    """
    return unwrap(attempt(lambda at: _parse_context(_read(at), str(at), on_warning), path))


def parse_context(data: bytes, name: str, *, on_warning: Warn | None = None) -> PrivateContext:
    """Read a context from bytes; `name` stands for it in messages.

    Raises:
        ContextError: the bytes cannot be used; the message says why.
    """
    outcome = attempt(lambda given: _parse_context(given, name, on_warning), data)
    del data  # a traceback with locals must not show it
    return unwrap(outcome)


def read_samples(
    path: Path, *, on_warning: Warn | None = None, on_bad: OnBadSample | None = None
) -> list[Sample]:
    """All samples of a file in the published form, each with its task: a list, or JSON lines.

    All of them are in memory; `sample_file` reads them one at a time. With `on_bad`, samples
    that cannot be used are told to it and left out.

    Raises:
        ContextError: there is no such file, or (without `on_bad`) a sample cannot be used.
    """
    return unwrap(attempt(lambda at: _all_samples(at, on_warning, on_bad), path))


def attempt(action: Callable[[S], T], source: S) -> T | ContextError:
    """What an action gives, or why it fails, in an error without the frames of the action."""
    try:
        return action(source)
    except InputError as error:
        # A new error: the old one's traceback leads through frames that hold private text.
        return ContextError(str(error))


def unwrap(outcome: T | ContextError) -> T:
    """What `attempt` gave. Raises ContextError: it failed."""
    if isinstance(outcome, ContextError):
        raise outcome
    return outcome


@contextmanager
def told_by_path(path: Path) -> Iterator[None]:
    """Raises ContextError where what is done inside of it cannot open or read the file."""
    try:
        yield
    except FileNotFoundError:
        raise ContextError(f"{path}: there is no such file. Check the path.") from None
    except IsADirectoryError:
        raise ContextError(f"{path} is a folder. Name the JSON file in it.") from None
    except PermissionError:
        raise ContextError(f"{path}: you are not allowed to read this file.") from None
    except OSError as error:
        raise ContextError(f"{path} cannot be read: {error.strerror}.") from None


def _open(path: Path) -> IO[bytes]:
    with told_by_path(path):
        try:
            return path.open("rb")
        except ValueError:
            raise ContextError("the path of the context holds a NUL character") from None


def _read(path: Path) -> bytes:
    with _open(path) as file, told_by_path(path):
        data = file.read(MAX_CONTEXT_BYTES + 1)  # bounded also for a pipe or a device
    if len(data) > MAX_CONTEXT_BYTES:
        raise ContextError(
            f"{path} is larger than {MAX_CONTEXT_BYTES // 1_000_000} MB. "
            "Keep what the texts need: a profile, activities, some earlier texts."
        )
    return data


def _parse_context(data: bytes, name: str, on_warning: Warn | None) -> PrivateContext:
    value = load(data, name, on_warning or log)
    if isinstance(value, list):
        if len(value) != 1:
            raise ContextError(
                f"{name}: this is a list of {len(value)} samples. A context is one person: "
                "save one of them as a file of its own."
                if value
                else f"{name}: the list is empty. {HELP}"
            )
        value = value[0]
    form = validate(_form_of(value, name), value)
    if isinstance(form, list):
        raise refuse(name, form)
    context = form.context()
    repeated = _repeated_field(context) if isinstance(form, OwnForm) else None
    if repeated is not None:
        raise refuse(name, [f"profile entry {repeated} has the name of an earlier entry"])
    if not any(text.text.strip() for text in context.texts()):
        raise ContextError(f"{name}: it holds no profile, no activity and no text. {HELP}")
    return context


def _form_of(value: object, name: str) -> type[OwnForm] | type[PublishedForm]:
    if not isinstance(value, dict):
        raise ContextError(f"{name}: a context is a JSON object {{...}}. {HELP}")
    if not value:
        raise ContextError(f"{name}: the object is empty. {HELP}")
    if "cogenesis" in value:
        return OwnForm
    if "additional_profile" in value or isinstance(value.get("profile"), list):
        return PublishedForm
    if {"profile", "activities", "writings"} & value.keys():
        return OwnForm  # its mistakes will say that `"cogenesis": 1` is missing
    raise ContextError(
        f'{name}: this is no context: it has neither "cogenesis": 1 nor "additional_profile". '
        + HELP
    )


def _repeated_field(context: PrivateContext) -> int | None:
    """Number of the first field whose name, case aside, an earlier field has."""
    seen: set[str] = set()
    for number, item in enumerate(context.fields, start=1):
        name = normal_name(item.name)
        if name in seen:
            return number
        seen.add(name)
    return None


class SampleReader:
    """Makes samples of the entries of one file, and counts what it repairs in them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._repairs = Repairs()
        self._count = 0

    def sample(self, entry: Entry) -> Sample | list[str]:
        """The sample, or every mistake in it.

        Raises:
            ContextError: the rest of the file cannot be read.
        """
        if entry.lost:
            raise ContextError(f"{self._path}: sample {entry.number}: {entry.mistake}")
        self._count += 1
        if entry.value is None:
            return [entry.mistake or ""]
        return self.known(entry.number, entry.value)

    def known(self, number: int, value: object) -> Sample | list[str]:
        """The sample of a value that was read before; or every mistake in it."""
        try:
            return _sample(number, self._repairs.apply(value))
        except RecursionError:
            return ["objects are nested too deeply"]

    def end(self, warn: Warn | None) -> None:
        """Tell what was repaired. Raises ContextError: there was no entry."""
        if self._count == 0:
            raise ContextError(f"{self._path}: the list is empty. It needs at least one sample.")
        self._repairs.tell(str(self._path), warn or log)


def _all_samples(path: Path, warn: Warn | None, on_bad: OnBadSample | None) -> list[Sample]:
    reader = SampleReader(path)
    samples: list[Sample] = []
    bad: list[tuple[int, list[str]]] = []
    with _open(path) as file, told_by_path(path):
        for entry in json_entries(path, file):
            found = reader.sample(entry)
            if isinstance(found, Sample):
                samples.append(found)
            else:
                bad.append((entry.number, found))
    reader.end(warn)
    if on_bad is not None:
        for number, why in bad:
            on_bad(number, "; ".join(why))
    elif bad:
        raise refuse(str(path), [f"sample {number}: {each}" for number, why in bad for each in why])
    return samples


def _sample(number: int, item: object) -> Sample | list[str]:
    """The sample, or every mistake in it."""
    form = validate(PublishedSample, item)
    if isinstance(form, list):
        return form
    instruction, reference = form.turn("user", "human"), form.turn("assistant", "gpt")
    if instruction is None or reference is None:
        mistake = (
            "conversations needs a turn of the user (the instruction) "
            "and one of the assistant (the reference text)"
        )
        return [mistake]
    identity = str(number) if form.tid is None else str(form.tid)
    group = "" if form.group is None else str(form.group)
    return Sample(
        form.context(), instruction, reference, identity, group=group, origin=form.origin or ""
    )
