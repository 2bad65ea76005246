"""`cogenesis train sketches`: a cloud model's outlines for a training file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cogenesis.cli.circumstances import when_and_where
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
from cogenesis.cli.write import CloudKind
from cogenesis.errors import CloudError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cogenesis.engines.cost import Prices
    from cogenesis.engines.engine import Engine
    from cogenesis.engines.known_file import KnownFile
    from cogenesis.engines.pace import Limits
    from cogenesis.training.sketches import LeftOut, SketchTask
    from cogenesis.training.sketches_asking import Failed, Outlines
    from cogenesis.training.sketches_file import SketchFile
    from cogenesis.training.sketches_meter import Estimate

_NAMED = 20
"""Samples that are named on the screen; `--json` names them all."""


def sketches(
    data: Annotated[Path, typer.Option(help="People and their tasks, in the published form.")],
    cloud_url: Annotated[
        str, typer.Option(envvar="COGENESIS_CLOUD_URL", help="Such as https://api.example.com/v1.")
    ],
    out: Annotated[Path, typer.Option(help="Where the outlines go, one JSON object a line.")],
    cloud_model: Annotated[
        str | None,
        typer.Option(envvar="COGENESIS_CLOUD_MODEL", help="The model's name on that server."),
    ] = None,
    cloud_kind: Annotated[
        CloudKind, typer.Option(help="The server's kind; auto asks it.")
    ] = "auto",
    cloud_key_env: Annotated[
        str, typer.Option(help="Environment variable that holds the API key.")
    ] = "COGENESIS_CLOUD_KEY",
    cloud_deadline: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds to wait for an outline.")
    ] = 120.0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first samples of the file.")
    ] = None,
    at_a_time: Annotated[
        int, typer.Option(min=1, max=4096, help="Outlines that are asked for at a time.")
    ] = 4,
    price_in: PriceInOption = None,
    price_out: PriceOutOption = None,
    yes: YesOption = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the file.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the first ask, as for “write”.")] = 0,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
    workers: WorkersOption = None,
    requests_per_minute: RequestsOption = None,
    tokens_per_minute: TokensOption = None,
    ledger: Annotated[
        Path | None, typer.Option(help="The ledger's file. Default: in your CoGenesis folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ask a cloud model for the outlines that the device model learns to write from.

    As “write” does: the guard makes a general instruction of each sample, and nothing else
    leaves; a sample that it refuses is named and never sent. The first outline is measured,
    the rest estimated from it, and you are asked before they are paid for.

    Examples:

      cogenesis train sketches --data train.json --cloud-url http://127.0.0.1:8090
      --out sketches.jsonl

      cogenesis train sketches --data train.json --cloud-url https://api.example.com/v1
      --cloud-model large-1 --price-in 2.5 --price-out 10 --out sketches.jsonl --resume
      --engine ray --workers 8 --at-a-time 64
    """
    from cogenesis.cli.connect import cloud_address
    from cogenesis.engines.cost import Prices
    from cogenesis.engines.pace import Limits
    from cogenesis.training.sketches import to_ask
    from cogenesis.training.sketches_asking import Outlines, Outlining
    from cogenesis.training.sketches_file import SketchFile

    cloud = cloud_address(cloud_url, cloud_model, cloud_kind, cloud_key_env, ledger)
    chosen = chosen_engine(
        engine,
        at_a_time=at_a_time,
        ray_address=ray_address,
        workers=workers,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
    )
    with SketchFile(out, resume=resume) as lines, chosen as working:  # is the file ours?
        file, tasks, left_out = _guarded(working, data, limit)
        _tell_left_out(left_out, len(tasks))
        outlines = Outlines(working, Outlining(file, cloud, seed, cloud_deadline))
        limits = Limits(requests_per_minute, tokens_per_minute)
        run = _Run(outlines, lines, Prices(price_in, price_out), limits, at_a_time)
        run.ask(to_ask(tasks, lines.done, model=cloud.name, seed=seed), yes=yes)
        lines.sort()
    told = run.told() | {
        "samples": len(tasks) + len(left_out),
        **_by_reason(left_out),
        "model": cloud.name,
        "data_sha256": file.sha256,
        "seed": seed,
        **when_and_where(),
    }
    _show(told, out, as_json=as_json)
    if run.failed and not lines.done:
        raise CloudError("no-sketch", f"no sample has an outline: {run.failed[-1].message}")


class _Run:
    """The asking: one sample first, the rest when the user agrees."""

    def __init__(
        self,
        outlines: Outlines,
        file: SketchFile,
        prices: Prices,
        limits: Limits,
        at_a_time: int,
    ) -> None:
        self._outlines, self._file = outlines, file
        self._prices, self._limits, self._at_a_time = prices, limits, at_a_time
        self.failed: list[Failed] = []
        self._asked = 0
        self._estimate: Estimate | None = None

    def ask(self, tasks: Sequence[SketchTask], *, yes: bool) -> None:
        """All of them, unless the user says no.

        Raises:
            InputError: nobody can be asked, and `yes` was not given.
            CogenesisError: as `Outlines.ask`.
        """
        if not tasks:
            return
        with progress() as bar:
            step = bar.add_task("outlines", total=len(tasks))
            first, rest = tasks[:1], tasks[1:]
            self._take(first, bar, step)
            if not rest:
                return
            bar.stop()
            self._tell_estimate(len(rest))
            if not yes and not agreed("--resume and --yes"):
                return
            bar.start()
            self._take(rest, bar, step)

    def _tell_estimate(self, samples: int) -> None:
        """What the rest will take, from what the first one took."""
        from cogenesis.training.sketches_meter import estimate

        taken = self._outlines.taken
        self._estimate = estimate(
            taken.tokens,
            taken.seconds,
            taken.asks,
            samples=samples,
            at_a_time=self._at_a_time,
            prices=self._prices,
            limits=self._limits,
        )
        typer.echo(_estimated(self._estimate, taken.seconds), err=True)

    def _take(self, tasks: Sequence[SketchTask], bar: Any, step: Any) -> None:
        """Ask and write down."""
        from cogenesis.training.sketches_asking import Failed

        for outcome in self._outlines.ask(tasks):
            self._asked += 1
            if isinstance(outcome, Failed):
                self.failed.append(outcome)
            else:
                self._file.add(outcome)
            bar.advance(step)
            bar.refresh()

    def told(self) -> dict[str, Any]:
        """What was done, and what it took."""
        taken = self._outlines.taken
        failed = sorted(self.failed, key=lambda each: each.number)
        return {
            "outlines": len(self._file.done),
            "asked_now": self._asked,
            "failed": [
                {"id": each.id, "number": each.number, "reason": each.reason} for each in failed
            ],
            "tokens_about": asdict(taken.tokens),
            "cost_about": self._prices.of(taken.tokens),
            "estimate": None if self._estimate is None else asdict(self._estimate),
            "egress": asdict(taken.traffic),
        }


def _guarded(
    engine: Engine, data: Path, limit: int | None
) -> tuple[KnownFile, list[SketchTask], list[LeftOut]]:
    from cogenesis.training.sketches import sketch_tasks

    with progress() as bar:
        step = bar.add_task("guard", total=None)

        def tick(total: int) -> None:
            bar.update(step, advance=1, total=total)
            bar.refresh()

        return sketch_tasks(engine, data, limit=limit, tick=tick)


def _by_reason(left_out: Sequence[LeftOut]) -> dict[str, list[dict[str, Any]]]:
    """Who was not asked about, for the report."""
    return {
        why: [asdict(each) for each in left_out if each.why == why]
        for why in ("refused", "unusable", "lost")
    }


def _tell_left_out(left_out: Sequence[LeftOut], tasks: int) -> None:
    for each in left_out[:_NAMED]:
        typer.echo(f"not sent: sample {each.number} (id {each.id}): {each.what}", err=True)
    if len(left_out) > _NAMED:
        more = len(left_out) - _NAMED
        typer.echo(f"not sent: {more} more samples; --json names them all", err=True)
    if not tasks:
        raise InputError("no sample is left to ask about: give other --data")


def _estimated(found: Estimate, seconds: float) -> str:
    likely, most = found.likely, found.most
    work = (
        f"The first outline took {seconds:.1f} s. For {found.samples} more, about "
        f"{likely.sent:,} tokens to the cloud and {likely.received:,} back, in about "
        f"{duration(found.seconds)}; at most {most.sent:,} and {most.received:,}."
    )
    if found.cost is None or found.most_cost is None:
        cost = "For the cost give the prices of a million tokens: --price-in, --price-out."
    else:
        cost = f"Cost: about {found.cost:,.4g}, at most {found.most_cost:,.4g}."
    return f"{work}\n{cost}"


def _show(told: dict[str, Any], out: Path, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    typer.echo(f"{told['outlines']} of {told['samples']} samples have an outline: {out}")
    if told["refused"] or told["unusable"]:
        counts = f"{len(told['refused'])} refused by the guard, {len(told['unusable'])} unusable"
        typer.echo(f"Not sent: {counts}.")
    if told["lost"]:
        typer.echo(f"Not guarded, because workers died on them: {len(told['lost'])}.")
    if told["failed"]:
        named = ", ".join(f"{each['id']} ({each['reason']})" for each in told["failed"][:_NAMED])
        typer.echo(f"No outline came for {len(told['failed'])}: {named}. --resume asks again.")
    tokens, cost = told["tokens_about"], told["cost_about"]
    paid = "" if cost is None else f", for about {cost:,.4g}"
    typer.echo(
        f"Now: {told['asked_now']} asked, about {tokens['sent']:,} tokens sent and "
        f"{tokens['received']:,} received{paid}. The ledger has every byte that was sent."
    )
