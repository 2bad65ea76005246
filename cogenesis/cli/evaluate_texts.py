"""The texts that `evaluate text` and `evaluate judge` look at: from a file, or written now."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from cogenesis.cli.engine_options import chosen_engine
from cogenesis.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cogenesis.cli.evaluate_writing import TextItem
    from cogenesis.context.reader import Sample
    from cogenesis.evaluation.generation import WrittenText
    from cogenesis.privacy.published import PublishedData

WRITING: Final = "Writing the texts"
"""Panel of the options that say how texts are written."""

LEDGER: Final = "evaluation-ledger.sqlite"
"""Where requests to the demo cloud are recorded, in the CoGenesis folder: they stay here."""

# Written out once more, so that --help loads no model code.
CloudKind = Literal[
    "auto",
    "llama-server",
    "vllm",
    "sglang",
    "openai-chat",
    "openai-completion",
    "openai-echo",
    "openai-echo-last",
]

DataOption = Annotated[
    Path, typer.Option("--data", help="People, their tasks and their texts, in the published form.")
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="Only the first samples of the file.")
]
SystemOption = Annotated[
    list[str] | None,
    typer.Option(
        "--system",
        help="A system (repeatable): cloud, device, device:zero-shot, sketch, fusion:RULE, "
        "fusion:RULE@WEIGHT, fusion:gate; on published data also cloud:instruction and "
        "cloud:context. Default: cloud, device, sketch, fusion:mixture.",
    ),
]
UnsafeOption = Annotated[
    bool,
    typer.Option(
        "--unsafe-send-context",
        help="Let a cloud model see profiles and texts as they are. For published or made-up "
        "data only.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        envvar="COGENESIS_DEVICE",
        help="Device model, as “write --device” takes it.",
        rich_help_panel=WRITING,
    ),
]
ZeroShotOption = Annotated[
    str | None,
    typer.Option(
        "--zero-shot-device",
        help="The device model before tuning, for device:zero-shot. Default: --device without "
        "its adapter.",
        rich_help_panel=WRITING,
    ),
]
CloudOption = Annotated[
    str,
    typer.Option(
        "--cloud",
        help="A model to serve on this machine as the cloud, as `models get` takes it.",
        rich_help_panel=WRITING,
    ),
]
CloudUrlOption = Annotated[
    str | None,
    typer.Option("--cloud-url", help="A real cloud instead of --cloud.", rich_help_panel=WRITING),
]
CloudModelOption = Annotated[
    str | None,
    typer.Option("--cloud-model", help="The model's name on that server.", rich_help_panel=WRITING),
]
CloudKindOption = Annotated[
    CloudKind,
    typer.Option("--cloud-kind", help="The server's kind; auto asks it.", rich_help_panel=WRITING),
]
CloudKeyOption = Annotated[
    str,
    typer.Option(
        "--cloud-key-env",
        help="Environment variable that holds the API key.",
        rich_help_panel=WRITING,
    ),
]
GateOption = Annotated[
    Path | None,
    typer.Option(
        "--gate",
        help="A gate of “train gate”, for fusion:gate. Default for the demo's models: the one "
        "that is shipped for them.",
        rich_help_panel=WRITING,
    ),
]
MaxTokensOption = Annotated[
    int,
    typer.Option("--max-tokens", min=1, help="Length of a text at most.", rich_help_panel=WRITING),
]
WindowOption = Annotated[
    int,
    typer.Option(
        "--window", min=256, help="Device model's window in tokens.", rich_help_panel=WRITING
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, help="Same seed, same text.", rich_help_panel=WRITING)
]


@dataclass(frozen=True, slots=True)
class TextOptions:
    """What the options above say."""

    data: Path
    limit: int | None
    systems: tuple[str, ...]
    texts: Path | None
    unsafe: bool
    device: str
    adapter: str | None
    zero_shot: str | None
    cloud: str
    cloud_url: str | None
    cloud_model: str | None
    cloud_kind: CloudKind
    cloud_key_env: str
    gate: Path | None
    max_tokens: int
    window: int
    seed: int
    quiet: bool = False
    engine: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    workers: int | None = None

    def baseline(self, chosen: str | None) -> str:
        """What the other systems are compared with: the device, unless it is not there."""
        return chosen or ("device" if "device" in self.systems else self.systems[0])

    @property
    def trained_gate(self) -> Path | None:
        """The gate of fusion:gate: the one that was given, or is shipped for these models."""
        from cogenesis.fusion.gate_file import shipped_gate

        if self.gate is not None or self.cloud_url is not None:
            return self.gate
        return shipped_gate(self.device, self.cloud, self.adapter)

    def gate_notes(self, data_sha256: str) -> list[str]:
        """What to know before figures of fusion:gate are read, where it is among the systems."""
        from cogenesis.cli.device_model import adapter_id
        from cogenesis.evaluation.gate_notes import gate_notes
        from cogenesis.fusion.gate_file import load_gate

        path, system = self.trained_gate, "fusion:gate"
        if path is None or system not in self.systems:
            return []
        adapter = adapter_id(self.device, self.adapter).get("adapter")
        return gate_notes(system, load_gate(path), data_sha256, adapter)

    def about(self) -> dict[str, Any]:
        """The settings, as the report tells them; no address and no path."""
        return {
            "device": self.device,
            "adapter": self.adapter and Path(self.adapter).name,
            "zero_shot_device": self.zero_shot,
            "cloud": self.cloud if self.cloud_url is None else self.cloud_model,
            "gate": None if self.trained_gate is None else self.trained_gate.name,
            "max_tokens": self.max_tokens,
            "window": self.window,
            "seed": self.seed,
        }


@dataclass(frozen=True, slots=True)
class Texts:
    """What is looked at.

    Attributes:
        samples: by their numbers in the file, read when they are asked for.
        people: all usable samples of the file likewise.
        written: the texts, by system and sample.
        place: the file that holds them.
        digest: SHA-256 of the data.
        skipped: samples that cannot be used, and texts that no worker could write.
        published: the proof, where the user gave the flag.
    """

    samples: Mapping[int, Sample]
    people: Mapping[int, Sample]
    written: dict[str, dict[int, WrittenText]]
    place: Path
    digest: str
    skipped: list[dict[str, Any]]
    published: PublishedData | None


def find_texts(options: TextOptions) -> Texts:
    """Read the file of texts and write what it lacks, with progress.

    Raises:
        InputError: an option or a file cannot be used.
        ModelError, PrivacyError: as the assistant's.
        EngineError: workers cannot be started.
    """
    from cogenesis.cli.evaluate_writing import (
        TextWork,
        chosen_systems,
        model_names,
        write_lacking,
    )
    from cogenesis.engines.known_file import KnownFile
    from cogenesis.evaluation.generation import chosen_texts, default_place, open_texts
    from cogenesis.evaluation.generation_run import GenerationSettings, is_final, wanted_texts

    engine = chosen_engine(
        options.engine, at_a_time=None, ray_address=options.ray_address, workers=options.workers
    )
    data = KnownFile.of(options.data)
    samples, people, skipped = read_people(options.data, options.limit)
    place = options.texts or default_place(options.data)
    proof = open_published(options.data, unsafe=True) if options.unsafe else None
    settings = GenerationSettings(options.max_tokens, options.seed)
    with open_texts(place, options.data) as file:  # held throughout: no other run may add to it
        theirs = _of_others(options, file.done.values())
        systems = chosen_systems(options, theirs)
        names = model_names(options, systems)
        wanted = wanted_texts(samples, systems, names, settings)
        lacking = [each for each in wanted if not is_final(file.done.get(each.key))]
        if lacking:
            ours = tuple(name for name in options.systems if name not in theirs)
            work = TextWork.of(replace(options, systems=ours), data, names, lacking)
            with closing(write_lacking(work, engine, lacking, _lost_into(skipped))) as texts:
                for text in texts:
                    file.add(text)
                    file.done[text.key] = text
        found = [file.done[each.key] for each in wanted if each.key in file.done]
        found += [each for each in file.done.values() if each.system in theirs]
    written = chosen_texts(found, options.systems, samples)
    return Texts(samples, people, written, place, data.sha256, skipped, proof)


def _lost_into(skipped: list[dict[str, Any]]) -> Callable[[TextItem, int], None]:
    """Tells of texts that are missing because workers died, and puts them on a list."""

    def told(item: TextItem, deaths: int) -> None:
        why = f"{deaths} workers died of it: their machine may lack memory"
        skipped.append({"sample": item.number, "systems": list(item.systems), "reason": why})
        typer.echo(
            f"warning: sample {item.number} is not written ({', '.join(item.systems)}): {why}. "
            "The same command tries again",
            err=True,
        )

    return told


def read_people(
    data: Path, limit: int | None
) -> tuple[Mapping[int, Sample], Mapping[int, Sample], list[dict[str, Any]]]:
    """The first samples by their numbers, all samples, and those that cannot be used."""
    from cogenesis.evaluation.numbered_samples import numbered_samples

    people = numbered_samples(data)
    samples = people.first(limit)
    if not samples:
        raise InputError("no sample of --data can be used: give another file")
    skipped = [{"sample": n, "reason": why} for n, why in samples.bad.items()]
    for each in skipped:
        typer.echo(f"warning: sample {each['sample']} is left out: {each['reason']}", err=True)
    return samples, people, skipped


def open_published(data: Path, *, unsafe: bool) -> PublishedData:
    """The proof that this data may be sent as it is, made where the user gave the flag.

    Workers of an engine cannot be handed one: each opens the file again, with the same flag.

    Raises:
        InputError: the flag is missing, or the file is not marked.
    """
    from cogenesis.privacy.published import PublishedData

    return PublishedData(data, unsafe_send_context=unsafe)


def _of_others(options: TextOptions, texts: Iterable[WrittenText]) -> frozenset[str]:
    """Systems that only the file of texts knows: another program wrote theirs."""
    from cogenesis.evaluation.systems import is_system

    known = {each.system for each in texts}
    return frozenset(name for name in options.systems if name in known and not is_system(name))
