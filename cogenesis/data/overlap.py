"""What two splits share that no two splits may: groups, people, texts.

A model that is measured on people whose group it was tuned on is measured too well. The
published dev split shares all its groups with the published training split.

Three kinds of evidence, from what the files hold:

- groups: the key `group`, or the portrait in a published id;
- people: the same profile, or an earlier text in common (sets without profiles or groups);
- texts: the text of one split is a text, or an earlier text, of the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from cogenesis.data.repeats import digest
from cogenesis.data.rows import Row


class SplitKeys:
    """What identifies the groups, people and texts of one split. Hashes of 64 bits only.

    Attributes:
        without_group: samples whose group the file does not say.
    """

    def __init__(self) -> None:
        self.groups: set[str] = set()
        # Hash -> the sample that had it first.
        self.people: dict[int, int] = {}
        self.texts: dict[int, int] = {}
        self.earlier: dict[int, int] = {}
        self.without_group = 0

    def add(self, row: Row) -> None:
        """Note one sample."""
        if row.group is None:
            self.without_group += 1
        else:
            self.groups.add(row.group)
        if row.person:
            self.people.setdefault(digest(row.person), row.number)
        if row.text.strip():
            self.texts.setdefault(digest(row.text), row.number)
        for writing in row.context.writings:
            if writing.text.strip():
                self.earlier.setdefault(digest(writing.text), row.number)


@dataclass(frozen=True, slots=True)
class Shared:
    """What two splits have in common.

    Attributes:
        splits: their names.
        groups: how many groups are in both.
        of_groups: how many each has.
        examples: some of these groups, by name.
        people: profiles in both, as the samples that have them: one of each split.
        texts: texts of one that are texts of the other.
        earlier: texts of one that are earlier texts of the other, and earlier texts in both.
    """

    splits: tuple[str, str]
    groups: int
    of_groups: tuple[int, int]
    examples: tuple[str, ...]
    people: tuple[tuple[int, int], ...]
    texts: tuple[tuple[int, int], ...]
    earlier: tuple[tuple[int, int], ...]


def shared(splits: dict[str, SplitKeys]) -> Iterator[Shared]:
    """Each pair of splits, in the order in which they were given."""
    for (name, one), (other_name, other) in combinations(splits.items(), 2):
        groups = one.groups & other.groups
        crossed = dict.fromkeys(
            (
                *_both(one.texts, other.earlier),
                *_both(one.earlier, other.texts),
                *_both(one.earlier, other.earlier),
            )
        )
        yield Shared(
            splits=(name, other_name),
            groups=len(groups),
            of_groups=(len(one.groups), len(other.groups)),
            examples=tuple(sorted(groups)[:5]),
            people=_both(one.people, other.people),
            texts=_both(one.texts, other.texts),
            earlier=tuple(crossed),
        )


def _both(one: dict[int, int], other: dict[int, int]) -> tuple[tuple[int, int], ...]:
    """Pairs of samples that have something in common, in the order of the first split."""
    return tuple((number, other[key]) for key, number in one.items() if key in other)
