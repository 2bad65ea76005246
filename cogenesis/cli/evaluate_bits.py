"""`cogenesis evaluate bits`: how well each system knows a person's text, in bits per byte."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from cogenesis import __version__
from cogenesis.cli.circumstances import when_and_where
from cogenesis.cli.engine_options import (
    EngineOption,
    RayAddressOption,
    WorkersOption,
    chosen_engine,
)
from cogenesis.cli.evaluate_progress import progress
from cogenesis.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from cogenesis.engines.engine import Engine
    from cogenesis.evaluation.bits import BitsSettings
    from cogenesis.evaluation.bits_pairing import GateFile
    from cogenesis.evaluation.bits_report import SampleCost
    from cogenesis.evaluation.bits_work import BitsWork
    from cogenesis.fusion.gate_file import TrainedGate

PairName = Literal["demo", "smollm2-smollm2"]

_FIXED_SEED: Final = 0
"""Of the bootstrap: the same results give the same ranges."""

_UNSAFE: Final = (
    "--shield off sends the texts to the cloud model as they are. Add --unsafe-send-context, and "
    "only for published or made-up data: a list of samples in the published form."
)


def bits(
    data: Annotated[
        Path, typer.Option(help="People, their tasks and their texts, in the published form.")
    ],
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first samples of the file.")
    ] = None,
    shield: Annotated[
        Literal["on", "off"],
        typer.Option(
            help="off: measure without the shield, too, and tell what it costs. Needs "
            "--unsafe-send-context."
        ),
    ] = "on",
    unsafe_send_context: Annotated[
        bool,
        typer.Option(
            "--unsafe-send-context",
            help="Let the cloud see the texts as they are. For published or made-up data only.",
        ),
    ] = False,
    weight: Annotated[
        list[float] | None,
        typer.Option(
            min=0, max=1, help="Another weight of the device beside 0.5 (repeatable): RULE@WEIGHT."
        ),
    ] = None,
    gate: Annotated[
        list[Path] | None,
        typer.Option(
            help="A gate of `train gate`: the system fusion:gate (repeatable; the others are "
            "fusion:gate@FILE). Default for the demo's models: the one that is shipped for them; "
            "none: without."
        ),
    ] = None,
    pair: Annotated[
        PairName,
        typer.Option(
            help="demo: the two demo models (two vocabularies). smollm2-smollm2: the demo device "
            "model with and without the context (one vocabulary)."
        ),
    ] = "demo",
    device: Annotated[
        str, typer.Option(help="Another device model, as `models get` takes it.")
    ] = "demo-device",
    adapter: Annotated[
        str | None,
        typer.Option(
            help="An adapter for the device model; none: without the one that is shipped for it. "
            "With one, device:zero-shot is measured too."
        ),
    ] = None,
    cloud: Annotated[
        str, typer.Option(help="Another cloud model for the pair “demo”.")
    ] = "demo-cloud",
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Longer texts are cut to so many tokens.")
    ] = 600,
    device_k: Annotated[
        int, typer.Option(min=1, help="Tokens that the device model lists at each position.")
    ] = 1024,
    cloud_k: Annotated[
        int, typer.Option(min=1, help="Tokens that the cloud model lists at each position.")
    ] = 128,
    save: Annotated[
        Path | None, typer.Option(help="Write each sample's figures here when it is done.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the samples that --save lacks.")
    ] = False,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
    workers: WorkersOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure the device model, the cloud model, and every way of mixing them.

    Every text of the data is given token by token, and each system says how probable it was:
    less bits per byte is better. The device model reads the private context, the cloud model
    the general instruction and the shielded text. About half a minute a text. Each worker of
    Ray has both models and measures one text at a time; the figures are those of one process.

    Examples:

      cogenesis evaluate bits --data validation.json --limit 20

      cogenesis evaluate bits --data validation.json --save bits.jsonl --resume --json

      cogenesis evaluate bits --data /nfs/people.json --engine ray --ray-address 10.0.0.1:6379
    """
    from cogenesis.evaluation.bits import EVEN, BitsSettings
    from cogenesis.evaluation.bits_report import bits_report

    if shield == "off" and not unsafe_send_context:
        raise InputError(_UNSAFE)
    if resume and save is None:
        raise InputError("--resume goes on with a file: name it with --save")
    settings = BitsSettings(
        weights=tuple(dict.fromkeys((EVEN, *(weight or ())))),
        device_k=device_k,
        cloud_k=cloud_k,
        max_tokens=max_tokens,
        shields=("on",) if shield == "on" else ("on", "off"),
    )
    working = chosen_engine(engine, at_a_time=None, ray_address=ray_address, workers=workers)
    models = {"device": device, "cloud": cloud if pair == "demo" else device}
    gates = _gates(_chosen_gates(gate, models, adapter))
    run = _Run(data, settings, models, gates, adapter=adapter, quiet=as_json)
    told = bits_report(run.measure(working, limit, save, resume=resume), _FIXED_SEED)
    told |= {"skipped": run.skipped, "notes": _notes(told, settings) + run.gate_notes()}
    told |= {"data_sha256": run.data.sha256}
    told |= {"settings": {"pair": pair, **asdict(settings)}, "models": run.models}
    told |= when_and_where()
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        _show(told)


def _chosen_gates(
    given: Sequence[Path] | None, models: dict[str, str], adapter: str | None
) -> Sequence[Path]:
    from cogenesis.fusion.gate_file import NO_GATE, shipped_gate

    if given is None:
        own = shipped_gate(models["device"], models["cloud"], adapter)
        return () if own is None else (own,)
    return [each for each in given if str(each) != NO_GATE]


def _gates(files: Sequence[Path]) -> dict[GateFile, TrainedGate]:
    """Gates with the names of their systems. Raises InputError or ModelFileError: one is none."""
    from cogenesis.evaluation.bits_pairing import GateFile
    from cogenesis.fusion.gate_file import load_gate

    found: dict[GateFile, TrainedGate] = {}
    for file in files:
        name = "fusion:gate" if not found else f"fusion:gate@{file.stem}"
        if name in {each.system for each in found}:
            raise InputError(f"two gates are called {file.stem}: give one another file name")
        gate = load_gate(file)
        path = file.absolute() if file.is_file() else file
        found[GateFile(name, path, gate.digest)] = gate
    return found


class _Run:
    """One measurement; `skipped` tells which samples were left out, and why.

    Attributes:
        models: names by role, and the adapter's sum.
        data: the samples.
    """

    def __init__(
        self,
        data: Path,
        settings: BitsSettings,
        models: dict[str, str],
        gates: dict[GateFile, TrainedGate],
        *,
        adapter: str | None,
        quiet: bool,
    ) -> None:
        """Tell mistakes before a model is fetched or loaded.

        Raises:
            InputError: a file cannot be read, or must not be sent.
            ModelFileError: there is no such adapter.
        """
        from cogenesis.engines.known_file import KnownFile
        from cogenesis.models.adapters import find_adapter
        from cogenesis.models.fetch import sha256_of
        from cogenesis.privacy.published import refuse_private_data

        self.data = KnownFile.of(data)
        if "off" in settings.shields and refuse_private_data(data) != self.data.sha256:
            raise InputError(f"{data} was changed while it was looked at: start again")
        lora = find_adapter(models["device"], adapter)
        self.models = models if lora is None else {**models, "adapter": sha256_of(lora)}
        self._settings, self._gates, self._adapter = settings, gates, adapter
        self._quiet = quiet
        self._skipped: dict[int, str] = {}

    @property
    def skipped(self) -> list[dict[str, Any]]:
        """Samples that were left out, by their numbers."""
        return [{"sample": each, "reason": why} for each, why in sorted(self._skipped.items())]

    def gate_notes(self) -> list[str]:
        """What to know before the gates' figures are read."""
        from cogenesis.evaluation.gate_notes import gate_notes

        notes = (
            gate_notes(file.system, gate, self.data.sha256, self.models.get("adapter"))
            for file, gate in self._gates.items()
        )
        return [note for each in notes for note in each]

    def measure(
        self,
        engine: AbstractContextManager[Engine],
        limit: int | None,
        save: Path | None,
        *,
        resume: bool,
    ) -> list[SampleCost]:
        """What each usable sample costs, in their order."""
        from cogenesis.evaluation.bits_file import SavedSamples
        from cogenesis.evaluation.numbered_samples import first_samples

        samples = first_samples(self.data.path, limit, self._left_out)
        with ExitStack() as stack:
            saved = None
            if save is not None:
                saved = stack.enter_context(SavedSamples(save, self._about, resume=resume))
            done = saved.done if saved is not None else {}
            left = [number for number in samples if number not in done]
            if left:
                work = self._work()
                for found in self._measured(stack.enter_context(engine), work, left):
                    done[found.sample] = found
                    if saved is not None:
                        saved.add(found)
        return [done[number] for number in samples if number in done]

    def _work(self) -> BitsWork:
        """The models are fetched here, with a bar, where workers of this machine find them."""
        from cogenesis.cli.models import fetch_model
        from cogenesis.engines.known_model import KnownModel
        from cogenesis.evaluation.bits_pairing import Pairing
        from cogenesis.evaluation.bits_work import BitsWork
        from cogenesis.models import read_vocabulary

        name, other = self.models["device"], self.models["cloud"]
        path, cloud = (fetch_model(each, quiet=self._quiet) for each in (name, other))
        for gate in self._gates.values():
            gate.check_device(name, read_vocabulary(path))
        device = KnownModel.of(name, path, self._adapter)
        pairing = Pairing(
            self.data,
            device,
            KnownModel.of(other, cloud),
            self._settings,
            bare=bool(device.adapter_sha256),
        )
        return BitsWork(pairing, tuple(self._gates))

    def _measured(self, engine: Engine, work: BitsWork, left: list[int]) -> Iterator[SampleCost]:
        from cogenesis.evaluation.bits_work import worked

        with progress() as bar:
            step = bar.add_task("texts", total=len(left))
            for each in worked(engine, work, left, self._left_out):
                if each.result is not None:
                    yield each.result
                bar.advance(step)
                bar.refresh()

    def _about(self) -> dict[str, Any]:
        """All that a sample's figures depend on; models are fetched for their sums."""
        from cogenesis.cli.device_model import model_sums

        about = {"data": self.data.sha256, "version": __version__}
        about |= {each.system: each.digest for each in self._gates}
        about |= self.models | model_sums(self.models, quiet=self._quiet)
        return {**about, **asdict(self._settings)}

    def _left_out(self, number: int, why: str) -> None:
        self._skipped[number] = why
        typer.echo(f"warning: sample {number} is left out: {why}", err=True)


def _notes(told: dict[str, Any], settings: BitsSettings) -> list[str]:
    """What one needs to know to read the figures."""
    held = told["held_back"]
    ranges = (
        "Bits per byte of the texts: less is better. Range: 95 in 100 bootstrap draws "
        "over the texts."
    )
    alone = (
        f"The shield held back {held['share_of_positions']:.1%} of the positions, with "
        f"{held['share_of_bits']:.1%} of the device's bits. There every system is the device "
        "alone, “cloud” too; and what the cloud does not list is spread as the device would."
    )
    notes = [ranges, alone]
    if told["texts_cut"]:
        notes.append(
            f"{told['texts_cut']} of {told['samples']} texts had more than "
            f"{settings.max_tokens} tokens: only their beginnings are measured."
        )
    if "unshielded" in told:
        left = told["unshielded"]["held_back"]["share_of_positions"]
        notes.append(
            "Shield off: the texts went to the cloud model on this machine as they are, but for "
            "what looks like an identifier by its shape alone and words of sensitive lists. "
            f"Still {left:.1%} of the positions were not asked about: there, and inside of "
            "characters."
        )
    return notes


def _show(told: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console()
    console.print(bits_table(told))
    for note in told["notes"]:
        console.print(note, style="dim", highlight=False)
    if told["skipped"]:
        count = len(told["skipped"])
        line = f"Left out: {count} of {told['samples'] + count} samples, as told above."
        console.print(line, style="yellow", highlight=False)


def bits_table(told: dict[str, Any]) -> Table:
    """The systems of a report of `bits_report`."""
    from rich import box
    from rich.table import Table

    things = "text" if told["samples"] == 1 else "texts"
    title = f"{told['samples']} {things}, {told['bytes']:,} bytes, {told['tokens']:,} tokens"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("System", no_wrap=True)
    columns = ["Bits\n/byte", "Range", "Over\ndevice", "Range"]
    off = told.get("unshielded", {"systems": []})["systems"]
    if off:
        columns += ["Shield\noff", "Shield\ncosts"]
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    without = {row["name"]: row["bits_per_byte"] for row in off}
    costs = {row["name"]: row["bits_per_byte"] for row in told.get("shield_cost", ())}
    for row in told["systems"]:
        cells = [
            f"{row['bits_per_byte']:.3f}",
            f"{row['low']:.3f}–{row['high']:.3f}",
            f"{row['ratio_to_device']:.3f}",
            f"{row['ratio_low']:.3f}–{row['ratio_high']:.3f}",
        ]
        if off:
            name = row["name"]
            cells += [f"{without[name]:.3f}", f"{costs[name]:+.3f}" if name in costs else ""]
        table.add_row(row["name"], *cells)
    return table
