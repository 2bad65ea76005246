"""`cogenesis train gate`: learn how much to trust each model at each token."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cogenesis import __version__
from cogenesis.cli.circumstances import when_and_where
from cogenesis.errors import InputError

if TYPE_CHECKING:
    from cogenesis.fusion.gate_file import TrainedGate
    from cogenesis.fusion.gates import PaperGate, SmallGate
    from cogenesis.training.gate_data import GateData

Kind = Literal["small", "paper"]


def gate(
    extracted: Annotated[
        list[Path], typer.Argument(help="Files of `train extract` (one for each fold).")
    ],
    out: Annotated[Path, typer.Option(help="The gate's file, such as gate.npz.")],
    kind: Annotated[
        Kind,
        typer.Option(help="small: 27 numbers, any vocabulary. paper: the network of the paper."),
    ] = "small",
    rule: Annotated[
        Literal["mixture", "logits"],
        typer.Option(help="The mixing rule that the gate is for."),
    ] = "mixture",
    compare: Annotated[
        bool, typer.Option("--compare", help="Score the other kind of gate beside it.")
    ] = False,
    folds: Annotated[
        int, typer.Option(min=2, help="Parts of the people, each scored by gates of the others.")
    ] = 5,
    hidden: Annotated[int, typer.Option(min=1, help="Width of the small gate.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same gate.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fit a gate, and say in bits per byte what it brings on people that it was not fitted to.

    Needs no model, only what `train extract` kept. Where texts are marked as seen (the device
    model was tuned on them), the gate is fitted to the others, and the difference is told.

    Example:

      cogenesis train gate train.parquet --out gate.npz
    """
    from cogenesis.fusion.gate_file import save_gate
    from cogenesis.training.gate import GateTraining
    from cogenesis.training.gate_card import write_card
    from cogenesis.training.gate_data import read_gate_data
    from cogenesis.training.gate_fit import FitSettings, load_torch

    settings = FitSettings(rule=rule, seed=seed, hidden=hidden)
    if out.suffix != ".npz":
        raise InputError("--out is a .npz file, such as gate.npz")
    data = read_gate_data(extracted)
    load_torch().set_num_threads(threads)
    training = GateTraining(data, settings, say=lambda line: typer.echo(line, err=True))
    kinds: list[Kind] = ["small", "paper"] if compare else [kind]
    begun = time.monotonic()
    report = training.cross_validate(kinds, folds)
    fitted = training.fit(kind)
    seconds = round(time.monotonic() - begun, 1)
    told = {"kind": kind, "rule": rule, "parameters": fitted.parameters, "seconds": seconds}
    told |= {"folds": folds, "seed": seed, **report, **_made_of(data), **when_and_where()}
    trained = _trained(fitted, kind, rule, data, told)
    save_gate(out, trained)
    write_card(out, trained, told, str(told["command"]))
    told["bytes_of_file"] = out.stat().st_size
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        _show(told, out)


def _made_of(data: GateData) -> dict[str, Any]:
    """Data and models, as the heads of the files tell them.

    The texts are of one pair, but with folds the device models are differently tuned: `sha256`
    of the device is one for each file, and `adapter` likewise where the files differ in it.
    """
    abouts = [head["about"] for head in data.heads]
    adapters = [each["device"].get("adapter") for each in abouts]
    device = {**abouts[0]["device"], "sha256": [each["device"].get("sha256") for each in abouts]}
    if len(set(adapters)) > 1:
        device["adapter"] = adapters
    data_files = [each["data"] for each in abouts]
    return {"data": data_files, "device": device, "cloud": abouts[0]["cloud"]}


def _trained(
    fitted: SmallGate | PaperGate, kind: Kind, rule: str, data: GateData, told: dict[str, Any]
) -> TrainedGate:
    from cogenesis.fusion.gate_file import TrainedGate

    abouts = [head["about"] for head in data.heads]
    about = {
        "version": __version__,
        "data": told["data"],
        "tuning": [each["tuning"] for each in abouts],
        "options": abouts[0]["options"],
        "metrics": {name: told[name] for name in ("samples", "tokens", "bytes", "systems")},
        "folds": told["folds"],
        "seed": told["seed"],
        "date": told["date"],
    }
    return TrainedGate(fitted, rule, kind, told["device"], told["cloud"], about)


def _show(told: dict[str, Any], out: Path) -> None:
    from rich.console import Console

    from cogenesis.cli.evaluate_bits import bits_table

    console = Console()
    console.print(bits_table(told))
    console.print(
        f"The {told['kind']} gate ({told['parameters']:,} numbers, fitted in {told['seconds']} s) "
        f"is in {out}. Each text is scored by a gate that was fitted to other people's.",
        style="dim",
        highlight=False,
    )
