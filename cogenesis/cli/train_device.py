"""`cogenesis train device`: teach the device model to write in a person's voice."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cogenesis.training.settings import Hardware, Precision, TuneSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cogenesis.training.base import Base
    from cogenesis.training.tuning import Progress as TuneProgress


def device(
    data: Annotated[
        list[Path],
        typer.Option(
            help="People, their tasks and their texts, in the published form. Repeatable."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for this run: new or empty.")],
    base: Annotated[
        str,
        typer.Option(
            help="The model to tune: a folder, a .gguf file, a name from `models list`, or a hub "
            "model as owner/name."
        ),
    ] = "demo-device",
    forms: Annotated[
        str,
        typer.Option(
            help="How prompts look, with commas: with-context, without-context, with-sketch."
        ),
    ] = "with-context",
    sketches: Annotated[
        Path | None, typer.Option(help="Outlines that `train sketches` made, for with-sketch.")
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(help="Samples to validate with, instead of --hold-out.")
    ] = None,
    hold_out: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the samples to validate with.")
    ] = 0.1,
    full: Annotated[
        bool, typer.Option("--full", help="Tune all weights instead of a LoRA.")
    ] = False,
    rank: Annotated[int, typer.Option(min=1, help="Rank of the LoRA: its size.")] = 16,
    epochs: Annotated[int, typer.Option(min=1, help="How often each text is learned from.")] = 3,
    learning_rate: Annotated[
        float | None, typer.Option(min=0, help="Its peak. Else 5e-4, with --full 5e-5.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Texts for one update of the weights.")] = 8,
    context_tokens: Annotated[
        int, typer.Option(min=512, help="The window that prompts are cut to, as in `write`.")
    ] = 4096,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longer texts are cut.")] = 400,
    patience: Annotated[
        int, typer.Option(min=0, help="Stop after so many epochs without gain; 0: never.")
    ] = 1,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first samples of each file.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same adapter.")] = 0,
    precision: Annotated[
        Precision, typer.Option(help="auto: bfloat16 where the processor computes in it.")
    ] = "auto",
    most_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens computed at once: less needs less memory.")
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Much less memory, about a third more time.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the processor. Else one less than its cores.")
    ] = None,
    save_minutes: Annotated[float, typer.Option(min=0, help="Time between checkpoints.")] = 5.0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, by the same command.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Tune the device model on texts that people wrote.

    It learns the texts, not the prompts; and the prompts are the ones of `write`. The run folder
    then holds the adapter with its model card; `train export` makes it a file for llama.cpp.

    Examples:

      cogenesis train device --data train.json --out run

      cogenesis train device --data train.json --out run --resume

      accelerate launch -m cogenesis train device --data train.json --out run
    """
    from cogenesis.training.examples import parse_forms
    from cogenesis.training.extra import need_training_libraries

    need_training_libraries()
    from cogenesis.models.threads import default_threads
    from cogenesis.training.device import TuneFiles, tune_device

    settings = TuneSettings(
        forms=parse_forms(forms),
        full=full,
        rank=rank,
        epochs=epochs,
        learning_rate=learning_rate,
        batch=batch,
        context_tokens=context_tokens,
        max_tokens=max_tokens,
        hold_out=0.0 if validation else hold_out,
        patience=patience,
        limit=limit,
        seed=seed,
    )
    hardware = Hardware(
        precision, most_tokens, recompute, threads or default_threads(), save_minutes
    )
    files = TuneFiles(tuple(data), validation, sketches, out)
    with _reporting() as report:
        told = tune_device(
            _base(base, quiet=as_json),
            files,
            settings,
            hardware,
            resume=resume,
            report=report,
            left_out=lambda why: typer.echo(f"warning: left out: {why}", err=True),
        )
    if told is not None:
        _show(told, as_json=as_json)


def _base(name: str, *, quiet: bool) -> Base:
    """A folder or hub model of `transformers`; else what `models get` knows, a GGUF file."""
    from cogenesis.cli.models import fetch_model
    from cogenesis.models.hub import parse_hub_name
    from cogenesis.training.base import find_base, gguf_base

    hub = parse_hub_name(name)
    if Path(name).expanduser().is_dir() or (
        hub is not None and hub.want is None and not name.endswith(".gguf")
    ):
        return find_base(name)
    return gguf_base(name, fetch_model(name, quiet=quiet))


@contextmanager
def _reporting() -> Iterator[Callable[[TuneProgress], None]]:
    """A bar of the tokens, with the time left; and a line for what is worth one."""
    from cogenesis.cli.evaluate_progress import progress

    with progress() as bar:
        step = bar.add_task("tokens", total=None)

        def report(told: TuneProgress) -> None:
            if told.message:
                bar.console.print(told.message, highlight=False)
            bar.update(step, total=told.all_tokens, advance=told.tokens)
            bar.refresh()

        yield report


def _show(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    typer.echo(f"{told['result']}  ({told['tuned_parameters']:,} weights)")
    if told["validation_ratio"] is not None:
        typer.echo(
            f"validation loss {told['validation_loss_base']:.4f} -> {told['validation_loss']:.4f}"
            f"  (times {told['validation_ratio']:.3f}, best after update {told['best_update']})"
        )
        if told["validation_ratio"] >= 1:
            typer.echo("warning: the base model is better: do not use this result", err=True)
    typer.echo(
        f"{told['updates']} updates in {told['seconds'] / 60:.1f} minutes, "
        f"{told['tokens_per_s']:,.0f} tokens/s, {told['peak_memory_mb']} MB at most"
    )
