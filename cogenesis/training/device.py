"""Tuning the device model: from files of samples to an adapter with its card."""

from __future__ import annotations

import shlex
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cogenesis import __version__
from cogenesis.context.prompt import Window
from cogenesis.context.reader import Sample
from cogenesis.errors import InputError, ModelError
from cogenesis.training.base import Base, GgufBase, load_model
from cogenesis.training.card import Ingredient, terms
from cogenesis.training.encoders import open_encoder
from cogenesis.training.examples import (
    DataFile,
    Example,
    LeftOut,
    hold_out,
    make_examples,
    read_data,
)
from cogenesis.training.results import save_result
from cogenesis.training.run_folder import RunFolder
from cogenesis.training.settings import Hardware, TuneSettings
from cogenesis.training.sketches_file import SketchLine, read_sketches
from cogenesis.training.tuning import Progress, Tuning

_NO_MEMORY: Final = (
    "there is not enough memory for this training. Add --recompute, lower --most-tokens or "
    "--context-tokens, or use a smaller base model"
)


@dataclass(frozen=True, slots=True)
class TuneFiles:
    """What is read and written.

    Attributes:
        data: samples to learn from, one or more files.
        validation: samples to validate with; None holds some of `data` back.
        sketches: outlines, for the form with sketch.
        out: the run folder.
    """

    data: tuple[Path, ...]
    validation: Path | None
    sketches: Path | None
    out: Path


@dataclass(frozen=True, slots=True)
class Material:
    """What was read: the files with their sums, and the samples, split."""

    files: tuple[DataFile, ...]
    validation: DataFile | None
    sketches: dict[str, SketchLine]
    sketches_sha256: str | None
    learned: tuple[Sample, ...]
    held: tuple[Sample, ...]

    def sums(self) -> dict[str, Any]:
        """What data it is, by content."""
        return {
            "data": [each.sha256 for each in self.files],
            "validation": None if self.validation is None else self.validation.sha256,
            "sketches": self.sketches_sha256,
        }


def read_material(files: TuneFiles, settings: TuneSettings, left_out: LeftOut) -> Material:
    """Read all data, before any model is loaded.

    Raises:
        InputError: a file cannot be used, or outlines are wanted and there are none, or it is
            not clear whose they are.
    """
    if "with-sketch" in settings.forms and files.sketches is None:
        raise InputError(
            "the form with-sketch needs outlines: make them with `cogenesis train sketches`, and "
            "name their file with --sketches"
        )
    data = tuple(read_data(path, left_out, limit=settings.limit) for path in files.data)
    samples = [sample for each in data for sample in each.samples]
    if files.validation is not None:
        validation = read_data(files.validation, left_out)
        learned, held = samples, list(validation.samples)
    else:
        validation = None
        learned, held = hold_out(samples, settings.hold_out, settings.seed)
    if "with-sketch" in settings.forms:
        _refuse_twins(data if validation is None else (*data, validation))
    sketches, sketches_sum = {}, None
    if files.sketches is not None:
        from cogenesis.models.fetch import sha256_of

        sketches, sketches_sum = read_sketches(files.sketches), sha256_of(files.sketches)
    return Material(data, validation, sketches, sketches_sum, tuple(learned), tuple(held))


def _refuse_twins(files: Sequence[DataFile]) -> None:
    """An outline is found by its sample's id, so no two samples may have the same.

    Samples without a `tid` are called by their numbers, and those of `data import FOLDER` are
    called own-1 and so on, in every file.

    Raises:
        InputError: two have.
    """
    counted = Counter(sample.id for each in files for sample in each.samples)
    twins = [name for name, count in counted.items() if count > 1]
    if twins:
        raise InputError(
            f"{len(twins)} ids stand at several samples of --data and --validation (the first: "
            f"{twins[0]!r}), so it is not clear whose outline is whose. Give every sample a tid "
            "that no other one has, and make the outlines again"
        )


def tune_device(
    base: Base,
    files: TuneFiles,
    settings: TuneSettings,
    hardware: Hardware,
    *,
    resume: bool,
    report: Callable[[Progress], None],
    left_out: LeftOut,
) -> dict[str, Any] | None:
    """Tune a base model and save what came out. The figures of the run, on the main process.

    Started by `accelerate launch`, every process calls it; only the main one writes and tells.

    Raises:
        InputError: data or the run folder cannot be used.
        ModelError: the base cannot be tuned, or memory runs out.
    """
    import torch

    torch.set_num_threads(hardware.threads)
    half = _computes_in_half(hardware)
    accelerator = _accelerator(half=half)
    main = bool(accelerator.is_main_process)
    tell: LeftOut = left_out if main else lambda why: None
    material = read_material(files, settings, tell)
    asked = {"base": base.sha256(), **material.sums(), **asdict(settings)}
    config = {"asked": asked, **_about(base, hardware, material)}
    folder = RunFolder(files.out, config, resume=resume) if main else None
    if folder is not None and (done := folder.file("result.json")) is not None:
        folder.forget_checkpoints()  # it may have been killed before it came to that
        raise InputError(f"{files.out} is finished: {done} holds its figures")
    learned, held = _examples(base, material, settings, tell)
    with _out_of_memory_told():
        model = _model(base, settings, hardware, half=half and accelerator.num_processes == 1)
        shown = report if main else _not_shown
        tuning = Tuning(accelerator, model, learned, held, settings, hardware, folder, shown)
        outcome = tuning.run()
    accelerator.wait_for_everyone()
    if folder is None:
        return None
    return save_result(
        folder,
        accelerator.unwrap_model(model),
        outcome,
        base=base,
        settings=settings,
        files=_ingredients(material),
        learned=learned,
        held=held,
        command=_command(),
        processes=accelerator.num_processes,
    )


def _accelerator(*, half: bool) -> Any:
    import torch
    from accelerate import Accelerator

    # Said here, because `accelerate launch` keeps it to itself where it also shards the model.
    on_cpu = not (torch.cuda.is_available() or torch.backends.mps.is_available())
    return Accelerator(cpu=on_cpu, mixed_precision="bf16" if half else "no")


def _not_shown(progress: Progress) -> None:
    """One process of several tells how it goes."""


@contextmanager
def _out_of_memory_told() -> Iterator[None]:
    """Raises ModelError instead of what torch raises when memory runs out."""
    import torch

    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "memory" in str(error):
            raise ModelError(_NO_MEMORY) from error
        raise


def _computes_in_half(hardware: Hardware) -> bool:
    """Whether to compute in bfloat16: 8 bits of precision in the products, sums are kept whole."""
    import torch

    if hardware.precision != "auto":
        return hardware.precision == "bfloat16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    # Without the instructions it works, but many times slower than float32.
    probe: Any = torch.cpu
    return bool(probe._is_avx512_bf16_supported())


def _examples(
    base: Base, material: Material, settings: TuneSettings, left_out: LeftOut
) -> tuple[list[Example], list[Example]]:
    window = Window(settings.context_tokens, settings.max_tokens)
    with open_encoder(base) as encoder:
        learned, held = (
            make_examples(encoder, samples, settings.forms, material.sketches, window, left_out)
            for samples in (material.learned, material.held)
        )
    if not learned:
        raise InputError("no sample is left to learn from: the warnings above say why")
    return learned, held


def _model(base: Base, settings: TuneSettings, hardware: Hardware, *, half: bool) -> Any:
    """The model with what is to be tuned.

    With shards (FSDP) all weights of a block must have one type, so `half` is for one process;
    and weights that are tuned themselves stay in float32, or small steps would be rounded away.
    """
    import torch

    model = load_model(base, half=half and not settings.full)
    torch.manual_seed(settings.seed)
    if hardware.recompute:
        _enable_recompute(model, base)
    if settings.full:
        return model
    from peft import LoraConfig, get_peft_model

    model.name_or_path = base.title  # what the adapter names as its base; no folder of ours
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=2 * settings.rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings():
            # Of `peft`, to its own authors, about a name of `transformers`.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
            return get_peft_model(model, lora)
    except ValueError as error:
        raise ModelError(
            f"{base.name} has no layers that a LoRA fits. Tune it with --full, or take another "
            "base model"
        ) from error


def _enable_recompute(model: Any, base: Base) -> None:
    """Compute activations twice instead of keeping them; the old name is of transformers 5.0."""
    enable = getattr(model, "activation_checkpointing_enable", None)
    enable = enable or model.gradient_checkpointing_enable
    try:
        enable({"use_reentrant": False})
    except ValueError as error:
        raise ModelError(f"{base.name} cannot be tuned with --recompute: leave it out") from error


def _about(base: Base, hardware: Hardware, material: Material) -> dict[str, Any]:
    """What is worth knowing of a run beside what its outcome depends on."""
    from importlib.metadata import version

    libraries = ("torch", "transformers", "peft", "accelerate")
    return {
        "base": {
            "name": base.name,
            "form": "gguf" if isinstance(base, GgufBase) else "folder",
            "licence": base.licence,
        },
        "data": [each.name for each in material.files],
        "hardware": asdict(hardware),
        "command": _command(),
        "versions": {"cogenesis": __version__} | {name: version(name) for name in libraries},
    }


def _ingredients(material: Material) -> list[Ingredient]:
    """What the card says of each file."""
    files = [("data", each) for each in material.files]
    if material.validation is not None:
        files.append(("validation", material.validation))
    found = [
        Ingredient(
            role,
            each.name,
            each.sha256,
            terms(sample.origin for sample in each.samples),
            f"{len(each.samples)} entries",
        )
        for role, each in files
    ]
    if material.sketches_sha256 is not None:
        size, by = f"{len(material.sketches)} entries", "as the cloud model's makers state"
        found.append(Ingredient("outlines", "sketches", material.sketches_sha256, by, size))
    return found


def _command() -> str:
    """As it was typed, but of folders only the last part: a whole path may name a person."""
    arguments: Sequence[str] = sys.argv[1:]
    return shlex.join(["cogenesis", *(_without_folder(each) for each in arguments)])


def _without_folder(argument: str) -> str:
    name, equals, value = (
        argument.partition("=") if argument.startswith("-") else ("", "", argument)
    )
    path = Path(value).expanduser()
    return f"{name}{equals}{path.name}" if path.exists() or path.is_absolute() else argument
