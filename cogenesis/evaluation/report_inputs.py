"""Reading what the other evaluations printed, so that a report can put it together.

A file is known by what it holds, not by its name:

    bits    "systems" with "bits_per_byte"          (or the lines of `--save`)
    text    "systems" with other measures, "evaluation": "text" or no word at all
    judge   the same with "evaluation": "judge", or with a "judge"
    leaks   "attacks"
    speed   "rows" with a "decoding"
    human   "comparisons" of "systems"
    weights "tokens" with a "weight" each: `write --mode fusion --json`

A measure of a system is an object {"value", "low", "high"}, or a number with NAME_low and
NAME_high beside it; bits have plain "low" and "high". What has neither has no interval, and the
report says so. Where a row has "measures" or "scores", these count
and its other numbers do not.

Not covered: whether a file is true. A report tells each file's SHA-256 and the command that the
file names; who doubts a figure runs it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from cogenesis.errors import InputError
from cogenesis.untrusted import visible

Kind = Literal["bits", "text", "judge", "leaks", "speed", "human", "weights"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_MAX_BYTES: Final = 64_000_000
_SHORT: Final = 12
_LISTS: Final = frozenset(
    {"systems", "rows", "attacks", "comparisons", "raters", "agreement", "tokens"}
)
"""Lists of objects: what is no object in them is left out."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured number; `low` and `high` are None where nothing tells its range."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One file.

    Attributes:
        kind: of evaluation.
        name: of the file, without folder and ending.
        digest: the beginning of its SHA-256.
        command: that made it, as the file tells or its settings do.
        rebuilt: whether the command was put together from the settings.
        told: the file.
    """

    kind: Kind
    name: str
    digest: str
    command: str
    rebuilt: bool
    told: dict[str, Any] = field(repr=False)

    @property
    def label(self) -> str:
        """How a table refers to it."""
        return f"{self.kind}: {self.name}"


def read_sources(paths: Iterable[Path]) -> list[Source]:
    """Read all files, in their order.

    Raises:
        InputError: one cannot be read, is none of an evaluation, or was given twice.
    """
    found = [_read(path) for path in paths]
    seen: dict[str, Source] = {}
    for each in found:
        twin = seen.setdefault(each.digest, each)
        if twin is not each:
            raise InputError(f"{each.name} and {twin.name} are the same file: give it once")
    return found


def figures(row: Mapping[str, Any]) -> dict[str, Figure]:
    """The measures of a system, in the order of the file."""
    nested = row.get("measures", row.get("scores"))
    row = nested if isinstance(nested, Mapping) else row
    found: dict[str, Figure] = {}
    for name, value in row.items():
        if isinstance(value, Mapping) and _number(value.get("value")):
            low, high = value.get("low"), value.get("high")
        elif _number(value) and not name.endswith(("low", "high")):
            ends = ("low", "high") if name == "bits_per_byte" else (f"{name}_low", f"{name}_high")
            ends = ("ratio_low", "ratio_high") if name == "ratio_to_device" else ends
            low, high = (row.get(end) for end in ends)
            value = {"value": value}
        else:
            continue
        ranged = _number(low) and _number(high)
        found[name] = Figure(
            float(value["value"]),
            float(low) if ranged and low is not None else None,
            float(high) if ranged and high is not None else None,
        )
    return found


def shown(value: object, *, most: int = 2_000) -> str:
    """Any value of a file as one short line of visible characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = "".join(char for char in text if visible(char))
    return " ".join(text.split())[:most]


def _read(path: Path) -> Source:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise InputError(f"{path} is larger than {_MAX_BYTES // 1_000_000} MB: no report is")
    told = _decoded(path, data)
    kind = _kind(told)
    if kind is None:
        raise InputError(
            f"{path} is no result of an evaluation: give what "
            "“cogenesis evaluate … --json” or “write --mode fusion --json” printed"
        )
    told_command = told.get("command")
    known = isinstance(told_command, str) and bool(told_command)
    command = shown(told_command) if known else _rebuilt(kind, told)
    digest = hashlib.sha256(data).hexdigest()[:_SHORT]
    return Source(kind, shown(path.stem, most=80), digest, command, not known, told)


def _decoded(path: Path, data: bytes) -> dict[str, Any]:
    try:
        text = data.decode("utf-8")
        try:
            value = json.loads(text, parse_constant=_no_number)
        except json.JSONDecodeError as error:
            if "Extra data" not in error.msg:
                raise
            return _saved(path, text.splitlines())
    except (ValueError, RecursionError):
        raise InputError(f"{path} is no JSON file") from None
    if not isinstance(value, dict):
        return {}
    return {name: _rows(each) if name in _LISTS else each for name, each in value.items()}


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no figure")


def _saved(path: Path, lines: list[str]) -> dict[str, Any]:
    """The lines of `evaluate bits --save`: the report's figures are computed again from them."""
    from cogenesis.evaluation.bits_report import SampleCost, bits_report

    head = json.loads(lines[0])
    if not isinstance(head, dict) or head.get("measurement") != "bits":
        raise InputError(
            f"{path} holds single samples, which need their data: give what --json printed"
        )
    try:
        samples = [SampleCost.from_json(json.loads(line)) for line in lines[1:]]
        samples.sort(key=lambda each: each.sample)  # lines are in the order of their ends
        about = dict(head["about"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path} is no file of evaluate bits --save") from None
    models = {role: about[role] for role in ("device", "cloud") if role in about}
    return bits_report(samples) | {"models": models, "settings": about}


def _kind(told: Mapping[str, Any]) -> Kind | None:
    systems, rows = _rows(told.get("systems")), _rows(told.get("rows"))
    if _rows(told.get("attacks")):
        return "leaks"
    if rows and "decoding" in rows[0]:
        return "speed"
    if _rows(told.get("comparisons")) and "raters" in told:
        return "human"
    if any("weight" in each for each in _rows(told.get("tokens"))):
        return "weights"
    if not systems or "name" not in systems[0]:
        return None
    if "bits_per_byte" in systems[0]:
        return "bits"
    word = told.get("evaluation", told.get("measurement"))
    return "judge" if word == "judge" or (word is None and "judge" in told) else "text"


def _rows(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)


def _rebuilt(kind: Kind, told: Mapping[str, Any]) -> str:
    """The command that the settings tell; data files have no name in them."""
    if kind == "weights":
        return "cogenesis write … --mode fusion --json"
    parts = ["cogenesis evaluate", kind]
    if kind != "speed":
        parts.append("--ratings …" if kind == "human" else "--data FILE")
    if kind == "leaks" and told.get("text") == "reference":
        levels = dict.fromkeys(each.get("zipf") for each in told["attacks"])
        parts += ["--text reference", *(f"--zipf {shown(each)}" for each in levels)]
    if kind == "leaks" and told.get("tuned_on"):
        parts.append("--train FILE")
    settings = told.get("settings")
    parts += _options(settings) if isinstance(settings, Mapping) else []
    models = told.get("models")
    if isinstance(models, Mapping):
        named = {role: each for role, each in models.items() if isinstance(each, str)}
        default = {"device": "demo-device", "cloud": "demo-cloud"}
        parts += [
            f"--{role} {shown(each)}"
            for role, each in named.items()
            if role in default and default[role] != each
        ]
    return " ".join([*parts, "--json"])


def _options(settings: Mapping[str, Any]) -> Iterator[str]:
    """Options of `bits`, `leaks` and `speed` whose settings are told."""
    names = {"pair": "pair", "texts": "limit", "max_tokens": "max-tokens", "seed": "seed"}
    for name, option in names.items():
        if isinstance(settings.get(name), int | str):
            yield f"--{option} {shown(settings[name])}"
    for name, option in (("weights", "weight"), ("round_trips_ms", "rtt")):
        values = settings.get(name)
        for each in values if isinstance(values, list) else ():
            yield f"--{option} {shown(each)}"
