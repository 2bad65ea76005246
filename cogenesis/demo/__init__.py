"""The sample person of the demo: invented, so that nobody's life is in the package.

Names, places and organisations are made up, addresses end in example.org, and phone
numbers lie in the range 555-01xx that is set aside for fiction.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from cogenesis.context.private_context import PrivateContext
from cogenesis.context.reader import parse_context

DEMO_INSTRUCTION: Final = (
    "Write an e-mail to my choir to move next week's rehearsal: I have a heart check-up at the "
    "Saltmarsh Clinic on Tuesday 14 April, so we meet on Thursday 16 April at seven in Tidewell "
    "Hall instead, and Tobias Merrin leads the warm-up"
)
"""What the sample person asks for: a general part, then details that must stay here."""


def demo_person() -> PrivateContext:
    """The sample person: profile, activities and four past texts in one voice."""
    data = files(__name__).joinpath("person.json").read_bytes()
    return parse_context(data, "the sample person")
