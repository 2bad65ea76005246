"""`cogenesis data build` and `data templates`: people who do not exist, and their texts."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cogenesis.cli.circumstances import when_and_where
from cogenesis.cli.data_files import JsonOption
from cogenesis.cli.engine_options import (
    EngineOption,
    RayAddressOption,
    RequestsOption,
    TokensOption,
    WorkersOption,
    chosen_engine,
)
from cogenesis.cli.evaluate_progress import progress
from cogenesis.cli.paid_work import (
    PriceInOption,
    PriceOutOption,
    YesOption,
    agreed,
    duration,
)
from cogenesis.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cogenesis.data.building.pipeline import Build, Settings
    from cogenesis.engines.cost import Measured, Prices
    from cogenesis.engines.pace import Limits


def build(
    people: Annotated[int, typer.Option(min=1, help="So many people who do not exist.")],
    cloud_url: Annotated[
        str, typer.Option(envvar="COGENESIS_CLOUD_URL", help="Such as https://api.example.com/v1.")
    ],
    out: Annotated[Path, typer.Option(help="The folder of the build; the same again goes on.")],
    cloud_model: Annotated[
        str | None,
        typer.Option(envvar="COGENESIS_CLOUD_MODEL", help="The model's name on that server."),
    ] = None,
    cloud_key_env: Annotated[
        str, typer.Option(help="Environment variable that holds the API key.")
    ] = "COGENESIS_CLOUD_KEY",
    tasks: Annotated[int, typer.Option(min=1, max=12, help="Samples of each person.")] = 1,
    history: Annotated[
        int, typer.Option(min=0, max=11, help="Earlier texts of the person in each sample.")
    ] = 4,
    group_size: Annotated[
        int, typer.Option(min=1, help="People made from one group portrait.")
    ] = 4,
    splits: Annotated[
        str, typer.Option(help="Shares of the groups; no group is in two splits.")
    ] = "train=0.8,validation=0.1,test=0.1",
    templates: Annotated[
        Path | None,
        typer.Option(help="A folder with your own prompts: see “cogenesis data templates”."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same people.")] = 0,
    screening: Annotated[
        Literal["full", "leaks"],
        typer.Option(
            help="What replies are refused for. leaks: only for their form, placeholders, an "
            "answer among the earlier texts and what the guard keeps back, to try the way with a "
            "model that cannot write."
        ),
    ] = "full",
    at_a_time: Annotated[
        int, typer.Option(min=1, max=4096, help="People that are worked on at once.")
    ] = 4,
    deadline: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds to wait for a reply.")
    ] = 300.0,
    price_in: PriceInOption = None,
    price_out: PriceOutOption = None,
    yes: YesOption = False,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
    workers: WorkersOption = None,
    requests_per_minute: RequestsOption = None,
    tokens_per_minute: TokensOption = None,
    ledger: Annotated[
        Path | None, typer.Option(help="The ledger's file. Default: in your CoGenesis folder.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make up people, their private facts, their tasks and their texts, with a large model.

    Four steps: portraits of groups, people of each group, occasions for writing, texts one after
    another. Nothing of yours is read or sent. What it takes is told before the first question;
    what was answered is kept in the folder, so the same command goes on where it was stopped.

    Examples:

      cogenesis data build --people 20 --cloud-url http://127.0.0.1:8090 --out made --yes

      cogenesis data build --people 5000 --tasks 3 --cloud-url https://api.example.com/v1
      --cloud-model large-1 --price-in 0.15 --price-out 0.6 --at-a-time 64 --out made
    """
    from cogenesis.data.building.finish import finish
    from cogenesis.data.building.folder import begin, parse_shares
    from cogenesis.data.building.pipeline import Build, Made, Settings
    from cogenesis.data.building.plan import Wanted, person_of
    from cogenesis.data.building.templates import load_templates
    from cogenesis.engines.cloud import CloudAddress
    from cogenesis.engines.cost import Prices
    from cogenesis.engines.pace import Limits

    wanted = Wanted(people, tasks, history, group_size, seed, screening)
    shares, prompts = parse_shares(splits), load_templates(templates)
    address = CloudAddress.of(cloud_url, cloud_model, key_env=cloud_key_env, ledger=ledger)
    person_of(wanted, 0)  # is Faker here? Better now than after the portraits were paid for
    begin(out, wanted, cloud_model, prompts, shares)
    settings = Settings(wanted, address, prompts, out.absolute(), deadline)
    prices, limits = Prices(price_in, price_out), Limits(requests_per_minute, tokens_per_minute)
    with Made.opened(settings.folder) as made:
        with chosen_engine(
            engine,
            at_a_time=at_a_time,
            ray_address=ray_address,
            workers=workers,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
        ) as working:
            _tell_estimate(settings, at_a_time, prices, limits)
            if not yes and not agreed("--yes"):
                raise typer.Exit(0)
            _run(Build(settings, working, made), at_a_time, limits)
        report = finish(settings, made, shares)
    taken = _taken(made.measured, prices) | {"replies_kept_before": made.kept}
    _told(report | {"now": taken, "folder": str(out), **when_and_where()}, out, as_json=as_json)


def templates(
    folder: Annotated[Path, typer.Argument(help="Where to put them.")],
) -> None:
    """Write the prompts of “data build” into a folder, to be changed and given with --templates.

    Example:

      cogenesis data templates prompts
    """
    from cogenesis.data.building.templates import write_templates

    for path in write_templates(folder):
        typer.echo(f"Written: {path}")


def _run(build_: Build, at_a_time: int, limits: Limits) -> None:
    """Both passes, with bars; between them what the rest will take, as measured."""
    wanted = build_.settings.wanted
    with progress() as bar:
        _pass(bar, "portraits", build_.portraits(), wanted.groups)
        measured = build_.made.measured
        if measured.calls:
            bar.stop()
            told = _after_portraits(build_.settings, measured, at_a_time, limits)
            typer.echo(told, err=True)
            bar.start()
        _pass(bar, "people", build_.people(), wanted.people)


def _pass(bar: Any, name: str, steps: Iterator[int], total: int) -> None:
    task = bar.add_task(name, total=total)
    for done in steps:
        bar.update(task, completed=done)
        bar.refresh()
    bar.update(task, completed=total)


def _tell_estimate(settings: Settings, at_a_time: int, prices: Prices, limits: Limits) -> None:
    from cogenesis.data.building.estimate import TOKENS_A_SECOND, assumed
    from cogenesis.engines.cost import forecast

    whole = assumed(settings.wanted, settings.templates)
    found = forecast(whole, whole.calls, at_a_time=at_a_time, prices=prices, limits=limits)
    cost = (
        "for the cost give the prices of a million tokens: --price-in, --price-out"
        if found.cost is None
        else f"cost about {found.cost:,.4g}"
    )
    typer.echo(
        f"About {found.calls:,} questions: {found.tokens.sent:,} tokens to the cloud and "
        f"{found.tokens.received:,} back, in {duration(found.seconds)} if each reply is written "
        f"at {TOKENS_A_SECOND:.0f} tokens a second (bound by {found.bound}); {cost}. Replies that "
        "cannot be used come on top, those in the folder cost nothing.",
        err=True,
    )


def _after_portraits(settings: Settings, measured: Measured, at_a_time: int, limits: Limits) -> str:
    """The rest, at the speed that the portraits had; less where replies are there already."""
    from dataclasses import replace

    from cogenesis.data.building.estimate import assumed
    from cogenesis.engines.cost import forecast

    whole = assumed(settings.wanted, settings.templates)
    speed = measured.seconds / max(1, measured.tokens.received)
    rest = replace(whole, seconds=whole.tokens.received * speed)
    found = forecast(rest, whole.calls, at_a_time=at_a_time, limits=limits)
    return (
        f"Measured on {measured.calls:,} questions: {1 / speed if speed else 0:,.1f} tokens a "
        f"second each. A build of this size takes about {duration(found.seconds)} (bound by "
        f"{found.bound}), less where replies are there already."
    )


def _taken(measured: Measured, prices: Prices) -> dict[str, Any]:
    return {
        "questions": measured.calls,
        "tokens": asdict(measured.tokens),
        "tokens_reserved": measured.reserved,
        "seconds_of_all_questions": round(measured.seconds, 1),
        "cost": prices.of(measured.tokens),
    }


def _told(told: dict[str, Any], out: Path, *, as_json: bool) -> None:
    """Raises CloudError: nothing came out."""
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        _show(told, out)
    if not sum(told["samples"].values()):
        raise CloudError("bad-reply", f"no sample came out: {out / 'report.json'} says why")


def _show(told: dict[str, Any], out: Path) -> None:
    samples = ", ".join(f"{count:,} in {name}.json" for name, count in told["samples"].items())
    typer.echo(f"{told['people']:,} people, samples: {samples} ({out})")
    for name in ("dropped", "without_answer"):
        if told[name]:
            listed = ", ".join(f"{count:,} {why}" for why, count in told[name].items())
            typer.echo(f"{name.replace('_', ' ').capitalize()}: {listed}")
    if told["without_answer"]:
        typer.echo("The same command asks again for those without an answer.")
    files = " ".join(str(out / f"{name}.json") for name, count in told["samples"].items() if count)
    now = told["now"]
    paid = "" if now["cost"] is None else f", for about {now['cost']:,.4g}"
    typer.echo(
        f"Now: {now['questions']:,} questions, about {now['tokens']['sent']:,} tokens sent and "
        f"{now['tokens']['received']:,} received{paid}; {now['replies_kept_before']:,} replies "
        f"were there. Look at them with: cogenesis data check {files} --plots report"
    )
