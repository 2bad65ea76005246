"""The named levels of the written policy (`docs/privacy-policy.md`): how much stays here.

All levels keep identifiers, sensitive words, disguises and pasted passages. They differ in
what else of the context stays: its rare words, and its runs of content words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cogenesis.errors import InputError


@dataclass(frozen=True, slots=True)
class PolicyLevel:
    """One level: its promise in a sentence, and what it does not promise.

    Attributes:
        rare_below: Zipf frequency under which a word of the context is private.
        runs: whether three content words in the order of the context are.
    """

    name: str
    promise: str
    limits: tuple[str, ...]
    rare_below: float
    runs: bool


STRICT: Final = PolicyLevel(
    "strict",
    "No identifier and no sensitive word leaves, nor any word rarer than once in 32,000 words "
    "or any three content words in a row of your context, unless you typed them as the topic.",
    (
        "paraphrase, and facts told in frequent words in another order, may leave",
        "the topic that you give, its length and the time may tell who you are",
    ),
    rare_below=4.5,
    runs=True,
)
STANDARD: Final = PolicyLevel(
    "standard",
    "No identifier and no sensitive word leaves, nor any word rarer than once in 320,000 words "
    "or any three content words in a row of your context, unless you typed them as the topic.",
    (
        *STRICT.limits,
        "words of your hobbies and trade may leave: several of them can point at you",
    ),
    rare_below=3.5,
    runs=True,
)
IDENTIFIERS: Final = PolicyLevel(
    "identifiers",
    "No identifier and no sensitive word leaves.",
    (
        *STANDARD.limits,
        "all other words may leave, up to a passage of eight content words of your context",
    ),
    rare_below=0.0,
    runs=False,
)
LEVELS: Final = {level.name: level for level in (STRICT, STANDARD, IDENTIFIERS)}


def level_named(name: str) -> PolicyLevel:
    """The level of a setting.

    Raises:
        InputError: there is no level of that name.
    """
    try:
        return LEVELS[name]
    except KeyError:
        listed = ", ".join(LEVELS)
        raise InputError(f"there is no policy level “{name}”: choose one of {listed}") from None
