"""The prompts of the four steps: files with a version and named gaps, which a user may replace.

The first line of a file is `version: NAME`; it goes into the record of every sample. Gaps are
`$name`. A template of the user must have the same gaps as ours: one that is missing would make
people who know nothing of their group, or texts that know nothing of the person.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

from cogenesis.errors import InputError

StepName = Literal["portrait", "profile", "tasks", "text"]

STEPS: Final[tuple[StepName, ...]] = ("portrait", "profile", "tasks", "text")

MAX_CHARS: Final = 20_000

_GAP: Final = re.compile(r"\$([a-z]+)")
_VERSION: Final = re.compile(r"version: ([\w.+-]{1,40})\n")


@dataclass(frozen=True, slots=True)
class Template:
    """One prompt: fixed text and gaps.

    Attributes:
        step: which of the four.
        version: as its first line says.
        parts: fixed texts and, at odd places, the names of the gaps between them.
        sha256: of the file.
    """

    step: StepName
    version: str
    parts: tuple[str, ...] = field(repr=False)
    sha256: str

    @property
    def gaps(self) -> frozenset[str]:
        """The names of what is filled in."""
        return frozenset(self.parts[1::2])

    @property
    def fixed(self) -> tuple[str, ...]:
        """The fixed texts."""
        return self.parts[::2]

    def filled(self, values: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
        """Fixed texts and values, in order: the parts of a prompt."""
        for at, part in enumerate(self.parts):
            if at % 2:
                yield from values[part]
            elif part:
                yield part


def load_templates(folder: Path | None = None) -> dict[StepName, Template]:
    """The four templates: those in the folder, ours for the rest.

    Raises:
        InputError: the folder holds none, or one lacks its version or a gap.
    """
    ours = {step: _parse(step, _shipped(step), f"the template {step}") for step in STEPS}
    if folder is None:
        return ours
    found = {step: folder / f"{step}.txt" for step in STEPS if (folder / f"{step}.txt").is_file()}
    if not found:
        names = ", ".join(f"{step}.txt" for step in STEPS)
        raise InputError(
            f"{folder} holds no template: it should hold one or more of {names}. To begin with "
            "ours: cogenesis data templates FOLDER"
        )
    for step, path in found.items():
        theirs = _parse(step, _read(path), str(path))
        missing = sorted(ours[step].gaps - theirs.gaps)
        more = sorted(theirs.gaps - ours[step].gaps)
        if missing or more:
            told = [f"lacks ${name}" for name in missing] + [f"has an unknown ${n}" for n in more]
            raise InputError(f"{path} {', '.join(told)}")
        ours[step] = theirs
    return ours


def write_templates(folder: Path) -> list[Path]:
    """Write ours into a folder, to be changed; files that are there are left alone.

    Raises:
        InputError: the folder cannot be written.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for step in STEPS:
            path = folder / f"{step}.txt"
            if not path.exists():
                path.write_text(_shipped(step), "utf-8")
                written.append(path)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from None
    return written


def _shipped(step: StepName) -> str:
    return (files(__package__) / "templates" / f"{step}.txt").read_text("utf-8")


def _read(path: Path) -> str:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path} cannot be read as UTF-8 text") from None
    if len(text) > MAX_CHARS:
        raise InputError(f"{path} is longer than {MAX_CHARS:,} characters")
    return text


def _parse(step: StepName, text: str, name: str) -> Template:
    head = _VERSION.match(text)
    if head is None:
        raise InputError(f"{name} must begin with a line such as “version: my-2”")
    parts = tuple(_GAP.split(text[head.end() :].strip()))
    return Template(step, head[1], parts, hashlib.sha256(text.encode()).hexdigest())
