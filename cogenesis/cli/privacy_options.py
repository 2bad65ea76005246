"""Options of the privacy policy, the same wherever a text is written or looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

if TYPE_CHECKING:
    from cogenesis.protection import Protection

PRIVACY: Final = "Privacy"
"""Panel of these options."""

# Written out once more, so that --help loads no privacy code; a test compares them.
Level = Literal["strict", "standard", "identifiers"]

PolicyOption = Annotated[
    Level,
    typer.Option(
        "--policy",
        help="How much of your context stays. strict: also its rare words; standard: its very "
        "rare ones; identifiers: names, numbers and sensitive words only "
        "(docs/privacy-policy.md).",
        rich_help_panel=PRIVACY,
    ),
]

RecogniserOption = Annotated[
    str | None,
    typer.Option(
        "--recogniser",
        metavar="presidio[:MODEL]",
        help="Let Presidio with a spaCy model look for names too, on this device. Needs: "
        "pip install 'cogenesis\\[recogniser]'.",
        rich_help_panel=PRIVACY,
    ),
]


def protection_of(policy: Level, recogniser: str | None) -> Protection:
    """The policy that was asked for. Loading a recogniser takes seconds.

    Raises:
        InputError: there is no such level, recogniser or model.
        MissingExtraError: the recogniser's extra is not installed.
    """
    from cogenesis.privacy.policy import level_named
    from cogenesis.privacy.recogniser import recogniser_named
    from cogenesis.protection import Protection

    found = None if recogniser is None else recogniser_named(recogniser)
    return Protection(level_named(policy), found)
