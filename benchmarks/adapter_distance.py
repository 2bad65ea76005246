"""Does llama.cpp with an exported adapter say what the training framework says? Prints JSON.

    python -m benchmarks.adapter_distance --data FILE [--tuned FOLDER] [--positions 500]

Total-variation distance of next-token distributions, mean over positions in texts that people
wrote, each behind the prompt that `write` would use. The framework computes in float32 with
PEFT's LoRA; llama.cpp from the exported file, on the base in 16 bits and on the base as it is.

Without --tuned a random adapter is used, of the rank and layers of `train device` and strong
enough to move most of the distribution: `adapter_moves` says how far (framework with adapter
against framework without). `unordered` is what llama.cpp gives if the rows of the query and
key matrices are left as the framework has them: what the figure would be with that mistake.

Tokens beyond llama.cpp's first 2,048 count as one; `unlisted` is their mean probability, and
bounds what that hides.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cogenesis.cli.circumstances import when_and_where
from cogenesis.cli.models import fetch_model
from cogenesis.context.reader import read_samples
from cogenesis.evaluation.speed_prompts import prompt_ids
from cogenesis.models import LlamaCpp, TokenIds
from cogenesis.training.base import gguf_base, load_model
from cogenesis.training.export_adapter import Factors, Lora, read_lora, write_adapter
from cogenesis.training.export_layout import Layout, read_layout
from cogenesis.training.export_merged import LoraWeights, write_merged

K: Final = 2048
TEXTS: Final = 5
RANK: Final = 16
Logprobs = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Piece:
    """Token ids, of which the distributions after `first - 1` and all later ones are compared."""

    ids: tuple[int, ...]
    first: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="samples in the published form")
    parser.add_argument("--tuned", type=Path, help="a PEFT folder; else a random adapter")
    parser.add_argument("--base", default="demo-device", help="as `models get` takes it")
    parser.add_argument("--positions", type=int, default=500)
    options = parser.parse_args()
    base = fetch_model(options.base, quiet=True)
    pieces = chosen(base, options.data, options.positions)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tuned = options.tuned or folder / "peft"
        model = load_model(gguf_base(options.base, base), half=False)
        plain = [framework(model, piece) for piece in pieces]
        adapted = with_lora(model, options.tuned, tuned)
        wanted = [framework(adapted, piece) for piece in pieces]
        del model, adapted
        told: dict[str, Any] = {"adapter_moves": mean(plain, wanted)}
        sixteen = folder / "f16.gguf"
        layout = read_layout(base)
        write_merged(layout, LoraWeights(layout), sixteen, kind="f16")
        for label, path in (("f16_base", sixteen), ("base_as_it_is", base)):
            told[label] = compared(path, tuned, folder / f"{label}.gguf", pieces, plain, wanted)
    told |= {
        "positions": sum(map(len, wanted)),
        "adapter": "random" if options.tuned is None else options.tuned.name,
        "base": options.base if "/" not in options.base else Path(options.base).name,
        "data": options.data.name,
        **when_and_where(),
        "command": f"python -m benchmarks.adapter_distance --data {options.data.name}"
        + (f" --tuned {options.tuned.name}" if options.tuned else ""),
    }
    print(json.dumps(told, indent=2))


def chosen(base: Path, data: Path, positions: int) -> list[Piece]:
    """The beginnings of a few texts, as many tokens of each."""
    each = -(-positions // TEXTS)
    pieces: list[Piece] = []
    with LlamaCpp(base, threads=1) as model:
        for sample in read_samples(data):
            ids, _ = model.tokenise(sample.reference)
            if len(ids) < each or len(pieces) == TEXTS:
                continue
            prompt = prompt_ids(model, sample.context, sample.instruction, 400).ids
            pieces.append(Piece((*prompt, *ids[: each - 1]), len(prompt)))
    return pieces


def framework(model: Any, piece: Piece) -> Logprobs:
    """What torch says: (positions, vocabulary)."""
    import torch

    torch.set_num_threads(1)
    with torch.inference_mode():
        wanted = len(piece.ids) - piece.first + 1
        logits = model(input_ids=torch.tensor([piece.ids]), logits_to_keep=wanted).logits[0]
        found: Logprobs = torch.log_softmax(logits.float(), -1).numpy()
    return found


def with_lora(model: Any, tuned: Path | None, place: Path) -> Any:
    """The model with the adapter in `tuned`, or with a random one that is saved to `place`."""
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model

    if tuned is not None:
        return PeftModel.from_pretrained(model, tuned).eval()
    torch.manual_seed(1)
    config = LoraConfig(
        r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    made: Any = get_peft_model(model, config)
    for name, weights in made.named_parameters():
        if "lora_B" in name:  # zero at first, so that a new adapter changes nothing
            torch.nn.init.normal_(weights, std=0.06)
    made.save_pretrained(place, save_embedding_layers=False)
    return made.eval()


def compared(
    base: Path,
    tuned: Path,
    place: Path,
    pieces: Sequence[Piece],
    plain: Sequence[Logprobs],
    wanted: Sequence[Logprobs],
) -> Mapping[str, float]:
    """Distances of llama.cpp on one base: without the adapter, with it, and with the mistake."""
    layout = read_layout(base)
    lora = read_lora(tuned, layout)
    without = distance(base, None, pieces, plain)
    write_adapter(lora, layout, place)
    right = distance(base, place, pieces, wanted)
    write_adapter(unordered(lora, layout), layout, place, force=True)
    wrong = distance(base, place, pieces, wanted)
    return {
        "without_adapter": without["mean"],
        "with_adapter": right["mean"],
        "with_adapter_largest": right["largest"],
        "unordered": wrong["mean"],
        "unlisted": right["unlisted"],
    }


def unordered(lora: Lora, layout: Layout) -> Lora:
    """An adapter whose rows come out of `Layout.reordered` as they were."""

    def undone(name: str, factors: Factors) -> Factors:
        rows = np.arange(factors.b.shape[0], dtype=np.float32)
        order = layout.reordered(name, rows).astype(np.int64)
        return replace(factors, b=factors.b[np.argsort(order)])

    return replace(lora, factors={name: undone(name, f) for name, f in lora.factors.items()})


def distance(
    base: Path, adapter: Path | None, pieces: Sequence[Piece], wanted: Sequence[Logprobs]
) -> Mapping[str, float]:
    """Of llama.cpp to what is wanted."""
    found, unlisted = [], []
    with LlamaCpp(base, threads=1, adapter=adapter) as model:
        for piece, rows in zip(pieces, wanted, strict=True):
            for at, row in enumerate(rows):
                prefix = TokenIds(piece.ids[: piece.first + at])
                told = model.next_distribution(prefix, K)
                theirs = np.exp(row[told.ids].astype(np.float64))
                ours = np.exp(told.logprobs.astype(np.float64))
                rest = abs((1.0 - theirs.sum()) - (1.0 - ours.sum()))
                found.append((float(np.abs(theirs - ours).sum()) + rest) / 2)
                unlisted.append(1.0 - float(ours.sum()))
    return {
        "mean": round(float(np.mean(found)), 4),
        "largest": round(max(found), 4),
        "unlisted": round(float(np.mean(unlisted)), 4),
    }


def mean(one: Sequence[Logprobs], other: Sequence[Logprobs]) -> float:
    """Of the framework's distributions to each other."""
    rows = [np.abs(np.exp(a) - np.exp(b)).sum(-1) / 2 for a, b in zip(one, other, strict=True)]
    return round(float(np.concatenate(rows).mean()), 4)


if __name__ == "__main__":
    main()
