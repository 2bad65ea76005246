"""`cogenesis train export`: what was tuned, as a file for llama.cpp."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cogenesis.errors import InputError

if TYPE_CHECKING:
    from cogenesis.training.export_adapter import Written
    from cogenesis.training.export_layout import Layout

# Written out once more, so that --help loads no model code; a test compares them.
FileType = Literal["f32", "f16", "q8_0", "q4_0", "q4_1", "q4_k_m"]


def export(
    tuned: Annotated[
        Path, typer.Argument(help="The run folder of `train device`, or one that PEFT saved.")
    ],
    out: Annotated[Path, typer.Option(help="The new .gguf file.")],
    base: Annotated[
        str,
        typer.Option(help="The GGUF of the model that was tuned: a file, or as `models get`."),
    ] = "demo-device",
    merge: Annotated[
        FileType | None,
        typer.Option(help="Write the whole model with weights of this type, not the adapter."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What a whole model is to be called. Else as its base.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file if it is there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Make a GGUF file of an adapter, or of the whole tuned model. A card is put beside it.

    An adapter is small, and used with `write --adapter FILE` and the very base it was made for.
    Learned from private texts, the files are for your eyes only (0600); the card says more.
    A whole model (--merge, or tuned with --full) is used with `write --device FILE`.

    Examples:

      cogenesis train export run --out adapter.gguf

      cogenesis train export run --out tuned.gguf --merge q4_k_m
    """
    from cogenesis.training.extra import need_training_libraries

    need_training_libraries()
    from cogenesis.cli.circumstances import command
    from cogenesis.cli.models import fetch_model
    from cogenesis.models.fetch import sha256_of
    from cogenesis.training.base import gguf_base
    from cogenesis.training.card import Ingredient
    from cogenesis.training.export_adapter import is_lora
    from cogenesis.training.export_base import check_base
    from cogenesis.training.export_card import write_card
    from cogenesis.training.export_layout import read_layout

    folder = _tuned(tuned)
    path = fetch_model(base, quiet=as_json)
    layout = read_layout(path)
    base_sha256 = sha256_of(path)
    # A whole model brings its weights: its base lends metadata and tokenizer only.
    compared = not is_lora(folder) or check_base(folder, path, base_sha256)
    if merge is None and is_lora(folder):
        written, how = _adapter(folder, layout, out, base_sha256, force=force)
    else:
        written, how = _whole(folder, layout, out, merge or "f16", name, force=force)
    shown = base if "/" not in base else Path(base).name
    card = write_card(
        written.path,
        tuned=folder,
        base=Ingredient("base", shown, base_sha256, gguf_base(base, path).licence),
        compared=compared,
        command=command(sys.argv),
        how=how,
    )
    told = {"out": str(written.path), "bytes": written.size, "tensors": written.tensors}
    _show({**told, "how": how, "base": shown, "card": str(card)}, as_json=as_json)


def _tuned(given: Path) -> Path:
    """The folder with the weights: in a run folder, the adapter or the model."""
    for inside in ("adapter", "model"):
        if (given / inside).is_dir():
            return given / inside
    if (given / "result.json").is_file() or (given / "checkpoint.pt").is_file():
        raise InputError(
            f"the run in {given} is not finished. Go on with it by its command and --resume"
        )
    if not given.is_dir():
        raise InputError(f"there is no folder {given}. Give the one that training wrote")
    return given


def _adapter(
    folder: Path, layout: Layout, out: Path, base_sha256: str, *, force: bool
) -> tuple[Written, str]:
    from cogenesis.training.export_adapter import read_lora, write_adapter

    lora = read_lora(folder, layout)
    written = write_adapter(lora, layout, out, base_sha256=base_sha256, force=force)
    return written, "a LoRA adapter in 16 bits"


def _whole(
    folder: Path, layout: Layout, out: Path, kind: FileType, name: str | None, *, force: bool
) -> tuple[Written, str]:
    from cogenesis.cli.evaluate_progress import progress
    from cogenesis.training.export_adapter import is_lora, read_lora
    from cogenesis.training.export_merged import FolderWeights, LoraWeights, Weights, write_merged
    from cogenesis.training.export_quantise import find_quantiser

    quantiser = find_quantiser()
    with ExitStack() as stack:
        weights: Weights = (
            LoraWeights(layout, read_lora(folder, layout))
            if is_lora(folder)
            else stack.enter_context(FolderWeights(folder, layout))
        )
        bar = stack.enter_context(progress())
        step = bar.add_task("bytes", total=None)
        written = write_merged(
            layout,
            weights,
            out,
            kind=kind,
            name=name,
            quantiser=quantiser,
            progress=lambda done, total: bar.update(step, completed=done, total=total),
            force=force,
        )
    by = "" if kind in {"f32", "f16"} else f", quantised by {quantiser.name}"
    return written, f"the whole model as {kind.upper()}{by}"


def _show(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    typer.echo(f"{told['out']}  ({told['bytes'] / 1e6:.1f} MB: {told['how']})")
    typer.echo(f"card: {told['card']}")
