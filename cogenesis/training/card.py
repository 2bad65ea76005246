"""Model cards: what an artefact is, what it was made of and by what, what it is not good for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cogenesis.untrusted import clean

UNKNOWN: Final = "as its makers state"

_TERMS: Final[Mapping[str, str]] = {
    "synthetic": "synthetic: of people who do not exist",
    "published": f"published: {UNKNOWN}",
    "licensed": "licensed: not to be passed on",
    "own": "own texts: private",
}
"""What the mark `origin` of samples says (docs/data-files.md)."""


def terms(origins: Iterable[str]) -> str:
    """The licence of a file of samples, as far as their marks tell: several with their numbers."""
    counted = Counter(_TERMS.get(each, UNKNOWN) for each in origins)
    if len(counted) < 2:
        return next(iter(counted), UNKNOWN)
    return "; ".join(f"{count} {told}" for told, count in counted.most_common())


@dataclass(frozen=True, slots=True)
class Ingredient:
    """Something that an artefact was made of: data or another model.

    `name` is a file's name or what its makers call it; no path, which may name a person.
    """

    role: str
    name: str
    sha256: str
    licence: str
    size: str = ""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """All that a card says.

    Attributes:
        title: what the artefact is called.
        summary: what it is, in a sentence or two.
        ingredients: base models and data.
        command: that makes it again.
        settings: names and values.
        figures: what was measured, names and values with units.
        limits: what it is not good for, a sentence each.
        base_model: a hub name for the card's head, if the base has one.
    """

    title: str
    summary: str
    ingredients: Sequence[Ingredient]
    command: str
    settings: Mapping[str, object]
    figures: Mapping[str, object]
    limits: Sequence[str]
    base_model: str | None = None

    def markdown(self) -> str:
        """The card as the file `README.md` beside the artefact."""
        head = ["---", "tags:", "- cogenesis"]
        if self.base_model is not None:
            head += [f"base_model: {self.base_model}"]
        parts = [
            "\n".join([*head, "---"]),
            f"# {self.title}",
            self.summary,
            "## Made of",
            _table(
                ("", "Name", "sha256", "Licence"),
                [
                    (each.role, _sized(each), f"`{each.sha256}`", each.licence)
                    for each in self.ingredients
                ],
            ),
            f"## Made by\n\n```sh\n{self.command}\n```",
            _table(("Option", "Value"), [(name, _shown(v)) for name, v in self.settings.items()]),
            "## Measured",
            _table(("", "Value"), [(name, _shown(v)) for name, v in self.figures.items()]),
            "## Limits",
            "\n".join(f"- {limit}" for limit in self.limits),
        ]
        return "\n\n".join(parts) + "\n"


def _sized(each: Ingredient) -> str:
    return f"{each.name} ({each.size})" if each.size else each.name


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "none" if value is None else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in [head, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def _cell(text: str) -> str:
    return " ".join(clean(text).split()).replace("|", "\\|")
