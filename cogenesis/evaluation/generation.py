"""The texts that the systems wrote, in a file: what `text`, `judge`, `human` and `report` read.

One JSON object a line. The first line tells what the file is: `{"measurement": "text",
"about": {"form": 1, "data": SHA-256 of the data file}}`. Each other line is one text:

    {"key": "5f0c…",            content hash: system and its settings, models, sample, seed
     "system": "sketch",        cloud · device · device:zero-shot · sketch · fusion:RULE[@WEIGHT]
                                · cloud:instruction · cloud:context (DESIGN section 7)
     "sample": 3,               its number in the data file, from 1
     "id": "14_0_2",            what the data file calls it
     "seed": 0,
     "title": "A note",         what stands before the first ": " of the instruction
     "instruction": "A note: …",
     "reference": "Dear …",     the text that the person wrote
     "text": "Hello …",         what the system wrote; null if it could not write any
     "mode": "sketch",          how it was written in the end: cloud, device, sketch, fusion
     "degraded": null,          or one word: the cloud's part is missing
     "tokens": 64, "seconds": 3.2,
     "requests": 1, "bytes": 1871, "round_trips": 1,    to the cloud
     "device": "SmolLM2…", "cloud": "demo-cloud",       null where it took no part
     "max_tokens": 64}

A key stands once: what is in the file need not be written again. Another model, setting, seed
or sample is another key, so a file may hold many of them. Its texts tell of the people in the
data, so only the user who made it may read it.

Files of other programs are read, too: lines with "system", "sample" and "text" are enough, and
the first line may be missing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from cogenesis.errors import InputError
from cogenesis.evaluation.saved_lines import SavedLines
from cogenesis.home import home

FORM: Final = 1
KIND: Final = "text"

MAX_FILE_BYTES: Final = 256_000_000
"""Far above any honest file: 10,000 texts of 4,000 characters, with their references."""


class Keyed(Protocol):
    """What a cache holds: no two have the same key."""

    @property
    def key(self) -> str: ...


KeyedT = TypeVar("KeyedT", bound=Keyed)


@dataclass(frozen=True, slots=True)
class WrittenText:
    """One text of one system; the fields are told in the module's docstring."""

    key: str
    system: str
    sample: int
    text: str | None = field(repr=False)
    id: str = ""
    seed: int = 0
    title: str = field(default="", repr=False)
    instruction: str = field(default="", repr=False)
    reference: str = field(default="", repr=False)
    mode: str = ""
    degraded: str | None = None
    tokens: int = 0
    seconds: float = 0.0
    requests: int = 0
    bytes: int = 0
    round_trips: int = 0
    device: str | None = None
    cloud: str | None = None
    max_tokens: int = 0

    def __post_init__(self) -> None:
        texts = (self.key, self.system, self.id, self.title, self.instruction, self.reference)
        if not all(isinstance(each, str) for each in texts) or not self.system:
            raise TypeError("a text where none is")
        if not isinstance(self.text, str | None) or not isinstance(self.degraded, str | None):
            raise TypeError("a text where none is")
        numbers = (self.sample, self.seed, self.tokens, self.requests, self.bytes, self.max_tokens)
        if not all(isinstance(each, int) and not isinstance(each, bool) for each in numbers):
            raise TypeError("a number where none is")
        if self.sample < 1:
            raise ValueError("samples are counted from 1")

    def to_json(self) -> dict[str, Any]:
        """The line of the file."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> WrittenText:
        """A line of the file; keys that are not ours are left out.

        Raises KeyError, TypeError or ValueError if it is none.
        """
        known = {name: value[name] for name in cls.__slots__ if name in value}
        known.setdefault("key", content_key(value["system"], value["sample"], value["text"]))
        return cls(**known)


def content_key(*parts: object) -> str:
    """SHA-256 of JSON values, in hex: equal parts, equal key."""
    told = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def default_place(data: Path) -> Path:
    """Where texts of this data are kept if nobody names a file: in the CoGenesis folder."""
    folder = home() / "evaluation"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"texts-{file_digest(data)[:16]}.jsonl"


def open_texts(path: Path, data: Path) -> SavedLines[WrittenText]:
    """The file of texts of this data, new or to go on with; use it with `with`.

    Raises:
        InputError: it is of other data, or cannot be used.
    """
    about = {"form": FORM, "data": file_digest(data)}
    return private_lines(path, about, KIND, WrittenText.from_json, WrittenText.to_json)


def private_lines(
    path: Path,
    about: dict[str, Any],
    kind: str,
    read: Callable[[dict[str, Any]], KeyedT],
    write: Callable[[KeyedT], dict[str, Any]],
) -> SavedLines[KeyedT]:
    """A cache by key that goes on where it ended. A new file is for this user alone.

    Raises:
        InputError: as `SavedLines`.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise InputError(f"{path} cannot be used: {error.strerror}") from None
    return SavedLines(
        path,
        lambda: about,
        resume=True,
        kind=kind,
        read=read,
        write=write,
        key=lambda each: each.key,
    )


def read_texts(path: Path, *, data_digest: str | None = None) -> list[WrittenText]:
    """All texts of a file, also of one that another program wrote.

    Args:
        path: the file.
        data_digest: SHA-256 of the data that the texts must be of, where the file tells it.

    Raises:
        InputError: it cannot be read, is no such file, or is of other data.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        lines = [json.loads(line) for line in data.decode("utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is no file of texts: one JSON object a line") from None
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{path} is larger than {MAX_FILE_BYTES // 1_000_000} MB")
    found = []
    for number, line in enumerate(lines, start=1):
        if number == 1 and isinstance(line, dict) and "measurement" in line:
            _check_head(path, line, data_digest)
            continue
        try:
            found.append(WrittenText.from_json(dict(line)))
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"{path}: line {number} is no text: it needs system, sample and text"
            ) from None
    return list({each.key: each for each in found}.values())


def _check_head(path: Path, head: dict[str, Any], data_digest: str | None) -> None:
    about = head.get("about")
    if head["measurement"] != KIND or not isinstance(about, dict):
        raise InputError(f"{path} is no file of texts: name one that evaluate text wrote")
    if data_digest is not None and about.get("data") != data_digest:
        raise InputError(f"{path} is of other data: name the file that it was written for")


def chosen_texts(
    texts: Iterable[WrittenText], systems: Iterable[str] | None, samples: Iterable[int]
) -> dict[str, dict[int, WrittenText]]:
    """For each system its texts by sample, in the order of `systems` (None: as found).

    Of several texts of one system and sample (other seeds or models) the last one counts.
    """
    wanted = list(dict.fromkeys(systems)) if systems is not None else None
    numbers = set(samples)
    found: dict[str, dict[int, WrittenText]] = {name: {} for name in wanted or ()}
    for each in texts:
        if each.sample in numbers and (wanted is None or each.system in found):
            found.setdefault(each.system, {})[each.sample] = each
    return found
