"""The options by which a command that runs over many samples chooses its engine."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from cogenesis.engines.engine import Engine

EngineOption = Annotated[
    Literal["local", "ray"],
    typer.Option(help="Where the work is done: in this process, or on a Ray cluster."),
]
RayAddressOption = Annotated[
    str | None,
    typer.Option(
        envvar="COGENESIS_RAY_ADDRESS",
        help="HOST:PORT of a Ray cluster that is there. Without, one is started on this machine.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, help="Processes of Ray. Default: one for each of its processors."),
]
RequestsOption = Annotated[
    float | None,
    typer.Option(min=0.001, help="Requests that the server allows in a minute."),
]
TokensOption = Annotated[
    float | None,
    typer.Option(min=1, help="Tokens, sent and received, that the server allows in a minute."),
]


def chosen_engine(
    name: Literal["local", "ray"],
    *,
    at_a_time: int | None,
    ray_address: str | None,
    workers: int | None,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
) -> AbstractContextManager[Engine]:
    """The engine that these options mean; an address in the environment is for Ray only.

    `at_a_time` and all else as in `open_engine`.

    Raises: as `open_engine`.
    """
    from cogenesis.engines.engine import open_engine
    from cogenesis.engines.pace import Limits

    return open_engine(
        name,
        at_a_time=at_a_time,
        limits=Limits(requests_per_minute, tokens_per_minute),
        workers=workers,
        ray_address=ray_address if name == "ray" else None,
    )
