"""`cogenesis train extract`: what both models think along texts that people wrote."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cogenesis.cli.circumstances import when_and_where
from cogenesis.cli.evaluate_progress import progress
from cogenesis.cli.models import fetch_model
from cogenesis.cli.write import CloudKind
from cogenesis.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cogenesis.evaluation.bits import BitsSettings
    from cogenesis.evaluation.bits_pair import ScoringDevice
    from cogenesis.evaluation.bits_samples import BitsSample
    from cogenesis.models.cloud_connection import CloudConnection
    from cogenesis.training.extract import Extracted, Tuning
    from cogenesis.training.extract_file import Text


def extract(
    data: Annotated[
        Path, typer.Option(help="People, their tasks and their texts, in the published form.")
    ],
    out: Annotated[Path, typer.Option(help="The Parquet file (docs/extract-format.md).")],
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first samples of the file.")
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            help="Device model: see “cogenesis models list”, a GGUF file, or a llama.cpp server "
            "on this device, as http://127.0.0.1:PORT."
        ),
    ] = "demo-device",
    cloud: Annotated[
        str, typer.Option(help="Cloud model, run on this machine, as `models get` takes it.")
    ] = "demo-cloud",
    cloud_url: Annotated[
        str | None, typer.Option(help="Or a server, such as https://api.example.com/v1.")
    ] = None,
    cloud_model: Annotated[
        str | None, typer.Option(help="The model's name on that server.")
    ] = None,
    cloud_kind: Annotated[
        CloudKind, typer.Option(help="That server's kind; auto asks it.")
    ] = "auto",
    cloud_key_env: Annotated[
        str, typer.Option(help="Environment variable that holds the API key.")
    ] = "COGENESIS_CLOUD_KEY",
    ledger: Annotated[Path | None, typer.Option(help="The ledger's file for --cloud-url.")] = None,
    folds: Annotated[
        int, typer.Option(min=0, help="Divide groups of people into so many folds.")
    ] = 0,
    held_out: Annotated[
        int | None,
        typer.Option(
            min=0, help="The fold that the device model was not tuned on. Only it is read."
        ),
    ] = None,
    all_folds: Annotated[
        bool, typer.Option("--all-folds", help="Read the folds that it was tuned on, too.")
    ] = False,
    seen: Annotated[
        bool, typer.Option("--seen", help="The device model was tuned on all of these texts.")
    ] = False,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Longer texts are cut to so many tokens.")
    ] = 600,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the samples that --out lacks.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Keep the next-token distributions of both models along the texts, for `train gate`.

    The device model reads the private context, the cloud model the general instruction and the
    shielded text, as when a text is written. Each text is on the disk when it is done. The file
    is as private as the texts: only you may read it.

    Example:

      cogenesis train extract --data train.json --out train.parquet --limit 40 --resume
    """
    from cogenesis.evaluation.bits import BitsSettings
    from cogenesis.training.extract import Tuning

    tuning = Tuning(folds, held_out, seen)
    if all_folds and held_out is None:
        raise InputError("--all-folds belongs to --folds and --held-out")
    settings = BitsSettings(max_tokens=max_tokens)
    run = _Run(data, out, settings, tuning, quiet=as_json)
    run.only = None if all_folds else held_out
    with ExitStack() as stack:
        connected = None
        if cloud_url is not None:
            from cogenesis.cli.connect import connect

            connected, _ = connect(stack, cloud_url, cloud_model, cloud_kind, cloud_key_env, ledger)
        told = run.extract(stack, device, connected or cloud, limit, resume=resume)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        _show(told, out)


class _Run:
    """One extraction; `only` is the fold that is read, None for all."""

    def __init__(
        self, data: Path, out: Path, settings: BitsSettings, tuning: Tuning, *, quiet: bool
    ) -> None:
        self._data, self._out, self._settings = data, out, settings
        self._tuning, self._quiet = tuning, quiet
        self._skipped: list[dict[str, Any]] = []
        self.only: int | None = None

    def extract(
        self,
        stack: ExitStack,
        device: str,
        cloud: str | CloudConnection,
        limit: int | None,
        *,
        resume: bool,
    ) -> dict[str, Any]:
        """Everything from the options to the file; returns what is told."""
        from cogenesis.context.reader import read_samples
        from cogenesis.evaluation.bits_samples import bits_samples
        from cogenesis.fusion.gate_input import SEEN
        from cogenesis.training.extract import about_extract
        from cogenesis.training.extract_file import ExtractWriter, load_parquet

        load_parquet()
        read_samples(self._data, on_bad=lambda number, why: None)  # mistakes first
        model, about_device = self._device(stack, device)
        beside, about_cloud = self._cloud(cloud)
        models = {"device": about_device, "cloud": about_cloud}
        about = about_extract(self._data, self._settings, models, self._tuning)
        samples = bits_samples(
            self._data,
            model,
            limit=limit,
            max_tokens=self._settings.max_tokens,
            left_out=self._left_out,
        )
        with ExtractWriter(self._out, about, k=SEEN, resume=resume) as writer:
            texts = [(self._tuning.text(each), each) for each in samples]
            left = [
                (text, each)
                for text, each in texts
                if text.sample not in writer.done and self.only in {None, text.fold}
            ]
            begun = time.monotonic()
            done = self._read(model, beside, left, writer)
            seconds = time.monotonic() - begun
        return self._told(done, seconds)

    def _read(
        self,
        model: ScoringDevice,
        cloud: Path | CloudConnection,
        left: Sequence[tuple[Text, BitsSample]],
        writer: Any,
    ) -> Extracted:
        from cogenesis.evaluation.bits_pair import BitsPair
        from cogenesis.evaluation.bits_samples import bits_task
        from cogenesis.training.extract import Extracted, extract

        if not left:
            return Extracted()
        prepare = partial(bits_task, model, max_tokens=self._settings.max_tokens)
        with progress() as bar, BitsPair(model, cloud, self._settings) as running:
            step = bar.add_task("tokens", total=sum(len(each.ids) for _, each in left))

            def tick(tokens: int) -> None:
                bar.advance(step, tokens)
                bar.refresh()

            return extract(running, prepare, left, writer, left_out=self._left_out, tick=tick)

    def _device(self, stack: ExitStack, name: str) -> tuple[ScoringDevice, dict[str, Any]]:
        from cogenesis.cli.connect import open_device
        from cogenesis.fusion.gate_file import vocabulary_hash
        from cogenesis.models import LlamaCpp, LlamaServer
        from cogenesis.training.extract import file_hash

        # One thread, because the cloud model has a core of its own.
        model = open_device(stack, name, window=4096, threads=1, quiet=self._quiet)
        if isinstance(model, LlamaServer):
            return model, {"name": model.name, "vocabulary": None}
        if not isinstance(model, LlamaCpp):
            raise InputError("this device model cannot cut texts into tokens: use a GGUF file")
        tokens = model.vocabulary()
        found: dict[str, Any] = {
            "name": name if name == "demo-device" else Path(name).name,
            "tokens": len(tokens),
        }
        path = fetch_model(name, quiet=True)
        found |= {"vocabulary": vocabulary_hash(tokens), "sha256": file_hash(path)}
        # Only where there is one: files of earlier extractions stay good.
        return model, found | ({"adapter": file_hash(model.adapter)} if model.adapter else {})

    def _cloud(self, cloud: str | CloudConnection) -> tuple[Path | CloudConnection, dict[str, Any]]:
        from cogenesis.training.extract import file_hash

        if not isinstance(cloud, str):
            return cloud, {"name": cloud.name}
        path = fetch_model(cloud, quiet=self._quiet)
        name = cloud if cloud == "demo-cloud" else Path(cloud).name
        return path, {"name": name, "sha256": file_hash(path)}

    def _left_out(self, number: int, why: str) -> None:
        self._skipped.append({"sample": number, "reason": why})
        typer.echo(f"warning: sample {number} is left out: {why}", err=True)

    def _told(self, done: Extracted, seconds: float) -> dict[str, Any]:
        per = max(done.texts, 1)
        return {
            "out": self._out.name,
            "bytes": self._out.stat().st_size if self._out.exists() else 0,
            "texts": done.texts,
            "positions": done.positions,
            "seconds_per_text": round(seconds / per, 2) if done.texts else None,
            "bytes_per_text": done.bytes // per if done.texts else None,
            "skipped": self._skipped,
            **when_and_where(),
        }


def _show(told: dict[str, Any], out: Path) -> None:
    typer.echo(f"{told['texts']} texts, {told['positions']:,} positions, into {out}")
    if told["texts"]:
        typer.echo(
            f"{told['seconds_per_text']} s and {told['bytes_per_text'] / 1000:.0f} kB a text"
        )
