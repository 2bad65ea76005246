"""`data import`: samples of other forms, written in the published form.

Every training and evaluation command reads that form. What is added to it are keys that say
more: `general_instruction` and `details`, `group`, `origin`, `form`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cogenesis.data.leftovers import leftovers
from cogenesis.data.own_folder import from_folder
from cogenesis.data.reading import Entry, data_files, entries
from cogenesis.data.rendered import parse_rendered
from cogenesis.data.rows import Row, row_of
from cogenesis.data.title_text import HISTORY, from_lamp, from_rendered, is_lamp, outputs_beside
from cogenesis.data.writing_out import not_onto, sample_file
from cogenesis.errors import InputError

Kind = Literal["samples", "lamp", "folder"]


@dataclass(frozen=True, slots=True)
class Source:
    """What is imported.

    Attributes:
        path: a file of samples, a folder of such files, LaMP's questions, or a folder of texts.
        outputs: LaMP's outputs; None for the file beside the questions.
        avocado: the licence holder's folder of zip files, for LaMP 6.
        name, address: of the person whose texts a folder holds.
        history: earlier texts of a sample, where the source has more.
        origin: for samples that do not say: "published", "synthetic" or "".
        clean: whether samples whose text is unfinished (`leftovers`) are left out.
    """

    path: Path
    outputs: Path | None = None
    avocado: Path | None = None
    name: str | None = None
    address: str | None = None
    history: int = HISTORY
    origin: str = ""
    clean: bool = False


@dataclass(slots=True)
class Imported:
    """What became of it."""

    kind: Kind
    samples: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def leave_out(self, reason: str, where: str) -> None:
        """Count a sample that is not used; the first ten are named."""
        self.left_out[reason] += 1
        if len(self.examples) < 10:
            self.examples.append(f"{where}: {reason}")


def import_data(source: Source, out: Path, tick: Callable[[], None] = lambda: None) -> Imported:
    """Write all usable samples of a source to a file (.json, .jsonl or .parquet).

    Raises:
        InputError: the source or the options cannot be used, or not one sample of it.
        MissingExtraError: pyarrow is needed and not installed.
    """
    done = Imported(_kind(source))
    not_onto(out, _read_files(source, done.kind))
    with sample_file(out) as put:
        for sample in _samples(source, done):
            if source.clean and (found := leftovers(_text(sample))):
                done.leave_out(f"unfinished text ({found[0].kind})", f"id {sample.get('tid')}")
                continue
            put(sample)
            done.samples += 1
            tick()
        if not done.samples:
            raise InputError(
                f"{source.path} holds no sample to import. " + "; ".join(done.examples[:3])
            )
    return done


def _kind(source: Source) -> Kind:
    if source.path.is_dir():
        try:
            data_files(source.path)
        except InputError:
            return "folder"
        return "folder" if source.name is not None else "samples"
    first = next(entries(source.path), None)
    if first is not None and first.value is not None and is_lamp(first.value):
        return "lamp"
    return "samples"


def _read_files(source: Source, kind: Kind) -> list[Path]:
    """The files that are read and that samples could be written to."""
    if kind == "samples":
        return data_files(source.path)
    if kind == "folder":
        return []  # letters and mails: no file of samples is one of them
    beside = [] if source.avocado is not None else [outputs_beside(source.path)]
    return [source.path, *(beside if source.outputs is None else [source.outputs])]


def _samples(source: Source, done: Imported) -> Iterator[dict[str, Any]]:
    if done.kind == "folder":
        if not source.name:
            raise InputError("whose texts are they? Say it with --name “First Last”")
        yield from from_folder(
            source.path, source.name, source.address, source.history, done.left_out
        )
    elif done.kind == "lamp":
        outputs = source.outputs
        if outputs is None and source.avocado is None:
            outputs = outputs_beside(source.path)
        for found in from_lamp(source.path, outputs, source.history, source.avocado):
            if isinstance(found, dict):
                yield found
            else:
                where, _, reason = found.partition(": ")
                done.leave_out(reason, where)
    else:
        for path in data_files(source.path):
            for entry in entries(path):
                sample = _sample(entry, source, done, path.name)
                if sample is not None:
                    yield sample


def _sample(entry: Entry, source: Source, done: Imported, file: str) -> dict[str, Any] | None:
    where = f"{file}, sample {entry.number}"
    row = [entry.mistake or ""] if entry.value is None else row_of(entry.number, entry.value)
    if not isinstance(row, Row) or entry.value is None:
        done.leave_out("; ".join(row) if isinstance(row, list) else "", where)
        return None
    if not row.text.strip():
        done.leave_out("there is no text", where)
        return None
    origin = row.origin or source.origin
    prompt = next(turn["value"] for turn in entry.value["conversations"] if turn["value"].strip())
    rendered = parse_rendered(prompt)
    if rendered is not None:
        return from_rendered(row.id, rendered, row.text, source.history, origin)
    general, details = row.general, row.details
    if row.form == "context-free" and not details:
        # The whole instruction stands for the general part there, and it is none.
        general, _, details = row.instruction.partition(": ")
    added = {
        "origin": origin,
        "group": row.group,
        "general_instruction": general,
        "details": details,
    }
    return {**entry.value, **{key: value for key, value in added.items() if value}}


def _text(sample: dict[str, Any]) -> str:
    turns = sample["conversations"]
    return next(str(turn["value"]) for turn in turns if turn["from"] in {"assistant", "gpt"})
