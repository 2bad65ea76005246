"""`data check`: everything that can be wrong with a data set, found in one pass over its files.

    checked = Checked(skip=frozenset())
    for split, path in files:
        checked.read(split, path)
    report = checked.report()

Memory grows by about 0.5 KB a sample (hashes and signatures), not by the texts: a file of
1 GB holds about 100,000 published samples.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from cogenesis.data.languages import language_of
from cogenesis.data.leaks import leaks
from cogenesis.data.leftovers import leftovers, unfinished
from cogenesis.data.overlap import Shared, SplitKeys, shared
from cogenesis.data.problems import Example, Problems
from cogenesis.data.reading import entries
from cogenesis.data.repeats import (
    AGAIN,
    LEAST_THRESHOLD,
    THRESHOLD,
    Near,
    alike,
    digest,
    runs,
)
from cogenesis.data.rows import Row, row_of
from cogenesis.data.stats import spread
from cogenesis.errors import InputError

SKIPPABLE: Final = frozenset({"leaks", "near", "language"})
"""The checks that take time: about 20, 0.4 and 0.5 ms a sample."""

NEAR_ANSWER: Final = 0.5
"""An earlier text that shares so many runs of words with the answer gives it away."""


class _Split:
    """What is counted for one split."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.samples = 0
        self.keys = SplitKeys()
        self.ids: set[int] = set()
        self.seen: dict[int, int] = {}
        self.languages: Counter[str] = Counter()
        self.forms: Counter[str] = Counter()
        self.origins: Counter[str] = Counter()
        self.words = array("L")
        self.context_words = array("L")
        self.instruction_words = array("L")
        self.foreign: list[tuple[int, str, str]] = []
        self.guard: Counter[str] = Counter()
        self.roles: Counter[str] = Counter()


class Checked:
    """A data set while it is read, and what was found in it."""

    def __init__(self, *, skip: frozenset[str] = frozenset(), threshold: float = THRESHOLD) -> None:
        """Get ready.

        Args:
            skip: of SKIPPABLE.
            threshold: from LEAST_THRESHOLD to 1.

        Raises:
            InputError: the threshold is none.
            MissingExtraError: datasketch is not installed, and `near` is not skipped.
        """
        if not LEAST_THRESHOLD <= threshold <= 1:
            raise InputError(
                f"--near is from {LEAST_THRESHOLD} to 1: of pairs that are less alike, too few "
                "are found"
            )
        self.problems = Problems()
        self._splits: dict[str, _Split] = {}
        self._skip = skip
        self._threshold = threshold
        self._near = None if "near" in skip else Near()
        # Of the texts in `_near`: split, number, id, and the digest of the text.
        self._places: list[tuple[str, int, str, int]] = []
        self._shared: list[Shared] = []

    def read(self, name: str, path: Path, tick: Callable[[], None] = lambda: None) -> None:
        """Check the samples of one file; several files may make one split.

        Raises:
            InputError: the file cannot be read at all.
            MissingExtraError: it is Parquet and pyarrow is not installed.
        """
        split = self._splits.setdefault(name, _Split())
        split.files.append(path.name)
        before = split.samples
        for entry in entries(path):
            split.samples += 1
            found = (
                [entry.mistake or ""] if entry.value is None else row_of(entry.number, entry.value)
            )
            if isinstance(found, Row):
                self._check(name, split, found)
            else:
                detail = "; ".join(found)
                self.problems.add("schema", name, Example(entry.number, "", detail))
            tick()
        if split.samples == before:
            self.problems.add("no-samples", name, Example(0, "", f"{path.name} holds no sample"))

    def _check(self, name: str, split: _Split, row: Row) -> None:
        split.forms[row.form] += 1
        split.origins[row.origin or "not said"] += 1
        split.keys.add(row)
        split.words.append(len(row.text.split()))
        split.context_words.append(sum(len(each.text.split()) for each in row.context.texts()))
        split.instruction_words.append(len(row.instruction.split()))
        self._check_id(name, split, row)
        if self._check_text(name, row):
            self._check_repeats(name, split, row)
            if "language" not in self._skip:
                language = language_of(row.text)
                split.languages[language] += 1
                if language not in {"en", "short"} and len(split.foreign) < 1_000_000:
                    split.foreign.append((row.number, row.id, language))
        if "leaks" not in self._skip:
            self._check_leaks(name, split, row)

    def _check_id(self, name: str, split: _Split, row: Row) -> None:
        key = hash(row.id)
        if key in split.ids:
            self.problems.add("same-id", name, Example(row.number, row.id, "this id came before"))
        split.ids.add(key)

    def _check_text(self, name: str, row: Row) -> bool:
        """Look for leftovers; False if there is no text."""
        found = leftovers(row.text)
        for writing in row.context.writings:
            in_history = leftovers(writing.text)
            if in_history:
                detail = ", ".join(each.text for each in in_history[:3])
                self.problems.add("leftover-in-history", name, Example(row.number, row.id, detail))
                break
        if not found:
            if unfinished(row.text):
                detail = f"…{' '.join(row.text.split())[-40:]}"
                self.problems.add("unfinished", name, Example(row.number, row.id, detail))
            return True
        kinds = {each.kind for each in found}
        alone = {"empty": "empty-text", "placeholder": "placeholder-text"}
        kind = next((alone[each] for each in alone if each in kinds), "leftover")
        detail = ", ".join(each.text for each in found[:3])
        self.problems.add(kind, name, Example(row.number, row.id, detail))
        return kind == "leftover"

    def _check_repeats(self, name: str, split: _Split, row: Row) -> None:
        key = digest(row.text)
        if key in split.seen:
            detail = f"the text of sample {split.seen[key]}"
            self.problems.add("same-text", name, Example(row.number, row.id, detail))
        elif self._near is not None:
            self._near.add(row.text)
            self._places.append((name, row.number, row.id, key))
        split.seen.setdefault(key, row.number)
        mine = runs(row.text)
        for place, writing in enumerate(row.context.writings, start=1):
            share = alike(mine, runs(writing.text))
            if share >= NEAR_ANSWER:
                kind = "answer-in-history" if share > AGAIN else "near-answer-in-history"
                detail = f"earlier text {place} shares {share:.0%} of its runs of words"
                self.problems.add(kind, name, Example(row.number, row.id, detail))
                break

    def _check_leaks(self, name: str, split: _Split, row: Row) -> None:
        found = leaks(row)
        split.guard["asked"] += 1
        split.guard["refused"] += bool(found.refused)
        split.guard["whole_refused"] += found.whole_refused
        split.guard["general_names_person"] += found.general_names
        split.guard["whole_names_person"] += found.general_names or found.details_name
        split.guard["with_name"] += bool(row.name)
        split.guard["named_and_refused"] += found.whole_refused and (
            found.general_names or found.details_name
        )
        if found.refused:
            split.roles[found.role or "other"] += 1
            kind = "title-leak" if row.form == "title-to-text" else "general-leak"
            self.problems.add(kind, name, Example(row.number, row.id, found.refused[:200]))
        if found.details_name:
            example = Example(row.number, row.id, "the person's own name")
            self.problems.add("name-in-details", name, example)

    def report(self) -> dict[str, Any]:
        """What was found, as JSON. To be called once, after all files."""
        self._compare_splits()
        for name, split in self._splits.items():
            main = split.languages.most_common(1)
            for number, identity, language in split.foreign:
                if main and language != main[0][0]:
                    self.problems.add("language", name, Example(number, identity, language))
        return {
            "samples": sum(split.samples for split in self._splits.values()),
            "errors": self.problems.total("error"),
            "warnings": self.problems.total("warning"),
            "skipped_checks": sorted(self._skip),
            "splits": {name: _told(split) for name, split in self._splits.items()},
            "shared": [_shared_told(each) for each in self._shared],
            "problems": self.problems.listed(),
        }

    def lengths(self) -> dict[str, Sequence[int]]:
        """Words of the texts of each split, for plots."""
        return {name: split.words for name, split in self._splits.items()}

    def _compare_splits(self) -> None:
        self._shared = list(shared({name: each.keys for name, each in self._splits.items()}))
        for each in self._shared:
            name = " and ".join(each.splits)
            of = f"of {each.of_groups[0]} and {each.of_groups[1]}"
            if each.groups:
                example = Example(0, "", f"{of}: {', '.join(each.examples)}")
                self.problems.add("shared-groups", name, example, count=each.groups)
            for kind, pairs in (
                ("shared-people", each.people),
                ("shared-texts", each.texts),
                ("shared-history", each.earlier),
            ):
                for here, there in pairs:
                    detail = f"sample {here} of {each.splits[0]}, {there} of {each.splits[1]}"
                    self.problems.add(kind, name, Example(here, "", detail))
        for pair in self._near.pairs(self._threshold) if self._near is not None else ():
            split, number, identity, text = self._places[pair.second]
            other, earlier, _, earlier_text = self._places[pair.first]
            detail = f"{pair.alike:.0%} of the runs of sample {earlier}"
            if split == other:
                self.problems.add("near-text", split, Example(number, identity, detail))
            elif text != earlier_text:  # the very same texts are told as shared texts
                where = f"{other} and {split}"
                self.problems.add("near-shared-texts", where, Example(number, identity, detail))


def _shared_told(each: Shared) -> dict[str, Any]:
    return {
        "splits": list(each.splits),
        "groups": each.groups,
        "of_groups": list(each.of_groups),
        "people": len(each.people),
        "texts": len(each.texts),
        "earlier_texts": len(each.earlier),
    }


def _told(split: _Split) -> dict[str, Any]:
    return {
        "files": split.files,
        "samples": split.samples,
        "groups": len(split.keys.groups),
        "samples_without_group": split.keys.without_group,
        "forms": dict(split.forms),
        "origins": dict(split.origins),
        "languages": dict(split.languages.most_common()),
        "words": {
            "text": spread(split.words),
            "context": spread(split.context_words),
            "instruction": spread(split.instruction_words),
        },
        "guard": {**split.guard, "roles": dict(split.roles.most_common())},
    }
