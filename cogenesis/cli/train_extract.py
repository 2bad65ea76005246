"""`cogenesis train extract`: what both models think along texts that people wrote."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cogenesis.cli.circumstances import when_and_where
from cogenesis.cli.device_model import AdapterOption
from cogenesis.cli.engine_options import (
    EngineOption,
    RayAddressOption,
    WorkersOption,
    chosen_engine,
)
from cogenesis.cli.evaluate_progress import progress
from cogenesis.cli.models import fetch_model
from cogenesis.cli.write import CloudKind
from cogenesis.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cogenesis.engines.cloud import CloudAddress
    from cogenesis.engines.engine import Engine
    from cogenesis.engines.known_model import KnownModel
    from cogenesis.evaluation.bits import BitsSettings
    from cogenesis.training.extract import Extracted, ExtractWork, Tuning
    from cogenesis.training.extract_file import ExtractWriter, Text


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
    adapter: AdapterOption = None,
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
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
    workers: WorkersOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Keep the next-token distributions of both models along the texts, for `train gate`.

    The device model reads the private context, the cloud model the general instruction and the
    shielded text, as when a text is written. Each text is on the disk when it is done. The file
    is as private as the texts: only you may read it. Each worker of Ray has both models, reads
    one text at a time, and sends what it found through the memory of the cluster: give a cluster
    of others no texts that they must not see.

    Examples:

      cogenesis train extract --data train.json --out train.parquet --limit 40 --resume

      cogenesis train extract --data train.json --out train.parquet --engine ray --workers 2
    """
    from cogenesis.evaluation.bits import BitsSettings
    from cogenesis.training.extract import Tuning

    tuning = Tuning(folds, held_out, seen)
    if all_folds and held_out is None:
        raise InputError("--all-folds belongs to --folds and --held-out")
    if _is_server(device) and engine == "ray" and ray_address is not None:
        raise InputError(
            "a device model server is reached from this machine only: leave out --ray-address, so "
            "that workers are started here, or give --device a model that each worker loads"
        )
    working = chosen_engine(engine, at_a_time=None, ray_address=ray_address, workers=workers)
    run = _Run(data, out, BitsSettings(max_tokens=max_tokens), tuning, quiet=as_json)
    run.only = None if all_folds else held_out
    server = None
    if cloud_url is not None:
        from cogenesis.cli.connect import cloud_address

        server = cloud_address(cloud_url, cloud_model, cloud_kind, cloud_key_env, ledger)
    told = run.extract(working, (device, adapter), server or cloud, limit, resume=resume)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        _show(told, out)


def _is_server(device: str) -> bool:
    return device.startswith(("http://", "https://"))


class _Run:
    """One extraction; `only` is the fold that is read, None for all."""

    def __init__(
        self, data: Path, out: Path, settings: BitsSettings, tuning: Tuning, *, quiet: bool
    ) -> None:
        self._data, self._out, self._settings = data, out, settings
        self._tuning, self._quiet = tuning, quiet
        self._skipped: dict[int, str] = {}
        self.only: int | None = None

    def extract(
        self,
        engine: AbstractContextManager[Engine],
        device: tuple[str, str | None],
        cloud: str | CloudAddress,
        limit: int | None,
        *,
        resume: bool,
    ) -> dict[str, Any]:
        """Everything from the options to the file; returns what is told.

        `device` is the model and its adapter, as the options say them.
        """
        from cogenesis.engines.known_file import KnownFile
        from cogenesis.evaluation.bits_pairing import Pairing
        from cogenesis.evaluation.numbered_samples import first_samples
        from cogenesis.fusion.gate_input import SEEN
        from cogenesis.training.extract import Extracted, ExtractWork, about_extract
        from cogenesis.training.extract_file import ExtractWriter, load_parquet

        load_parquet()
        data = KnownFile.of(self._data)
        samples = first_samples(data.path, limit, self._left_out)  # mistakes first
        if not samples:
            raise InputError("no sample of --data can be used: give another file")
        model, about_device = self._device(*device)
        beside, about_cloud = self._cloud(cloud)
        models = {"device": about_device, "cloud": about_cloud}
        texts: list[Text] = []
        origins: set[str] = set()
        for number, each in samples.items():
            texts.append(self._tuning.text(number, each))
            origins.add(each.origin)
        about = about_extract(data, self._settings, models, self._tuning, origins - {""})
        with ExtractWriter(self._out, about, k=SEEN, resume=resume) as writer:
            left = [
                text
                for text in texts
                if text.sample not in writer.done and self.only in {None, text.fold}
            ]
            done = Extracted()
            if left:
                work = ExtractWork(Pairing(data, model, beside, self._settings))
                with engine as working:
                    done = self._read(working, work, left, writer)
        return self._told(done)

    def _read(
        self, engine: Engine, work: ExtractWork, left: Sequence[Text], writer: ExtractWriter
    ) -> Extracted:
        from cogenesis.training.extract import extract

        with progress() as bar:
            step = bar.add_task("texts", total=len(left))

            def tick() -> None:
                bar.advance(step)
                bar.refresh()

            return extract(engine, work, left, writer, left_out=self._left_out, tick=tick)

    def _device(self, name: str, adapter: str | None) -> tuple[KnownModel | str, dict[str, Any]]:
        """What workers open, and what the file says of it.

        Raises:
            InputError: a server has its own adapter, or none.
            KnownModelError: there is no such adapter.
        """
        from cogenesis.engines.known_model import KnownModel
        from cogenesis.fusion.gate_file import vocabulary_hash
        from cogenesis.models import LocalWire, read_vocabulary
        from cogenesis.models.adapters import NO_ADAPTER
        from cogenesis.models.fetch import sha256_of

        if _is_server(name):
            if adapter not in {None, NO_ADAPTER}:
                raise InputError(
                    "a server loads its adapter itself: start llama-server with --lora FILE, and "
                    "leave out --adapter"
                )
            with LocalWire.loopback(name) as wire:
                return name, {"name": wire.server, "vocabulary": None}
        path = fetch_model(name, quiet=self._quiet)
        model, tokens = KnownModel.of(name, path, adapter), read_vocabulary(path)
        found: dict[str, Any] = {
            "name": name if name == "demo-device" else Path(name).name,
            "tokens": len(tokens),
            "vocabulary": vocabulary_hash(tokens),
            "sha256": sha256_of(path),
        }
        # Only where there is one: files of earlier extractions stay good.
        lora = model.adapter_sha256
        return model, found | ({"adapter": lora} if lora else {})

    def _cloud(self, cloud: str | CloudAddress) -> tuple[KnownModel | CloudAddress, dict[str, Any]]:
        from cogenesis.engines.known_model import KnownModel
        from cogenesis.models.fetch import sha256_of

        if not isinstance(cloud, str):
            return cloud, {"name": cloud.name}
        path = fetch_model(cloud, quiet=self._quiet)
        name = cloud if cloud == "demo-cloud" else Path(cloud).name
        return KnownModel.of(cloud, path), {"name": name, "sha256": sha256_of(path)}

    def _left_out(self, number: int, why: str) -> None:
        self._skipped[number] = why
        typer.echo(f"warning: sample {number} is left out: {why}", err=True)

    def _told(self, done: Extracted) -> dict[str, Any]:
        per = max(done.texts, 1)
        skipped = sorted(self._skipped.items())
        return {
            "out": self._out.name,
            "bytes": self._out.stat().st_size if self._out.exists() else 0,
            "texts": done.texts,
            "positions": done.positions,
            "seconds_per_text": round(done.seconds / per, 2) if done.texts else None,
            "bytes_per_text": done.bytes // per if done.texts else None,
            "skipped": [{"sample": number, "reason": why} for number, why in skipped],
            **when_and_where(),
        }


def _show(told: dict[str, Any], out: Path) -> None:
    typer.echo(f"{told['texts']} texts, {told['positions']:,} positions, into {out}")
    if told["texts"]:
        typer.echo(
            f"{told['seconds_per_text']} s and {told['bytes_per_text'] / 1000:.0f} kB a text"
        )
