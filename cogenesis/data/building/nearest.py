"""Which earlier portraits a new group is told of, found in the same time however many there are.

The nearest ones: of its field and its region, then of its field, then of its region, then any;
of each the newest. Only the newest few of every field, region and pair of both are kept, so
memory does not grow with the groups.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Final

from cogenesis.data.building.plan import Group

OTHERS: Final = 6
"""Earlier portraits that a new one is told of."""


class Nearest:
    """Lines of portraits, to be added in the order of their groups."""

    def __init__(self) -> None:
        """None yet."""
        # Twice as many as are told: where the pair's own are fewer than OTHERS and stand among
        # the newest of the field, enough of the field's remain beside them.
        self._kept: defaultdict[tuple[str, str], deque[tuple[int, str]]] = defaultdict(
            lambda: deque(maxlen=2 * OTHERS)
        )

    def add(self, group: Group, line: str) -> None:
        """A group's portrait, as later ones are told of it."""
        for key in _keys(group):
            self._kept[key].append((group.number, line))

    def of(self, group: Group) -> list[str]:
        """The lines of up to OTHERS portraits, the nearest first."""
        found: dict[int, str] = {}
        for key in _keys(group):
            for number, line in reversed(self._kept.get(key, ())):
                if len(found) == OTHERS:
                    return list(found.values())
                found.setdefault(number, line)
        return list(found.values())


def _keys(group: Group) -> Iterator[tuple[str, str]]:
    """The nearest first."""
    yield from ((group.field, group.region), (group.field, ""), ("", group.region), ("", ""))
